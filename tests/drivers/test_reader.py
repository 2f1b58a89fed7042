"""Polls in bursts: what a failed burst does to its poll and to the ones after it."""

from drivers import driver, modbus
from drivers.driver import ALONE_MIN
from drivers.register_driver import Image
from gateway.core.errors import BadFrame, NoReply, Refused
from gateway.core.reading import NO_REPLY, REFUSED, Absent
from tests.support.paper_meter import frame, meter

# Three reads, for no read may go over a hole.
ROWS = (("frequency", 0), ("power_active_total", 10), ("energy_active_import_total", 20))
LIMITS = {"registers_max": 4, "gap_max": 0}
WORDS = {0: 50, 10: 0xFFFE, 20: 7}
VALUES = (5000, -2, 7)
# The first question after a failure: no probe of another length is there, so it is asked twice.
TWICE = [1]


class FarEnd:
    """A TCP server as a driver sees it.  answered: how many of a burst's questions it answers;
    fault: raised after them."""

    def __init__(self, words=None, answered=99, fault=None):
        self.image, self.answered, self.fault = Image(words or WORDS), answered, fault
        self.asked = []                 # counts of questions, one for each transaction

    def answer(self, question):
        """Answer one transaction."""
        if not hasattr(question, "reads"):
            self.asked.append(1)
            return self.image.answer(question)
        self.asked.append(len(question.reads))
        for read in list(question.reads)[:self.answered]:
            question.feed(self.frame_of(read))
        if self.fault:
            raise self.fault
        return question.result

    def frame_of(self, read):
        """Return the frame that answers a read."""
        try:
            cells = self.image.answer(read)
        except Refused as error:
            return frame(read.tid, bytes([read.function | 0x80, error.exception]), read.unit)
        return frame(read.tid, bytes([read.function, len(cells)]) + cells, read.unit)

    def polls(self, device, count=1):
        """Return the values of the last of some polls, and what each asked."""
        self.asked[:] = []
        for _ in range(count):
            values = driver.run(device.poll(), self.answer)
        return values, self.asked


def built(at_once, gap_ms=0):
    """Return a driver of three reads on a TCP bus."""
    made = meter(ROWS, LIMITS, gap_ms)
    return driver.build(made, driver.Setup(modbus.TcpReads(at_once), unit=5))


def test_a_poll_asks_as_many_at_once_as_the_bus_allows():
    for at_once, asked in ((1, [1, 1, 1]), (2, [2, 1]), (3, [3]), (16, [3])):
        assert FarEnd().polls(built(at_once)) == (VALUES, asked)


def test_a_device_with_a_pause_between_requests_is_never_asked_at_once():
    assert FarEnd().polls(built(16, 60)) == (VALUES, [1, 1, 1])


def test_silence_after_some_answers_of_a_burst_costs_all_of_it_and_no_more_is_asked():
    # For the last of them may be two cut answers in one.
    far = FarEnd(answered=2, fault=NoReply("silent"))
    assert far.polls(built(3)) == ((Absent(NO_REPLY),) * 3, [3])


def test_a_far_end_that_answers_one_question_only_is_asked_alone_and_rarely_tried_again():
    device, far = built(3), FarEnd(answered=1, fault=NoReply("silent"))
    for polls in (ALONE_MIN, 2 * ALONE_MIN):
        assert far.polls(device) == ((Absent(NO_REPLY),) * 3, [3])
        assert far.polls(device, polls) == (VALUES, TWICE + [1, 1, 1] * polls)


def test_a_burst_that_works_again_makes_the_next_failure_a_first_one():
    device, far = built(3), FarEnd()
    for _ in range(2):
        far.fault = NoReply("silent")
        assert far.polls(device)[1] == [3]
        far.fault = None
        assert far.polls(device, ALONE_MIN) == (VALUES, TWICE + [1, 1, 1] * ALONE_MIN)
        assert far.polls(device) == (VALUES, [3])


def test_nothing_of_a_damaged_burst_counts_and_all_of_it_is_asked_alone_in_the_same_poll():
    far = FarEnd(answered=1, fault=BadFrame("garbage"))
    assert far.polls(built(3)) == (VALUES, [3] + TWICE + [1, 1, 1])


def test_a_point_refused_in_a_burst_is_asked_alone_once_and_then_left_out():
    device, far = built(3), FarEnd({0: 50, 20: 7})
    refused = (5000, Absent(REFUSED), 7)
    assert far.polls(device) == (refused, [3, 1])
    assert far.polls(device) == (refused, [2])


def test_an_answer_that_comes_in_the_next_poll_is_not_taken_for_it():
    device = built(3)
    late = list(steps_of(device))
    assert all(value == Absent(NO_REPLY) for value in late[-1])
    burst, far = late[0], FarEnd({0: 1, 10: 2, 20: 3})
    frames = [far.frame_of(read) for read in burst.reads]
    steps = device.poll()
    question = next(steps)
    for data in frames:
        assert not question.feed(data) and question.result is None


def steps_of(device):
    """Yield the burst of a poll that nobody answers, then the poll's values."""
    steps = device.poll()
    yield next(steps)
    try:
        steps.throw(NoReply("silent"))
    except StopIteration as stop:
        yield stop.value


def test_an_answer_behind_a_missing_one_does_not_count():
    # For a gateway may give a late answer the id of the next question.
    device = built(3)
    steps = device.poll()
    burst, far = next(steps), FarEnd()
    for read in burst.reads[0], burst.reads[2]:
        burst.feed(far.frame_of(read))
    try:
        steps.throw(NoReply("silent"))
    except StopIteration as stop:
        assert stop.value == (Absent(NO_REPLY),) * 3
        return
    raise AssertionError("asked on")


def test_after_a_burst_without_answers_the_next_question_has_a_length_that_none_of_them_had():
    rows = (("frequency", 0), ("voltage_l1_n", 1), ("voltage_l2_n", 2), ("power_active_total", 10),
            ("energy_active_import_total", 20))
    device = driver.build(meter(rows, LIMITS, 0), driver.Setup(modbus.TcpReads(3), unit=5))
    burst = list(steps_of(device))[0]
    question = next(device.poll())
    assert question.count not in [read.count for read in burst.reads]
