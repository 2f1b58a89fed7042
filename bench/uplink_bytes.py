"""Bytes per reading of the evidence uplink, and what encoding and decoding a value costs.

    python bench/uplink_bytes.py [--seed shop-monday] [--batches 12] [--interval 10] [--minutes 15]

Load L2 unless told otherwise: 20 meters x 34 points every 10 s, batches of 15 minutes spread
over one synthetic day.  Everything that travels is counted: schema, columns, deflate, envelope,
chain and a real Ed25519 signature; MQTT and TLS framing are not.  The ratio is against JSON of
the same values in the same run (one object per meter and time, gzip level 6).
"""

import argparse
import gzip
import json
import math
import random
import sys
import time
import zlib
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from gateway.core import batch as batches  # noqa: E402
from gateway.core import chain, columns  # noqa: E402
from gateway.core.measurand import BY_NAME  # noqa: E402
from gateway.core.reading import ClockState, Point, Stream  # noqa: E402
from gateway.core.record import ScanRecord  # noqa: E402

# Names of days: the seed is the name, so a figure can be repeated by anybody.
SEEDS = ("shop-monday", "shop-sunday", "cloudy-tuesday")

PHASES = ("l1", "l2", "l3")
NAMES = (
    *(f"voltage_{p}_n" for p in PHASES), *(f"current_{p}" for p in PHASES),
    *(f"power_active_{p}" for p in PHASES), *(f"power_apparent_{p}" for p in PHASES),
    *(f"power_reactive_{p}" for p in PHASES), *(f"power_factor_{p}" for p in PHASES),
    "current_total", "power_active_total", "power_apparent_total", "power_reactive_total",
    "power_factor_total", "phase_angle_total", "frequency", "energy_active_import_total",
    "energy_active_export_total", "energy_active_sum_total", "energy_reactive_sum_total",
    *(f"energy_active_sum_{p}" for p in PHASES), "energy_apparent_total",
    "energy_reactive_import_total",
)
ROLES = ("grid", *["pv"] * 2, *["battery"] * 2, *["it"] * 6, *["cooling"] * 4,
         *["lighting"] * 3, "genset", "misc")
POWER_FACTOR = {"it": .97, "cooling": .82, "lighting": .91, "pv": .995, "battery": .99}
ENERGY_STEP_WH = {"coarse": 10, "fine": 1}


class Drift:
    """An Ornstein-Uhlenbeck process: correlation time in s, standard deviation; exact steps."""

    def __init__(self, rng, tau_s, sigma):
        self.rng, self.tau_s, self.sigma = rng, tau_s, sigma
        self.value = rng.gauss(0, sigma)

    def step(self, dt_s):
        """Return the value dt_s later."""
        keep = math.exp(-dt_s / self.tau_s)
        noise = self.rng.gauss(0, self.sigma * math.sqrt(1 - keep * keep))
        self.value = keep * self.value + noise
        return self.value


class Meter:
    """One metering point: its share of phases, its noise, its counters."""

    def __init__(self, rng, number, role):
        self.rng, self.role = rng, role
        self.single = role in ("lighting", "misc", "it") and number % 2 == 1
        self.split = (1.0, 0.0, 0.0) if self.single else (.36, .33, .31)
        self.factor = POWER_FACTOR.get(role, .93)
        self.volts = [Drift(rng, 60, .1) for _ in PHASES]
        self.angles = [Drift(rng, 20, .006) for _ in PHASES]
        self.swing = Drift(rng, {"it": 6, "cooling": 30}.get(role, 20), 12)
        self.level = rng.random()
        self.period_s = rng.randrange(700, 1400)
        self.kwh = [1000 + 500 * number + rng.random() * 900 for _ in range(8)]

    def power_w(self, t_s, dt_s, cloud):
        """Return the signed power at a second of the day, export negative."""
        hour, rng, swing = t_s / 3600, self.rng, self.swing.step(dt_s)
        if self.role == "pv":
            sun = max(0.0, math.sin((hour - 6) / 14 * math.pi)) if 6 < hour < 20 else 0.0
            return -6500 * sun ** 1.3 * cloud
        if self.role == "it":
            if rng.random() < 1 - math.exp(-dt_s / 400):
                self.level = rng.random()
            return 700 + 900 * self.level + swing + rng.gauss(0, 3)
        if self.role == "cooling":
            on = t_s % self.period_s < self.period_s * .45
            return 1450 + swing if on else 38 + rng.gauss(0, 2)
        if self.role == "lighting":
            return 420 + swing / 4 if 7.5 + self.level < hour < 19 + self.level else 6.0
        if self.role == "genset":
            return -4000 + 5 * swing if 10 < hour < 10.25 else 0.0
        if self.role == "misc":
            if rng.random() < 1 - math.exp(-dt_s / 900):
                self.level = rng.random()
            return 15 + 1900 * self.level ** 2 + swing / 4
        return 0.0

    def values(self, power, mains, hertz, dt_s):
        """Return name -> value in units (V, A, W, Wh ...) and move the counters on."""
        rng, found = self.rng, {"frequency": hertz}
        totals = [0.0, 0.0, 0.0, 0.0]
        for i, phase in enumerate(PHASES):
            volt = mains[i] + self.volts[i].step(dt_s) + rng.gauss(0, .04)
            watt = power * self.split[i]
            if not self.single and abs(watt) > 1:
                watt += rng.gauss(0, .8)
            cosine = min(.9999, max(.3, self.factor + self.angles[i].step(dt_s)))
            apparent = abs(watt) / cosine
            reactive = apparent * math.sqrt(1 - cosine * cosine)
            found.update({
                f"voltage_{phase}_n": volt, f"current_{phase}": apparent / volt,
                f"power_active_{phase}": watt, f"power_apparent_{phase}": apparent,
                f"power_reactive_{phase}": reactive,
                f"power_factor_{phase}": watt / apparent if apparent > .5 else 1.0})
            for k, part in enumerate((apparent / volt, watt, apparent, reactive)):
                totals[k] += part
            self.kwh[i] += abs(watt) * dt_s / 3.6e6
        found.update(self._totals(totals, dt_s))
        return found

    def _totals(self, totals, dt_s):
        amps, watt, apparent, reactive = totals
        for k, part in ((3, max(watt, 0)), (4, max(-watt, 0)), (5, reactive), (6, apparent)):
            self.kwh[k] += part * dt_s / 3.6e6
        factor = watt / apparent if apparent > .5 else 1.0
        wh = [1000 * kwh for kwh in self.kwh]
        return {
            "current_total": amps, "power_active_total": watt, "power_apparent_total": apparent,
            "power_reactive_total": reactive, "power_factor_total": factor,
            "phase_angle_total": math.degrees(math.atan2(reactive, abs(watt) + 1e-9)),
            "energy_active_import_total": wh[3], "energy_active_export_total": wh[4],
            "energy_active_sum_total": wh[3] + wh[4], "energy_reactive_sum_total": wh[5],
            "energy_reactive_import_total": wh[5] / 2,
            "energy_apparent_total": wh[6],
            **{f"energy_active_sum_{p}": wh[i] for i, p in enumerate(PHASES)}}


class Cabinet:
    """Twenty meters behind one connection; power balances at the grid meter."""

    def __init__(self, seed):
        rng = self.rng = random.Random(seed)
        self.meters = [Meter(rng, number, role) for number, role in enumerate(ROLES)]
        self.hertz = Drift(rng, 120, .018)
        self.cloud = Drift(rng, 240, 1.6)
        self.mains = [(Drift(rng, 300, 1.0), Drift(rng, 4, .15)) for _ in PHASES]
        self.t_s = 0

    def step(self, dt_s):
        """Return the 20 dicts of values dt_s later."""
        self.t_s += dt_s
        rng, hour = self.rng, self.t_s / 3600
        sky = 1 / (1 + math.exp(-(self.cloud.step(dt_s) + 1.2)))
        mains = [231 + 2.5 * math.sin((hour - 4) / 12 * math.pi) + slow.step(dt_s)
                 + fast.step(dt_s) for slow, fast in self.mains]
        hertz = 50 + self.hertz.step(dt_s) + rng.gauss(0, .002)
        power = [meter.power_w(self.t_s, dt_s, sky) for meter in self.meters]
        surplus = min(3000.0, max(-3000.0, -.9 * sum(power)))
        for place in (3, 4):
            power[place] = surplus / 2 + (rng.gauss(0, 4) if surplus else 0)
        power[0] = sum(power[1:]) + rng.gauss(0, 2)
        return [meter.values(watt, mains, hertz, dt_s)
                for meter, watt in zip(self.meters, power, strict=True)]


def schema_of(resolution):
    """Return the schema of 20 equal meters in a resolution ("coarse" or "fine")."""
    points = []
    for name in NAMES:
        measurand = BY_NAME[name]
        exponent = measurand.exponent if resolution == "coarse" else measurand.fine
        points.append(Point(measurand.id, exponent, ""))
    return tuple(Stream(f"meter-{i:02d}", tuple(points)) for i in range(len(ROLES)))


def whole(values, points, step_wh):
    """Return the tuple of whole numbers that a meter of this resolution would send."""
    numbers = []
    for name, point in zip(NAMES, points, strict=True):
        if name.startswith("energy"):
            numbers.append(int(values[name] // step_wh) * step_wh)
        else:
            numbers.append(round(values[name] * 10 ** -point.exponent))
    return tuple(numbers)


def day(seed, resolution, plan):
    """Yield lists of ScanRecord, one list a batch; plan: (interval_s, scans, batches)."""
    interval_s, scans, count = plan
    cabinet, schema, jitter = Cabinet(seed), schema_of(resolution), random.Random(seed + "-bus")
    pause_s, seq = max(interval_s, 86400 // count - interval_s * scans), 1
    for _ in range(count):
        cabinet.step(pause_s)
        records = []
        for _ in range(scans):
            for s, values in enumerate(cabinet.step(interval_s)):
                ticks = cabinet.t_s * 1000 + 12 * s + jitter.randrange(3)
                numbers = whole(values, schema[s].points, ENERGY_STEP_WH[resolution])
                records.append(ScanRecord(seq, ticks, s, numbers))
                seq += 1
        yield records


def as_json(schema, records):
    """Return the same readings as JSON text with gzip, as other gateways send them."""
    rows = {stream.device: [] for stream in schema}
    for record in records:
        stream = schema[record.stream]
        values = {name: number / 10 ** -point.exponent if point.exponent else number
                  for name, number, point in zip(NAMES, record.values, stream.points,
                                                 strict=True)}
        rows[stream.device].append({"ts": 1_760_000_000_000 + record.ticks_ms,
                                    "values": values})
    return gzip.compress(json.dumps(rows, separators=(",", ":")).encode(), 6)


def deflate(data):
    """Return raw deflate bytes; filtered and with short blocks is best for residuals."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15, 5, zlib.Z_FILTERED)
    return packer.compress(data) + packer.flush()


def sealed(schema, records, codec, sign):
    """Return the sealed batch of records, with everything that travels."""
    body = batches.make_body(schema, records, codec, deflate)
    clock = ClockState(3, 0, 1_760_000_000_000, 20)
    journal = bytes(range(16))
    value = batches.Batch("shop-7-cabinet", journal, 1, 1, records[0].seq, records[-1].seq,
                          chain.start("shop-7-cabinet", journal), bytes(range(32)), clock,
                          codec, body)
    return batches.seal(batches.encode_payload(value), bytes(8), sign)


def measure(seed, resolution, plan):
    """Return a dict of figures for one seed and resolution."""
    sign = Ed25519PrivateKey.generate().sign
    schema, total = schema_of(resolution), dict.fromkeys(
        ("readings", "raw", "deflate", "json_gzip", "encode_s", "decode_s"), 0.0)
    for records in day(seed, resolution, plan):
        total["readings"] += sum(len(record.values) for record in records)
        start = time.perf_counter()
        data = columns.encode(schema, records)
        total["encode_s"] += time.perf_counter() - start
        start = time.perf_counter()
        back = columns.decode(schema, records[0].seq, data)
        total["decode_s"] += time.perf_counter() - start
        if back != records:
            raise SystemExit("columns did not come back equal")
        total["raw"] += len(sealed(schema, records, batches.CODEC_RAW, sign))
        total["deflate"] += len(sealed(schema, records, batches.CODEC_DEFLATE, sign))
        total["json_gzip"] += len(as_json(schema, records))
    return total


def main():
    """Print one row for each seed and resolution."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seed", action="append", help="name of a day; may be repeated")
    parser.add_argument("--batches", type=int, default=12, help="batches spread over the day")
    parser.add_argument("--interval", type=int, default=10, help="seconds between scans")
    parser.add_argument("--minutes", type=int, default=15, help="length of a batch")
    asked = parser.parse_args()
    plan = (asked.interval, 60 * asked.minutes // asked.interval, asked.batches)
    print(f"20 meters x 34 points, {asked.interval} s / {asked.minutes} min, "
          f"{asked.batches} batches; bytes per reading with envelope and signature")
    print("| seed | resolution | raw | deflate | JSON+gzip | ratio | encode us | decode us |")
    print("|---|---|---|---|---|---|---|---|")
    for seed in asked.seed or SEEDS:
        for resolution in ("coarse", "fine"):
            f = measure(seed, resolution, plan)
            n = f["readings"]
            print(f"| {seed} | {resolution} | {f['raw'] / n:.3f} | {f['deflate'] / n:.3f} "
                  f"| {f['json_gzip'] / n:.3f} | {f['json_gzip'] / f['deflate']:.1f} "
                  f"| {f['encode_s'] / n * 1e6:.2f} | {f['decode_s'] / n * 1e6:.2f} |")


if __name__ == "__main__":
    main()
