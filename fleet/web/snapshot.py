"""What the stored evidence of a site says today: read when it changed, kept between looks."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from fleet.errors import ReportError
from fleet.formats import timetext
from fleet.formats.registry import EnrolledCabinet
from fleet.reporting import report, report_charts
from fleet.reporting.content import Report
from fleet.rollup import overlaps
from fleet.rollup.overlaps import Overlap
from fleet.store.incidents import Incident
from fleet.store.reader import JournalRow, StoreReader, open_reader
from fleet.texts import say
from gateway.core.errors import WattproofError
from gateway.core.interval import QUARTER_MS
from gateway.core.roles import LOAD_NAMES


class Snapshot(NamedTuple):
    """What is stored of a site.  version: the store's, when this was read, today: report of the
    day so far, or None with `why`, span: (first, last) quarter hour with data, or None,
    unplaced: records that wait for a time, overlaps: what a person has to decide."""

    version: int
    today: Report | None
    why: str
    span: tuple[int, int] | None
    journals: Sequence[JournalRow]
    refused: dict[str, int]
    charts: Markup
    incidents: Sequence[Incident] = ()
    unplaced: int = 0
    overlaps: Sequence[Overlap] = ()


EMPTY = Snapshot(-1, None, say("day_error.no_readings"), None, [], {}, Markup())


class Snapshots:
    """One Snapshot for each gateway, renewed when a batch has been stored."""

    def __init__(self, data: Path, factors: str | None) -> None:
        self._data, self._factors = data, factors
        self._held: dict[str, Snapshot] = {}

    def get(self, cabinet: EnrolledCabinet) -> Snapshot:
        """Return the newest snapshot of a gateway; EMPTY before the first batch."""
        try:
            with open_reader(self._data) as reader:
                held = self._held.get(cabinet.id)
                if held is None or held.version != reader.version():
                    held = self._held[cabinet.id] = self._read(reader, cabinet)
                return held
        except ReportError:
            return EMPTY

    def _read(self, reader: StoreReader, cabinet: EnrolledCabinet) -> Snapshot:
        version, span = reader.version(), reader.span_ms(cabinet.id)
        today, why, charts = None, EMPTY.why, EMPTY.charts
        if span is not None:
            try:
                today = report.build(reader, report.ReportRequest(
                    cabinet, self._factors, *day_so_far(span, cabinet.timezone)))
                charts = report_charts.charts(today["slots"], cabinet.timezone)
                why = ""
            except ReportError as error:
                why = str(error)
            except WattproofError as error:
                why = say("day_error.not_accounted", error=error)
        return Snapshot(version, today, why, span, reader.journals(cabinet.id),
                        reader.refused(cabinet.id), charts,
                        reader.incidents(cabinet.id), reader.unplaced(cabinet.id),
                        overlaps.undecided(overlaps.at_any_time(reader, cabinet.id)))


def day_so_far(span: tuple[int, int], timezone: str) -> tuple[int, int]:
    """Return (from_ms, to_ms) of the site's current local day, as far as it is accounted.

    The newest quarter hour closes with the first reading after it, and the one in which the
    site was started cannot be whole: both are left out unless they are all there is.
    """
    first, last = span
    to_ms = last - QUARTER_MS if last - QUARTER_MS > first else last
    first = first + QUARTER_MS if to_ms - QUARTER_MS > first else first
    local = datetime.fromtimestamp((to_ms - 1) / 1000, timetext.zone(timezone))
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    return max(int(midnight.timestamp() * 1000) // QUARTER_MS * QUARTER_MS, first), to_ms


def yesterday(today_from_ms: int, timezone: str) -> tuple[int, int]:
    """Return (from_ms, to_ms) of the local day before the one that holds today_from_ms."""
    local = datetime.fromtimestamp(today_from_ms / 1000, timetext.zone(timezone))
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    before = midnight - timedelta(days=1)
    return int(before.timestamp() * 1000), int(midnight.timestamp() * 1000)


def figures_of_day(today: Report) -> dict[str, float | None]:
    """Return the few totals that the page shows of the day so far."""
    energy, carbon, compute = today["energy_wh"], today["carbon_g"], today["compute"]
    loads = [energy.get(role) for role in LOAD_NAMES]
    known = [wh for wh in loads if wh is not None]
    return {"loads_wh": sum(known) if known else None,
            "carbon_g": carbon["total"], "core_hours": compute["reserved_core_hours"],
            "g_per_core_hour": compute["g_per_core_hour"], "tasks": compute["tasks"],
            "renewable": today["renewable_share_it"], "pue": today["pue"]}
