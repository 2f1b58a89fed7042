"""How wrong a clock may be that nobody sets: crystal drift, by temperature.  Pure.

A tuning-fork crystal is slow by 0.035 +- 0.005 ppm/K^2 times the square of its distance from
25 +- 5 degC, and off by up to 20 ppm anywhere (data sheet MAX6902): -148 ppm at -40 degC.
A temperature-compensated one stays within 3.5 ppm over -40..85 degC (DS3231).  The bound
here covers every crystal inside these tolerances, in both directions; it corrects nothing.
"""

from typing import NamedTuple

SLOW_K, WARM_K = 5.0, 20.0          # the crystal may be colder / warmer than the cabinet's air
COLDEST_C, HOTTEST_C = -40.0, 70.0  # of the air, when no sensor tells
PPM_MS = 1_000_000                  # 1 ppm of so many ms is 1 ms


class Oscillator(NamedTuple):
    """Tolerance in ppm; curvature in ppm/K^2 around turnover_c, with their own tolerances."""

    tolerance_ppm: float
    curvature_max: float = 0.0
    turnover_c: float = 25.0
    turnover_spread_c: float = 0.0


CRYSTAL = Oscillator(20.0, 0.040, 25.0, 5.0)


def ppm_bound(oscillator: Oscillator, temperature_c: float | None) -> float:
    """Return the largest frequency error in ppm at an air temperature.

    None, or what no thermometer shows (outside -100..200 degC, NaN), counts as the worst.
    """
    low_c = high_c = temperature_c if temperature_c is not None else COLDEST_C
    if temperature_c is None or not -100.0 <= temperature_c <= 200.0:
        low_c, high_c = COLDEST_C, HOTTEST_C
    furthest_k = max(abs(low_c - SLOW_K - oscillator.turnover_c),
                     abs(high_c + WARM_K - oscillator.turnover_c)) + oscillator.turnover_spread_c
    return oscillator.tolerance_ppm + oscillator.curvature_max * furthest_k ** 2


def drift_ms(oscillator: Oscillator, temperature_c: float | None, elapsed_ms: int) -> float:
    """Return how far a clock may drift in elapsed_ms at one temperature, in ms."""
    return max(elapsed_ms, 0) * ppm_bound(oscillator, temperature_c) / PPM_MS


class Holdover:
    """How well the time is still known since it was last set from a good source."""

    def __init__(self, oscillator: Oscillator = CRYSTAL) -> None:
        """Start with a time that was never set."""
        self._oscillator = oscillator
        self._at_ms = 0
        self._bound_ms: float | None = None

    def synced(self, now_ms: int, bound_ms: int) -> None:
        """Note that the time was known within bound_ms at now_ms (monotonic)."""
        self._at_ms, self._bound_ms = now_ms, float(bound_ms)

    def advance(self, now_ms: int, temperature_c: float | None) -> None:
        """Let the time since the last call pass at this temperature."""
        if self._bound_ms is not None:
            self._bound_ms += drift_ms(self._oscillator, temperature_c, now_ms - self._at_ms)
        self._at_ms = max(now_ms, self._at_ms)

    @property
    def bound_ms(self) -> int | None:
        """The largest possible error now, in whole ms upwards; None if never set."""
        return None if self._bound_ms is None else int(self._bound_ms) + 1
