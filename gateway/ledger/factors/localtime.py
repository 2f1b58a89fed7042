"""Local days of a site: 92, 96 or 100 quarter hours, carbon always keyed by UTC.

See docs/accounting.md section 4.6.  Time zones are IANA names, read by zoneinfo.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from gateway.core.interval import QUARTER_MS


@dataclass(frozen=True)
class LocalDay:
    """A local day in UTC milliseconds, start included, end excluded; count: quarter hours."""

    start_ms: int
    end_ms: int
    count: int


@dataclass(frozen=True)
class LocalHours:
    """Energy by local hour of the day ("00".."23"), total and carbon (None if a factor lacks)."""

    energy_wh: Mapping[str, float]
    total_wh: float
    carbon_g: float | None


def local_day(day: date, zone: str) -> LocalDay:
    """Return the quarter hours of a local calendar day.  Raises ZoneInfoNotFoundError."""
    start_ms, end_ms = midnight_ms(day, zone), midnight_ms(day + timedelta(days=1), zone)
    return LocalDay(start_ms, end_ms, (end_ms - start_ms) // QUARTER_MS)


def midnight_ms(day: date, zone: str) -> int:
    """Return the UTC milliseconds at which a local day begins."""
    return int(datetime.combine(day, time(), ZoneInfo(zone)).timestamp()) * 1000


def local_hours(day: date, zone: str, energy_wh: Sequence[float],
                factor_by_utc_hour: Mapping[str, float]) -> LocalHours:
    """Put a local day's quarter hours into local hours; price each by its UTC hour.

    For days of a site's own zone in reports: issue 14.
    energy_wh: one value for each quarter hour of the day, in order.  factor_by_utc_hour:
    g/kWh by "2026-10-24T22".  Raises ValueError if the number of values is not the day's."""
    span = local_day(day, zone)
    if len(energy_wh) != span.count:
        raise ValueError(f"{day} in {zone} has {span.count} quarter hours, got {len(energy_wh)}")
    by_hour: dict[str, float] = {}
    carbon_g: float | None = 0
    for position, wh in enumerate(energy_wh):
        at = datetime.fromtimestamp((span.start_ms + position * QUARTER_MS) // 1000, UTC)
        hour = f"{at.astimezone(ZoneInfo(zone)).hour:02d}"
        by_hour[hour] = by_hour.get(hour, 0) + wh
        factor = factor_by_utc_hour.get(at.strftime("%Y-%m-%dT%H"))
        carbon_g = None if carbon_g is None or factor is None else carbon_g + wh * factor / 1000
    return LocalHours(by_hour, sum(energy_wh), carbon_g)
