"""In which order the records of several streams came, told by what was not expected.

Polling goes round, so the stream after a stream is mostly the one that followed it the last
time.  Symbols: 0 .. streams-1 = a scan of that stream, streams = an event (which does not
disturb the round).  Coded: how many came as expected, then the symbol that did not, and
so on until all records are told.
"""

from gateway.core.codec.series import put_varint, varint
from gateway.core.errors import FormatError


def put_order(out: bytearray, streams: int, order: list[int]) -> None:
    """Append the order (list of symbols 0 .. streams) as varints."""
    follower = _first_round(streams)
    before, run = streams - 1, 0
    for symbol in order:
        if symbol == follower[before]:
            run += 1
        else:
            put_varint(out, run)
            put_varint(out, symbol)
            run = 0
        if symbol != streams:
            follower[before] = symbol
            before = symbol
    if run:
        put_varint(out, run)


def read_order(data: bytes, at: int, streams: int, count: int) -> tuple[list[int], int]:
    """Return (list of count symbols, offset after them); raises FormatError."""
    follower = _first_round(streams)
    order: list[int]
    order, before = [], streams - 1
    while len(order) < count:
        run, at = varint(data, at)
        if run > count - len(order) or (run and streams == 0):
            raise FormatError("order: a run of %d before %d" % (run, at))
        for _ in range(run):
            before = follower[before]
            order.append(before)
        if len(order) == count:
            break
        symbol, at = varint(data, at)
        if symbol > streams or symbol == follower[before]:
            raise FormatError("order: stream %d before %d" % (symbol, at))
        order.append(symbol)
        if symbol != streams:
            follower[before] = symbol
            before = symbol
    return order, at


def _first_round(streams: int) -> list[int]:
    """Return the list "stream -> expected next"; with no stream at all, one never met."""
    return [(s + 1) % streams for s in range(streams)] if streams else [-1]
