"""The load of every bench: a day of one cabinet, 20 meters x 34 points, quantised as meters do.

Grid, two PV strings, two battery inverters, six IT feeds, four compressors, three lights, a
genset and a kitchen: voltages and frequency are the site's and drift, powers step with jobs and
thermostats and balance at the grid meter, energies are integrals.  The seed is a name, so that
anybody can repeat a figure.  L1 polls every second, L2 every 10 s.
"""

import math
import random
from collections.abc import Iterator
from typing import NamedTuple

from gateway.core.codec.record import ScanRecord
from gateway.core.measurand import BY_NAME
from gateway.core.reading import Point, Stream

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
METERS = len(ROLES)
POWER_FACTOR = {"it": .97, "cooling": .82, "lighting": .91, "pv": .995, "battery": .99}
ENERGY_STEP_WH = {"coarse": 10, "fine": 1}


class Plan(NamedTuple):
    """How a day is read: seconds between scans, scans in a batch, batches spread over it."""

    interval_s: int
    scans: int
    batches: int


L1_MINUTE = Plan(1, 60, 24)             # L1 in batches of a minute, a setting
L2 = Plan(10, 90, 12)                   # the default site: 10 s, 15 min
SLOW = Plan(60, 15, 24)                 # a minute, 15 min


class Drift:
    """An Ornstein-Uhlenbeck process: correlation time in s, standard deviation; exact steps."""

    def __init__(self, rng: random.Random, tau_s: float, sigma: float) -> None:
        self._rng, self._tau_s, self._sigma = rng, tau_s, sigma
        self.value = rng.gauss(0, sigma)

    def step(self, dt_s: float) -> float:
        """Return the value dt_s later."""
        keep = math.exp(-dt_s / self._tau_s)
        noise = self._rng.gauss(0, self._sigma * math.sqrt(1 - keep * keep))
        self.value = keep * self.value + noise
        return self.value


class Meter:
    """One metering point: its share of phases, its noise, its counters."""

    def __init__(self, rng: random.Random, number: int, role: str) -> None:
        self._rng, self._role = rng, role
        self._single = role in ("lighting", "misc", "it") and number % 2 == 1
        self._split = (1.0, 0.0, 0.0) if self._single else (.36, .33, .31)
        self._factor = POWER_FACTOR.get(role, .93)
        self._volts = [Drift(rng, 60, .1) for _ in PHASES]
        self._angles = [Drift(rng, 20, .006) for _ in PHASES]
        self._swing = Drift(rng, {"it": 6, "cooling": 30}.get(role, 20), 12)
        self._level = rng.random()
        self._period_s = rng.randrange(700, 1400)
        self._kwh = [1000 + 500 * number + rng.random() * 900 for _ in range(8)]

    def power_w(self, t_s: float, dt_s: float, cloud: float) -> float:
        """Return the signed power at a second of the day, export negative."""
        hour, rng, swing = t_s / 3600, self._rng, self._swing.step(dt_s)
        if self._role == "pv":
            sun = max(0.0, math.sin((hour - 6) / 14 * math.pi)) if 6 < hour < 20 else 0.0
            return float(-6500 * sun ** 1.3 * cloud)
        if self._role == "it":
            self._jump(dt_s / 400)
            return 700 + 900 * self._level + swing + rng.gauss(0, 3)
        if self._role == "cooling":
            on = t_s % self._period_s < self._period_s * .45
            return 1450 + swing if on else 38 + rng.gauss(0, 2)
        if self._role == "lighting":
            return 420 + swing / 4 if 7.5 + self._level < hour < 19 + self._level else 6.0
        if self._role == "genset":
            return -4000 + 5 * swing if 10 < hour < 10.25 else 0.0
        if self._role == "misc":
            self._jump(dt_s / 900)
            return 15 + 1900 * self._level ** 2 + swing / 4
        return 0.0

    def _jump(self, expected: float) -> None:
        if self._rng.random() < 1 - math.exp(-expected):
            self._level = self._rng.random()

    def values(self, power: float, mains: list[float], hertz: float,
               dt_s: float) -> dict[str, float]:
        """Return name -> value in units (V, A, W, Wh ...) and move the counters on."""
        rng, found = self._rng, {"frequency": hertz}
        totals = [0.0, 0.0, 0.0, 0.0]
        for i, phase in enumerate(PHASES):
            volt = mains[i] + self._volts[i].step(dt_s) + rng.gauss(0, .04)
            watt = power * self._split[i]
            if not self._single and abs(watt) > 1:
                watt += rng.gauss(0, .8)
            cosine = min(.9999, max(.3, self._factor + self._angles[i].step(dt_s)))
            apparent = abs(watt) / cosine
            reactive = apparent * math.sqrt(1 - cosine * cosine)
            found.update({
                f"voltage_{phase}_n": volt, f"current_{phase}": apparent / volt,
                f"power_active_{phase}": watt, f"power_apparent_{phase}": apparent,
                f"power_reactive_{phase}": reactive,
                f"power_factor_{phase}": watt / apparent if apparent > .5 else 1.0})
            for k, part in enumerate((apparent / volt, watt, apparent, reactive)):
                totals[k] += part
            self._kwh[i] += abs(watt) * dt_s / 3.6e6
        found.update(self._totals(totals, dt_s))
        return found

    def _totals(self, totals: list[float], dt_s: float) -> dict[str, float]:
        amps, watt, apparent, reactive = totals
        for k, part in ((3, max(watt, 0)), (4, max(-watt, 0)), (5, reactive), (6, apparent)):
            self._kwh[k] += part * dt_s / 3.6e6
        factor = watt / apparent if apparent > .5 else 1.0
        wh = [1000 * kwh for kwh in self._kwh]
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

    def __init__(self, seed: str) -> None:
        rng = self._rng = random.Random(seed)
        self._meters = [Meter(rng, number, role) for number, role in enumerate(ROLES)]
        self._hertz = Drift(rng, 120, .018)
        self._cloud = Drift(rng, 240, 1.6)
        self._mains = [(Drift(rng, 300, 1.0), Drift(rng, 4, .15)) for _ in PHASES]
        self.t_s = 0

    def step(self, dt_s: int) -> list[dict[str, float]]:
        """Return the values of each meter, by name, dt_s later."""
        self.t_s += dt_s
        rng, hour = self._rng, self.t_s / 3600
        sky = 1 / (1 + math.exp(-(self._cloud.step(dt_s) + 1.2)))
        mains = [231 + 2.5 * math.sin((hour - 4) / 12 * math.pi) + slow.step(dt_s)
                 + fast.step(dt_s) for slow, fast in self._mains]
        hertz = 50 + self._hertz.step(dt_s) + rng.gauss(0, .002)
        power = [meter.power_w(self.t_s, dt_s, sky) for meter in self._meters]
        surplus = min(3000.0, max(-3000.0, -.9 * sum(power)))
        for place in (3, 4):
            power[place] = surplus / 2 + (rng.gauss(0, 4) if surplus else 0)
        power[0] = sum(power[1:]) + rng.gauss(0, 2)
        return [meter.values(watt, mains, hertz, dt_s)
                for meter, watt in zip(self._meters, power, strict=True)]


def schema_of(resolution: str) -> tuple[Stream, ...]:
    """Return the schema of 20 equal meters in a resolution ("coarse" or "fine")."""
    points = []
    for name in NAMES:
        measurand = BY_NAME[name]
        exponent = measurand.exponent if resolution == "coarse" else measurand.fine
        points.append(Point(measurand.id, exponent, ""))
    return tuple(Stream(f"meter-{i:02d}", tuple(points)) for i in range(METERS))


SCHEMA = schema_of("coarse")


def whole(values: dict[str, float], points: tuple[Point, ...], step_wh: int) -> tuple[int, ...]:
    """Return the whole numbers that a meter of this resolution would send, by position."""
    return tuple([
        int(values[name] // step_wh) * step_wh if name.startswith("energy")
        else round(values[name] * 10 ** -point.exponent)
        for name, point in zip(NAMES, points, strict=True)])


def day(seed: str, resolution: str, plan: Plan) -> Iterator[list[ScanRecord]]:
    """Yield the ScanRecords of each batch, contiguous, as a gateway would have read them."""
    cabinet, schema, jitter = Cabinet(seed), schema_of(resolution), random.Random(seed + "-bus")
    pause_s = max(plan.interval_s, 86400 // plan.batches - plan.interval_s * plan.scans)
    step_wh, seq = ENERGY_STEP_WH[resolution], 1
    for _ in range(plan.batches):
        cabinet.step(pause_s)
        records: list[ScanRecord] = []
        for _ in range(plan.scans):
            for s, values in enumerate(cabinet.step(plan.interval_s)):
                ticks = cabinet.t_s * 1000 + 12 * s + jitter.randrange(3)
                records.append(ScanRecord(seq, ticks, s, whole(values, schema[s].points, step_wh)))
                seq += 1
        yield records
