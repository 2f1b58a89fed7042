"""The standard load L2: 20 meters with 34 points each, polled every 10 s, quantised as meters do.

Voltages and frequency are the site's and drift slowly; each meter has a power of its own that
steps (jobs, compressors) over noise; energies are the integrals.  One seed, always the same.
"""

import math
import random

from gateway.core.measurand import BY_NAME
from gateway.core.reading import Point, Stream
from gateway.core.record import ScanRecord

METERS = 20
STEP_S = 10
NAMES = (
    "voltage_l1_n", "voltage_l2_n", "voltage_l3_n", "current_l1", "current_l2", "current_l3",
    "power_active_l1", "power_active_l2", "power_active_l3", "power_apparent_l1",
    "power_apparent_l2", "power_apparent_l3", "power_reactive_l1", "power_reactive_l2",
    "power_reactive_l3", "power_factor_l1", "power_factor_l2", "power_factor_l3",
    "current_total", "power_active_total", "power_apparent_total", "power_reactive_total",
    "power_factor_total", "phase_angle_total", "frequency", "energy_active_import_total",
    "energy_active_export_total", "energy_reactive_import_total", "energy_active_sum_total",
    "energy_active_import_l1", "energy_active_import_l2", "energy_active_import_l3",
    "energy_apparent_total", "energy_reactive_sum_total",
)
SCHEMA = tuple(
    Stream(f"meter-{n + 1}", tuple(Point(BY_NAME[m].id, BY_NAME[m].exponent, "") for m in NAMES))
    for n in range(METERS)
)
_SPLIT = (0.4, 0.33, 0.27)


class _Drift:
    """A value that wanders around 0: correlation time tau_s, standard deviation sigma."""

    def __init__(self, rng: random.Random, tau_s: float, sigma: float) -> None:
        self._rng, self._keep = rng, math.exp(-STEP_S / tau_s)
        self._kick = sigma * math.sqrt(1 - self._keep * self._keep)
        self.value = rng.gauss(0, sigma)

    def step(self) -> float:
        """Return the value one step later."""
        self.value = self._keep * self.value + self._rng.gauss(0, self._kick)
        return self.value


class _Meter:
    """One meter: a stepping power and the counters that follow from it."""

    def __init__(self, rng: random.Random, number: int) -> None:
        self._rng, self._base_w = rng, 150.0 + 130.0 * number
        self._level_w, self._noise = 0.0, _Drift(rng, 20, 12)
        self._power_factor = _Drift(rng, 60, 0.006)
        self._wh, self._varh, self._vah = (1e6 + 5e5 * number, 3e5, 1.1e6 + 5e5 * number)

    def step(self, volts: list[float], frequency: float) -> dict[str, float]:
        """Return the 34 quantities after one step, in SI units (energies in Wh)."""
        if self._rng.random() < STEP_S / 400:
            self._level_w = self._rng.uniform(0, 900)
        power = max(0.0, self._base_w + self._level_w + self._noise.step())
        factor = min(0.999, 0.95 + self._power_factor.step())
        phases = [_phase(v, power * share, factor) for v, share in zip(volts, _SPLIT, strict=True)]
        total = {k: sum(phase[k] for phase in phases) for k in ("I", "P", "S", "Q")}
        for name, key in (("_wh", "P"), ("_varh", "Q"), ("_vah", "S")):
            setattr(self, name, getattr(self, name) + total[key] * STEP_S / 3600)
        return self._quantities(phases, total, frequency)

    def _quantities(self, phases: list[dict[str, float]], total: dict[str, float],
                    frequency: float) -> dict[str, float]:
        said = {}
        for n, phase in enumerate(phases, 1):
            said |= {
                f"voltage_l{n}_n": phase["V"], f"current_l{n}": phase["I"],
                f"power_active_l{n}": phase["P"], f"power_apparent_l{n}": phase["S"],
                f"power_reactive_l{n}": phase["Q"], f"power_factor_l{n}": phase["F"],
                f"energy_active_import_l{n}": self._wh * _SPLIT[n - 1],
            }
        factor = total["P"] / total["S"]
        return said | {
            "current_total": total["I"], "power_active_total": total["P"],
            "power_apparent_total": total["S"], "power_reactive_total": total["Q"],
            "power_factor_total": factor, "phase_angle_total": math.degrees(math.acos(factor)),
            "frequency": frequency, "energy_active_import_total": self._wh,
            "energy_active_export_total": 0.0, "energy_active_sum_total": self._wh,
            "energy_reactive_import_total": self._varh, "energy_reactive_sum_total": self._varh,
            "energy_apparent_total": self._vah,
        }


def _phase(volts: float, power_w: float, factor: float) -> dict[str, float]:
    apparent = power_w / factor
    return {
        "V": volts, "P": power_w, "S": apparent, "I": apparent / volts, "F": factor,
        "Q": math.sqrt(max(0.0, apparent * apparent - power_w * power_w)),
    }


def scans(seed: int, steps: int) -> list[ScanRecord]:
    """Return steps x 20 scan records, numbered from 1, as a gateway would have read them."""
    rng = random.Random(seed)
    lines = [(_Drift(rng, 300, 1.0), _Drift(rng, 10, 0.15)) for _ in range(3)]
    frequency = _Drift(rng, 120, 0.018)
    meters = [_Meter(rng, number) for number in range(METERS)]
    records: list[ScanRecord] = []
    for step in range(steps):
        volts = [231 + slow.step() + fast.step() for slow, fast in lines]
        hertz = 50 + frequency.step()
        for stream, meter in enumerate(meters):
            said = meter.step([v + rng.gauss(0, 0.05) for v in volts], hertz)
            ticks_ms = step * STEP_S * 1000 + stream * 90 + rng.randrange(12)
            records.append(ScanRecord(len(records) + 1, ticks_ms, stream, _whole(said)))
    return records


def _whole(said: dict[str, float]) -> tuple[int, ...]:
    """Return the values by position, in whole steps of their points."""
    points = SCHEMA[0].points
    return tuple(
        round(said[name] / 10.0 ** point.exponent)
        for name, point in zip(NAMES, points, strict=True)
    )
