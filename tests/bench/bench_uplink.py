"""Goal P4: bytes per reading of sealed batches, and what encoding and decoding a value costs.

Everything that travels is counted: schema, columns, deflate, envelope, chain and a real Ed25519
signature; MQTT and TLS framing are not.  The peer is JSON with gzip of the same values in the
same run, one object per meter and time, as other gateways send it.
"""

import gzip
import json
import time
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.core.codec import columns
from gateway.core.codec.record import ScanRecord
from gateway.core.evidence import batch as batches
from gateway.core.evidence import chain
from gateway.core.reading import ClockState, Stream
from gateway.storage.deflate import deflate
from tests.bench.figure import Figure
from tests.bench.load import L1_MINUTE, L2, NAMES, SEEDS, SLOW, Plan, day, schema_of

# plan, resolution, goal in bytes per reading (P4 asks for the coarse resolution)
CASES = ((L1_MINUTE, "coarse", .25), (L2, "coarse", .28), (SLOW, "coarse", .42),
         (L1_MINUTE, "fine", None), (L2, "fine", None), (SLOW, "fine", None))


def as_json(schema: tuple[Stream, ...], records: list[ScanRecord]) -> bytes:
    """Return the same readings as JSON text with gzip."""
    rows: dict[str, list[object]] = {stream.device: [] for stream in schema}
    for record in records:
        stream = schema[record.stream]
        values = {name: number / 10 ** -point.exponent if point.exponent else number
                  for name, number, point in zip(NAMES, record.values, stream.points,
                                                 strict=True)}
        rows[stream.device].append({"ts": 1_760_000_000_000 + record.ticks_ms,
                                    "values": values})
    return gzip.compress(json.dumps(rows, separators=(",", ":")).encode(), 6)


def sealed(schema: tuple[Stream, ...], records: list[ScanRecord],
           key: Ed25519PrivateKey) -> bytes:
    """Return the sealed batch of records, with everything that travels."""
    body = batches.make_body(schema, records, batches.CODEC_DEFLATE, deflate)
    clock = ClockState(3, 0, 1_760_000_000_000, 20)
    journal = bytes(range(16))
    value = batches.Batch("shop-7-cabinet", journal, 1, 1, records[0].seq, records[-1].seq,
                          chain.start("shop-7-cabinet", journal), bytes(range(32)), clock,
                          batches.CODEC_DEFLATE, body)
    data: bytes = batches.seal(batches.encode_payload(value), bytes(8), key.sign)
    return data


class Totals:
    """What the batches of one seed, plan and resolution came to."""

    def __init__(self) -> None:
        self.readings = self.sealed = self.json_gzip = 0
        self.seal_s = self.encode_s = self.decode_s = 0.0

    def take(self, schema: tuple[Stream, ...], records: list[ScanRecord],
             key: Ed25519PrivateKey) -> None:
        """Add one batch; columns that do not come back equal end the bench."""
        marks = [time.process_time()]
        data = columns.encode(schema, records)
        marks.append(time.process_time())
        back = columns.decode(schema, records[0].seq, data)
        marks.append(time.process_time())
        if back != records:
            raise SystemExit("columns did not come back equal")
        self.sealed += len(sealed(schema, records, key))
        marks.append(time.process_time())
        self.json_gzip += len(as_json(schema, records))
        self.readings += sum([len(record.values) for record in records])
        self.encode_s += marks[1] - marks[0]
        self.decode_s += marks[2] - marks[1]
        self.seal_s += marks[3] - marks[2]


def totals(seed: str, resolution: str, plan: Plan) -> Totals:
    """Return the totals of a seed's day."""
    found, schema, key = Totals(), schema_of(resolution), Ed25519PrivateKey.generate()
    for records in day(seed, resolution, plan):
        found.take(schema, records, key)
    return found


def measure() -> Iterator[Figure]:
    """Yield bytes per reading of each cadence and resolution, over all named days."""
    for plan, resolution, goal in CASES:
        load = (f"20 meters x 34 points every {plan.interval_s} s, batches of "
                f"{plan.interval_s * plan.scans} s, {resolution}, days {', '.join(SEEDS)}")
        found = [totals(seed, resolution, plan) for seed in SEEDS]
        count, size = sum(one.readings for one in found), sum(one.sealed for one in found)
        yield Figure("evidence uplink", size / count, "bytes/reading", goal, load)
        yield Figure("the worst day", max(one.sealed / one.readings for one in found),
                     "bytes/reading", None, load)
        yield Figure("JSON + gzip, times ours", sum(one.json_gzip for one in found) / size,
                     "ratio", None, load)
        yield Figure("encode columns", sum(one.encode_s for one in found) / count * 1e6,
                     "us/reading", None, load)
        yield Figure("decode columns", sum(one.decode_s for one in found) / count * 1e6,
                     "us/reading", None, load)
        yield Figure("encode, deflate, sign", sum(one.seal_s for one in found) / count * 1e6,
                     "us/reading", None, load)
