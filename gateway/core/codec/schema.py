"""The schema of a batch: which numbers stand where, in which unit and step.

A schema is a tuple of reading.Stream.  Encoded as CBOR it names each list of points once,
for a cabinet with twenty equal meters would otherwise repeat it twenty times:

    [ [points, ...], [[device, index of its points], ...] ]
    points = [[measurand, exponent, item], ...]
"""

from gateway.core.codec.cbor import array_head, encode, item
from gateway.core.errors import FormatError
from gateway.core.reading import Point, Stream
from gateway.core.types import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TypeGuard

    from gateway.core.reading import Schema

STREAMS_MAX = 256           # devices of one cabinet
POINTS_MAX = 1024           # of one device: SunSpec models and workloads of a node
SCHEMA_POINTS_MAX = 16384   # of all devices: each becomes a series of its own at the fleet
SCHEMA_BYTES_MAX = 1 << 20  # of an encoded schema, checked before it is read
NAME_CHARS_MAX = 64
EXPONENT_MIN, EXPONENT_MAX = -9, 9
MEASURAND_MAX = 65535       # an id we do not know is kept, not refused: batches outlive us
# The bytes decoded last and their schema: a seal asks for the same one for each commit.
_newest: "list[tuple[bytes, Schema]]" = [(b"\x82\x80\x80", ())]


def encode_schema(schema: "Schema") -> bytes:
    """Return the CBOR bytes of a schema; point lists in order of first appearance."""
    kinds, streams = [], []
    for stream in schema:
        points = [list(point) for point in stream.points]
        if points not in kinds:
            kinds.append(points)
        streams.append([stream.device, kinds.index(points)])
    return encode([kinds, streams])


def decode_schema(data: bytes) -> "Schema":
    """Return the schema (tuple of Stream) that CBOR bytes hold; raises FormatError."""
    newest = _newest[0]             # one look: another thread may decode meanwhile
    if data != newest[0]:
        newest = _newest[0] = bytes(data), _decode(data)
    return newest[1]


def _decode(data: bytes) -> "Schema":
    if len(data) > SCHEMA_BYTES_MAX:
        raise FormatError("schema: %d bytes, at most %d" % (len(data), SCHEMA_BYTES_MAX))
    parts, at = array_head(data, 0, 2)
    kinds, at = _kinds(data, at)
    streams, at = array_head(data, at, STREAMS_MAX)
    if parts != 2 or len(kinds) > streams:
        raise FormatError("schema: [points, streams] expected, each list of points in use")
    schema, used, points = [], 0, 0
    for _ in range(streams):
        device, position, at = _stream(data, at)
        # Lists are numbered as they are first used: one schema has one encoding.
        if not is_int(position, 0, min(used, len(kinds) - 1)):
            raise FormatError("schema: stream %s names points out of order" % device)
        used = max(used, position + 1)
        points += len(kinds[position])
        schema.append(Stream(device, kinds[position]))
    if used != len(kinds):
        raise FormatError("schema: points that no stream uses")
    if points > SCHEMA_POINTS_MAX:
        raise FormatError("schema: %d points, at most %d" % (points, SCHEMA_POINTS_MAX))
    if at != len(data):
        raise FormatError("schema: %d bytes after it" % (len(data) - at))
    return tuple(schema)


def is_int(value: object, low: int, high: int) -> "TypeGuard[int]":
    """Return True for a whole number low .. high that is not a bool."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def is_name(value: object) -> "TypeGuard[str]":
    """Return True for text of at most 64 characters."""
    return isinstance(value, str) and len(value) <= NAME_CHARS_MAX


def _kinds(data: bytes, at: int) -> tuple[list[tuple[Point, ...]], int]:
    """Return (lists of points, offset after them)."""
    count, at = array_head(data, at, STREAMS_MAX)
    kinds, left = [], SCHEMA_POINTS_MAX
    for _ in range(count):
        rows, at = array_head(data, at, min(POINTS_MAX, left))
        if rows == 0:
            raise FormatError("schema: a device has 1..%d points" % POINTS_MAX)
        left -= rows
        points = []
        for _ in range(rows):
            point, at = _point(data, at)
            points.append(point)
        kinds.append(tuple(points))
    return kinds, at


def _point(data: bytes, at: int) -> tuple[Point, int]:
    parts, at = array_head(data, at, 3)
    measurand, at = item(data, at, 0)
    exponent, at = item(data, at, 0)
    name, at = item(data, at, 0)
    if (parts != 3 or not is_int(measurand, 1, MEASURAND_MAX)
            or not is_int(exponent, EXPONENT_MIN, EXPONENT_MAX) or not is_name(name)):
        raise FormatError("schema: a point is [measurand, exponent, item]")
    return Point(measurand, exponent, name), at


def _stream(data: bytes, at: int) -> tuple[str, object, int]:
    """Return (device, index of its points, offset after it)."""
    parts, at = array_head(data, at, 2)
    device, at = item(data, at, 0)
    position, at = item(data, at, 0)
    if parts != 2 or not is_name(device) or not device:
        raise FormatError("schema: a stream is [device, index of its points]")
    return device, position, at
