"""Records written before the clock was known: kept, placed later, restated, never guessed."""

import pytest

from fleet.rollup.rollup import CARRY_BACK_PPM, WAITING_MAX, clock_carried_back
from fleet.store import incidents
from fleet.store.reader import StoreReader
from gateway.core.codec import record
from gateway.core.interval import QUARTER_MS
from gateway.core.reading import CLOCK_GNSS, CLOCK_NTP, CLOCK_UNKNOWN, ClockState
from tests.fleet.maker import ORIGIN_MS, SCHEMA, STEP_MS, PaperGateway
from tests.support.fleet_rows import rows

UNKNOWN = ClockState(CLOCK_UNKNOWN, 0, 0, 0)
QUARTER_S, DAY_MS = 900, 86_400_000
STREAMS = len(SCHEMA)


def known(at_s, uncertainty_ms=50):
    """Return an NTP state set at_s seconds of ticks after the start."""
    return ClockState(CLOCK_NTP, at_s * 1000, ORIGIN_MS + at_s * 1000, uncertainty_ms)


def scans(tmp_path, first_quarter, quarters=1):
    """Return how many scans are booked in quarter hours since ORIGIN_MS."""
    start_ms = ORIGIN_MS + first_quarter * QUARTER_MS
    return sum(StoreReader(tmp_path).scans("shop-1", start_ms,
                                           start_ms + quarters * QUARTER_MS).values())


def kinds(tmp_path):
    """Return the kinds of incidents."""
    return [one.kind for one in StoreReader(tmp_path).incidents("shop-1")]


def test_records_without_a_time_are_kept_and_receipted_but_not_booked(ingest, gateway, tmp_path):
    outcome = ingest.process_one("shop-1", gateway.seal(clock=UNKNOWN))
    assert (outcome.code, outcome.low_water) == ("admit", gateway.next_seq - 1)
    assert StoreReader(tmp_path).span_ms("shop-1") is None
    assert StoreReader(tmp_path).unplaced("shop-1") == gateway.next_seq - 1


@pytest.mark.parametrize("backwards", [False, True])
def test_a_later_clock_of_the_boot_puts_them_into_their_quarter_hours(backwards, ingest, gateway,
                                                                      tmp_path):
    sealed = [gateway.seal(clock=UNKNOWN), gateway.seal(clock=UNKNOWN),
              gateway.seal(clock=known(2 * QUARTER_S))]
    for one in reversed(sealed) if backwards else sealed:
        assert ingest.process_one("shop-1", one).code == "admit"
    polls = QUARTER_MS // STEP_MS * STREAMS
    assert [scans(tmp_path, quarter) for quarter in range(4)] == [polls, polls, polls, 0]
    assert incidents.PLACED in kinds(tmp_path)
    assert StoreReader(tmp_path).unplaced("shop-1") == 0


def test_the_further_back_a_clock_is_carried_the_less_certain_it_is(ingest, gateway, tmp_path):
    for clock in (UNKNOWN, UNKNOWN, known(2 * QUARTER_S)):
        ingest.process_one("shop-1", gateway.seal(clock=clock))
    reader = StoreReader(tmp_path)
    bounds_ms = [reader.uncertainty_ms("shop-1", ORIGIN_MS + n * QUARTER_MS,
                                       ORIGIN_MS + (n + 1) * QUARTER_MS) for n in range(3)]
    # 500 ppm of 1,800 s, of 900 s, and none: 50 ms is what the clock said of itself
    assert bounds_ms == [50 + 900, 50 + 450, 50]


def test_the_clock_that_was_set_first_is_carried_back_whatever_came_later(ingest, gateway,
                                                                          tmp_path):
    waiting, first, second = (gateway.seal(clock=one) for one in (
        UNKNOWN, known(QUARTER_S), known(2 * QUARTER_S)))
    for sealed in (first, second, waiting):
        ingest.process_one("shop-1", sealed)
    # 500 ppm of 900 s: from the first clock, not of 1,800 s from the second.
    assert StoreReader(tmp_path).uncertainty_ms("shop-1", ORIGIN_MS,
                                                ORIGIN_MS + QUARTER_MS) == 50 + 450


@pytest.mark.parametrize(("ahead_ms", "believed"), [
    (0, True), (DAY_MS - QUARTER_MS, True), (DAY_MS + 1000, False), (70 * 365 * DAY_MS, False)])
def test_a_clock_more_than_a_day_ahead_of_the_fleet_places_nothing(ahead_ms, believed, ingest,
                                                                   gateway, tmp_path):
    clock = ClockState(CLOCK_NTP, 0, ORIGIN_MS + ahead_ms, 50)
    assert ingest.process_one("shop-1", gateway.seal(clock=clock)).code == "admit"
    assert (StoreReader(tmp_path).span_ms("shop-1") is not None) is believed
    assert (StoreReader(tmp_path).unplaced("shop-1") == 0) is believed


def test_a_crystal_at_minus_forty_for_a_week_stays_within_what_is_carried():
    week_ms, true_ppm = 7 * 86_400_000, 148 + 20
    found = clock_carried_back(known(7 * 86_400), [record.ScanRecord(1, 0, 0, ())])
    assert CARRY_BACK_PPM >= true_ppm
    assert found.uncertainty_ms >= 50 + week_ms * true_ppm / 1_000_000


def test_a_clock_event_inside_a_batch_without_a_clock_places_it_as_well(ingest, gateway, tmp_path):
    records = gateway.records(QUARTER_S, True)
    last = records[-1]
    records.append(record.EventRecord(last.seq + 1, last.ticks_ms + 1, record.CLOCK, [
        CLOCK_GNSS, 890_000, ORIGIN_MS + 890_000, 20, "first fix"]))
    ingest.process_one("shop-1", gateway.seal(records, clock=UNKNOWN))
    assert scans(tmp_path, 0) == QUARTER_MS // STEP_MS * STREAMS


@pytest.mark.parametrize(("body", "code"), [
    ([], "bad-schema"), ([1], "bad-schema"), ([0, 0, 0, 0, "x"], "admit"),
    ([3, -1, 0, 0, "x"], "bad-schema"), ([3, 0, "soon", 0, "x"], "bad-schema"),
    ([True, 0, 0, 0, "x"], "bad-schema"), ([3, 0, 1 << 60, 0, "x"], "bad-schema")])
def test_a_clock_event_that_says_nothing_usable_places_nothing(body, code, ingest, gateway,
                                                               tmp_path):
    records = [*gateway.records(SHORT_S := 60, True)]
    records.append(record.EventRecord(records[-1].seq + 1, SHORT_S * 1000, record.CLOCK, body))
    assert ingest.process_one("shop-1", gateway.seal(records, clock=UNKNOWN)).code == code
    assert StoreReader(tmp_path).span_ms("shop-1") is None


def test_a_clock_of_another_boot_or_journal_places_nothing(ingest, gateway, tmp_path):
    ingest.process_one("shop-1", gateway.seal(clock=UNKNOWN))
    ingest.process_one("shop-1", gateway.seal(boot=2, clock=known(QUARTER_S)))
    other = PaperGateway(journal_id=b"\x05" * 16, key=gateway.key)
    ingest.process_one("shop-1", other.seal(clock=known(0)))
    assert StoreReader(tmp_path).unplaced("shop-1") == 1 + 90 * STREAMS


def test_quarter_hours_that_were_closed_are_restated_not_overwritten(ingest, gateway, store,
                                                                     tmp_path):
    early = gateway.seal(clock=known(0))
    late = gateway.seal(clock=known(0))
    newest = gateway.seal(clock=known(0))
    ingest.process_one("shop-1", early)
    before = rows(store, "SELECT * FROM counter_parts")
    ingest.process_one("shop-1", newest)
    assert kinds(tmp_path) == []
    ingest.process_one("shop-1", late)
    (found,) = StoreReader(tmp_path).incidents("shop-1")
    assert (found.kind, found.count) == (incidents.RESTATED, 1)
    assert "2026-06-01 00:15:00 UTC" in found.detail
    assert set(before) <= set(rows(store, "SELECT * FROM counter_parts"))


def test_boots_whose_time_never_became_known_do_not_keep_others_waiting(ingest, gateway, tmp_path):
    for boot in range(1, WAITING_MAX + 11):
        ingest.process_one("shop-1", gateway.seal(seconds=10, boot=boot, clock=UNKNOWN))
    at_s = gateway.at_s
    ingest.process_one("shop-1", gateway.seal(seconds=10, boot=99, clock=UNKNOWN))
    ingest.process_one("shop-1", gateway.seal(seconds=10, boot=99, clock=known(at_s)))
    assert scans(tmp_path, 0, 96) == 2 * STREAMS


def test_a_clock_that_says_2099_is_told_and_its_records_wait_for_a_better_one(ingest, gateway,
                                                                              tmp_path):
    far = ClockState(CLOCK_NTP, 0, 4_070_908_800_000, 50)
    assert ingest.process_one("shop-1", gateway.seal(clock=far)).code == "admit"
    assert kinds(tmp_path) == [incidents.FUTURE]
    assert StoreReader(tmp_path).span_ms("shop-1") is None
    assert ingest.process_one("shop-1", gateway.seal(clock=known(QUARTER_S))).code == "admit"
    polls = QUARTER_MS // STEP_MS * STREAMS
    assert [scans(tmp_path, quarter) for quarter in range(3)] == [polls, polls, 0]
