"""What the body of each kind of event holds (docs/formats.md section 5).  Pure.

The right key signs bodies too, so a body is checked before anything else is done with its batch.
A body may have more entries than are listed here, and an unknown kind any: gateways are newer than
fleets at times.
"""

import re
from collections.abc import Callable, Iterable, Sequence

from fleet.formats.values import Record
from gateway.core.codec import record
from gateway.core.codec.record import BODY_BYTES_MAX, SEQ_MAX, SERIAL_CHARS_MAX, TICKS_MS_MAX
from gateway.core.codec.schema import STREAMS_MAX, is_int
from gateway.core.errors import BadSchema
from gateway.core.evidence.batch import NUMBER_MAX, UNCERTAINTY_MS_MAX, UTC_MS_MAX

EARLY_MS_MAX = 1 << 32      # a clock that began at 1970 may place an earlier event before that
ERRNO_MAX = 65535
READINGS_MAX = 256          # of a meter-swap: counters of one device
READING_MAX = (1 << 64) - 1
LOST_ALARM = "batch-lost"   # body of the ALARM: [LOST_ALARM, number of the batch, or FIRST-LAST]
LOST_NUMBERS = re.compile(r"([0-9]{1,10})(?:-([0-9]{1,10}))?")

Entry = tuple[str, Callable[[object], bool]]    # (what it is, True if a value can be that)


def _number(what: str, low: int, high: int) -> Entry:
    return f"{what} {low}..{high}", lambda value: is_int(value, low, high)


def _text(what: str, most: int = BODY_BYTES_MAX) -> Entry:
    return f"{what} as text", lambda value: isinstance(value, str) and len(value) <= most


def _hash(what: str) -> Entry:
    return f"{what} of 32 bytes", lambda value: isinstance(value, bytes) and len(value) == 32


def _time(what: str) -> Entry:
    return f"{what} in ms or null", lambda value: (
        value is None or is_int(value, -EARLY_MS_MAX, UTC_MS_MAX))


def _is_readings(value: object) -> bool:
    """Return whether a value is a list of [position, old end or null, new start or null]."""
    return isinstance(value, list) and len(value) <= READINGS_MAX and all(
        isinstance(one, list) and len(one) >= 3 and is_int(one[0], 0, SEQ_MAX)
        and all(number is None or is_int(number, 0, READING_MAX) for number in one[1:3])
        for one in value)


BODIES: dict[int, tuple[Entry, ...]] = {
    record.BOOT: (_text("why"), _text("software"), _number("unclean", 0, 1),
                  _number("last sequence", 0, SEQ_MAX)),
    record.GAP: (_number("stream", -1, STREAMS_MAX - 1), _time("from"), _time("to"),
                 _text("reason")),
    record.TORN: (_number("generation", 0, SEQ_MAX), _number("offset", 0, SEQ_MAX),
                  _number("bytes", 0, SEQ_MAX)),
    record.CLOCK: (_number("source", 0, 255), _number("ticks", 0, TICKS_MS_MAX),
                   _number("UTC", 0, UTC_MS_MAX), _number("uncertainty", 0, UNCERTAINTY_MS_MAX),
                   _text("why")),
    record.CONFIG: (_hash("hash"), ("descriptor as bytes", lambda value: isinstance(value, bytes))),
    record.IO_ERROR: (_text("operation"), _number("errno", 0, ERRNO_MAX), _text("text")),
    record.LOGIN: (_text("who"), _text("where"), _number("accepted", 0, 1)),
    record.DOWNSAMPLED: (_number("first sequence", 1, SEQ_MAX),
                         _number("last sequence", 1, SEQ_MAX),
                         _number("rule", 0, NUMBER_MAX), _hash("chain value")),
    record.STOP: (_text("why"),),
    record.ALARM: (_text("name"), _text("detail")),
    record.DEVICE: (_number("stream", 0, STREAMS_MAX - 1), _text("state"), _text("detail")),
    record.METER_SWAP: (_number("stream", 0, STREAMS_MAX - 1),
                        _text("old serial", SERIAL_CHARS_MAX),
                        _text("new serial", SERIAL_CHARS_MAX),
                        ("readings as a list", _is_readings)),
    record.DOWNLINK: (_number("number", 1, SEQ_MAX), _text("action"), _text("outcome"),
                      _text("detail")),
}

# What later versions have added behind them.
ADDED: dict[int, tuple[Entry, ...]] = {
    record.METER_SWAP: (_number("ticks of the old end", 0, TICKS_MS_MAX),),
}


def fault(kind: int, body: list[object]) -> str | None:
    """Return what is wrong with the body of an event, None if it is as the format says."""
    entries = BODIES.get(kind, ())
    if len(body) < len(entries):
        return f"{len(body)} entries, expected {len(entries)}"
    for (what, fits), value in zip(entries + ADDED.get(kind, ()), body, strict=False):
        if not fits(value):
            return f"expected {what}"
    return None


def check(records: Iterable[Record]) -> None:
    """Raise BadSchema for the first event whose body is not as the format says."""
    for item in records:
        if isinstance(item, record.EventRecord):
            wrong = fault(item.kind, item.body)
            if wrong is not None:
                name = record.EVENT_NAMES[item.kind]
                raise BadSchema(f"record {item.seq}, event {name}: {wrong}")


def lost_batches(body: Sequence[object]) -> re.Match[str] | None:
    """Return the numbers that an ALARM's body declares lost: groups FIRST and LAST, the second
    None if it names one batch; None if it declares nothing."""
    said = body[1] if len(body) > 1 and body[0] == LOST_ALARM else None
    return LOST_NUMBERS.fullmatch(said) if isinstance(said, str) else None
