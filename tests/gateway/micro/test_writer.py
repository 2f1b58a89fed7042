"""A board's writer: what finds no room in RAM is told later, as one gap."""

from gateway.core.codec.record import CLOCK, GAP
from gateway.micro.writer import BoardWriter


class FullJournal:
    """Takes events only while there is room."""

    def __init__(self):
        self.retention, self.events = False, []

    def append_event(self, ticks_ms, kind, body):
        if self.retention:
            self.events.append((kind, body))
        return len(self.events) if self.retention else 0


class StandingClock:
    def ticks_ms(self):
        return 9


def test_gaps_that_find_no_room_become_one_that_is_told_when_there_is():
    journal = FullJournal()
    writer = BoardWriter(journal, StandingClock(), None, (1, 1), print)
    writer.event(3, GAP, [-1, 100, 200, "polling was late"])
    writer.event(4, CLOCK, [1, 2])
    writer.take()
    writer.event(5, GAP, [-1, 300, 400, "polling was late"])
    writer.take()
    writer.take()
    assert journal.events == []
    journal.retention = True
    writer.take()
    writer.take()
    assert journal.events == [(GAP, [-1, 100, 400, "polling was late"])]
