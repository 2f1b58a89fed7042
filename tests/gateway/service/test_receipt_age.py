"""`ok` is not said while records older than the stated time have no receipt."""

from gateway.core.event import Committed
from gateway.service.receipt_age import CATCHING_UP, FINE, OVERDUE, STATED_S, ReceiptAge

BATCH_S = 900.0
STATED = BATCH_S + STATED_S


class Gateway:
    """Commits ten records every ten seconds."""

    def __init__(self, recovered_seq=0):
        self.age, self.now_s, self.seq = ReceiptAge(BATCH_S, recovered_seq, 0.0), 0.0, recovered_seq

    def run(self, seconds):
        for _ in range(int(seconds) // 10):
            self.now_s += 10
            self.seq += 10
            self.age.note(Committed(self.seq, ()), self.now_s)

    def word(self, acknowledged_seq, online=True):
        return self.age.word(acknowledged_seq, self.now_s, online)


def test_records_may_wait_for_their_batch_and_a_quarter_hour():
    gateway = Gateway()
    gateway.run(STATED - 20)
    assert gateway.word(0) == FINE


def test_old_records_without_a_receipt_are_named_and_are_overdue_if_none_comes():
    gateway = Gateway()
    gateway.run(STATED + 100)
    assert gateway.word(0) == OVERDUE
    assert gateway.word(20) == CATCHING_UP
    gateway.run(STATED)
    assert gateway.word(20) == OVERDUE
    assert gateway.word(gateway.seq) == FINE


def test_a_mark_that_falls_makes_old_records_old_again():
    gateway = Gateway()
    gateway.run(3 * STATED)
    assert gateway.word(gateway.seq) == FINE
    assert gateway.word(2971) == CATCHING_UP
    gateway.run(STATED)
    assert gateway.word(2971) == OVERDUE


def test_records_of_earlier_boots_count_as_old_at_once():
    gateway = Gateway(recovered_seq=500)
    assert gateway.word(499) == CATCHING_UP and gateway.word(500) == FINE


def test_the_time_without_a_connection_is_not_held_against_the_fleet():
    gateway = Gateway()
    gateway.run(3 * STATED)
    assert gateway.word(0, online=False) == CATCHING_UP
    assert gateway.word(0) == CATCHING_UP


def test_a_new_journal_begins_with_nothing_old():
    gateway = Gateway(recovered_seq=500)
    gateway.age.begin(0)
    assert gateway.word(0) == FINE


def test_every_record_is_named_at_most_a_minute_after_the_stated_time():
    gateway = Gateway()
    gateway.run(10 * STATED)
    old = int(gateway.seq - STATED - 60)
    assert gateway.word(old - 1) != FINE
