"""No value that the meter did not have: every fault of tests/support/bus_faults.py, at random."""

import asyncio

import pytest

from drivers import modbus
from drivers.links.serial_line import _strip_echo
from drivers.modbus import RtuRead
from tests.drivers.links.test_links_cpython import answer_to, line
from tests.support.bus_faults import ROWS, RTU, TCP, cut, run

# (transport, questions at once, share of the questions)
ROADS = ((TCP, 1, 0.2), *((TCP, at_once, 0.1) for at_once in range(2, 9)), (RTU, 1, 0.1))


def wrong_values(questions, seed):
    """Return the wrong values of all roads, the questions asked, and the faults seen."""
    wrong, asked, seen = [], 0, set()
    for kind, at_once, share in ROADS:
        outcome = run(kind, round(questions * share), seed, at_once)
        assert outcome.taken > outcome.questions / 2, (kind, at_once, outcome.faults)
        wrong += [(kind, at_once, *one) for one in outcome.wrong]
        asked += outcome.questions
        seen |= set(outcome.faults)
    return wrong, asked, seen


def test_no_fault_of_a_bus_makes_a_wrong_value_in_2000_questions():
    wrong, asked, seen = wrong_values(2_000, seed=1)
    assert wrong == [] and asked >= 2_000 and len(seen) > len(ROWS) - 3


@pytest.mark.proof
def test_no_fault_of_a_bus_makes_a_wrong_value_in_50000_questions(record_property):
    wrong, asked, seen = wrong_values(50_000, seed=2)
    record_property("questions", asked)
    assert wrong == [] and asked >= 50_000 and seen == {row.__name__ for row in ROWS}


@pytest.mark.soak
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("seed", range(10, 30))
def test_no_fault_of_a_bus_makes_a_wrong_value_in_a_million_questions(seed):
    wrong, asked, _ = wrong_values(50_000, seed)
    assert wrong == [] and asked >= 50_000


def test_a_gateway_that_cuts_every_tenth_answer_of_four_at_once_makes_no_wrong_value():
    outcome = run(TCP, 4_000, seed=3, at_once=4, rows=(cut,))
    assert outcome.wrong == [] and outcome.taken > 2_000 and set(outcome.faults) == {"cut"}


REQUEST = RtuRead(1, 4, 0, 2).request
ANSWER = answer_to(REQUEST)


@pytest.mark.parametrize("before", [b"", b"\x00", REQUEST[:1], b"\x00" * 8])
@pytest.mark.parametrize("between", [b"", b"\xff"])
def test_the_answer_behind_an_echo_is_found_wherever_it_is_cut(before, between):
    whole = before + REQUEST + between + ANSWER
    for end in range(1, len(whole) + 1):
        data, echo = _strip_echo(whole[:end], REQUEST)
        data = _strip_echo(whole, REQUEST)[0] if echo else data + whole[end:]
        question = RtuRead(1, 4, 0, 2)
        assert question.feed(data) and question.registers == b"\x00\x00\x00\x01"


def test_where_no_echo_comes_the_answer_is_taken_as_it_is():
    assert _strip_echo(ANSWER, REQUEST) == (ANSWER, b"")


async def test_an_answer_that_comes_twice_is_waited_out_before_the_next_request():
    script = [[(0, None), (0.02, answer_to(modbus.RtuRead(1, 4, 0, 2).request))]]
    async with line(script) as (far, link, _):
        await link.exchange(modbus.RtuRead(1, 4, 0, 2), 0.5)
        await asyncio.sleep(0.05)
        await link.exchange(modbus.RtuRead(1, 4, 10, 2), 0.5)
        assert link.counts.drains == 1 and link.counts.stray_bytes == 9 and len(far.requests) == 2
