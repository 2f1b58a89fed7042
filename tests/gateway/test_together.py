"""Tasks that belong together end together, and a stop is always a stop."""

import asyncio

import pytest

from fleet.together import together as of_the_fleet
from gateway.together import together as of_the_gateway

BOTH = pytest.mark.parametrize("together", [of_the_gateway, of_the_fleet])


class Broken(Exception):
    """The line was lost."""


async def breaks(when):
    """Fail when told."""
    await when.wait()
    raise Broken


async def lasts(ended):
    """Never end by itself; say so when ended."""
    try:
        await asyncio.Event().wait()
    finally:
        ended.append(True)


async def turn():
    """Let everything run that is ready."""
    for _ in range(3):
        await asyncio.get_running_loop().run_in_executor(None, lambda: None)


@BOTH
async def test_when_one_fails_the_others_end_and_the_failure_is_told(together):
    when, ended = asyncio.Event(), []
    task = asyncio.create_task(together(breaks(when), lasts(ended), lasts(ended)))
    await turn()
    assert not task.done()
    when.set()
    with pytest.raises(Broken):
        await task
    assert ended == [True, True]


@BOTH
@pytest.mark.parametrize("broken", [False, True])
async def test_a_stop_is_a_stop_also_at_the_moment_of_a_failure(together, broken):
    when, ended = asyncio.Event(), []
    task = asyncio.create_task(together(breaks(when), lasts(ended)))
    await turn()
    if broken:
        when.set()
    task.cancel()
    await asyncio.wait({task})
    assert task.cancelled() and ended == [True]
