"""Modbus TCP: one connection per bus, strict transaction ids, reconnection with back-off.

Old answers are dropped by their id until the time-out; what does not frame as Modbus TCP closes
the connection.  Three time-outs in a row close it too: the peer may be gone without a FIN.
A question costs one future, no task and no timer of its own: at 1 Hz the questions are most of the
CPU.  Several at once are one transaction (modbus.TcpBurst) and go the same way.
"""

import asyncio
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from drivers.links.base import BackOff, BusConfig, LinkClock, LinkCounts
from drivers.modbus import TCP_HEAD, frame_size
from gateway.aio.deadlines import Deadlines, running_deadlines
from gateway.core.errors import BadFrame, Bug, NoReply, Refused

if TYPE_CHECKING:
    from drivers.types import TcpTransaction

MISSES_MAX = 3                  # unanswered in a row before the connection is given up
KEEPALIVE = (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 5), ("TCP_KEEPCNT", 3))
UNREAD_MAX = 4096               # bytes nobody asked for; more is not a Modbus server
RECEIVE_BYTES = 1024            # three of the longest answers; of a burst the rest comes next

# A row of getaddrinfo: family, kind, protocol, name, address.
Address = tuple[int, int, int, str, tuple[object, ...]]


class Connection:
    """One connection: feeds what arrives to the transaction under way.

    A socket without a transport of asyncio, whose layers cost more than a question needs.
    received_ms: ticks of the latest bytes.
    """

    def __init__(self, sock: socket.socket, clock: LinkClock) -> None:
        """sock: connected, not blocking; it is this connection's from now on."""
        self.is_lost = False
        self.received_ms = 0
        self._socket, self._clock = sock, clock
        self._ends: Deadlines = running_deadlines()
        self._transaction: "TcpTransaction | None" = None
        self._waiter: asyncio.Future[int] | None = None
        self._timeout_s = 0.0           # of each question
        self._until_s = 0.0             # end of the wait, loop's time; 0 before a first answer
        self._unread = b""              # of an answer that came after its time-out
        self._began_ms = 0
        self._ends.loop.add_reader(sock, self._receive)

    async def ask(self, transaction: "TcpTransaction", timeout_s: float) -> int:
        """Return the ticks at which the (first) reply began; the time-out is that of each.

        Raises TimeoutError, OSError (the connection is gone), BadFrame, Refused.
        """
        ends = self._ends
        waiter: asyncio.Future[int] = ends.loop.create_future()
        self._waiter, self._timeout_s, self._until_s = waiter, timeout_s, 0.0
        self._transaction, unread, self._unread = transaction, self._unread, b""
        if unread:
            self._take(unread)
        self._send(transaction.request)
        ends.add(waiter, timeout_s, self._expire)
        try:
            began_ms = await waiter
            if transaction.rest:
                check_behind(transaction)
            return began_ms
        finally:
            self._waiter = None
            ends.ended()
            after, self._unread = transaction.rest + self._unread, b""
            if after:
                self._keep(after)

    def close(self, why: str = "closed on this side") -> None:
        """Let the connection go, and tell whoever waits that no answer can come."""
        if not self.is_lost:
            self.is_lost = True
            self._ends.loop.remove_reader(self._socket)
            self._socket.close()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(ConnectionResetError(why))

    def _receive(self) -> None:
        """Take what has come; no bytes and an error are the end."""
        try:
            data = self._socket.recv(RECEIVE_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self.close(str(error))
            return
        if data:
            self.received_ms = self._clock.ticks_ms()
            self._take(data)
        else:
            self.close("closed by the other side")

    def _send(self, request: bytes) -> None:
        """Send a request as a whole, as the kernel's empty buffer takes it, or lose it all."""
        try:
            if self._socket.send(request) == len(request):
                return
            why = "the other side reads nothing"
        except OSError as error:
            why = str(error)
        self.close(why)

    def _take(self, data: bytes) -> None:
        """Feed the transaction under way; without one, keep the bytes for the next."""
        waiter, transaction = self._waiter, self._transaction
        if waiter is None or transaction is None or waiter.done():
            self._keep(data)
            return
        if not self._until_s and not transaction.rest:
            self._began_ms = self.received_ms
        try:
            done = transaction.feed(data)
            if done is True:
                waiter.set_result(self._began_ms)
            elif isinstance(done, bytes):       # the next request, with its own limit
                self._until_s = self._ends.loop.time() + self._timeout_s
                self._send(done)
        except (BadFrame, Refused) as error:
            waiter.set_exception(error)

    def _expire(self, waiter: "asyncio.Future[int]") -> None:
        left_s = self._until_s - self._ends.loop.time()
        if left_s > 0:                  # a later question of this transaction is under way
            self._ends.add(waiter, left_s, self._expire)
        else:
            waiter.set_exception(TimeoutError())

    def _keep(self, data: bytes) -> None:
        self._unread += data
        if len(self._unread) > UNREAD_MAX:
            self.close()


def check_behind(transaction: "TcpTransaction") -> None:
    """Raise BadFrame if what came behind the answer says that the stream is not in step.

    Whole answers to earlier questions are dropped later.  A part of a frame directly behind the
    answer, or another answer to this question: then what was just taken may be made of two.
    """
    rest, reads = transaction.rest, getattr(transaction, "reads", (transaction,))
    at = 0
    while at < len(rest):
        size = frame_size(rest, at)
        if size is None:
            if at > 0:
                return
            raise BadFrame(f"{transaction.describe()}: {len(rest)} bytes behind the answer")
        frame, at = rest[at:at + size], at + size
        for read in reads:
            if frame[:2] == read.request[:2] and frame[TCP_HEAD:] != read.result:
                raise BadFrame(f"{read.describe()}: two answers that differ")


async def connect(host: str, port: int) -> socket.socket:
    """Return a connected socket that does not block; raises OSError of the last address tried."""
    rows = await _addresses(host, port)
    for row in rows:
        try:
            return await _dial(row)
        except OSError:
            if row is rows[-1]:
                raise
    raise OSError(f"{host}: no address")


async def _dial(row: Address) -> socket.socket:
    """Return a socket connected to one row of getaddrinfo."""
    family, kind, protocol, _, address = row
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        _prepare(sock)
        await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:               # a cancelled caller too
        sock.close()
        raise
    return sock


async def _addresses(host: str, port: int) -> Sequence[Address]:
    """Return what getaddrinfo says; only names need a thread, for the answer can take long."""
    try:
        return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM,
                                  flags=socket.AI_NUMERICHOST)
    except socket.gaierror:
        return await asyncio.get_running_loop().getaddrinfo(
            host, port, type=socket.SOCK_STREAM)


def _prepare(sock: socket.socket) -> None:
    """Send small requests at once, and let the kernel look for a peer that vanished."""
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option, value in KEEPALIVE:
        if hasattr(socket, option):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, option), value)


class TcpLink:
    """One Modbus TCP server or gateway; one transaction at a time."""

    def __init__(self, bus: BusConfig, clock: LinkClock) -> None:
        self.name = bus.name
        self.counts = LinkCounts()
        self._host, self._port = bus.host, bus.port
        self._clock = clock
        self._is_busy = False
        self._back_off = BackOff(self.name)
        self._connection: Connection | None = None
        self._misses = 0
        self._quiet_ms = 0              # ticks since when the line has been silent

    async def exchange(self, transaction: Any, timeout_s: float) -> int:
        """Ask and hear: see base.Link.  A cancelled caller costs the connection."""
        if self._is_busy:
            raise Bug(f"{self.name}: asked while a question is under way")
        self._is_busy = True
        try:
            connection = self._connection
            if connection is None or connection.is_lost:
                connection = await self._connect(timeout_s)
            if transaction.gap_ms:
                await self._pace(connection, transaction.gap_ms)
            self.counts.asked += 1
            try:
                began_ms = await connection.ask(transaction, timeout_s)
            except TimeoutError:
                self._missed()
                raise NoReply(f"{self.name}: {transaction.describe()}: "
                              f"no answer in {timeout_s:g} s") from None
            except OSError as error:
                self.counts.no_reply += 1
                self._shut()
                self._back_off.failed(asyncio.get_running_loop().time())
                raise NoReply(f"{self.name}: connection lost: {error}") from error
            except BadFrame:
                self.counts.bad_frame += 1
                self._shut()
                raise
            except Refused:
                self.counts.refused += 1
                self._answered()
                raise
            except asyncio.CancelledError:
                self._shut()
                raise
            self.counts.answered += 1
            if self._misses or self._back_off.failures:
                self._answered()
            return began_ms
        finally:
            self._is_busy = False

    async def close(self) -> None:
        """Close the connection; the next exchange opens it again."""
        self._shut()

    async def _connect(self, timeout_s: float) -> Connection:
        """Return a new connection; raises NoReply while there can be none."""
        self._shut()
        loop = asyncio.get_running_loop()
        wait_s = self._back_off.wait_s(loop.time())
        if wait_s > 0:
            raise NoReply(f"{self.name}: not connected, next try in {wait_s:.0f} s")
        try:
            async with asyncio.timeout(timeout_s):
                connection = Connection(await connect(self._host, self._port), self._clock)
        except OSError as error:        # TimeoutError is one
            self._back_off.failed(loop.time())
            why = str(error) or f"no connection in {timeout_s:g} s"
            raise NoReply(f"{self.name}: {self._host}:{self._port}: {why}") from error
        self.counts.opened += 1
        self._connection = connection
        return connection

    async def _pace(self, connection: Connection, gap_ms: int) -> None:
        silent_ms = self._clock.ticks_ms() - max(connection.received_ms, self._quiet_ms)
        if silent_ms < gap_ms:
            await self._clock.sleep((gap_ms - silent_ms) / 1000)

    def _answered(self) -> None:
        self._misses = 0
        self._back_off.worked()

    def _missed(self) -> None:
        self.counts.no_reply += 1
        self._misses += 1
        self._quiet_ms = self._clock.ticks_ms()
        if self._misses >= MISSES_MAX:
            self._shut()

    def _shut(self) -> None:
        if self._connection is not None:
            self._quiet_ms = max(self._quiet_ms, self._connection.received_ms)
            self._connection.close()
        self._connection, self._misses = None, 0
