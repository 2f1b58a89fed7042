"""Values or no values: which units count as alive, and when the others are asked again."""

import asyncio

import pytest

from drivers import driver, modbus
from drivers.links import profile_files
from gateway.core.codec.record import DEVICE
from gateway.core.errors import Refused
from gateway.core.reading import Absent
from gateway.polling.poller import BusLine, BusPoller
from gateway.polling.retry import LineBudget, again_s, may_ask
from gateway.polling.unit import PolledUnit, Timeout
from tests.gateway.polling.test_poller import Bench
from tests.support.fake_bus import silent, unit, virtual_clock
from tests.support.virtual_time import run


def well(_number):
    """Answer of a unit that has power."""
    return 7


def line_of(answers, *steps, **options):
    """Run a bench through steps of (seconds, {unit: answer from then on}); return it."""
    async def go():
        made = Bench(dict(answers), **options)
        task = asyncio.create_task(made.run_for(sum(seconds for seconds, _ in steps)))
        for seconds, changes in steps:
            made.link.answers.update(changes)
            await asyncio.sleep(seconds)
        await task
        return made
    return run(go())


EIGHT = dict.fromkeys(range(8), well)


def asked_s(made, number, since_s):
    """Return when a unit was asked first since then, in s after it."""
    return min(ticks / 1000 for ticks, who, _ in made.link.asked
               if who == number and ticks >= since_s * 1000) - since_s


@pytest.mark.parametrize(("dead", "back"), [((0, 3), 3), ((0, 3), 0), ((6, 7), 7), ((1, 2, 5), 5)])
@pytest.mark.parametrize("timeout_s", [0.3, 1.0, 2.0])
def test_a_unit_that_comes_back_is_read_within_two_minutes_wherever_it_stands(
        dead, back, timeout_s):
    made = line_of(EIGHT, (300, {}), (1000, dict.fromkeys(dead, silent)), (600, {back: well}),
                   timeout_s=timeout_s)
    longest_s = max(120.0, timeout_s * len(dead) / 0.05)
    assert asked_s(made, back, 1300) <= longest_s
    assert made.units[back].state == "ok"
    gone = [number for number in dead if number != back]
    assert all(made.units[number].state == "lost" for number in gone)


@pytest.mark.parametrize("timeout_s", [1.0, 2.0, 5.0])
def test_many_dead_units_are_each_asked_in_the_time_that_keeps_their_share(timeout_s):
    made = line_of(EIGHT, (4000, dict.fromkeys(range(5), silent)), timeout_s=timeout_s)
    longest_s = max(120.0, 5 * made.units[0].timeout.longest_s / 0.05)
    for number in range(5):
        times = [ticks / 1000 for ticks, who, _ in made.link.asked if who == number]
        gaps = [b - a for a, b in zip(times, [*times[1:], 4000.0], strict=True)]
        assert max(gaps) <= longest_s + 10, (number, gaps)
    used_s = sum(end - start for who, start, end in made.link.spans if who < 5)
    assert used_s <= 0.05 * 4000 + 10 * 2 * timeout_s


def test_a_dead_unit_of_eight_costs_the_others_at_most_a_twentieth():
    made = line_of(EIGHT, (3600, {3: silent}), timeout_s=2.0, reply_s=0.3)
    for number in (0, 1, 2, 4, 5, 6, 7):
        good = [scan for scan in made.scans(number) if scan.values == (7, 7)]
        assert len(good) >= 0.95 * 360


@pytest.mark.parametrize("timeout_s", [0.3, 1.0, 2.0])
def test_one_lost_answer_costs_one_scan(timeout_s):
    made = line_of(EIGHT, (95, {}), (10, {3: silent}), (100, {3: well}), timeout_s=timeout_s)
    lost = [scan for scan in made.scans(3) if scan.values != (7, 7)]
    assert len(lost) == 1 and made.units[3].state == "ok"
    assert [body[1] for body in made.events(DEVICE) if body[0] == 3] == ["found"]


def test_a_unit_that_loses_every_other_answer_has_one_free_retry_of_six_scans():
    one = unit("u", 0, 2.0)
    one.cost_s = 4.0
    budget = LineBudget()
    for _ in range(5):
        budget.consume(0.0, 1.0)
    one.failed(0, 4.0)
    assert may_ask(one, [one], budget, (10_000, 10.0, 10.0))
    one.answered()
    one.failed(20_000, 4.0)
    assert not may_ask(one, [one], budget, (30_000, 30.0, 10.0))
    one.answered()
    for _ in range(6):
        one.answered()
    one.failed(90_000, 4.0)
    assert may_ask(one, [one], budget, (100_000, 50.0, 10.0))


def test_a_turn_is_longer_than_two_minutes_only_for_long_time_outs():
    units = [unit(f"u{number}", number, 2.0) for number in range(8)]
    for one in units[:2]:
        one.failed(0, 2.0)
    assert again_s(units) < 120
    for one in units[2:]:
        one.failed(0, 2.0)
    assert again_s(units) == pytest.approx(8 * 2.0 / 0.05)


@pytest.mark.parametrize("code", [1, 2, 4, 6, 10, 11])
def test_a_device_that_refuses_everything_is_lost_and_nothing_says_that_it_was_found(code):
    def refuse(_number):
        raise Refused(f"exception {code}", code)
    made = line_of({0: refuse, 1: well}, (600, {}))
    assert made.units[0].state == "lost" and f"exception {code}" in made.units[0].last_error
    assert [body[:2] for body in made.events(DEVICE)] == [[1, "found"], [0, "lost"]]
    assert sum(who == 0 for _, who, _ in made.link.asked) < 60      # two questions a scan


def test_a_unit_that_is_off_behind_a_gateway_is_lost_and_asked_less_often():
    asked = []

    class Gateway:
        """Answers exception 0x0B after a second of its own."""

        async def exchange(self, question, _timeout_s):
            """Refuse."""
            asked.append(question)
            await asyncio.sleep(1.0)
            raise modbus.refused(question.unit, question.function, 11)

        async def close(self):
            """Nothing to close."""

    async def go():
        clock, items = virtual_clock(), []

        async def put(item):
            items.append(item)
        device = driver.build(profile_files.find("eastron-sdm120"),
                              driver.Setup(modbus.RtuReads(), unit=5))
        one = PolledUnit("m", 0, device, Timeout(1.0))
        bus = BusPoller(BusLine(type("B", (), {"name": "b"})(), clock, lambda b, c: Gateway()),
                        [one], clock, put)
        task = asyncio.ensure_future(bus.run(10_000))
        await asyncio.sleep(600)
        bus.stop.set()
        await task
        return one, items
    one, items = run(go())
    assert one.state == "lost" and "exception 11" in one.last_error and len(asked) < 30
    assert [item.body[1] for item in items if hasattr(item, "body")] == ["lost"]
    assert not [item for item in items if hasattr(item, "values")
                and not isinstance(item.values[0], Absent)]
