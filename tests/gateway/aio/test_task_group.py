"""Tasks that belong together end together, and a stop is always a stop."""

import asyncio
from types import SimpleNamespace

import aiomqtt
import pytest

from fleet.ingest.receiver import Receiver
from gateway.aio.task_group import run_until_first_failure as of_the_fleet
from gateway.aio.task_group import run_until_first_failure as of_the_gateway
from gateway.delivery.uplink import Uplink
from tests.gateway.delivery.test_uplink import CABINET, settings_of
from tests.support.writer_setup import WriterSetup

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


class Forgetful:
    """A client that forgets a stop at one place, as asyncio.wait_for of Python 3.11 does if what
    it waits for comes at that very moment."""

    def __init__(self, place):
        self.place, self.waits = place, asyncio.Event()

    async def forget(self):
        """Wait for ever; the first stop ends it as if nothing had been."""
        first = not self.waits.is_set()
        self.waits.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not first:
                raise

    async def subscribe(self, *_, **__):
        """Answer as a broker does, or fail."""
        if self.place == "exit":
            raise aiomqtt.MqttError("lost")
        await self.forget()
        return (1, 0)

    @property
    async def messages(self):
        """Nothing comes."""
        await asyncio.Event().wait()
        yield

    async def __aenter__(self):
        return self

    async def __aexit__(self, *_):
        if self.place == "exit":
            await self.forget()


def an_uplink(folder):
    """Return the gateway's door to the broker."""
    return Uplink(CABINET, settings_of(folder, 1), WriterSetup(folder).writer, None)


def a_receiver(_folder):
    """Return the fleet's door to the broker."""
    return Receiver(SimpleNamespace(host="broker", port=1), SimpleNamespace(receipts=dict), None)


@pytest.mark.parametrize("make", [an_uplink, a_receiver])
@pytest.mark.parametrize("place", ["subscribe", "exit"])
async def test_a_stop_that_the_library_forgot_is_a_stop(tmp_path, monkeypatch, make, place):
    door, client = make(tmp_path), Forgetful(place)
    monkeypatch.setattr(door, "_client", lambda: client)
    task = asyncio.create_task(door.run())
    await client.waits.wait()
    task.cancel()
    await asyncio.wait({task}, timeout=5)
    assert task.cancelled()
