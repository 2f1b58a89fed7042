"""The reads of a poll in turn: one transaction, one question under way, nothing taken twice."""

import asyncio

import pytest

from drivers import driver
from drivers.links import BusConfig, wire_for
from drivers.links.in_turn import READS_MAX, InTurn, ReadsInTurn
from gateway.core.errors import BadFrame, Bug, NoReply, Refused
from gateway.core.reading import NO_REPLY, REFUSED, Absent
from tests.drivers import test_reader as at_once
from tests.drivers.links import test_links_burst_cpython as burst_links
from tests.drivers.links.test_links_burst_cpython import burst, cells
from tests.drivers.links.test_links_cpython import tcp_answer
from tests.drivers.test_burst import good, registers
from tests.drivers.test_reader import FarEnd
from tests.support.paper_meter import frame, meter

SPANS = ((100, 2), (200, 3), (300, 2))
VALUES = at_once.VALUES


def in_turn(spans=SPANS):
    """Return fresh reads in turn, of input registers of unit 1."""
    wire = ReadsInTurn(READS_MAX)
    return wire.burst([wire.read(1, 4, address, count) for address, count in spans])


def test_each_request_goes_out_when_the_one_before_is_answered():
    made = in_turn()
    assert made.request == made.reads[0].request and made.turns == 3 and made.gap_ms == 0
    assert made.feed(good(made.reads[0])) == made.reads[1].request
    assert made.feed(good(made.reads[1])) == made.reads[2].request
    assert made.result is None and made.current is made.reads[2]
    assert made.feed(good(made.reads[2])) is True
    assert made.result == tuple(registers(read) for read in made.reads)
    with pytest.raises(Bug, match="after the answer"):
        made.feed(b"")


@pytest.mark.parametrize("cut", range(1, 13))
def test_answers_cut_anywhere_are_taken_whole(cut):
    made = in_turn()
    for i, read in enumerate(made.reads):
        data = good(read)
        assert made.feed(data[:cut]) is False and made.rest == data[:cut]
        done = made.feed(data[cut:])
        assert done is True if i == 2 else done == made.reads[i + 1].request
    assert made.result == tuple(registers(read) for read in made.reads)


def test_a_late_answer_before_or_behind_the_right_one_is_dropped():
    made, late = in_turn(), frame(999, b"\x04\x04" + bytes(4), 1)
    assert made.feed(late + good(made.reads[0]) + late[:5]) == made.reads[1].request
    assert made.feed(late[5:] + good(made.reads[0])) is False       # it comes a second time
    assert made.feed(good(made.reads[1])) == made.reads[2].request
    assert made.feed(good(made.reads[2]) + b"\x00\x09") is True and made.rest == b"\x00\x09"


def test_a_frame_within_another_frame_is_no_answer():
    made = in_turn()
    inner = good(made.reads[0])
    head = b"\x03\xe7\x00\x00" + (1 + len(inner)).to_bytes(2, "big") + b"\x01"
    assert made.feed(head) is False and made.feed(inner) is False
    assert made.reads[0].result is None and made.rest == b""


def test_an_answer_to_a_question_not_asked_yet_ends_it():
    made = in_turn()
    with pytest.raises(BadFrame, match="address 200 count 3: answered before it was asked"):
        made.feed(good(made.reads[0]) + good(made.reads[1]))
    assert made.reads[0].result == registers(made.reads[0])


def test_asked_again_it_begins_anew_under_new_ids():
    wire = ReadsInTurn(READS_MAX)
    made = wire.burst([wire.read(1, 4, address, count) for address, count in SPANS])
    before = [good(read) for read in made.reads]
    made.feed(before[0])
    wire.burst_again(made)
    assert [read.tid for read in made.reads] == [4, 5, 6] and made.reads[0].result is None
    assert made.request == made.reads[0].request
    assert made.feed(before[0] + before[1]) is False


def built(gap_ms=0, rows=at_once.ROWS):
    """Return a driver of three reads on a TCP bus that takes one question at a time."""
    made = meter(rows, at_once.LIMITS, gap_ms)
    return driver.build(made, driver.Setup(wire_for(BusConfig("pv", "tcp", "modbus")), unit=5))


def test_a_poll_is_one_transaction_unless_the_device_wants_a_pause():
    assert FarEnd().polls(built()) == (VALUES, [3])
    assert FarEnd().polls(built(gap_ms=60)) == (VALUES, [1, 1, 1])


def test_after_silence_the_unit_is_asked_alone_until_it_has_answered():
    device, far = built(), FarEnd(answered=2, fault=NoReply("silent"))
    assert far.polls(device) == ((5000, -2, Absent(NO_REPLY)), [3])
    far.answered, far.fault = 99, None
    values, asked = far.polls(device)
    assert values == VALUES and set(asked) == {1}
    assert far.polls(device) == (VALUES, [3])


@pytest.mark.parametrize("answered", [0, 1, 2])
@pytest.mark.parametrize("error", [NoReply("silent"), BadFrame("garbage")])
def test_what_is_asked_next_has_not_the_length_of_what_got_no_answer(answered, error):
    # For a gateway to a serial line may give a late answer the id of the next question.
    device = built(rows=(("voltage_l1_n", 1), *at_once.ROWS))
    steps = device.poll()
    question = next(steps)
    for read in question.reads[:answered]:
        question.feed(good(read))
    missed = question.current
    try:
        following = steps.throw(error)
    except StopIteration:
        following = next(device.poll())
    assert not isinstance(following, InTurn)
    assert (following.function, following.count) != (missed.function, missed.count)


def test_a_damaged_answer_is_asked_for_again_in_the_same_poll():
    far = FarEnd(answered=1, fault=BadFrame("garbage"))
    values, asked = far.polls(built())
    assert values == VALUES and asked[0] == 3 and set(asked[1:]) == {1}


def test_a_point_refused_is_asked_alone_once_and_then_left_out():
    device, far = built(), FarEnd({0: 50, 20: 7})
    wanted = (5000, Absent(REFUSED), 7)
    values, asked = far.polls(device)
    assert values == wanted and asked == [3, 1, 1]
    assert far.polls(device) == (wanted, [2])


@pytest.mark.parametrize("code", [10, 11])
def test_a_gateway_that_says_the_unit_is_silent_is_not_asked_for_the_rest(code):
    far = FarEnd(answered=1, fault=Refused("silent", code))
    assert far.polls(built()) == ((5000, Absent(NO_REPLY), Absent(NO_REPLY)), [3])


class Ticks:
    """A clock of one tick per look."""

    def __init__(self):
        self.now_ms = 0

    def ticks_ms(self):
        """Return the next tick."""
        self.now_ms += 1
        return self.now_ms

    async def sleep(self, _seconds):
        """Nobody sleeps here."""


def opened(handle, work):
    """Run work(link, wire) against a server that is asked one question at a time."""
    return burst_links.opened(handle, work, at_once=1, clock=Ticks())


async def test_over_a_socket_one_question_is_under_way_at_a_time():
    has_response = []

    async def handle(reader, writer):
        for _ in range(4):
            has_response.append(await reader.readexactly(12))
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await reader.readexactly(1)
            writer.write(tcp_answer(has_response[-1]))
        await reader.read()
        writer.close()

    async def work(link, wire):
        made = burst(wire, 100, 200, 300)
        assert await link.exchange(made, 2) == 1            # the moment of the first answer
        assert made.result == cells(100, 200, 300)
        assert link.counts.asked == link.counts.answered == link.counts.opened == 1
        alone = wire.read(1, 3, 400, 2)
        assert await link.exchange(alone, 2) == 4           # and of the next, not of the last

    await opened(handle, work)
    assert [int.from_bytes(request[8:10], "big") for request in has_response] == [100, 200, 300,
                                                                                  400]


async def test_the_time_out_is_that_of_each_question():
    async def handle(reader, writer):
        for _ in range(4):
            request = await reader.readexactly(12)
            await asyncio.sleep(0.2)
            writer.write(tcp_answer(request))
        await reader.read()
        writer.close()

    async def work(link, wire):
        made = burst(wire, 100, 200, 300, 400)
        await link.exchange(made, 0.5)                      # 0.8 s in all
        assert made.result == cells(100, 200, 300, 400)

    await opened(handle, work)


async def test_silence_in_the_middle_is_no_reply_in_time_and_what_came_stays():
    async def handle(reader, writer):
        for _ in range(2):
            writer.write(tcp_answer(await reader.readexactly(12)))
        late = await reader.readexactly(12)
        again = await reader.readexactly(12)
        writer.write(tcp_answer(late) + tcp_answer(again))
        writer.write(tcp_answer(await reader.readexactly(12)))
        await reader.read()
        writer.close()

    async def work(link, wire):
        first, loop = burst(wire, 100, 200, 300), asyncio.get_running_loop()
        began_s = loop.time()
        with pytest.raises(NoReply, match="address 300 count 2: no answer in 0.2 s"):
            await link.exchange(first, 0.2)
        assert 0.2 <= loop.time() - began_s < 2
        assert [read.result for read in first.reads] == [*cells(100, 200), None]
        second = burst(wire, 400, 500)
        await link.exchange(second, 2)
        assert second.result == cells(400, 500) and link.counts.opened == 1

    await opened(handle, work)


async def test_a_refusal_in_the_middle_keeps_the_connection():
    async def handle(reader, writer):
        writer.write(tcp_answer(await reader.readexactly(12)))
        request = await reader.readexactly(12)
        writer.write(request[:5] + b"\x03\x01\x83\x02")
        writer.write(tcp_answer(await reader.readexactly(12)))
        await reader.read()
        writer.close()

    async def work(link, wire):
        made = burst(wire, 100, 200, 300)
        with pytest.raises(Refused):
            await link.exchange(made, 2)
        assert [read.result for read in made.reads] == [*cells(100), None, None]
        alone = wire.read(1, 3, 300, 2)
        await link.exchange(alone, 2)
        assert (alone.result,) == cells(300)
        assert (link.counts.opened, link.counts.refused, link.counts.answered) == (1, 1, 1)

    await opened(handle, work)
