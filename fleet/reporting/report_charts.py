"""The charts of a period, from a report's slots: the same on the page and in the report."""

from collections.abc import Sequence
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fleet.formats.timetext import utc_ms
from fleet.reporting.charts import Axis, Layer, lines, stacked
from fleet.reporting.content import Slot
from fleet.reporting.text import ROLE_WORDS

SLOTS_MIN = 24
SOURCES = (("pv", "pv"), ("battery_discharge", "battery"), ("genset", "genset"),
           ("grid_import", "grid"))
LOADS = (("it", "it"), ("cooling", "cooling"), ("lighting", "lighting"), ("other", "other"),
         ("battery_charge", "charge"), ("grid_export", "export"))


def zone(name: str) -> ZoneInfo:
    """Return a time zone, or UTC when this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def charts(slots: Sequence[Slot], timezone: str) -> str:
    """Return the four charts of a period as SVG figures; slots as report.build gives them."""
    if not slots:
        return ""
    start, end = utc_ms(slots[0]["start"]), utc_ms(slots[0]["end"])
    axis = Axis(start, end - start, len(slots), zone(timezone))
    hours = (end - start) / 3_600_000
    axis, slots = _roomy(axis, slots)
    return "".join((
        stacked("Where the energy came from", "kW, mean", axis, _layers(slots, SOURCES, hours)),
        stacked("Where it went", "kW, mean", axis, _layers(slots, LOADS, hours)),
        lines("Carbon of a kilowatt-hour", "g/kWh", axis, [
            Layer("From the grid", "grid", [slot["grid_g_per_kwh"] for slot in slots]),
            Layer("As used here", "it", [slot["bus_g_per_kwh"] for slot in slots])]),
        lines("Carbon of a core-hour", "g", axis, [
            Layer("Reserved core-hour, overhead included", "it",
                  [slot["g_per_core_hour"] for slot in slots])]),
    ))


def _roomy(axis: Axis, slots: Sequence[Slot]
           ) -> tuple[Axis, Sequence[Slot]]:
    """Leave room to the right while a day is young: three wide bars say nothing."""
    free = max(SLOTS_MIN - len(slots), 0)
    blank: Slot = {"start": "", "end": "", "energy_wh": {}, "grid_g_per_kwh": None,
                   "bus_g_per_kwh": None, "g_per_core_hour": None}
    return axis._replace(slots=len(slots) + free), [*slots, *[blank] * free]


def _layers(slots: Sequence[Slot], roles: Sequence[tuple[str, str]],
            hours: float) -> list[Layer]:
    layers = [Layer(ROLE_WORDS[css], css, [_kw(slot["energy_wh"].get(role), hours)
                                           for slot in slots]) for role, css in roles]
    return [layer for layer in layers if any(layer.values)]


def _kw(energy_wh: float | None, hours: float) -> float | None:
    return None if energy_wh is None else energy_wh / hours / 1000
