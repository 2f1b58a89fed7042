"""When a journal's owner acts: every reason to commit, to seal, to reclaim, by itself."""

from gateway.core.errors import Bug
from gateway.core.journal import policy

COMMIT_MS, BATCH_MS, READINGS = 9000, 900000, 1000


def schedule(after_ms=0):
    """Return a schedule whose first batch ends at tick 900000, where UTC and ticks agree."""
    made = policy.Schedule(COMMIT_MS, BATCH_MS, READINGS, after_ms)
    made.sealed(0, 0)
    return made


def test_nothing_is_due_while_nothing_waits_and_the_batch_is_young():
    made = schedule()
    assert made.action(899999, 999, False) == policy.NOTHING
    assert made.due_ms() == 900000


def test_a_record_is_committed_when_its_window_is_over_not_before():
    made = schedule()
    made.record(5000)
    made.record(7000)               # the first one counts
    assert made.due_ms() == 14000
    assert made.action(13999, 2, False) == policy.NOTHING
    assert made.action(14000, 2, False) == policy.COMMIT
    made.committed()
    assert made.action(14001, 2, False) == policy.NOTHING
    made.record(14002)
    assert made.due_ms() == 23002


def test_an_urgent_record_is_committed_now():
    assert schedule().action(1, 0, True) == policy.COMMIT


def test_each_reason_to_end_a_batch_ends_it():
    assert schedule().action(900000, 0, False) == policy.SEAL
    assert schedule().action(1, READINGS, False) == policy.SEAL
    assert schedule().action(1, 0, False, True) == policy.SEAL
    made = schedule()
    made.alarm()
    assert made.action(1, 0, True) == policy.SEAL


def test_an_alarm_ends_a_batch_at_most_once_a_minute():
    made = schedule()
    made.alarm()
    made.sealed(1000, 1000)
    made.alarm()
    assert made.action(60999, 0, False) == policy.NOTHING
    assert made.action(61000, 0, False) == policy.SEAL
    made.sealed(61000, 61000)
    assert made.action(200000, 0, False) == policy.NOTHING      # it was the last alarm


def test_a_batch_ends_with_a_whole_span_of_utc_and_a_little_later():
    made = schedule(50)
    made.sealed(1000, 900000 * 7 + 100)
    assert made.seal_ms == 1000 + 900000 - 50
    made.sealed(1000, 900000 * 7 + 49)      # still the answers of the span before
    assert made.seal_ms == 1001


def test_the_cursor_is_written_for_old_or_many_receipts_or_at_a_stop_never_for_none():
    cursor = policy.CursorSchedule()
    assert not cursor.due(1000, True)
    cursor.receipt(7, 1)
    assert cursor.due(0, False)                     # the first of a run
    cursor.moved(100)
    assert not cursor.due(1000, True)
    cursor.receipt(8, 1)
    assert not cursor.due(129, False) and cursor.due(130, False) and cursor.due(101, True)
    for sequence in range(9, 71):
        cursor.receipt(sequence, 2)
    assert not cursor.due(129, False)
    cursor.receipt(71, 2)
    assert cursor.due(101, False) and (cursor.sequence, cursor.epoch) == (71, 2)
    cursor.discard()
    assert not cursor.due(1000, True)


def test_acknowledged_batches_go_first_then_others_are_downsampled_then_the_reserve_is_restored():
    steps, step = [], policy.next_reclaim(policy.CHECK, policy.OVER)
    while step in (policy.TRIM, policy.DOWNSAMPLE):
        steps.append(step)
        step = policy.next_reclaim(step, policy.NO_WORK)
    assert steps == [policy.TRIM, policy.DOWNSAMPLE] and step == policy.RESTORE_RESERVE
    for work in steps:
        assert policy.next_reclaim(work, policy.WORKED) == policy.CONTINUE
    assert policy.next_reclaim(policy.CHECK, policy.WITHIN) == policy.RESTORE_RESERVE


def test_what_the_table_does_not_hold_is_a_bug():
    for step, outcome in ((policy.TRIM, policy.OVER), (policy.CONTINUE, policy.WORKED)):
        try:
            policy.next_reclaim(step, outcome)
        except Bug as error:
            assert outcome in str(error)
        else:
            raise Bug("no Bug")


def test_batches_may_take_four_fifths_of_what_they_could_and_never_more_than_is_set():
    assert policy.batches_goal(600, 400, 10000) == 800
    assert policy.batches_goal(600, 400, 500) == 500


def test_the_reserve_is_released_once_and_only_for_a_full_disk():
    assert policy.releases_reserve(True, False)
    assert not policy.releases_reserve(True, True)
    assert not policy.releases_reserve(False, False)


def test_one_refusal_is_a_mistake_and_three_are_another_journal():
    assert not policy.begins_journal(2)
    assert policy.begins_journal(3)
