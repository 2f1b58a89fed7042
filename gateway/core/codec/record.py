"""Records: what the journal holds, numbered without holes.

A record is a scan (one poll of one device) or an event (something that happened to the
gateway or its evidence).  (device, journal id, boot, seq) is the key of a record for ever;
order is the order of seq, never of time.
"""

from gateway.core.codec.cbor import encode
from gateway.core.errors import Bug
from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Any

    from gateway.core.reading import Values
    from gateway.core.types import TypeIs

# seq: 1 .. 2**53, no holes inside a journal.  ticks_ms: monotonic milliseconds of this boot,
# taken when the reply began to arrive.  stream: index into the schema.  values: tuple of int
# or reading.Absent, as long as the stream's points.
ScanRecord = NamedTuple("ScanRecord", [
    ("seq", int), ("ticks_ms", int), ("stream", int), ("values", "Values")])

# kind: one of the numbers below.  body: list of CBOR values, as said below.
EventRecord = NamedTuple("EventRecord", [
    ("seq", int), ("ticks_ms", int), ("kind", int), ("body", "list[Any]")])

if TYPE_CHECKING:
    Record = ScanRecord | EventRecord

# Event kinds stand in signed batches: never reused, never given a second meaning.
BOOT = 1            # [why, software, unclean 0/1, last_seq_before]
GAP = 2             # [stream or -1, from_utc_ms or None, to_utc_ms or None, reason]
TORN = 3            # [segment generation, offset, bytes]
CLOCK = 4           # [source, anchor_ticks_ms, anchor_utc_ms, uncertainty_ms, why]
CONFIG = 5          # [config hash (32 bytes), descriptor (CBOR bytes)]
IO_ERROR = 6        # [operation, errno, text]
LOGIN = 7           # [who, where, accepted 0/1]
DOWNSAMPLED = 8       # [first_seq, last_seq, rule, hash of what was replaced]
STOP = 9            # [why]
ALARM = 10          # [name, detail]
DEVICE = 11         # [stream, state, detail]
METER_SWAP = 12     # [stream, old serial, new serial, [[position, old end, new start], ...], ticks]
DOWNLINK = 13       # [number, action, outcome, detail]: what became of a message of the fleet

EVENT_NAMES = {
    BOOT: "boot", GAP: "gap", TORN: "torn", CLOCK: "clock", CONFIG: "config",
    IO_ERROR: "io-error", LOGIN: "login", DOWNSAMPLED: "coarsened", STOP: "stop",
    ALARM: "alarm", DEVICE: "device", METER_SWAP: "meter-swap", DOWNLINK: "downlink",
}

BODY_BYTES_MAX = 8192       # encoded body of one event; a site descriptor is the largest
SEQ_MAX = 1 << 53           # JSON tools keep whole numbers up to here
TICKS_MS_MAX = 1 << 53
SERIAL_CHARS_MAX = 64       # of a device, as its meter-swap event and the site descriptor hold it


def encode_body(body: object) -> bytes:
    """Return the CBOR bytes of an event's body (a list or tuple of at most 8 KiB encoded).

    A larger body is a Bug of the caller, who must shorten texts before appending.
    """
    if not isinstance(body, (list, tuple)):
        raise Bug("record: the body of an event is a list")
    raw = encode(body)
    if len(raw) > BODY_BYTES_MAX:
        raise Bug("record: body of %d bytes, at most %d" % (len(raw), BODY_BYTES_MAX))
    return raw


def is_event(record: "Record") -> "TypeIs[EventRecord]":
    """Return True for an EventRecord, False for a ScanRecord."""
    return isinstance(record, EventRecord)
