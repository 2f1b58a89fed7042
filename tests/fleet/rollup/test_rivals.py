"""A past that is told twice: what a second journal may say, and what is set aside.

Grid: 720 W, so 180 Wh in each quarter hour; a thief's counter stands still.
"""

from contextlib import closing

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.store.connection import FILE, connect
from fleet.store.journal_tables import JOURNALS_MAX
from gateway.core.evidence import chain
from gateway.core.reading import CLOCK_SIMULATED, ClockState
from tests.fleet.maker import ORIGIN_MS
from tests.support.fleet_rows import rows
from tests.support.rivals import NTP, Site, rtc

TRUE_WH = 180.0
FROZEN_WH = 100_500
UNKNOWN = ClockState(0, 0, 0, 0)
SIMULATED = ClockState(CLOCK_SIMULATED, 0, ORIGIN_MS, 1000)
HOUR_S = 3600


@pytest.fixture
def site(tmp_path):
    """A fleet with one cabinet."""
    made = Site(tmp_path)
    yield made
    made.close()


def true_until(quarters, wh):
    """Whether each quarter hour but the first and the last, up to one, has what the meter had."""
    return [value for value in wh[1:quarters - 1] if value != TRUE_WH] == []


@pytest.mark.parametrize(("at_s", "batches"), [
    (4 * HOUR_S, 4), (0, 8), (7 * HOUR_S, 4), (HOUR_S, 1)],
    ids=["inside", "all of it", "up to its end", "one batch"])
def test_a_frozen_counter_in_covered_time_changes_nothing_and_is_named(site, at_s, batches):
    site.deliver(site.true, 32)
    before = site.wh()
    thief = site.thief(at_s)
    assert site.deliver(thief, batches, FROZEN_WH) == ["admit"] * batches
    assert site.wh() == before and true_until(32, before)
    first = at_s // 900
    assert site.set_aside() == [(5, 0, first, first + batches - 1, None)]


def test_time_before_the_first_journal_is_not_for_a_later_one(tmp_path):
    site = Site(tmp_path)
    site.true.at_s = 4 * HOUR_S
    site.deliver(site.true, 8)
    before = site.wh()
    site.deliver(site.thief(0), 8, FROZEN_WH)
    assert site.wh() == before
    assert site.set_aside() == [(5, 0, 0, 7, None)]
    site.close()


def test_a_thiefs_journal_that_runs_over_the_end_counts_only_behind_it(site):
    site.deliver(site.true, 8)
    site.deliver(site.thief(HOUR_S), 8)
    assert site.set_aside() == [(5, 0, 4, 7, None)]
    assert true_until(12, site.wh())


def test_a_gap_of_the_true_journal_is_covered_by_it(site):
    site.deliver(site.true, 4)
    site.true.at_s += 2 * HOUR_S
    site.deliver(site.true, 4)
    before = site.wh()
    site.deliver(site.thief(HOUR_S + 900), 4, FROZEN_WH)
    assert site.wh() == before
    assert site.set_aside() == [(5, 0, 5, 8, None)]


def test_the_same_sequence_numbers_and_batch_numbers_change_nothing(site):
    """Its first record has sequence 1, its first batch number 1: so has each journal."""
    site.deliver(site.true, 8)
    before = site.wh()
    thief = site.thief(0)
    assert thief.next_seq == 1 and thief.number == 1
    site.deliver(thief, 8, FROZEN_WH)
    assert site.wh() == before


@pytest.mark.parametrize("clock", [NTP, SIMULATED], ids=["real", "simulated"])
def test_the_true_gateway_goes_on_after_a_journal_of_the_future(site, clock):
    site.deliver(site.true, 8, clock=clock)
    now_ms, thief = site.now_ms, site.thief(3 * HOUR_S)
    for _ in range(12):
        site.receive(site.seal(thief, FROZEN_WH, clock))
    assert site.now_ms == now_ms
    assert site.deliver(site.true, 24, clock=clock) == ["admit"] * 24
    assert true_until(32, site.wh())
    assert [row[:2] for row in site.set_aside()] == [(5, 0)]


def test_the_present_is_the_first_journals_though_the_thief_is_quicker(site):
    site.deliver(site.true, 4)
    thief = site.thief(HOUR_S)
    for _ in range(12):
        site.deliver(thief, 1, FROZEN_WH)
        site.deliver(site.true, 1)
    assert true_until(16, site.wh())
    assert [row[:2] for row in site.set_aside()] == [(5, 0)]


def test_what_the_first_journal_says_late_about_time_that_a_later_one_covered_is_set_aside(site):
    """The true gateway lost its flash; a thief goes on with its first journal, hours later."""
    site.deliver(site.true, 4)
    new = site.thief(HOUR_S, number=7)
    site.deliver(new, 12)
    before = site.wh()
    site.now_ms += 8 * HOUR_S * 1000
    site.true.at_s = HOUR_S + 900
    for _ in range(4):
        assert site.receive(site.seal(site.true, FROZEN_WH)) == "admit"
    assert site.wh() == before
    assert site.set_aside() == [(0, 7, 5, 8, None)]


def test_a_hand_over_explains_time_after_the_old_journal_only(site):
    site.deliver(site.true, 8)
    before = site.wh()
    new = site.thief(HOUR_S, key=Ed25519PrivateKey.generate())
    site.replace_board(site.true, new)
    site.deliver(new, 8, FROZEN_WH)
    assert site.wh()[:7] == before[:7]
    assert site.set_aside() == [(5, 0, 4, 7, None)]


def test_after_a_hand_over_the_old_key_cannot_go_on_beside_the_new_board(site):
    site.deliver(site.true, 8)
    new = site.thief(2 * HOUR_S + 900, number=7, key=Ed25519PrivateKey.generate())
    site.replace_board(site.true, new)
    site.deliver(new, 4)
    before = site.wh()
    site.true.at_s = 2 * HOUR_S + 900
    for _ in range(8):                          # beside the new board, and ahead of it
        assert site.receive(site.seal(site.true, FROZEN_WH)) == "admit"
    assert site.wh() == before
    site.deliver(new, 12)
    assert true_until(16, site.wh()[9:])
    assert {row[:2] for row in site.set_aside()} == {(0, 7)}


def test_of_three_journals_each_tells_of_its_own_time_only(site):
    site.deliver(site.true, 8)
    new = site.thief(2 * HOUR_S, number=7)
    site.deliver(new, 8)
    before = site.wh()
    for number, at_s in ((5, HOUR_S), (6, 3 * HOUR_S)):
        site.deliver(site.thief(at_s, number), 4, FROZEN_WH)
    assert site.wh() == before and true_until(16, before)
    assert site.set_aside() == [(5, 7, 4, 7, None), (6, 7, 12, 15, None)] or \
        site.set_aside() == [(5, 0, 4, 7, None), (6, 7, 12, 15, None)]


# What needs no person.

def test_a_new_journal_after_a_lost_flash_goes_on_by_itself(site):
    site.deliver(site.true, 8)
    site.deliver(site.thief(2 * HOUR_S, number=7), 8)
    assert true_until(16, site.wh()) and site.set_aside() == []


def test_a_board_that_was_replaced_goes_on_by_itself(site):
    site.deliver(site.true, 8)
    new = site.thief(2 * HOUR_S, number=7, key=Ed25519PrivateKey.generate())
    site.replace_board(site.true, new, journal=False)
    site.deliver(new, 8)
    assert true_until(16, site.wh()) and site.set_aside() == []


def test_a_restart_is_the_same_journal(site):
    site.deliver(site.true, 8)
    site.true.boot += 1
    site.now_ms += 900_000
    records = site.true.records(900, False)
    assert site.receive(site.true.seal(records, boot=2, clock=NTP)) == "admit"
    assert true_until(9, site.wh()) and site.set_aside() == []


def test_late_batches_of_the_old_journal_count_though_the_new_one_has_begun(site):
    late = [site.seal(site.true) for _ in range(8)]
    assert [site.receive(one) for one in late[:2]] == ["admit"] * 2
    site.deliver(site.thief(2 * HOUR_S, number=7), 8)
    site.now_ms += 24 * HOUR_S * 1000
    assert [site.receive(one) for one in late[2:]] == ["admit"] * 6
    assert true_until(16, site.wh()) and site.set_aside() == []


@pytest.mark.parametrize("shift_s", [-100, 100])
def test_a_real_time_clock_that_is_off_at_the_seam_needs_nobody(site, shift_s):
    site.deliver(site.true, 8)
    site.deliver(site.thief(2 * HOUR_S, number=7), 8, clock=rtc(shift_s))
    wh = site.wh()
    assert site.set_aside() == []
    assert sum(wh[1:15]) == pytest.approx(14 * TRUE_WH, abs=25)


def test_a_real_time_clock_that_lies_hours_back_is_dated_again_by_a_better_one(site):
    site.deliver(site.true, 8)
    new = site.thief(2 * HOUR_S, number=7)
    site.deliver(new, 2, clock=rtc(-HOUR_S))
    assert site.set_aside() == [(7, 0, 4, 5, None)]
    site.deliver(new, 6)
    assert site.set_aside() == [] and true_until(16, site.wh())


def test_a_new_journal_without_a_clock_waits_for_one(site):
    site.deliver(site.true, 8)
    new = site.thief(2 * HOUR_S, number=7)
    site.deliver(new, 2, clock=UNKNOWN)
    before = site.wh()
    assert before[8] is None
    site.deliver(new, 6)
    assert site.set_aside() == [] and true_until(16, site.wh())


def test_a_flood_of_journals_is_set_aside_and_the_true_one_goes_on(site):
    site.deliver(site.true, 4)
    for number in range(1, JOURNALS_MAX + 1):
        thief = site.thief(4 * HOUR_S)
        thief.journal_id = number.to_bytes(16, "big")[::-1]
        thief.prev = chain.start("shop-1", thief.journal_id)
        site.receive(site.seal(thief, FROZEN_WH, seconds=10))
    site.deliver(site.true, 16)
    assert true_until(20, site.wh())
    assert len(site.set_aside()) == JOURNALS_MAX        # each named, and none counts


# A person decides.

def test_a_decision_counts_in_its_range_only_and_can_be_decided_again(site):
    site.deliver(site.true, 16)
    before = site.wh()
    thief = site.thief(HOUR_S)
    site.deliver(thief, 8, FROZEN_WH)
    site.decide(thief, 4, 8)
    wrong = site.wh()
    assert wrong[5:7] == [0.0, 0.0] and wrong[9:14] == before[9:14]
    assert (5, 0, 8, 11, None) in site.set_aside() and (0, 5, 4, 7, 1) in site.set_aside()
    site.decide(site.true, 4, 12)
    assert site.wh() == before
    assert site.set_aside() == [(5, 0, 4, 11, 2)]


def test_a_decision_holds_for_batches_that_arrive_after_it(site):
    site.deliver(site.true, 16)
    before = site.wh()
    site.deliver(site.thief(HOUR_S), 1, FROZEN_WH)
    site.decide(site.true, 0, 24)
    later = site.thief(2 * HOUR_S, 6)
    site.deliver(later, 4, FROZEN_WH)
    assert site.wh() == before
    assert site.set_aside() == [(5, 0, 4, 4, 1), (6, 0, 8, 11, 1)]


def test_a_journal_that_is_blocked_by_one_of_the_future_is_decided_for_a_time_to_come(site):
    site.deliver(site.true, 4)
    ahead = site.thief(4 * HOUR_S)
    site.receive(site.seal(ahead, FROZEN_WH))
    new = site.thief(HOUR_S, number=7)
    site.deliver(new, 4)
    assert site.set_aside() == [(7, 5, 4, 7, None)] and site.wh()[5] != TRUE_WH
    site.decide(new, 4, 96)
    site.deliver(new, 20)
    assert true_until(26, site.wh())
    assert {row[-1] for row in site.set_aside()} == {1}


def test_decisions_are_only_added_and_counted_again_in_pieces(site):
    """More batches than one admission counts again (50) change sides, and back."""
    for _ in range(9):
        site.deliver(site.true, 10, seconds=60)
    before = site.wh(hours=2)
    thief = site.thief(0)
    for _ in range(8):
        site.deliver(thief, 10, FROZEN_WH, seconds=60)
    site.decide(thief, 0, 8)
    assert site.wh(hours=2)[1:4] == [0.0] * 3
    site.decide(site.true, 0, 8)
    assert site.wh(hours=2) == before
    assert rows(site.store, "SELECT number FROM decisions ORDER BY number") == [(1,), (2,)]
    assert rows(site.store, "SELECT count(*) FROM batches WHERE rolled_up = 0") == [(0,)]


def test_an_older_store_learns_which_journal_came_first_and_sets_aside_what_it_counted(site):
    site.deliver(site.true, 8)
    before = site.wh()
    site.deliver(site.thief(HOUR_S), 4, FROZEN_WH)
    site.close()
    with closing(connect(site.data / FILE)) as connection:
        for table in ("journals", "conflicts", "set_aside", "decisions", "issued"):
            connection.execute(f"DROP TABLE {table}")
        for name in ("batches_last", "batches_first"):
            connection.execute(f"DROP INDEX {name}")
        for column in ("rolled_ms", "ruled", "from_ms", "to_ms"):
            connection.execute(f"ALTER TABLE batches DROP COLUMN {column}")
        connection.execute("PRAGMA user_version = 5")
    site.reopen()
    site.deliver(site.true, 1)
    site.deliver(site.thief(HOUR_S, 6), 1, FROZEN_WH)
    assert site.wh()[:7] == before[:7]
    assert site.set_aside()[-1] == (6, 0, 4, 4, None)


def test_after_hours_without_a_line_the_present_is_the_true_ones_again(site):
    """What the thief told first of the hours before stays until a person decides."""
    site.deliver(site.true, 4)
    site.deliver(site.thief(HOUR_S), 13)
    site.true.at_s = 4 * HOUR_S
    assert site.receive(site.seal(site.true)) == "admit"
    assert site.set_aside() == [(5, 0, 16, 16, None)]
