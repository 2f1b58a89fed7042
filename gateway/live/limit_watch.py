"""Whether a meter counts more than its rated_w allows: the fleet will not count that energy.

The same rule as the fleet's (docs/accounting.md section 3), on the scans of this boot: over each
step, and over a quarter hour, in which a small excess shows.  No I/O and no clock.
"""

import logging
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from gateway.config.values import CabinetSettings
from gateway.core import counter, interval, roles
from gateway.core.codec import cbor
from gateway.core.counter import HOUR_MS
from gateway.core.measurand import BY_ID
from gateway.core.reading import Absent, Scan
from gateway.ledger import counter_limits

LOG = logging.getLogger("wattproof.limits")
COUNTERS = {name for energy in roles.ENERGIES for name in energy.counters}


class Above(NamedTuple):
    """What a meter counted above its limit since the start.

    wh: set aside, power_w: highest mean of a step, ticks_ms: of the latest one.
    """

    device: str
    rated_w: int
    wh: float
    power_w: float
    ticks_ms: int


class _Watched(NamedTuple):
    position: int
    device: str
    rated_w: int
    wh_per_count: float
    rules: interval.CounterRules


class LimitWatch:
    """The energy counters of a cabinet, and what they showed above their limits."""

    def __init__(self, cabinet: CabinetSettings) -> None:
        """Start with nothing read."""
        site = cbor.decode(cabinet.descriptor)
        self._watched = {index: [_Watched(
            position, device.name, device.rated_w or counter_limits.RATED_W_UNKNOWN,
            counter_limits.wh_per_count(counter_limits.device(site, device.name), point.exponent),
            counter_limits.rules(site, stream, position))
            for position, point in enumerate(stream.points)
            if not point.item and BY_ID[point.measurand].name in COUNTERS]
                         for index, (device, stream) in enumerate(
                zip(cabinet.devices, cabinet.schema, strict=True)) if device.role != "none"}
        self._before: dict[tuple[int, int], tuple[int, int]] = {}
        self._window: dict[tuple[int, int], tuple[int, int]] = {}
        self.above: dict[str, Above] = {}

    def take(self, scans: Iterable[Scan]) -> None:
        """Take committed scans, oldest first."""
        for scan in scans:
            for watched in self._watched.get(scan.stream, ()):
                value = scan.values[watched.position]
                if not isinstance(value, Absent):
                    self._step(scan.stream, watched, (scan.ticks_ms, value))

    def _step(self, stream: int, watched: _Watched, now: tuple[int, int]) -> None:
        key = stream, watched.position
        before, window = self._before.get(key), self._window.get(key)
        self._before[key] = now
        if before is None or window is None or now[1] < before[1] or now[0] <= before[0]:
            self._window[key] = now             # the first one, or a counter that fell
            return
        rules = watched.rules
        if interval.step(rules, window, now)[0] == counter.JUMP:
            self._note(watched, window, now)
        elif interval.step(rules, before, now)[0] == counter.JUMP:
            self._note(watched, before, now)
        elif now[0] - window[0] < interval.QUARTER_MS:
            return
        self._window[key] = now

    def _note(self, watched: _Watched, older: tuple[int, int], newer: tuple[int, int]) -> None:
        wh = (newer[1] - older[1]) * watched.wh_per_count
        power_w = wh * HOUR_MS / (newer[0] - older[0])
        known = self.above.get(watched.device)
        if known is None:
            LOG.warning("%s: %.0f Wh are above its limit, rated_w = %d W plus 5 %% (%.0f W on "
                        "average), and will not be counted; next: correct rated_w if the meter can "
                        "do more, else look at the meter", watched.device, wh, watched.rated_w,
                        power_w)
        self.above[watched.device] = Above(
            watched.device, watched.rated_w, wh + (known.wh if known else 0.0),
            max(power_w, known.power_w if known else 0.0), newer[0])

    def status(self) -> list[Mapping[str, object]]:
        """Return what the status file says of it."""
        return [{"device": one.device, "rated_w": one.rated_w, "set_aside_wh": round(one.wh, 1),
                 "power_w_max": round(one.power_w)} for one in self.above.values()]
