"""What a reader can cost is limited: streams, reports, connections, heads that never end."""

import asyncio
import json
from types import SimpleNamespace

import pytest
import uvicorn

from fleet.formats.registry import Registry
from fleet.ingest.live_table import LiveTable
from fleet.web import app, connections, long_reports, report_worker
from fleet.web.places import Places
from tests.fleet.maker import ORIGIN_MS, QUARTER_MS

YEAR = "/site/shop/report?from=2026-01-01T00:00:00Z&to=2027-01-01T00:00:00Z"
SCOPE = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"},
         "http_version": "1.1", "method": "GET", "scheme": "http", "root_path": "",
         "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8080)}


@pytest.fixture
def web(tmp_path, gateway):
    """The web application of a fleet that knows `gateway`."""
    receiver = SimpleNamespace(connected=True, last_receipt_ms={})
    return app.make(app.PageSources(tmp_path, Registry(tmp_path), LiveTable(), receiver, None))


class Reader:
    """One reader of an address, who goes away when told."""

    def __init__(self, web, target):
        path, _, query = target.partition("?")
        self._gone, self.begun, self.sent = asyncio.Event(), asyncio.Event(), []
        scope = SCOPE | {"path": path, "raw_path": path.encode(), "query_string": query.encode(),
                         "headers": [(b"host", b"127.0.0.1")]}
        self._asked = False
        self.task = asyncio.create_task(web(scope, self._receive, self._send))

    async def _receive(self):
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message):
        self.sent.append(message)
        self.begun.set()

    async def status(self):
        """Return the status, as soon as there is one."""
        await asyncio.wait({asyncio.create_task(self.begun.wait()), self.task},
                           return_when=asyncio.FIRST_COMPLETED)
        return self.sent[0]["status"]

    async def leave(self):
        """Go away, and wait until the server has noticed."""
        self._gone.set()
        await asyncio.wait_for(self.task, 10)


def test_of_600_readers_that_come_at_once_200_get_a_stream(web, table_of=200):
    async def go():
        readers = [Reader(web, "/site/shop/events") for _ in range(600)]
        found = [await reader.status() for reader in readers]
        assert (found.count(200), found.count(503)) == (table_of, 600 - table_of)
        for reader in readers:
            await reader.leave()
        again = Reader(web, "/site/shop/events")
        assert await again.status() == 200
        await again.leave()
    asyncio.run(go())


def test_a_place_is_counted_before_it_is_given():
    places = Places(2)
    assert [places.take() for _ in range(4)] == [True, True, False, False]
    places.leave()
    assert places.take()


def served(ingest, gateway, hours=1):
    for _ in range(4 * hours + 1):
        assert ingest.process_one("shop-1", gateway.seal()).code == "admit"


def test_a_long_report_is_made_by_another_process_and_is_the_same_report(web, ingest, gateway,
                                                                         tmp_path):
    served(ingest, gateway)
    times = ORIGIN_MS - 300 * QUARTER_MS, ORIGIN_MS + 4 * QUARTER_MS

    async def go():
        reader = Reader(web, "/site/shop/report?from=2026-05-28T21:00:00Z"
                        "&to=2026-06-01T01:00:00Z")
        assert await reader.status() == 200
        await reader.task
        return b"".join(message.get("body", b"") for message in reader.sent).decode()

    how, text = report_worker.answer(report_worker.WorkerJob(str(tmp_path), "shop-1", None, *times))
    assert how == report_worker.DONE
    assert asyncio.run(go()) == text
    assert "720.0" in text


class Slow:
    """Stands in for the process of a report that takes its time."""

    def __init__(self):
        self.stdout, self.returncode, self.killed = asyncio.StreamReader(), None, False
        self._ended = asyncio.Event()

    def kill(self):
        self.killed, self.returncode = True, -9
        self._ended.set()

    async def wait(self):
        await self._ended.wait()


def test_long_reports_are_limited_in_number_and_end_with_their_readers(web, monkeypatch):
    made = []

    async def start(job):
        made.append(Slow())
        return made[-1]

    async def go():
        monkeypatch.setattr(long_reports, "start", start)
        first = [Reader(web, YEAR) for _ in range(long_reports.WORKERS_MAX)]
        while len(made) < len(first):
            await asyncio.sleep(0)
        third = Reader(web, YEAR)
        assert await third.status() == 503
        health = Reader(web, "/health")
        assert await health.status() == 200
        await first[0].leave()
        assert [one.killed for one in made] == [True, False]
        fourth = Reader(web, YEAR)
        while len(made) < 3:
            await asyncio.sleep(0)
        made[1].stdout.feed_data(report_worker.DONE + b"<p>a part")
        assert await first[1].status() == 200
        for reader in (first[1], fourth):
            await reader.leave()
        assert all(one.killed for one in made)
        assert await _status_of_a_report(web, made) == 503
    asyncio.run(go())


async def _status_of_a_report(web, made):
    """Return what the reader of a report gets whose process dies."""
    reader = Reader(web, YEAR)
    while len(made) < 4:
        await asyncio.sleep(0)
    made[-1].stdout.feed_eof()
    return await reader.status()


def test_a_period_without_data_is_refused_in_words_by_the_process_as_well(web):
    async def go():
        reader = Reader(web, YEAR)
        assert await reader.status() == 404
        await reader.task
        return b"".join(message.get("body", b"") for message in reader.sent)
    assert b"nothing was ever received here" in asyncio.run(go())


def test_the_question_of_a_process_is_plain_json():
    job = report_worker.WorkerJob("data", "shop-1", None, 1, 2)
    assert report_worker.WorkerJob(*json.loads(json.dumps(job))) == job


async def _serve(web):
    """Return (server, its task, port) of a server as the fleet runs it."""
    server = uvicorn.Server(uvicorn.Config(
        web, port=0, http=connections.BoundedProtocol, ws="none", log_level="error",
        lifespan="off", h11_max_incomplete_event_size=connections.HEAD_BYTES_MAX))
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    return server, task, server.servers[0].sockets[0].getsockname()[1]


def test_half_a_request_is_closed_and_too_many_connections_are_refused(web, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_S", 0.3)
    monkeypatch.setattr(connections, "CONNECTIONS_MAX", 20)

    async def ended(reader):
        try:
            return await asyncio.wait_for(reader.read(), 5)
        except ConnectionError:
            return b""

    async def go():
        server, task, port = await _serve(web)
        half = [await asyncio.open_connection("127.0.0.1", port) for _ in range(50)]
        for _, writer in half:
            writer.write(b"GET /health HTT")
        assert [await ended(reader) for reader, _ in half] == [b""] * 50
        assert not server.server_state.connections
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        assert (await reader.readuntil(b"\r\n")) == b"HTTP/1.1 200 OK\r\n"
        writer.write(b"GET /health HTTP/1.1\r\nHo")        # a second head that never ends
        assert b'"ok":true' in await ended(reader)
        server.should_exit = True
        await task
    asyncio.run(go())


def test_a_stream_lives_longer_than_a_head_may_take(web, monkeypatch):
    monkeypatch.setattr(connections, "HEAD_S", 0.2)

    async def go():
        server, task, port = await _serve(web)
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /site/shop/events HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        await reader.readuntil(b"event: live")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.6):
                while await reader.read(65536):
                    pass
        writer.close()
        server.should_exit = True
        await task
    asyncio.run(go())
