"""Live figures: the latest committed scans through the ledger.  Computed, never evidence.

In this file: powers by role, rates of compute nodes, the battery's running books, and the
live message.  No I/O and no clock: moments come in.  A value is None when its scan said so or
is older than three intervals: missing is not zero and not the last value either.
"""

import functools
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from gateway.config.values import CabinetSettings, DeviceSettings
from gateway.core import measurand, roles
from gateway.core.codec import cbor
from gateway.core.counter import HOUR_MS
from gateway.core.reading import (
    CLOCK_UNKNOWN,
    NO_REPLY,
    NOT_ASKED,
    REASON_NAMES,
    Absent,
    ClockState,
    Point,
    Scan,
    Stream,
    utc_ms,
)
from gateway.ledger.books import Books, Options
from gateway.ledger.factors.factors import FactorSet
from gateway.ledger.flows.inventory import Inventory
from gateway.ledger.live import LiveNode, live_figures
from gateway.ledger.site import SiteInterval, read_site
from gateway.live.battery_checkpoint import checkpoint
from gateway.live.limit_watch import LimitWatch
from gateway.timekeeping.clock import rfc3339
from gateway.timekeeping.holdover import CRYSTAL

SOURCES = ("none", "rtc", "device", "ntp", "gnss")      # names of clock sources 0 .. 4
FIGURE_DIGITS = 5               # of every figure in a message
STALE_INTERVALS = 3
STEP_MS_MAX = 3_600_000         # longer silences are not integrated: nobody knows the powers


class Moment(NamedTuple):
    """When and in which state of the gateway a message is made.  journal: for its part."""

    ticks_ms: int
    clock: ClockState
    boot: int
    seq: int
    journal: Mapping[str, object]


class LatestFigures:
    """The newest two scans of each stream, and what they say."""

    def __init__(self, cabinet: CabinetSettings) -> None:
        """Start with nothing read."""
        self._positions = [_positions(stream.points) for stream in cabinet.schema]
        self._streams = {device.name: i for i, device in enumerate(cabinet.devices)}
        self._ratios = [float(device.ct_ratio) for device in cabinet.devices]
        self.stale_ms = STALE_INTERVALS * cabinet.journal.interval_s * 1000
        self.latest: dict[int, Scan] = {}
        self._before: dict[int, Scan] = {}
        self._good_ms: dict[int, int] = {}
        self._why: dict[int, int] = {}      # of the newest scan for which it was asked in vain
        self._climates = [stream.device for stream in cabinet.schema
                          if {"temperature", "humidity"} <= _names(stream)]

    def add(self, scans: Iterable[Scan]) -> None:
        """Take committed scans, oldest first."""
        for scan in scans:
            if scan.stream in self.latest:
                self._before[scan.stream] = self.latest[scan.stream]
            self.latest[scan.stream] = scan
            if any(not isinstance(value, Absent) for value in scan.values):
                self._good_ms[scan.stream] = scan.ticks_ms
            else:
                self._note_why(scan)

    def value(self, device: str, name: str, now_ms: int, item: str = "") -> float | None:
        """Return a value in its measurand's unit, CT ratio applied; None if not known now."""
        stream = self._streams.get(device, -1)
        scan = self.latest.get(stream)
        if scan is None or now_ms - scan.ticks_ms > self.stale_ms:
            return None
        return self._number(scan, name, item)

    def rate(self, device: str, name: str, now_ms: int, item: str = "") -> float | None:
        """Return how fast a counter moved between the last two scans, per second."""
        if self.value(device, name, now_ms, item) is None:
            return None
        stream = self._streams[device]
        before = self._before.get(stream)
        if before is None:
            return None
        old, new = self._number(before, name, item), self._number(self.latest[stream], name, item)
        span_ms = self.latest[stream].ticks_ms - before.ticks_ms
        if old is None or new is None or new < old or span_ms <= 0:
            return None
        per_s: float = (new - old) * 1000 / span_ms
        return per_s

    def health(self, stream: int, now_ms: int) -> tuple[bool, str, float | None]:
        """Return (ok, reason or "", age in seconds of the last scan with any value)."""
        scan, good_ms = self.latest.get(stream), self._good_ms.get(stream)
        age_s = None if good_ms is None else (now_ms - good_ms) / 1000
        if scan is None:
            return False, "not-read-yet", None
        if now_ms - scan.ticks_ms > self.stale_ms:
            return False, "stale", age_s
        if good_ms == scan.ticks_ms:
            return True, "", age_s
        return False, REASON_NAMES.get(self._why.get(stream, NOT_ASKED), "unknown"), age_s

    def _note_why(self, scan: Scan) -> None:
        """Keep why a device gave nothing: that it is asked rarely since does not say it."""
        first = scan.values[0] if scan.values else Absent(NO_REPLY)
        if isinstance(first, Absent) and first.reason != NOT_ASKED:
            self._why[scan.stream] = first.reason

    def temperature_c(self, now_ms: int) -> float | None:
        """Return the air temperature furthest from a crystal's 25 degC, None if none is read."""
        read = [self.value(name, "temperature", now_ms) for name in self._climates]
        found = [value for value in read if value is not None]
        return max(found, key=lambda value: abs(value - CRYSTAL.turnover_c), default=None)

    def climate(self, now_ms: int) -> list[dict[str, object]]:
        """Return temperature and humidity by sensor."""
        return [{"name": name,
                 "temperature_c": figure(self.value(name, "temperature", now_ms)),
                 "humidity": figure(self.value(name, "humidity", now_ms))}
                for name in self._climates]

    def _number(self, scan: Scan, name: str, item: str) -> float | None:
        position = self._positions[scan.stream].get((name, item))
        count = None if position is None else scan.values[position[0]]
        if position is None or count is None or isinstance(count, Absent):
            return None
        value = count * 10.0 ** position[1]
        scaled = measurand.BY_NAME[name].unit in ("W", "Wh", "A", "VA", "var")
        return value * self._ratios[scan.stream] if scaled else value


class LiveSite:
    """Board and books of one cabinet."""

    def __init__(self, cabinet: CabinetSettings, factors: FactorSet,
                 opening: Inventory | None = None,
                 latest_figures: LatestFigures | None = None) -> None:
        """factors: the pinned set of the site.  opening: the battery's content carried over a
        restart, None to assume it from the first state of charge.  latest_figures: of the cabinet.
        """
        self.cabinet, self.factors = cabinet, factors
        self.latest_figures, self.limits = latest_figures or LatestFigures(cabinet), LimitWatch(
            cabinet)
        self._site = read_site(cbor.decode(cabinet.descriptor))
        self._books = Books(self._site, factors, Options(opening=opening))
        self._booked_ms: int | None = None

    def add(self, scans: Sequence[Scan]) -> None:
        """Take committed scans, oldest first."""
        self.latest_figures.add(scans)
        self.limits.take(scans)

    def powers_w(self, now_ms: int) -> dict[str, float | None]:
        """Return power by role: grid import +, battery discharge +, sources and loads +.

        Roles nobody meters are left out; one unread meter makes its role None.
        """
        powers: dict[str, float | None] = {}
        for device in self.cabinet.devices:
            if device.role == "none":
                continue
            power = self.latest_figures.value(device.name, "power_active_total", now_ms)
            if power is not None:
                power = roles.power_of(device.role, power)
            before = powers.get(device.role, 0.0)
            powers[device.role] = None if power is None or before is None else before + power
        return powers

    def advance(self, now_ms: int, clock: ClockState) -> None:
        """Move the battery's books on to now, with the powers of this moment."""
        end_ms = utc_ms(clock, now_ms)
        start_ms, self._booked_ms = self._booked_ms, end_ms
        if start_ms is None or end_ms is None or not 0 < end_ms - start_ms <= STEP_MS_MAX:
            return
        hours = (end_ms - start_ms) / HOUR_MS
        energy: dict[str, float | None] = {}
        for role, power in self.powers_w(now_ms).items():
            energy |= _energies(role, None if power is None else power * hours)
        self._books.advance(SiteInterval(start_ms, end_ms - start_ms, energy,
                                         soc=self.soc(now_ms)))

    def battery_checkpoint(self) -> dict[str, object] | None:
        """Return the battery's content for the next start (gateway/live/battery_checkpoint.py)."""
        return None if self._site.battery is None else checkpoint(
            self._books.inventory, self._booked_ms)

    def soc(self, now_ms: int) -> float | None:
        """Return the battery's state of charge, 0..1."""
        for device in self.cabinet.devices:
            percent = self.latest_figures.value(device.name, "state_of_charge", now_ms)
            if percent is not None:
                return percent / 100
        return None

    def message(self, moment: Moment) -> dict[str, object]:
        """Return the live message; null where unknown."""
        now_ms = moment.ticks_ms
        now_utc = utc_ms(moment.clock, now_ms)
        powers = self.powers_w(now_ms)
        nodes = [device for device in self.cabinet.devices if device.is_node]
        inventory = self._books.inventory
        if self._site.battery is None:
            inventory = Inventory()
        factors = {} if now_utc is None else self.factors.means(now_utc, 1)
        figures = live_figures(powers, inventory, factors,
                               [self._ledger_node(node, now_ms) for node in nodes])
        return {
            "v": 1, "device": self.cabinet.site.cabinet, "boot": moment.boot, "seq": moment.seq,
            "utc": None if now_utc is None else rfc3339(now_utc),
            "clock": {"source": source_name(moment.clock),
                      "uncertainty_s": figure(moment.clock.uncertainty_ms / 1000)},
            "power_w": {role: figure(powers.get(role)) for role in roles.ROLE_NAMES}
            | {"residual": figure(figures.residual_w)},
            "carbon": {
                "grid_g_per_kwh": figure(figures.grid_g_per_kwh),
                "bus_g_per_kwh": figure(figures.bus_g_per_kwh),
                "core_hour_g": figure(figures.core_hour_g),
                "battery_g_per_kwh": figure(figures.battery_g_per_kwh),
                "renewable_share_it": figure(figures.renewable_share_it)},
            "battery": {"soc": figure(self.soc(now_ms)),
                        "stored_wh": None if inventory is None or self._site.battery is None
                        else figure(inventory.energy_wh)},
            "climate": self.latest_figures.climate(now_ms),
            "journal": dict(moment.journal),
            "nodes": [self._node(node, now_ms) for node in nodes],
            "devices": [self._device(i, device, now_ms)
                        for i, device in enumerate(self.cabinet.devices)],
        }

    def _ledger_node(self, node: DeviceSettings, now_ms: int) -> LiveNode:
        value, rate = self.latest_figures.value, self.latest_figures.rate
        return LiveNode(
            node.name, value(node.meter, "power_active_total", now_ms), float(node.cores),
            float(node.idle_w),
            {item: (rate(node.name, "cpu_time", now_ms, item),
                    value(node.name, "cores_reserved", now_ms, item))
             for item in node.workloads})

    def _node(self, node: DeviceSettings, now_ms: int) -> dict[str, object]:
        busy = self.latest_figures.rate(node.name, "cpu_time", now_ms)
        tasks = self.latest_figures.rate(node.name, "tasks_total", now_ms)
        running = self.latest_figures.value(node.name, "tasks_running", now_ms)
        cores = float(node.cores)
        return {
            "name": node.name,
            "power_w": figure(self.latest_figures.value(node.meter, "power_active_total", now_ms)),
            "cpu_share": None if busy is None else figure(min(busy / cores, 1.0)),
            "cores": cores,
            "tasks_running": None if running is None else int(running),
            "tasks_per_min": None if tasks is None else figure(tasks * 60)}

    def _device(self, stream: int, device: DeviceSettings, now_ms: int) -> dict[str, object]:
        ok, reason, age_s = self.latest_figures.health(stream, now_ms)
        return ({"name": device.name, "ok": ok} | ({} if ok else {"reason": reason})
                | {"age_s": None if age_s is None else int(age_s)})


def source_name(clock: ClockState) -> str:
    """Return a clock source in a word: none, rtc, device, ntp, gnss, simulated."""
    if clock.source == CLOCK_UNKNOWN:
        return "unknown"
    return SOURCES[clock.source] if clock.source < len(SOURCES) else "simulated"


@functools.cache
def _positions(points: tuple[Point, ...]) -> dict[tuple[str, str], tuple[int, int]]:
    """Return {(measurand, item): (place, exponent)}; meters of one profile share theirs."""
    return {(measurand.BY_ID[p.measurand].name, p.item): (i, p.exponent)
            for i, p in enumerate(points)}


def _names(stream: Stream) -> set[str]:
    return {measurand.BY_ID[point.measurand].name for point in stream.points}


def _energies(role: str, energy_wh: float | None) -> dict[str, float | None]:
    """Return the energies of a role by the ledger's names; both directions where it has two."""
    ahead = [energy.name for energy in (*roles.SUPPLIES, *roles.on(roles.LOAD))
             if energy.role == role]
    back = [energy.name for energy in roles.on(roles.CHARGE, roles.EXPORT) if energy.role == role]
    if energy_wh is None:
        return dict.fromkeys([*ahead, *back])
    return {**{name: max(energy_wh, 0.0) for name in ahead},
            **{name: max(-energy_wh, 0.0) for name in back}}


def figure(value: float | None) -> float | None:
    """Return a figure with the five digits that the page can show, whole where it is whole."""
    if value is None:
        return None
    rounded = float(f"{value:.{FIGURE_DIGITS}g}")
    return int(rounded) if rounded.is_integer() else rounded
