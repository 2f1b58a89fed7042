"""The flag: woken by set, by its limit, never by both, and never left waiting."""

import asyncio

import pytest

from gateway.aio.wakeup import Wakeup
from gateway.core.errors import Bug
from tests.support.virtual_time import run


async def waited(flag, limit_s):
    """Return (what wait said, how long it took)."""
    loop = asyncio.get_running_loop()
    began_s = loop.time()
    return await flag.wait(limit_s), loop.time() - began_s


def test_a_limit_passes_and_the_flag_is_not_set():
    assert run(waited(Wakeup(), 3.0)) == (False, 3.0)


def test_a_flag_that_is_set_ends_the_wait_at_once_and_later_waits_too():
    async def go():
        flag = Wakeup()
        asyncio.get_running_loop().call_later(1.0, flag.set)
        first = await waited(flag, 60.0)
        second = await waited(flag, 60.0)
        flag.clear()
        return first, second, await waited(flag, 2.0)
    assert run(go()) == ((True, 1.0), (True, 0.0), (False, 2.0))


def test_set_and_clear_before_the_waiter_runs_still_wakes_it():
    async def go():
        flag, loop = Wakeup(), asyncio.get_running_loop()
        loop.call_later(1.0, flag.set)
        loop.call_later(1.0, flag.clear)
        return await waited(flag, 60.0)
    assert run(go()) == (False, 1.0)


def test_a_cancelled_wait_leaves_the_flag_free_for_the_next():
    async def go():
        flag = Wakeup()
        task = asyncio.create_task(flag.wait(60.0))
        await asyncio.sleep(1.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return await waited(flag, 2.0)
    assert run(go()) == (False, 2.0)


def test_two_tasks_at_one_flag_are_a_bug():
    async def go():
        flag = Wakeup()
        task = asyncio.create_task(flag.wait(60.0))
        await asyncio.sleep(1.0)
        with pytest.raises(Bug):
            await flag.wait(1.0)
        task.cancel()
    run(go())
