"""A compute node's metrics as Prometheus text over HTTP/1.1 (node_exporter, cAdvisor names)."""

import asyncio

from simulator.physics.load import NodeModel, tasks_running
from simulator.runner import Runner
from simulator.servers.base import BusToServe, Opened, ServerClock

HOST = "127.0.0.1"
HEAD_MAX = 8192             # bytes of a request's head
HEAD_S = 5.0                # real seconds a client has to send it
KIND = "text/plain; version=0.0.4; charset=utf-8"


def metrics_text(runner: Runner, node: NodeModel) -> str:
    """Return a node's metrics: CPU seconds, cores, tasks, by host and by workload."""
    number = [n.name for n in runner.site.scenario.nodes].index(node.name)
    used = runner.flow.cores[number]
    busy, total_s = runner.book(f"cpu:{node.name}"), node.cores * runner.t_s
    lines = [
        "# TYPE node_cpu_seconds_total counter",
        f'node_cpu_seconds_total{{mode="user"}} {busy * 0.875:.3f}',
        f'node_cpu_seconds_total{{mode="system"}} {busy * 0.125:.3f}',
        f'node_cpu_seconds_total{{mode="idle"}} {max(total_s - busy, 0.0):.3f}',
        "# TYPE node_cpus gauge", f"node_cpus {node.cores}"]
    rows: dict[str, list[str]] = {
        "container_cpu_usage_seconds_total counter": [], "container_spec_cpu_cores gauge": [],
        "tasks_running gauge": [], "tasks_completed_total counter": []}
    for work, cores in zip(node.workloads, used[1:], strict=True):
        position = f"{node.name}/{work.name}"
        values = (f"{runner.book(f'cpu:{position}'):.3f}", f"{work.cores_reserved:g}",
                  str(tasks_running(work, cores)), str(int(runner.book(f"tasks:{position}"))))
        for (kind, into), value in zip(rows.items(), values, strict=True):
            into.append(f'{kind.split()[0]}{{name="{work.name}"}} {value}')
    for kind, into in rows.items():
        lines += [f"# TYPE {kind}", *into]
    return "\n".join(lines) + "\n"


class MetricsServer:
    """One node at one port of this machine.  port: 0 before start()."""

    def __init__(self, runner: Runner, node: NodeModel, now: ServerClock):
        self._runner, self._node, self._now = runner, node, now
        self._server: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, HOST, 0, limit=HEAD_MAX)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Stop listening."""
        if self._server:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(HEAD_S):
                head = await reader.readuntil(b"\r\n\r\n")
            writer.write(self._reply(head))
            async with asyncio.timeout(HEAD_S):
                await writer.drain()
        except asyncio.LimitOverrunError:
            writer.write(_response("431 Request Header Fields Too Large", "head too long\n"))
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError):
            pass                                # the client went away or said nothing
        finally:
            writer.close()

    def _reply(self, head: bytes) -> bytes:
        parts = head.split(b"\r\n", 1)[0].split(b" ")
        if len(parts) != 3 or not parts[2].startswith(b"HTTP/1."):
            return _response("400 Bad Request", "not HTTP/1\n")
        if parts[0] != b"GET":
            return _response("405 Method Not Allowed", "only GET\n")
        if parts[1].split(b"?")[0] != b"/metrics":
            return _response("404 Not Found", "only /metrics\n")
        self._now.advance()
        return _response("200 OK", metrics_text(self._runner, self._node))


async def serve(asked: BusToServe) -> Opened:
    """Serve the metrics of the node that the device is."""
    name = asked.devices[0].name
    node = next(one for one in asked.runner.site.scenario.nodes if one.name == name)
    server = MetricsServer(asked.runner, node, asked.now)
    await server.start()
    return Opened(server, server.port)


def _response(status: str, text: str) -> bytes:
    body = text.encode()
    return (f"HTTP/1.1 {status}\r\nContent-Type: {KIND}\r\nContent-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n").encode() + body
