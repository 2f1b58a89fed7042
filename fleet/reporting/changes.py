"""What a report says otherwise than reports before it: quarter hour by quarter hour, and why.

No later batch changes a reported quarter hour silently: what was issued is kept (store/issued.py),
and each report names what it gives otherwise.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from fleet.formats import timetext
from fleet.formats.timetext import rfc3339
from fleet.reporting.content import Change, Report, Section
from fleet.store import issued
from fleet.store.issued import Issued, QuarterFigures, Version
from fleet.store.reader import StoreReader
from fleet.texts import say
from gateway.core.interval import QUARTER_MS

DIGITS = 3                  # of Wh and g that are kept and compared
CHANGES_LISTED_MAX = 1000   # the newest; more are counted


class IssueSubject(NamedTuple):
    """What a report is about: cabinet, period, SHA-256 of the factor set, whether there is a
    battery: its books depend on where the period begins."""

    cabinet: str
    from_ms: int
    to_ms: int
    factors: str
    battery: bool


def subject(content: Report) -> IssueSubject:
    """Return what a report is about."""
    return IssueSubject(content["cabinet"], timetext.utc_ms(content["from"]),
                        timetext.utc_ms(content["to"]), str(content["factors"]["sha256"]),
                        content["battery"] is not None)


def figures(row: Section) -> QuarterFigures:
    """Return the figures of a quarter hour of the statement's series."""
    carbon = [value for value in row["carbon_g"].values() if value is not None]
    return QuarterFigures({role: round(wh, DIGITS) + 0.0 for role, wh in row["energy_wh"].items()
                           if wh is not None}, round(sum(carbon), DIGITS) + 0.0 if carbon else None)


def found(reader: StoreReader, about: IssueSubject, series: Sequence[Section]
          ) -> tuple[list[Change], int]:
    """Return the quarter hours that earlier reports gave otherwise, each with the newest other
    figure that was issued; the newest CHANGES_LISTED_MAX, and how many there are beside them."""
    kept, changed = reader.issued(about.cabinet, about.from_ms, about.to_ms), []
    for start_ms, now in _quarters(series):
        before = [one for one in kept.get(start_ms, ()) if _differs(one, now, about)]
        if before:
            changed.append(((start_ms, now), before[-1]))
    listed = changed[-CHANGES_LISTED_MAX:]
    return ([_change(reader, about, quarter, before) for quarter, before in listed],
            len(changed) - len(listed))


def notes(count: int) -> list[str]:
    """Return what a report's reader must know of so many changed quarter hours."""
    return [say.plural("report.changed", count)] if count else []


def keep(data: Path, reader: StoreReader, content: Report, issued_ms: int) -> None:
    """Keep the quarter hours of a report that is given out; what has no reading after it yet
    is not over and is left out."""
    about, span = subject(content), reader.span_ms(content["cabinet"])
    kept = reader.issued(about.cabinet, about.from_ms, about.to_ms)
    rows = []
    for start_ms, now in _quarters(content["series"]):
        if span is None or not span[0] <= start_ms < span[1] - QUARTER_MS:
            continue
        earlier = kept.get(start_ms, [])
        last = [one for one in earlier if not about.battery or one.from_ms == about.from_ms][-1:]
        if not last or last[0].factors != about.factors or _differs(last[0], now, about):
            version = earlier[-1].version + 1 if earlier else 1
            rows.append(Issued(start_ms, Version(version, issued_ms, about.from_ms,
                                                 about.factors, now)))
    if rows:
        issued.keep(data, about.cabinet, rows)


def _quarters(series: Sequence[Section]) -> Iterator[tuple[int, QuarterFigures]]:
    for row in series:
        yield timetext.utc_ms(row["start"]), figures(row)


def _differs(before: Version, now: QuarterFigures, about: IssueSubject) -> bool:
    """Whether a quarter hour was given otherwise.  Grams of a site with a battery are compared
    only with a report of the same beginning: its books begin there."""
    if before.figures.wh != now.wh:
        return True
    alike = not about.battery or before.from_ms == about.from_ms
    return alike and before.figures.g != now.g


def _change(reader: StoreReader, about: IssueSubject, quarter: tuple[int, QuarterFigures],
            before: Version) -> Change:
    start_ms, now = quarter
    was = before.figures
    roles = [role for role in {**was.wh, **now.wh} if was.wh.get(role) != now.wh.get(role)]
    return {"from": rfc3339(start_ms), "to": rfc3339(start_ms + QUARTER_MS),
            "issued": rfc3339(before.issued_ms),
            "wh_before": {role: was.wh.get(role) for role in roles},
            "wh": {role: now.wh.get(role) for role in roles},
            "g_before": was.g, "g": now.g, "why": _why(reader, about, start_ms, before)}


def _why(reader: StoreReader, about: IssueSubject, start_ms: int, before: Version) -> list[str]:
    """Return the codes of what happened since, as far as is known; a quarter hour also depends
    on the readings beside it."""
    why, end_ms = [], start_ms + QUARTER_MS
    if before.factors != about.factors:
        why.append("factors")
    if any(one.decided_ms > before.issued_ms and one.from_ms < end_ms + QUARTER_MS
           and one.to_ms > start_ms - QUARTER_MS
           for _, one in reader.rivals.decisions(about.cabinet)):
        why.append("decision")
    near = start_ms - QUARTER_MS, end_ms
    late, dated = reader.rivals.stored_after(about.cabinet, near, before.issued_ms)
    why += ["late-batch"] * late + ["rolled-up-again"] * dated
    if reader.rivals.set_aside(about.cabinet, start_ms, end_ms):
        why.append("set-aside")
    return why or ["not-known"]
