"""The schema of a batch: which numbers stand where, in which unit and step.

A schema is a tuple of reading.Stream.  Encoded as CBOR it names each list of points once,
for a cabinet with twenty equal meters would otherwise repeat it twenty times:

    [ [points, ...], [[device, index of its points], ...] ]
    points = [[measurand, exponent, item], ...]
"""

from gateway.core.codec.cbor import decode, encode
from gateway.core.errors import FormatError
from gateway.core.reading import Point, Stream
from gateway.core.types import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Any, TypeGuard

    from gateway.core.reading import Schema

STREAMS_MAX = 256           # devices of one cabinet
POINTS_MAX = 1024           # of one device: SunSpec models and workloads of a node
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
    parts = decode(data, 4)
    if not _is_list(parts, 2) or not _is_list(parts[0]) or not _is_list(parts[1]):
        raise FormatError("schema: [points, streams] expected")
    if len(parts[1]) > STREAMS_MAX or len(parts[0]) > len(parts[1]):
        raise FormatError("schema: at most %d streams" % STREAMS_MAX)
    kinds = [_points(one) for one in parts[0]]
    schema, used = [], 0
    for one in parts[1]:
        if not _is_list(one, 2) or not is_name(one[0]) or not one[0]:
            raise FormatError("schema: a stream is [device, index of its points]")
        # Lists are numbered as they are first used: one schema has one encoding.
        if not is_int(one[1], 0, min(used, len(kinds) - 1)):
            raise FormatError("schema: stream %s names points out of order" % one[0])
        used = max(used, one[1] + 1)
        schema.append(Stream(one[0], kinds[one[1]]))
    if used != len(kinds):
        raise FormatError("schema: points that no stream uses")
    return tuple(schema)


def is_int(value: object, low: int, high: int) -> "TypeGuard[int]":
    """Return True for a whole number low .. high that is not a bool."""
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def is_name(value: object) -> "TypeGuard[str]":
    """Return True for text of at most 64 characters."""
    return isinstance(value, str) and len(value) <= NAME_CHARS_MAX


def _points(rows: object) -> tuple[Point, ...]:
    if not _is_list(rows) or not 0 < len(rows) <= POINTS_MAX:
        raise FormatError("schema: a device has 1..%d points" % POINTS_MAX)
    points = []
    for row in rows:
        if (not _is_list(row, 3) or not is_int(row[0], 1, MEASURAND_MAX)
                or not is_int(row[1], EXPONENT_MIN, EXPONENT_MAX) or not is_name(row[2])):
            raise FormatError("schema: a point is [measurand, exponent, item]")
        points.append(Point(row[0], row[1], row[2]))
    return tuple(points)


def _is_list(value: object, length: int | None = None) -> "TypeGuard[list[Any]]":
    return isinstance(value, list) and (length is None or len(value) == length)
