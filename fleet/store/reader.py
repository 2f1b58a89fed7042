"""Questions to the fleet's store; read-only, so that a report never disturbs admission."""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from fleet.errors import ReportError
from fleet.formats import event_bodies, part_order
from fleet.formats.values import CLOCK_STEP_MS, BatchClock, CounterPart, MeterSwap
from fleet.store import damage, meter_swaps
from fleet.store.connection import FILE, VERSION, connect
from fleet.store.incidents import Incident, Incidents
from fleet.store.issued import Version, versions
from fleet.store.journal_tables import RivalReader
from fleet.texts import say
from gateway.core import interval
from gateway.core.codec import cbor, record
from gateway.core.reading import CLOCK_SIMULATED

UNREADABLE_GAP = "the event says neither which device nor from when to when"
PARTS = ("SELECT config, journal, boot, coalesce(offset_ms, 0), quarter_ms, first_ms, first, "
         "last_ms, last, broken FROM counter_parts JOIN batches ON id = batch")


class ChannelRow(NamedTuple):
    """One series of a cabinet.

    id: the store's.  stream: device name.  item: "" or a workload.  measurand, exponent: as in
    the schema.
    """

    id: int
    stream: str
    item: str
    measurand: int
    exponent: int


class MeanRow(NamedTuple):
    """Quarter hour of a gauge: mean over all readings, extremes, last; in the channel's steps."""

    mean: float
    low: int
    high: int
    readings: int
    last: int


class GapRow(NamedTuple):
    """A declared gap.

    seq, utc_ms: of the event that declares it.  config: hash in force then, None if not known.
    stream: index of the device in that configuration, -1 for all.  from_ms, to_ms: None where
    the side is open.
    """

    seq: int
    utc_ms: int
    config: bytes | None
    stream: int
    from_ms: int | None
    to_ms: int | None
    reason: str


class JournalRow(NamedTuple):
    """How a journal stands; stored_seq: highest sequence stored at all, low_water: None before
    its first receipt."""

    journal: bytes
    batches: int
    records: int
    first_seq: int
    stored_seq: int
    low_water: int | None
    received_ms: int


def _gap_body(raw: bytes) -> tuple[int, int | None, int | None, str]:
    """Return (stream, from_ms, to_ms, reason) of a stored GAP event.

    One that was stored before bodies were checked names no device and no time of its own.
    """
    body = cbor.decode(raw)
    if event_bodies.fault(record.GAP, body) is not None:
        return -1, None, None, UNREADABLE_GAP
    return body[0], body[1], body[2], body[3]


def _counter_part(row: tuple[Any, ...]) -> CounterPart:
    config, journal, boot, offset_ms, *part = row
    return CounterPart(bytes(config), BatchClock((bytes(journal), boot), offset_ms),
                       interval.QuarterPart(*part))


def in_order(parts: Iterable[CounterPart]) -> list[CounterPart]:
    """Return parts of a counter in the order they were read."""
    made = {one: part_order.MadeReading(
        one.clock.boot, one.part.first_ms - one.clock.offset_ms, one.part.first_ms,
        one.part.last_ms) for one in parts}
    order = part_order.BootOrder(made.values())
    return sorted(made, key=lambda one: (
        order.position(one.clock.boot, made[one].ticks_ms), one.part.last_ms))


class StoreReader:
    """One read-only connection; close it, or use `opened`."""

    def __init__(self, data: Path) -> None:
        """Raises ReportError when there is no store yet."""
        self.data, path = data, data / FILE
        if not path.is_file():
            raise ReportError(say("refusal.no_store", path=path, data=data))
        with damage.named(data):
            self._connection = connect(path, read_only=True)
            version = self._connection.execute("PRAGMA user_version").fetchone()[0]
            self._connection.execute("SELECT count(*) FROM meta")
        if version < VERSION:
            self._connection.close()
            raise ReportError(say("refusal.older_store", path=path, data=data))
        self.rivals = RivalReader(self._connection)

    def close(self) -> None:
        """Give the connection back."""
        self._connection.close()

    @contextmanager
    def snapshot(self) -> Iterator[sqlite3.Connection]:
        """Answer every question inside from one state of the store; gives the connection."""
        self._connection.execute("BEGIN")
        try:
            yield self._connection
        finally:
            self._connection.execute("ROLLBACK")

    def damage(self) -> list[str]:
        """Return what SQLite's check of the whole file finds, [] if nothing."""
        return damage.faults(self._connection)

    def changed(self) -> list[str]:
        """Return which batches and descriptors no longer have the hash the store has of them."""
        return list(damage.changed(self._connection))

    def version(self) -> int:
        """Return a number that changes whenever a batch was stored or refused, or a person
        decided which journal counts."""
        return self.rivals.newest_decision() + int(self._one(
            "SELECT coalesce((SELECT max(id) FROM batches), 0) + "
            "coalesce((SELECT max(id) FROM refused), 0)")[0])

    def issued(self, cabinet: str, from_ms: int, to_ms: int) -> dict[int, list[Version]]:
        """Return the quarter hours of a period as reports gave them before."""
        return versions(self._connection, cabinet, from_ms, to_ms)

    def config_changes(self, cabinet: str, from_ms: int, to_ms: int) -> list[tuple[int, bytes]]:
        """Return (quarter_ms, config hash) of the quarter hours of a period that have scans,
        and of the last before it, by time; empty without any booked batch.  Of a journal the
        batch with the highest number counts, of two journals the one that goes on longer."""
        rows = self._connection.execute(
            "SELECT quarter_ms, config, max(coalesce(to_ms, 0)) FROM (SELECT s.quarter_ms, "
            "b.config, b.to_ms, max(b.number) FROM scan_parts s JOIN batches b "
            "ON b.id = s.batch WHERE s.cabinet = ?1 AND s.quarter_ms < ?3 AND s.quarter_ms >= "
            "coalesce((SELECT max(quarter_ms) FROM scan_parts WHERE cabinet = ?1 AND quarter_ms "
            "<= ?2), ?2) GROUP BY s.quarter_ms, b.journal) GROUP BY quarter_ms "
            "ORDER BY quarter_ms", (cabinet, from_ms, to_ms))
        return [(quarter, bytes(digest)) for quarter, digest, _ in rows]

    def configs(self, cabinet: str) -> dict[bytes, bytes]:
        """Return the CBOR of every site descriptor of a cabinet, by its hash."""
        return dict(
            self._connection.execute("SELECT hash, descriptor FROM configs WHERE cabinet = ?",
                                     (cabinet,)).fetchall())

    def channels(self, cabinet: str) -> list[ChannelRow]:
        """Return every series a cabinet ever sent."""
        rows = self._connection.execute(
            "SELECT id, stream, item, measurand, exponent FROM channels "
            "WHERE cabinet = ?", (cabinet,))
        return [ChannelRow(*row) for row in rows]

    def counter_parts(self, channel: int, from_ms: int, to_ms: int) -> list[CounterPart]:
        """Return the parts that decide a counter from from_ms to to_ms: those inside, and the
        nearest before and after, however far a gap pushed them away; where the clock was set
        between two of them, also those between in the order of the gateway's ticks.  Boots by
        their first time, within a boot by ticks."""
        found = [_counter_part(row) for row in self._connection.execute(
            f"{PARTS} WHERE channel = ?1 AND quarter_ms >= "
            "coalesce((SELECT max(quarter_ms) FROM counter_parts WHERE channel = ?1 "
            "AND quarter_ms < ?2), ?2) AND quarter_ms <= "
            "coalesce((SELECT min(quarter_ms) FROM counter_parts WHERE channel = ?1 "
            "AND quarter_ms >= ?3), ?3)", (channel, from_ms, to_ms))]
        there = in_order(found)
        between = [one for older, newer in pairwise(there)
                   if older.clock.boot == newer.clock.boot
                   and abs(newer.clock.offset_ms - older.clock.offset_ms) >= CLOCK_STEP_MS
                   for one in self._parts_between(channel, older, newer)]
        return in_order({*there, *between}) if between else there

    def _parts_between(self, channel: int, older: CounterPart,
                       newer: CounterPart) -> list[CounterPart]:
        """Return the parts of a boot from one part to another in the order of ticks."""
        journal, boot = older.clock.boot
        rows = self._connection.execute(
            f"{PARTS} WHERE channel = ? AND journal = ? AND boot = ? AND first_ms - offset_ms "
            "BETWEEN ? AND ?", (channel, journal, boot, older.part.first_ms - older.clock.offset_ms,
                                newer.part.first_ms - newer.clock.offset_ms))
        return [_counter_part(row) for row in rows]

    def meter_swaps(self, cabinet: str, from_ms: int, to_ms: int) -> list[MeterSwap]:
        """Return the meter swaps that decide a counter from from_ms to to_ms: those inside, and
        as far around as readings are spread."""
        return list(meter_swaps.between(self._connection, cabinet, from_ms - interval.SPREAD_MS_MAX,
                                        to_ms + interval.SPREAD_MS_MAX))

    def means(self, channel: int, from_ms: int, to_ms: int) -> dict[int, MeanRow]:
        """Return a gauge by quarter hour."""
        rows = self._connection.execute(
            "SELECT quarter_ms, count, total, low, high, last FROM gauge_parts WHERE channel = ? "
            "AND quarter_ms >= ? AND quarter_ms < ? ORDER BY quarter_ms, last_ms",
            (channel, from_ms, to_ms))
        found: dict[int, list[int]] = {}
        for quarter, *row in rows:
            held = found.setdefault(quarter, [0, 0, row[2], row[3], row[4]])
            found[quarter] = [held[0] + row[0], held[1] + row[1], min(held[2], row[2]),
                              max(held[3], row[3]), row[4]]
        return {quarter: MeanRow(total / count, low, high, count, last)
                for quarter, (count, total, low, high, last) in found.items()}

    def scans(self, cabinet: str, from_ms: int, to_ms: int) -> dict[str, int]:
        """Return how many scans of each device of a cabinet are stored."""
        rows = self._connection.execute(
            "SELECT stream, sum(count) FROM scan_parts WHERE cabinet = ? AND quarter_ms >= ? "
            "AND quarter_ms < ? GROUP BY stream", (cabinet, from_ms, to_ms))
        return dict(rows.fetchall())

    def answered(self, cabinet: str, from_ms: int, to_ms: int) -> dict[str, int]:
        """Return how many scans of each device of a cabinet are stored that have a value."""
        rows = self._connection.execute(
            "SELECT stream, sum(count - absent) FROM scan_parts WHERE cabinet = ? AND "
            "quarter_ms >= ? AND quarter_ms < ? GROUP BY stream", (cabinet, from_ms, to_ms))
        return dict(rows.fetchall())

    def uncertainty_ms(self, cabinet: str, from_ms: int, to_ms: int) -> int:
        """Return the worst clock uncertainty of a period's batches."""
        row = self._one("SELECT max(uncertainty_ms) FROM scan_parts WHERE cabinet = ? AND "
                        "quarter_ms >= ? AND quarter_ms < ?", cabinet, from_ms, to_ms)
        return row[0] or 0

    def simulated(self, cabinet: str, from_ms: int, to_ms: int) -> bool:
        """Return whether a simulation's clock dated anything of a period."""
        row = self._one("SELECT EXISTS (SELECT 1 FROM scan_parts s JOIN batches b ON b.id = "
                        "s.batch WHERE s.cabinet = ? AND s.quarter_ms >= ? AND s.quarter_ms < ? "
                        "AND "
                        "b.source = ?)", cabinet, from_ms, to_ms, CLOCK_SIMULATED)
        return bool(row[0])

    def span_ms(self, cabinet: str) -> tuple[int, int] | None:
        """Return (first, last + 1) quarter hour with scans, or None without any."""
        row = self._one("SELECT min(quarter_ms), max(quarter_ms) FROM scan_parts "
                        "WHERE cabinet = ?", cabinet)
        return None if row[0] is None else (row[0], row[1] + interval.QUARTER_MS)

    def commissioned_ms(self, cabinet: str) -> int:
        """Return when a cabinet's first event was recorded (it starts with one); 0 if none."""
        return int(self._one("SELECT coalesce(min(utc_ms), 0) FROM events WHERE cabinet = ?",
                             cabinet)[0])

    def evidence(self, cabinet: str, from_ms: int, to_ms: int) -> tuple[int, int]:
        """Return (records, batches) of the batches that touch a period."""
        row = self._one(
            "SELECT coalesce(sum(last_seq - first_seq + 1), 0), count(*) FROM batches "
            "WHERE coalesce(whole, id) IN (SELECT batch FROM scan_parts WHERE cabinet = ? AND "
            "quarter_ms >= ? AND quarter_ms < ?)", cabinet, from_ms, to_ms)
        return int(row[0]), int(row[1])

    def gaps(self, cabinet: str, from_ms: int, to_ms: int) -> list[GapRow]:
        """Return declared gaps that overlap a period, in order of time; an open side reaches to
        the event."""
        rows = self._connection.execute(
            "SELECT seq, utc_ms, body, (SELECT config FROM batches b WHERE b.cabinet = "
            "e.cabinet AND b.journal = e.journal AND b.first_seq <= e.seq ORDER BY b.first_seq "
            "DESC LIMIT 1) FROM events e WHERE cabinet = ? AND kind = ? ORDER BY utc_ms, seq",
            (cabinet, record.GAP))
        gaps = [GapRow(seq, at, config, *_gap_body(body)) for seq, at, body, config in rows]
        return [gap for gap in gaps
                if (gap.utc_ms if gap.from_ms is None else gap.from_ms) < to_ms
                and (gap.utc_ms if gap.to_ms is None else gap.to_ms) > from_ms]

    def event_bodies(self, cabinet: str, kind: int) -> list[list[object]]:
        """Return the bodies of a cabinet's events of one kind, oldest first."""
        rows = self._connection.execute("SELECT body FROM events WHERE cabinet = ? AND kind = ? "
                                        "ORDER BY utc_ms, seq", (cabinet, kind))
        return [list(cbor.decode(body)) for body, in rows]

    def journals(self, cabinet: str) -> list[JournalRow]:
        """Return how each journal of a cabinet stands, in order of arrival."""
        rows = self._connection.execute(
            "SELECT b.journal, count(*), sum(last_seq - first_seq + 1), min(first_seq), "
            "max(last_seq), max(c.low_water), max(received_ms) FROM batches b LEFT JOIN chains c "
            "ON c.cabinet = b.cabinet AND c.journal = b.journal WHERE b.cabinet = ? "
            "GROUP BY b.journal ORDER BY min(b.id)", (cabinet,))
        return [JournalRow(*row) for row in rows]

    def sealed(self, cabinet: str, journal: bytes,
               numbers: tuple[int, int] | None = None) -> Iterator[tuple[int, bytes]]:
        """Yield (number, sealed bytes) of a journal's batches in order; numbers: first and
        last of them, default all.  A downsampled batch comes once for each that it stands for."""
        first, last = numbers or (0, 1 << 62)
        yield from self._connection.execute(
            "SELECT b.number, coalesce(w.sealed, b.sealed) FROM batches b LEFT JOIN batches w "
            "ON w.id = b.whole WHERE b.cabinet = ? AND b.journal = ? "
            "AND b.number BETWEEN ? AND ? ORDER BY b.number", (cabinet, journal, first, last))

    def holding(self, cabinet: str, journal: bytes, seq: int) -> bytes:
        """Return the sealed bytes of the batch that holds a sequence, b"" if none does."""
        row = self._one(
            "SELECT coalesce(w.sealed, b.sealed) FROM batches b LEFT JOIN batches w "
            "ON w.id = b.whole WHERE b.cabinet = ? AND b.journal = ? AND b.first_seq <= ? "
            "ORDER BY b.first_seq DESC LIMIT 1", cabinet, journal, seq)
        return bytes(row[0]) if row else b""

    def numbers(self, cabinet: str, journal: bytes, from_ms: int,
                to_ms: int) -> tuple[int, int] | None:
        """Return first and last number of a journal's batches that touch a period."""
        row = self._one(
            "SELECT min(number), max(number) FROM batches WHERE journal = ? AND coalesce(whole, "
            "id) IN (SELECT batch FROM scan_parts WHERE cabinet = ? AND quarter_ms >= ? AND "
            "quarter_ms < ?)",
            journal, cabinet, from_ms, to_ms)
        return None if row[0] is None else (row[0], row[1])

    def undescribed(self, cabinet: str, journal: bytes,
                    low_water: int) -> tuple[int, int, int] | None:
        """Return (batches, first, last record) that wait for a site configuration which cannot come
        any more: all that was sent up to them is stored or declared lost.  None if there are none.
        """
        row = self._one(
            "SELECT count(*), min(first_seq), max(last_seq) FROM batches b WHERE cabinet = ? AND "
            "rolled_up = 0 AND journal = ? AND last_seq <= ? AND NOT EXISTS (SELECT 1 FROM configs "
            "c WHERE c.cabinet = b.cabinet AND c.hash = b.config)", cabinet, journal, low_water)
        return (row[0], row[1], row[2]) if row[0] else None

    def incidents(self, cabinet: str) -> list[Incident]:
        """Return what a person should know about a cabinet's journals, oldest first."""
        return Incidents(self._connection).all(cabinet)

    def unplaced(self, cabinet: str) -> int:
        """Return how many records wait: for a clock, or for the descriptor of their site."""
        return int(self._one("SELECT coalesce(sum(last_seq - first_seq + 1), 0) FROM batches "
                             "WHERE cabinet = ? AND rolled_up = 0", cabinet)[0])

    def refused(self, cabinet: str) -> dict[str, int]:
        """Return how often batches on a cabinet's topic were refused, by code."""
        rows = self._connection.execute("SELECT code, count FROM refused_counts WHERE cabinet = ?",
                                        (cabinet,))
        return dict(rows.fetchall())

    def _one(self, statement: str, *values: object) -> Any:
        return self._connection.execute(statement, values).fetchone()


@contextmanager
def open_reader(data: Path) -> Iterator[StoreReader]:
    """Give a StoreReader for a while; raises StoreDamaged for what cannot be read inside."""
    reader = StoreReader(data)
    try:
        with damage.named(data):
            yield reader
    finally:
        reader.close()
