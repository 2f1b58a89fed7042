"""The watchdog is fed by progress; the status file is whole or the one before."""

import asyncio
import json
import socket

from gateway.aio.keep_alive import Progress, pause
from gateway.service.health import (
    Notifier,
    watch,
    write_status,
)
from tests.support.fake_bus import virtual_clock
from tests.support.virtual_time import run


class Ear:
    """A notifier that remembers."""

    watchdog_s = 6.0

    def __init__(self):
        self.has_response = []

    def send(self, text):
        """Keep a line."""
        self.has_response.append(text)


def test_the_watchdog_starves_when_one_task_stops_making_progress():
    async def go():
        clock, ear = virtual_clock(), Ear()
        progress = Progress(clock.real_s)
        progress.expect("a", 10)
        progress.expect("b", 10)
        task = asyncio.create_task(watch(progress, ear))
        for _ in range(10):
            progress.beat("a")
            progress.beat("b")
            await asyncio.sleep(1)
        fed = len(ear.has_response)
        for _ in range(60):
            progress.beat("a")
            await asyncio.sleep(1)
        task.cancel()
        return fed, len(ear.has_response), progress.stalled()
    fed, total, stalled = run(go())
    assert fed in (5, 6)            # one each 2 s, ends included
    assert total - fed <= 6 and stalled == ["b"]


def test_pauses_of_one_period_end_in_one_moment_whenever_they_began():
    async def go():
        loop, ends = asyncio.get_running_loop(), []

        async def service(begins_s):
            await asyncio.sleep(begins_s)
            for _ in range(3):
                await pause(5)
                ends.append(round(loop.time(), 6))
        await asyncio.gather(service(0.1), service(2.4), service(3.0), service(4.9999999999))
        return ends
    assert run(go()) == [5, 5, 10, 10, 10, 10, 15, 15, 15, 15, 20, 20]


def test_notifications_reach_the_service_managers_socket(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "notify"),
                             "WATCHDOG_USEC": "30000000"})
        notifier.send("READY=1")
        assert manager.recv(100) == b"READY=1"
    assert notifier.watchdog_s == 30.0
    notifier.send("WATCHDOG=1")             # the manager is gone: told, not raised
    Notifier({}).send("READY=1")


def test_the_status_file_is_replaced_whole(tmp_path):
    path = tmp_path / "status.json"
    assert write_status(path, {"a": 1}) and json.loads(path.read_text()) == {"a": 1}
    assert write_status(path, {"a": 2}) and json.loads(path.read_text()) == {"a": 2}
    assert sorted(p.name for p in tmp_path.iterdir()) == ["status.json"]
    assert not write_status(tmp_path / "no" / "status.json", {})
