"""Quarter hours as issued reports gave them: what a later report is compared with.

A door beside the store, with a connection of its own: a report is read-only but for this.
"""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from fleet.store import damage
from fleet.store.connection import FILE, connect

VERSIONS_MAX = 8            # of one quarter hour: the first and the newest


class QuarterFigures(NamedTuple):
    """wh: what each role counted in a quarter hour, without those that are not known; g: carbon of
    all that was used, None if it is not known."""

    wh: Mapping[str, float]
    g: float | None


class Version(NamedTuple):
    """A quarter hour as a report gave it.

    version: from 1.  issued_ms: when, by the fleet's clock.  from_ms: of the report's period.
    factors: SHA-256 of the factor set, hex.
    """

    version: int
    issued_ms: int
    from_ms: int
    factors: str
    figures: QuarterFigures


class Issued(NamedTuple):
    """A quarter hour to be kept with its next version."""

    quarter_ms: int
    version: Version


def versions(connection: sqlite3.Connection, cabinet: str, from_ms: int,
             to_ms: int) -> dict[int, list[Version]]:
    """Return the versions of each quarter hour of a period, oldest first."""
    found: dict[int, list[Version]] = {}
    for quarter, number, issued_ms, since_ms, factors, figures in connection.execute(
            "SELECT quarter_ms, version, issued_ms, from_ms, factors, figures FROM issued WHERE "
            "cabinet = ? AND quarter_ms >= ? AND quarter_ms < ? ORDER BY quarter_ms, version",
            (cabinet, from_ms, to_ms)):
        found.setdefault(quarter, []).append(Version(
            number, issued_ms, since_ms, factors, QuarterFigures(**json.loads(figures))))
    return found


def keep(data: Path, cabinet: str, rows: Iterable[Issued]) -> None:
    """Keep quarter hours as a report gives them.

    Raises StoreUnavailable or StoreDamaged: a report that cannot be kept may not be given out.
    """
    with damage.named(data), closing(connect(data / FILE)) as connection, connection:
        connection.execute("BEGIN IMMEDIATE")
        for quarter_ms, one in rows:
            connection.execute(
                "INSERT OR REPLACE INTO issued VALUES (?,?,?,?,?,?,?)",
                (cabinet, quarter_ms, *one[:4], json.dumps(one.figures._asdict(),
                                                           separators=(",", ":"))))
            connection.execute(
                "DELETE FROM issued WHERE cabinet = ? AND quarter_ms = ? AND version > 1 AND "
                "version <= ?", (cabinet, quarter_ms, one.version - VERSIONS_MAX + 1))
