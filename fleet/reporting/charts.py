"""Charts as SVG, shared by the live page and the HTML report.  Pure, reproducible bytes.

The only markup outside templates: every text and class in it is escaped here.

Colours come from classes (fleet/web/assets/charts.css), so one drawing serves light and dark.
A chart is 400 units wide: on a phone that is one unit per pixel, and text stays readable.
"""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from typing import NamedTuple

from markupsafe import Markup, escape

from fleet.reporting.rendering import visible

WIDTH, HEIGHT = 400, 190
LEFT, RIGHT, TOP, BOTTOM = 38, 6, 10, 20
TICKS = 4
STEPS = (1, 2, 4, 6, 8, 10)     # a quarter of each is a number people read at a glance


class Layer(NamedTuple):
    """One row of values in a chart; name: legend text, css: class that gives the colour,
    values: one per slot, None = unknown."""

    name: str
    css: str
    values: Sequence[float | None]


class Axis(NamedTuple):
    """The time axis of a chart; start_ms, bin_ms: first slot and length of each, bins: how
    many, zone: for time labels, known_bins: how many of them the period has."""

    start_ms: int
    bin_ms: int
    bins: int
    zone: tzinfo
    known_bins: int = 0


def stacked(label: str, axis: Axis, layers: Sequence[Layer]) -> Markup:
    """Return a bar chart whose layers stand on each other, one bar for each slot."""
    totals = [sum(max(layer.values[i] or 0, 0) for layer in layers) for i in range(axis.bins)]
    top = _nice(max(totals, default=0))
    width = _plot_width() / max(axis.bins, 1)
    bars = []
    for layer_index, layer in enumerate(layers):
        path = []
        for bin_index in range(axis.bins):
            value = max(layer.values[bin_index] or 0, 0)
            if value <= 0:
                continue
            below = sum(max(one.values[bin_index] or 0, 0) for one in layers[:layer_index])
            y, height = _y(below + value, top), _y(below, top) - _y(below + value, top)
            path.append(f"M{LEFT + bin_index * width:.1f} {y:.1f}h{width * 0.86:.1f}"
                        f"v{height:.1f}h{-width * 0.86:.1f}z")
        if path:
            bars.append(f'<path class="fill {_text(layer.css)}" d="{"".join(path)}"/>')
    return _frame(label, axis, top, _unknown(axis, layers) + "".join(bars))


def _unknown(axis: Axis, layers: Sequence[Layer]) -> str:
    """Return a shade over the bins of the period in which a value is not known: not 0."""
    width = _plot_width() / max(axis.bins, 1)
    path = [f"M{LEFT + index * width:.1f} {TOP}h{width:.1f}v{HEIGHT - TOP - BOTTOM}h{-width:.1f}z"
            for index in range(axis.known_bins) if any(
                layer.values[index] is None for layer in layers)]
    return f'<path class="unknown" d="{"".join(path)}"/>' if path else ""


def lines(label: str, axis: Axis, layers: Sequence[Layer]) -> Markup:
    """Return a step chart: each value holds for its whole slot; unknown slots stay open."""
    known = [value for layer in layers for value in layer.values if value is not None]
    top = _nice(max(known, default=0))
    width = _plot_width() / max(axis.bins, 1)
    paths = []
    for layer in layers:
        path, drawing = [], False
        for bin_index, value in enumerate(layer.values):
            if value is None:
                drawing = False
                continue
            x, y = LEFT + bin_index * width, _y(max(value, 0), top)
            path.append(f"{'L' if drawing else 'M'}{x:.1f} {y:.1f}H{x + width:.1f}")
            drawing = True
        if path:
            paths.append(f'<path class="line {_text(layer.css)}" d="{"".join(path)}"/>')
    return _frame(label, axis, top, "".join(paths))


def meter(parts: Sequence[tuple[str, float]]) -> Markup:
    """Return one horizontal bar of (class, share of the whole 0..1) parts."""
    at, rects = 0.0, []
    for css, part in parts:
        size = max(min(part, 1 - at), 0.0)
        if size > 0:
            rects.append(f'<rect class="fill {_text(css)}" x="{at * 100:.2f}" '
                         f'width="{size * 100:.2f}" height="8"/>')
        at += size
    return Markup('<svg class="meter" viewBox="0 0 100 8" preserveAspectRatio="none" '
                  f'aria-hidden="true">{"".join(rects)}</svg>')


def _text(value: str) -> str:
    return str(escape(visible(value)))


def _frame(label: str, axis: Axis, top: float, marks: str) -> Markup:
    grid = "".join(_tick(top * i / TICKS, top) for i in range(TICKS + 1))
    return Markup(f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{_text(label)}">'
                  f'{grid}{marks}{_hours(axis)}</svg>')


def _tick(value: float, top: float) -> str:
    y = _y(value, top)
    return (f'<path class="rule" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
            f'<text class="tick" x="{LEFT - 5}" y="{y + 3.5:.1f}" text-anchor="end">'
            f'{value:.6g}</text>')


def _hours(axis: Axis) -> str:
    """Label some slots with local time: as many as fit."""
    if not axis.bins:
        return ""
    per_hour = max(3_600_000 // axis.bin_ms, 1)
    every = per_hour * next((n for n in (1, 2, 3, 6, 12, 24, 48, 96, 168)
                             if axis.bins / (per_hour * n) <= 7), 744)
    width, labels = _plot_width() / axis.bins, []
    for bin_index in range(axis.bins + 1):
        local = _local(axis.start_ms + bin_index * axis.bin_ms, axis.zone)
        minutes = local.hour * 60 + local.minute
        if minutes % min(every * axis.bin_ms // 60_000, 1440):
            continue
        text = local.strftime("%d %b") if every >= 24 * per_hour else local.strftime("%H:%M")
        x = min(max(LEFT + bin_index * width, LEFT + 4), WIDTH - RIGHT - 14)
        labels.append(f'<text class="tick" x="{x:.1f}" y="{HEIGHT - 5}" text-anchor="middle">'
                      f'{_text(text)}</text>')
    name = _local(axis.start_ms, axis.zone).strftime("%Z")
    labels.append(f'<text class="tick" x="{LEFT - 5}" y="{HEIGHT - 5}" text-anchor="end">'
                  f'{_text(name)}</text>')
    return "".join([*labels[:9], *labels[9:][-1:]])


def _local(utc_ms: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(utc_ms / 1000, zone)


def _nice(value: float) -> float:
    """Return the next round number at or above a value, for the top of an axis."""
    if value <= 0:
        return 1.0
    size = 1.0
    while size * 10 < value:
        size *= 10
    while size > value:
        size /= 10
    return next(size * step for step in STEPS if size * step >= value * 0.999999)


def _plot_width() -> int:
    return WIDTH - LEFT - RIGHT


def _y(value: float, top: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - value / top)
