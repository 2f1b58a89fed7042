"""The charts of a period, from a report's slots: the same on the page and in the report."""

from collections import namedtuple
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from markupsafe import Markup

from fleet.reporting import rendering
from fleet.reporting.charts import Axis, Layer, lines, stacked
from fleet.texts import say

SLOTS_MIN = 24
SOURCES = (("pv", "pv"), ("battery_discharge", "battery"), ("genset", "genset"),
           ("grid_import", "grid"))
LOADS = (("it", "it"), ("cooling", "cooling"), ("lighting", "lighting"), ("other", "other"),
         ("battery_charge", "charge"), ("grid_export", "export"))

# title, unit: text above the drawing.  layers: what its legend names.  svg: the drawing.
Chart = namedtuple("Chart", ("title", "unit", "layers", "svg"))


def zone(name: str) -> ZoneInfo:
    """Return a time zone, or UTC when this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def charts(slots: Sequence[Mapping[str, Any]], timezone: str) -> Markup:
    """Return the four charts of a period as figures; slots as report.build gives them."""
    drawn = _charts(slots, timezone) if slots else []
    return rendering.render(rendering.shared(), "charts.html", {"charts": drawn})


def _charts(slots: Sequence[Mapping[str, Any]], timezone: str) -> list[Chart]:
    start, end = _ms(slots[0]["start"]), _ms(slots[0]["end"])
    axis = Axis(start, end - start, len(slots), zone(timezone))
    hours = (end - start) / 3_600_000
    axis, slots = _roomy(axis, slots)
    return [
        _chart(stacked, "sources", "kw_mean", axis, _layers(slots, SOURCES, hours)),
        _chart(stacked, "loads", "kw_mean", axis, _layers(slots, LOADS, hours)),
        _chart(lines, "intensity", "g_per_kwh", axis, [
            _course("grid_intensity", "grid", slots, "grid_g_per_kwh"),
            _course("used_intensity", "it", slots, "bus_g_per_kwh")]),
        _chart(lines, "core_hour", "g", axis, [
            _course("core_hour_layer", "it", slots, "g_per_core_hour")]),
    ]


def _chart(draw: Callable[[str, Axis, Sequence[Layer]], Markup], title: str, unit: str,
           axis: Axis, layers: list[Layer]) -> Chart:
    title, unit = say(f"chart.{title}"), say(f"chart.{unit}")
    return Chart(title, unit, layers,
                 draw(say("chart.label", title=title, unit=unit), axis, layers))


def _course(name: str, css: str, slots: Sequence[Mapping[str, Any]], key: str) -> Layer:
    return Layer(say(f"chart.{name}"), css, [slot[key] for slot in slots])


def _roomy(axis: Axis, slots: Sequence[Mapping[str, Any]]
           ) -> tuple[Axis, Sequence[Mapping[str, Any]]]:
    """Leave room to the right while a day is young: three wide bars say nothing."""
    free = max(SLOTS_MIN - len(slots), 0)
    blank: dict[str, Any] = {"energy_wh": {}, "grid_g_per_kwh": None, "bus_g_per_kwh": None,
                             "g_per_core_hour": None}
    return axis._replace(slots=len(slots) + free), [*slots, *[blank] * free]


def _layers(slots: Sequence[Mapping[str, Any]], roles: Sequence[tuple[str, str]],
            hours: float) -> list[Layer]:
    layers = [Layer(say(f"role.{css}"), css, [_kw(slot["energy_wh"].get(role), hours)
                                           for slot in slots]) for role, css in roles]
    return [layer for layer in layers if any(layer.values)]


def _kw(energy_wh: float | None, hours: float) -> float | None:
    return None if energy_wh is None else energy_wh / hours / 1000


def _ms(text: str) -> int:
    moment = datetime.fromisoformat(text)
    return int(moment.astimezone(UTC).timestamp() * 1000)
