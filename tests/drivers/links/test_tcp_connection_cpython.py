"""How a Modbus TCP connection is made and lost: addresses in turn, nothing left open."""

import asyncio
import contextlib
import os
import socket

import pytest

from drivers import modbus
from drivers.links import BusConfig, open_link, tcp, wire_for
from gateway.core.errors import Bug, NoReply
from tests.drivers.links.test_links_cpython import FakeClock, server, tcp_answer


def modbus_tcp(host, port):
    """Return the settings of a Modbus TCP bus."""
    return BusConfig("lan", "tcp", "modbus", host=host, port=port)


def question(wire=None):
    """Return a question, the next one of a wire."""
    return (wire or wire_for(BusConfig("lan", "tcp", "modbus"))).read(1, modbus.READ_INPUT, 0, 2)


def open_files():
    return len(os.listdir("/proc/self/fd"))


def listener(backlog=5):
    sock = socket.create_server(("127.0.0.1", 0), backlog=backlog)
    sock.setblocking(False)
    return sock


def rows(*ports):
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)) for port in ports]


def given(monkeypatch, addresses):
    async def say(host, port):
        return addresses
    monkeypatch.setattr(tcp, "_addresses", say)


async def test_the_addresses_of_a_name_are_tried_in_turn(monkeypatch):
    with listener() as taken, listener() as closed:
        port = closed.getsockname()[1]
        closed.close()
        given(monkeypatch, rows(port, taken.getsockname()[1]))
        before = open_files()
        with await tcp.connect("twice", 502) as sock:
            assert sock.getpeername() == taken.getsockname()
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            assert open_files() == before + 1
        nobody = (999, socket.SOCK_STREAM, 6, "", ("::1", 502))     # a family this machine lacks
        given(monkeypatch, [nobody, *rows(taken.getsockname()[1])])
        (await tcp.connect("twice", 502)).close()
        given(monkeypatch, rows(port, port))
        with pytest.raises(ConnectionRefusedError):
            await tcp.connect("twice", 502)
        assert open_files() == before
        given(monkeypatch, [])
        with pytest.raises(OSError, match="nowhere: no address"):
            await tcp.connect("nowhere", 502)


async def test_names_and_numbers_are_found():
    with listener() as taken:
        port = taken.getsockname()[1]
        for host in ("127.0.0.1", "localhost"):
            with await tcp.connect(host, port) as sock:
                assert sock.getpeername() == taken.getsockname()
    assert (await tcp._addresses(      # noqa: SLF001  not every machine has IPv6
        "::1", 502))[0][0] == socket.AF_INET6


async def test_a_name_nobody_knows_is_silence_that_says_so():
    link = open_link(BusConfig("lan", "tcp", "modbus", host="no.such.meter.invalid"), FakeClock())
    with pytest.raises(NoReply, match=r"lan: no\.such\.meter\.invalid:502: "):
        await link.exchange(question(), 5.0)


async def test_a_peer_that_never_takes_the_connection_leaves_no_socket_open():
    with listener(backlog=0) as full:
        address = full.getsockname()
        crowd = [socket.socket() for _ in range(4)]
        for one in crowd:                       # more than it holds: the next one waits
            one.setblocking(False)
            one.connect_ex(address)
        before = open_files()
        link = open_link(modbus_tcp(*address), FakeClock())
        with pytest.raises(NoReply, match=r"no connection in 0\.1 s"):
            await link.exchange(question(), 0.1)
        assert open_files() == before
        for one in crowd:
            one.close()


async def test_a_peer_that_reads_nothing_costs_the_connection():
    near, far = socket.socketpair()
    near.setblocking(False)
    with far:
        connection = tcp.Connection(near, FakeClock())
        with pytest.raises(BlockingIOError):
            while True:
                near.send(bytes(65536))
        with pytest.raises(ConnectionResetError):
            await connection.ask(question(), 5.0)
        assert connection.is_lost and near.fileno() == -1
        connection.close()                      # a second time does nothing


async def test_a_request_that_is_taken_in_part_costs_the_connection():
    near, far = socket.socketpair()
    near.setblocking(False)
    with far:
        connection = tcp.Connection(Stingy(near), FakeClock())
        with pytest.raises(ConnectionResetError, match="the other side reads nothing"):
            await connection.ask(question(), 5.0)
        assert connection.is_lost


class Stingy:
    """A socket that takes five bytes."""

    def __init__(self, sock):
        self._sock = sock
        self.fileno, self.close = sock.fileno, sock.close

    def send(self, data):
        """Take five bytes."""
        return self._sock.send(data[:5])


@pytest.mark.parametrize("politely", [True, False])
async def test_a_peer_gone_while_asked_is_told_at_once(politely):
    near, far = socket.socketpair()
    near.setblocking(False)
    connection = tcp.Connection(near, FakeClock())

    def leave():
        if politely:                        # what it was asked is read first, so nothing is lost
            far.recv(100)
        far.close()
    asyncio.get_running_loop().call_later(0.02, leave)
    why = "closed by the other side" if politely else "reset"
    with pytest.raises(ConnectionResetError, match=why):
        await asyncio.wait_for(connection.ask(question(), 5.0), 2.0)
    assert connection.is_lost


@contextlib.asynccontextmanager
async def asked(*script):
    """Give a link to a server that answers or does not, as the script says; then ever on."""
    left = list(script)

    async def handle(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError):
            while request := await reader.readexactly(12):
                if not left or left.pop(0):
                    writer.write(tcp_answer(request))
        writer.close()
    async with server(handle) as port:
        link = open_link(modbus_tcp("127.0.0.1", port), FakeClock())
        yield link
        await link.close()


async def test_silences_with_an_answer_between_them_do_not_cost_the_connection():
    async with asked(True, False, False, True, False, False, True) as link:
        wire, has_response = wire_for(BusConfig("lan", "tcp", "modbus")), []
        for limit_s in (5.0, 0.05, 0.05, 5.0, 0.05, 0.05, 5.0):
            with contextlib.suppress(NoReply):
                has_response.append(await link.exchange(question(wire), limit_s))
        assert len(has_response) == 3 and link.counts.opened == 1


async def test_an_answer_makes_an_end_of_the_back_off():
    async with asked() as link:
        back_off = link._back_off       # noqa: SLF001  its pauses take real seconds
        back_off.failed(-100.0)         # long ago, and twice: the next pause would be 4 s
        back_off.failed(-100.0)
        await link.exchange(question(), 5.0)
        assert back_off.failures == 0


async def test_a_second_question_beside_the_first_is_a_bug_and_the_first_goes_on():
    async with asked(False, True) as link:
        wire = wire_for(BusConfig("lan", "tcp", "modbus"))
        first = asyncio.create_task(link.exchange(question(wire), 0.2))
        await asyncio.sleep(0.05)
        with pytest.raises(Bug, match="lan: asked while a question is under way"):
            await link.exchange(question(wire), 5.0)
        with pytest.raises(NoReply):
            await first
        await link.exchange(question(wire), 5.0)
        assert link.counts.asked == 2


async def test_a_link_that_is_closed_tells_who_waits():
    async with asked(False) as link:
        waits = asyncio.create_task(link.exchange(question(), 5.0))
        await asyncio.sleep(0.05)
        await link.close()
        with pytest.raises(NoReply, match="closed on this side"):
            await asyncio.wait_for(waits, 2.0)
