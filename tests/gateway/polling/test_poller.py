"""The pollers in virtual time: slots, reasons, dead units, crashes."""

import asyncio

import pytest

from gateway.aio.keep_alive import Progress, keep_alive
from gateway.core.codec.record import DEVICE, GAP
from gateway.core.errors import NoReply, Refused
from gateway.core.event import Event
from gateway.core.reading import BAD_FRAME, NO_REPLY, NOT_ASKED, Absent, Scan
from gateway.polling.poller import BusLine, BusPoller
from gateway.polling.retry import LineBudget
from gateway.polling.unit import Timeout
from tests.support.fake_bus import (
    ORIGIN_S,
    FakeLink,
    FakeTransaction,
    garbage,
    silent,
    unit,
    virtual_clock,
)
from tests.support.virtual_time import run


class Bench:
    """One bus with units 0.., the items it put, and its clock."""

    def __init__(self, answers, speed=None, timeout_s=1.0, **link):
        self.clock = virtual_clock(speed)
        self.link = FakeLink(self.clock, answers, **link)
        self.items = []
        self.units = [unit(f"u{n}", n, timeout_s) for n in answers]
        line = BusLine(type("Bus", (), {"name": "b"}), self.clock,
                       lambda bus, clock: self.opener(bus, clock))
        self.opener = self.open
        self.poller = BusPoller(line, self.units, self.clock, self.put)
        self.opened = 0

    def open(self, _bus, _clock):
        """Give the link."""
        self.opened += 1
        return self.link

    async def put(self, item):
        """Keep an item."""
        self.items.append(item)

    async def run_for(self, seconds, interval_ms=10_000):
        """Run the supervised bus for some virtual seconds, then stop it."""
        progress = Progress(self.clock.real_s)
        task = asyncio.create_task(keep_alive(
            self.poller.service("b", interval_ms), progress.expect("bus:b", 40)))
        await asyncio.sleep(seconds)
        self.stalled = progress.stalled()
        self.poller.stop.set()
        await task

    def scans(self, stream):
        """Return the scans of one unit."""
        return [i for i in self.items if isinstance(i, Scan) and i.stream == stream]

    def events(self, kind):
        """Return the bodies of events of a kind."""
        return [i.body for i in self.items if isinstance(i, Event) and i.kind == kind]


def bench(seconds, answers, interval_ms=10_000, **options):
    """Run a bench for some seconds and return it."""
    async def go():
        made = Bench(answers, **options)
        await made.run_for(seconds, interval_ms)
        return made
    return run(go())


def test_a_bus_that_waits_long_for_its_slot_shows_life_meanwhile():
    made = bench(110, {0: lambda n: 7}, interval_ms=120_000)
    assert made.stalled == [] and len(made.scans(0)) == 1


def test_every_unit_is_polled_once_per_interval_on_utc_slots_and_stamped_at_its_reply():
    made = bench(65, {0: lambda n: 7, 1: lambda n: 8})
    assert [scan.values for scan in made.scans(1)] == [(8, 8)] * 7
    stamps = [scan.ticks_ms for scan in made.scans(0)]
    assert [stamp // 10_000 for stamp in stamps] == [0, 1, 2, 3, 4, 5, 6]
    assert all(50 <= stamp % 10_000 <= 52 for stamp in stamps)     # when the first reply began


@pytest.mark.parametrize("step_s", [0.4, 3.0, 4.9, -0.4, -3.0, -4.9, 600.0, -600.0])
def test_after_a_step_or_slew_of_the_wall_clock_slots_lie_on_its_marks_again(step_s):
    async def go():
        made, stepped = Bench({0: lambda n: 7}), []
        made.clock = made.poller.clock = made.link.clock = virtual_clock(
            offset_s=lambda: step_s if stepped else 0.0)
        task = asyncio.create_task(made.run_for(125))
        await asyncio.sleep(34)
        stepped.append(True)
        made.clock.observe()                    # as the writer does every few seconds
        await task
        return made
    made = run(go())
    marks = [(scan.ticks_ms + made.clock.offset_ms()) % 10_000 for scan in made.scans(0)[5:]]
    assert len(marks) >= 6 and all(50 <= mark <= 55 for mark in marks)
    times = [scan.ticks_ms for scan in made.scans(0)]
    assert all(5_000 <= after - before <= 15_000
               for before, after in zip(times, times[1:], strict=False))


def test_a_scaled_clock_polls_in_scaled_time():
    made = bench(1, {0: lambda n: 7}, speed=60, reply_s=0.001)
    assert len(made.scans(0)) == 6
    assert [scan.ticks_ms // 10_000 for scan in made.scans(0)] == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("turns", [1, 5])
def test_the_time_out_is_learned_of_one_turn_of_a_transaction(monkeypatch, turns):
    monkeypatch.setattr(FakeTransaction, "turns", turns)
    made = bench(65, {0: lambda n: 7}, timeout_s=0.3, reply_s=0.2 * turns)
    assert made.units[0].timeout.value_s == pytest.approx(0.8)      # four times the latency


@pytest.mark.parametrize("timeout_s", [0.3, 1.0, 2.0])
@pytest.mark.parametrize("interval_ms", [1_000, 10_000])
def test_a_dead_unit_costs_the_line_at_most_a_twentieth_of_any_minute(timeout_s, interval_ms):
    answers = {0: lambda n: 7, 1: silent, 2: lambda n: 9}
    made = bench(600, answers, interval_ms, timeout_s=timeout_s, drain_s=0.5)
    spans = [(start, end) for unit_no, start, end in made.link.spans if unit_no == 1]
    spans = spans[2:]               # a lost answer is asked again at once; then it is dead
    assert len(spans) >= 5                                          # it is not given up
    for start, end in spans:
        for window in (start, end - 60):                            # the worst minutes
            used_s = sum(max(0, min(to, window + 60) - max(fro, window)) for fro, to in spans)
            assert used_s <= 3.0 + 1e-6
    slots = 600_000 // interval_ms
    whole = [scan for scan in made.scans(0) if scan.values == (7, 7)]
    assert len(whole) >= 0.95 * slots


def test_a_dead_units_missed_scans_are_there_and_say_that_nobody_asked():
    made = bench(605, {0: lambda n: 7, 1: silent})
    reasons = [scan.values[0].reason for scan in made.scans(1)]
    missed = sum(body[2] - body[1] for body in made.events(GAP) if body[0] == 1) // 10_000
    assert len(reasons) + missed == 61
    assert set(reasons) == {NO_REPLY, NOT_ASKED}
    assert reasons[0] == NO_REPLY


def test_a_silent_unit_is_asked_one_question_not_all_of_them():
    made = bench(5, {0: silent})
    assert [number for _, _, number in made.link.asked] == [0]
    assert made.scans(0)[0].values == (Absent(NO_REPLY), Absent(NO_REPLY))


def test_garbage_is_a_reason_never_a_value():
    made = bench(5, {0: garbage, 1: lambda n: 5})
    assert made.scans(0)[0].values == (Absent(BAD_FRAME), Absent(BAD_FRAME))
    assert made.scans(1)[0].values == (5, 5)


def test_an_exception_reply_costs_its_own_points_only():
    def half(number):
        if number == 0:
            raise Refused("illegal address", 2)
        return 5
    made = bench(25, {0: half})
    assert {scan.values for scan in made.scans(0)} == {(Absent(3), 5)}


def test_a_unit_lost_and_found_makes_one_event_each_with_its_identity():
    alive = [True]

    def moody(number):
        if not alive[0]:
            raise NoReply("nothing came")
        return "A1" if number == "serial" else 5

    async def go():
        made = Bench({0: moody})
        task = asyncio.create_task(made.run_for(600))
        await asyncio.sleep(100)
        alive[0] = False
        await asyncio.sleep(200)
        alive[0] = True
        await task
        return made
    made = run(go())
    assert made.events(DEVICE) == [[0, "found", "model fake, serial A1"],
                                   [0, "lost", "nothing came"],
                                   [0, "found", "model fake, serial A1"]]
    assert made.scans(0)[-1].values == (5, 5)


def test_another_serial_number_is_told_as_an_exchange():
    said = ["A1"]

    def answer(number):
        if said[0] is None:
            raise NoReply("nothing came")
        return said[0] if number == "serial" else 5

    async def go():
        made = Bench({0: answer})
        task = asyncio.create_task(made.run_for(400))
        for serial in (None, "B2"):
            await asyncio.sleep(100)
            said[0] = serial
        await task
        return made
    assert [0, "exchanged", "serial A1 became B2"] in run(go()).events(DEVICE)


def test_a_crash_is_counted_and_the_bus_comes_back_with_its_gap_declared():
    calls = []

    def fragile(number):
        calls.append(number)
        if len(calls) == 9:
            raise ZeroDivisionError("a bug in a driver")
        return 5
    made = bench(120, {0: fragile}, interval_ms=1_000)
    assert made.poller.counts["crashes"] == 1
    assert made.link.closed == 2 and made.opened == 2
    covered = len(made.scans(0)) + sum(
        (body[2] - body[1]) // 1000 for body in made.events(GAP))
    assert 118 <= covered <= 120


def test_a_port_that_does_not_exist_gives_reasons_and_is_tried_again():
    async def go():
        made = Bench({0: lambda n: 5})
        made.opener = _no_port
        task = asyncio.create_task(made.run_for(300))
        await asyncio.sleep(100)
        made.opener = made.open
        await task
        return made
    made = run(go())
    assert made.scans(0)[0].values == (Absent(NO_REPLY),) * 2
    assert made.scans(0)[-1].values == (5, 5)
    assert made.poller.counts["crashes"] == 0 and made.stalled == []


def _no_port(_bus, _clock):
    raise FileNotFoundError(2, "No such file or directory")


def test_an_absence_that_could_be_read_only_later_is_declared_as_at_the_start():
    async def go(last_read, later):
        made = Bench({0: lambda n: 5, 1: lambda n: 6})
        made.poller = BusPoller(made.poller.line, made.units, made.clock, made.put, last_read)
        assert made.poller.absences(last_read) == []        # it has not begun: `run` will
        await made.run_for(95)
        return made.events(GAP) + [event.body for event in made.poller.absences(later)]
    last_read = {"u0": 1000 * ORIGIN_S - 600_000, "u1": 1000 * ORIGIN_S - 300_000}
    at_once = run(go(last_read, {}))
    assert [gap[0] for gap in at_once] == [0, 1]
    assert run(go({}, last_read)) == at_once


def test_slots_a_slow_bus_could_not_reach_are_declared_not_invented():
    made = bench(100, {0: lambda n: 5}, interval_ms=1_000, reply_s=1.3)     # 2.6 s per scan
    gaps = made.events(GAP)
    declared = sum((body[2] - body[1]) // 1000 for body in gaps)
    assert 98 <= declared + len(made.scans(0)) <= 102
    assert made.poller.counts["missed_slots"] == declared > 0


def test_the_time_out_follows_the_units_own_latency_within_its_bounds():
    timeout = Timeout(0.15)
    for _ in range(8):
        timeout.learn(0.05)
    assert timeout.value_s == pytest.approx(0.2)
    for _ in range(64):
        timeout.learn(0.001)
    assert timeout.value_s == 0.15                  # what is configured is the floor
    timeout.widen()
    assert timeout.value_s == 0.3
    for _ in range(8):
        timeout.learn(3.0)
    assert timeout.value_s == 2.0


@pytest.mark.parametrize(("configured_s", "profile_s", "floor_s", "ceiling_s"), [
    (5.0, 2.0, 5.0, 5.0), (0.5, 6.0, 0.5, 6.0), (0.05, 0.05, 0.1, 0.1), (1.0, 60.0, 1.0, 10.0)])
def test_a_time_out_is_never_shorter_than_configured_nor_longer_than_the_profile_says(
        configured_s, profile_s, floor_s, ceiling_s):
    timeout = Timeout(configured_s, profile_s)
    assert timeout.value_s == floor_s
    for _ in range(64):
        timeout.learn(0.001)
    assert timeout.value_s == floor_s
    for _ in range(10):
        timeout.widen()
    assert timeout.value_s == ceiling_s


def test_the_budget_forgets_after_a_minute_and_always_allows_one_try():
    budget = LineBudget()
    assert budget.allows(0, 100.0)
    budget.consume(1, 2.0)
    assert budget.allows(2, 1.0) and not budget.allows(2, 1.1)
    assert budget.allows(61, 2.9)
