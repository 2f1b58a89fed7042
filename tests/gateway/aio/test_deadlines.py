"""Waits with a limit under one timer: each ends at its own time, ended ones cost nothing."""

import asyncio
import weakref

from gateway.aio import deadlines
from tests.support import sim_loop
from tests.support.virtual_time import run


def late(waiter):
    """End a wait as its limit."""
    waiter.set_result("late")


async def waited(seconds):
    """Return the loop's time when a wait of so many seconds was over."""
    loop = asyncio.get_running_loop()
    waiter = loop.create_future()
    deadlines.running_deadlines().add(waiter, seconds, late)
    assert await waiter == "late"
    return round(loop.time(), 6)


def test_each_wait_ends_at_its_own_limit_whatever_the_order_of_asking():
    async def go():
        return await asyncio.gather(*[waited(s) for s in (3.0, 1.0, 2.5, 1.0, 0.25)])
    for loop_run in (run, lambda work: sim_loop.run(lambda: work)):
        assert loop_run(go()) == [3.0, 1.0, 2.5, 1.0, 0.25]


def test_a_wait_that_ended_is_not_ended_again_and_delays_none():
    async def go():
        loop = asyncio.get_running_loop()
        answered = loop.create_future()
        deadlines.running_deadlines().add(answered, 1.0, late)
        loop.call_later(0.5, answered.set_result, "answer")
        cancelled = loop.create_future()
        deadlines.running_deadlines().add(cancelled, 1.5, late)
        cancelled.cancel()
        return await waited(2.0), await answered
    assert run(go()) == (2.0, "answer")


def test_many_waits_of_one_moment_take_one_timer(monkeypatch):
    async def go():
        loop, made = asyncio.get_running_loop(), []
        call_at = loop.call_at
        monkeypatch.setattr(loop, "call_at", lambda *given: made.append(given) or call_at(*given))
        waiters = [loop.create_future() for _ in range(50)]
        for i, waiter in enumerate(waiters):
            deadlines.running_deadlines().add(waiter, 2.0 + i / 1000, late)
        for waiter in waiters[:-1]:
            waiter.set_result("answer")
        await waiters[-1]
        return [round(given[0], 6) for given in made]
    assert run(go()) == [2.0, 2.049]


def test_a_timer_does_not_strike_for_waits_that_have_ended(monkeypatch):
    async def go():
        loop, struck = asyncio.get_running_loop(), []
        kept, call_at = deadlines.running_deadlines(), loop.call_at

        def noting(when_s, strike):
            return call_at(when_s, lambda: struck.append(round(loop.time(), 6)) or strike())
        monkeypatch.setattr(loop, "call_at", noting)
        flag, answers = loop.create_future(), [loop.create_future() for _ in range(20)]
        for answer in answers:
            kept.add(answer, 0.1, late)
        kept.add(flag, 1.0, late)
        for answer in answers:
            answer.set_result("answer")
            kept.ended()
        await flag
        return struck
    assert run(go()) == [1.0]


def test_waits_that_ended_early_are_not_kept_until_their_limit():
    async def go():
        loop = asyncio.get_running_loop()
        kept = deadlines.Deadlines(loop)
        alive, ends = [loop.create_future() for _ in range(10)], []
        for i, waiter in enumerate(alive):
            waiter.add_done_callback(lambda _: ends.append(round(loop.time(), 6)))
            kept.add(waiter, 60.0 + 7 * i % 10, late)
        ended = weakref.WeakSet()               # those that nobody but the limits may keep
        for _ in range(10_000):
            waiter = loop.create_future()
            ended.add(waiter)
            kept.add(waiter, 60.0, late)
            waiter.set_result("answer")
        most = len(alive) + len(ended)
        await asyncio.wait(alive)
        return most, {waiter.result() for waiter in alive}, ends
    most, results, ends = run(go())
    assert most <= deadlines.ENDED_MAX + 1 and results == {"late"}
    assert ends == [60.0 + i for i in range(10)]


def test_no_limit_is_too_short_for_a_clock_that_stands_still():
    async def go():
        began_s = asyncio.get_running_loop().time()
        for _ in range(3):
            await waited(0.0)
        return asyncio.get_running_loop().time() - began_s
    assert 0 < sim_loop.run(go) < 1e-5
