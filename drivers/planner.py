"""Which registers to read together: the cheapest spans a device allows.

A span is one request.  A hole between two points costs two bytes for each register, a new
request costs its frames and the silence around them: the plan with the fewest bytes of line
time wins.  Limits are the device's: registers in one read, holes it lets one read over,
whole pairs (Eastron refuses odd addresses and lengths), or a list of allowed spans.
"""


from gateway.core.errors import Bug, ConfigError
from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

# Price of one more request, in characters of line time: 8 asked, 5 around the answer, 7 of
# silence, and about 30 ms in which the device thinks.  A device's own gap comes on top.
REQUEST_BYTES = 50

# registers_max: in one read.  gap_max: unused registers read over, in one hole.
# step: addresses and counts are multiples of it.  spans: allowed (first, last) addresses, or
# empty for any.  request_bytes: price of one more request.
ReadLimits = NamedTuple("ReadLimits", [
    ("registers_max", int), ("gap_max", int), ("step", int),
    ("spans", "tuple[tuple[int, ...], ...]"), ("request_bytes", int)])

# What to read: function 3 or 4, first register, how many, and the caller's own key.
WantedRegisters = NamedTuple(
    "WantedRegisters", [("function", int), ("address", int), ("width", int), ("key", int)])

# One request.  counts: register counts that may be asked from `address`, the cheapest first;
# they differ, so that a late answer to one is never the length of the other.
# wanted: what lies in it, by address.
ReadSpan = NamedTuple("ReadSpan", [
    ("function", int), ("address", int), ("counts", "tuple[int, ...]"),
    ("wanted", "tuple[WantedRegisters, ...]")])


def plan(wanted: "Sequence[WantedRegisters]", limits: ReadLimits,
         known: "Iterable[WantedRegisters]" = ()) -> tuple[ReadSpan, ...]:
    """Return the spans that read all of `wanted` for the fewest bytes, by address.

    known: further WantedRegisters that exist in the device: a span may be stretched over the one
    that follows it, to vary its length.  Raises ConfigError for what the limits do not allow.
    """
    spans = []
    for function in sorted(set([w.function for w in wanted])):
        mine = sorted([w for w in wanted if w.function == function],
                      key=lambda w: (w.address, w.width, str(w.key)))
        for one in mine:
            _check(one, limits)
        for group in _cheapest(mine, limits):
            spans.append(_span(group, limits, known))
    return tuple(spans)


def split(span: ReadSpan, limits: ReadLimits) -> tuple[ReadSpan, ...]:
    """Return the two halves of a span that the device refused as a whole, unstretched.

    Cut between points, never inside one; a span of one point comes back alone.
    """
    if len(span.wanted) < 2:
        return (span,)
    middle = len(span.wanted) // 2
    return (_span(span.wanted[:middle], limits, ()),
            _span(span.wanted[middle:], limits, ()))


def _check(one: WantedRegisters, limits: ReadLimits) -> None:
    label = "point at address %d, %d registers" % (one.address, one.width)
    if one.address % limits.step or one.width % limits.step:
        raise ConfigError("%s: this device takes only multiples of %d" % (label, limits.step))
    if not 1 <= one.width <= limits.registers_max:
        raise ConfigError("%s: allowed are 1..%d" % (label, limits.registers_max))
    if not 0 <= one.address <= 65536 - one.width:
        raise ConfigError("%s: allowed are addresses 0..65535" % label)
    if not _allowed(one.address, one.address + one.width, limits):
        raise ConfigError("%s: outside the spans the device allows" % label)


def _allowed(start: int, end: int, limits: ReadLimits) -> bool:
    if end - start > limits.registers_max or end > 65536:
        return False
    for first, last in limits.spans:
        if first <= start and end <= last + 1:
            return True
    return len(limits.spans) == 0


def _cheapest(mine: list[WantedRegisters], limits: ReadLimits) -> list[list[WantedRegisters]]:
    """Return `mine` cut into groups, one for each request: shortest path over the cuts."""
    best = [(0, 0)]                     # for the first i points: (bytes, start of last group)
    for end in range(1, len(mine) + 1):
        choice: tuple[int, int] | None = None
        for start in range(end - 1, -1, -1):
            count = _count(mine, start, end, limits)
            if count is None:
                break                   # a longer group cannot become allowed again
            cost = best[start][0] + limits.request_bytes + 2 * count
            if choice is None or cost < choice[0]:
                choice = (cost, start)
        if choice is None:
            raise Bug("planner: a point that is allowed fits no read")
        best.append(choice)
    groups: list[list[WantedRegisters]] = []
    end = len(mine)
    while end:
        start = best[end][1]
        groups.insert(0, mine[start:end])
        end = start
    return groups


def _count(mine: list[WantedRegisters], start: int, end: int, limits: ReadLimits) -> int | None:
    """Return the registers of one read over mine[start:end], or None if not allowed."""
    first, last = mine[start].address, 0
    for index in range(start, end):
        one = mine[index]
        if last and one.address - last > limits.gap_max:
            return None
        last = max(last, one.address + one.width)
    return last - first if _allowed(first, last, limits) else None


def _span(group: "Sequence[WantedRegisters]", limits: ReadLimits,
          known: "Iterable[WantedRegisters]") -> ReadSpan:
    first = group[0].address
    end = max([one.address + one.width for one in group])
    counts = [end - first]
    for one in sorted(known, key=lambda w: (w.address, w.width)):
        follows = one.function == group[0].function and one.address == end
        if follows and _allowed(first, end + one.width, limits):
            counts.append(end + one.width - first)
            break
    return ReadSpan(group[0].function, first, tuple(counts), tuple(group))
