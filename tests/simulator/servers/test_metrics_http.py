"""A node's metrics: the right text for one path, a clear refusal for everything else."""

import asyncio
from contextlib import asynccontextmanager

import pytest

from simulator.runner import Runner
from simulator.scenario import load
from simulator.servers.metrics_http import MetricsServer, metrics_text
from simulator.servers.rtu_pty import ServerClock
from simulator.world import SimulatedSite

GET = b"GET /metrics HTTP/1.1\r\nHost: node\r\n\r\n"


def runner_at(t_s):
    runner = Runner(SimulatedSite(load("shop")))
    runner.advance(t_s)
    return runner


@asynccontextmanager
async def node(t_s=900.0):
    runner = runner_at(t_s)
    server = MetricsServer(runner, runner.site.scenario.nodes[0], ServerClock(lambda: t_s, 60))
    await server.start()
    try:
        yield server
    finally:
        await server.close()


async def ask(port, data):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    try:
        async with asyncio.timeout(5):
            return await reader.read()
    except ConnectionError:
        return b""
    finally:
        writer.close()


def samples(text):
    rows = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in rows}


async def test_the_text_is_prometheus_and_its_length_is_declared():
    async with node() as server:
        reply = await ask(server.port, GET)
    head, body = reply.split(b"\r\n\r\n", 1)
    assert head.startswith(b"HTTP/1.1 200 OK") and b"version=0.0.4" in head
    assert f"Content-Length: {len(body)}".encode() in head
    assert samples(body.decode())["node_cpus"] == 32


def test_cpu_seconds_of_a_host_are_its_workloads_and_its_own():
    runner = runner_at(900.0)
    seen = samples(metrics_text(runner, runner.site.scenario.nodes[0]))
    busy = sum(seen[f'node_cpu_seconds_total{{mode="{mode}"}}'] for mode in ("user", "system"))
    works = sum(seen[f'container_cpu_usage_seconds_total{{name="{n}"}}'] for n in ("pos", "vision"))
    assert busy == pytest.approx(works + 0.4 * 900, abs=0.01)
    assert busy + seen['node_cpu_seconds_total{mode="idle"}'] == pytest.approx(32 * 900, abs=0.01)
    assert seen['container_spec_cpu_cores{name="vision"}'] == 16
    tasks = seen['tasks_completed_total{name="pos"}']
    cpu_s = seen['container_cpu_usage_seconds_total{name="pos"}']
    assert tasks == int(cpu_s / 0.8)


def test_counters_never_fall():
    runner, before = Runner(SimulatedSite(load("shop"))), {}
    for t_s in (0.0, 10.5, 11.0, 700.0, 700.9, 3000.0):
        runner.advance(t_s)
        now = samples(metrics_text(runner, runner.site.scenario.nodes[1]))
        assert all(now[name] >= value for name, value in before.items() if "total" in name)
        before = now


async def test_other_questions_are_refused_by_name():
    cases = ((b"GET / HTTP/1.1\r\n\r\n", b"404"), (b"POST /metrics HTTP/1.1\r\n\r\n", b"405"),
             (b"\x16\x03\x01\r\n\r\n", b"400"), (b"GET /metrics\r\n\r\n", b"400"),
             (b"GET /metrics HTTP/1.1\r\nX: " + b"a" * 20000 + b"\r\n\r\n", b"431"))
    async with node() as server:
        for data, code in cases:
            reply = await ask(server.port, data)
            assert not reply or reply.split(b" ")[1] == code, data[:40]
            assert (await ask(server.port, GET)).startswith(b"HTTP/1.1 200")


async def test_a_client_that_leaves_in_the_middle_harms_nobody():
    async with node() as server:
        for data in (b"", b"GET /met", b"\r\n"):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(data)
            writer.close()
        assert (await ask(server.port, GET)).startswith(b"HTTP/1.1 200")
