"""The charts of a period, from a report's bins: the same on the page and in the report."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from markupsafe import Markup

from fleet.formats.timetext import utc_ms, zone
from fleet.reporting import rendering
from fleet.reporting.charts import Axis, Layer, lines, stacked
from fleet.reporting.content import Slot
from fleet.texts import say
from gateway.core import roles

BINS_MIN = 24
# What is stacked, from the bottom: (energy, its colour).
SOURCES = tuple((name, roles.energy_of(name).mark) for name in (
    "pv", "battery_discharge", "genset", "grid_import"))
LOADS = tuple((energy.name, energy.mark) for energy in roles.SINKS)


class Chart(NamedTuple):
    """One figure; title, unit: text above the drawing, layers: what its legend names."""

    title: str
    unit: str
    layers: Sequence[Layer]
    svg: Markup


def charts(bins: Sequence[Slot], timezone: str) -> Markup:
    """Return the four charts of a period as figures; slots as report.build gives them."""
    drawn = _charts(bins, timezone) if bins else []
    return rendering.render(rendering.shared(), "charts.html", {"charts": drawn})


def _charts(bins: Sequence[Slot], timezone: str) -> list[Chart]:
    start, end = utc_ms(bins[0]["start"]), utc_ms(bins[0]["end"])
    axis = Axis(start, end - start, len(bins), zone(timezone))
    hours = (end - start) / 3_600_000
    axis, bins = _roomy(axis, bins)
    return [
        _chart(stacked, "sources", "kw_mean", axis, _layers(bins, SOURCES, hours)),
        _chart(stacked, "loads", "kw_mean", axis, _layers(bins, LOADS, hours)),
        _chart(lines, "intensity", "g_per_kwh", axis, [
            _course("grid_intensity", "grid", [time_bin["grid_g_per_kwh"] for time_bin in bins]),
            _course("used_intensity", "it", [time_bin["bus_g_per_kwh"] for time_bin in bins])]),
        _chart(lines, "core_hour", "g", axis, [
            _course("core_hour_layer", "it", [time_bin["g_per_core_hour"] for time_bin in bins])]),
    ]


def _chart(draw: Callable[[str, Axis, Sequence[Layer]], Markup], title: str, unit: str,
           axis: Axis, layers: list[Layer]) -> Chart:
    title, unit = say(f"chart.{title}"), say(f"chart.{unit}")
    svg = draw(say("chart.label", title=title, unit=unit, timezone=timezone_of(axis)), axis, layers)
    shade = [Layer(say("chart.unknown"), "unknown", ())] if 'class="unknown"' in svg else []
    known = any(value is not None for layer in layers for value in layer.values)
    return Chart(title, unit, [*layers, *shade] if known else [], svg)


def timezone_of(axis: Axis) -> str:
    """Return the name of an axis' zone."""
    return str(getattr(axis.zone, "key", axis.zone))


def _course(name: str, css: str, values: Sequence[float | None]) -> Layer:
    return Layer(say(f"chart.{name}"), css, values)


def _roomy(axis: Axis, bins: Sequence[Slot]
           ) -> tuple[Axis, Sequence[Slot]]:
    """Leave room to the right while a day is young: three wide bars say nothing."""
    free = max(BINS_MIN - len(bins), 0)
    blank: Slot = {"start": "", "end": "", "energy_wh": {}, "grid_g_per_kwh": None,
                   "bus_g_per_kwh": None, "g_per_core_hour": None}
    return axis._replace(bins=len(bins) + free, known_bins=len(bins)), [*bins, *[blank] * free]


def _layers(bins: Sequence[Slot], roles: Sequence[tuple[str, str]],
            hours: float) -> list[Layer]:
    layers = [Layer(say(f"role.{css}"), css, [_kw(time_bin["energy_wh"].get(role), hours)
                                              for time_bin in bins]) for role, css in roles]
    return [layer for layer in layers if any(layer.values)]


def _kw(energy_wh: float | None, hours: float) -> float | None:
    return None if energy_wh is None else energy_wh / hours / 1000
