"""A master on a pty for tests: raw bytes out, whatever comes back in, with arrival times.

    @in_pty_time
    async def test_...():
        peer = Peer(path)
        reply = await peer.ask(request, 9)
"""

import asyncio
import os
import selectors

from tests.support.parts import need


class _PatientSelector(selectors.PollSelector):
    """Jumps over idle time like virtual_time's, but lets a pty deliver first.

    A worker of the kernel hands bytes through a pty some time after the write, on a busy machine
    many milliseconds later.  poll(2) waits for that worker (n_tty_poll flushes its queue), so a
    descriptor without bytes has none under way; epoll only tells what the worker has done, and
    would let the clock jump over bytes in flight.
    """

    def __init__(self):
        super().__init__()
        self.skipped = 0.0          # s, virtual time gained so far

    def select(self, timeout=None):
        """Poll real descriptors; when idle, add `timeout` to the virtual clock."""
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise RuntimeError("deadlock: nothing scheduled and nothing to read")
            self.skipped += max(timeout, 0.0)
        return ready


class PtyTimeLoop(asyncio.SelectorEventLoop):
    """A loop of virtual seconds for tests in which both ends of a pty live in one process."""

    def __init__(self):
        self._jump = _PatientSelector()
        super().__init__(self._jump)

    def time(self):
        """Return virtual seconds since the loop was made."""
        return self._jump.skipped


def in_pty_time(test):
    """Return a plain test function that runs a coroutine function in a PtyTimeLoop."""
    def run(*arguments, **named):
        loop = PtyTimeLoop()
        try:
            loop.run_until_complete(test(*arguments, **named))
        finally:
            loop.close()
    run.__name__ = test.__name__
    return run


class Peer:
    """Opens a pty by path.  got: bytes since the last ask(); stamps: loop times of arrivals."""

    def __init__(self, path):
        self._loop = asyncio.get_running_loop()
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
        self._loop.add_reader(self._fd, self._readable)
        self._arrived = asyncio.Event()
        self.got, self.stamps = b"", []

    def close(self):
        """Let go of the line."""
        self._loop.remove_reader(self._fd)
        os.close(self._fd)

    def _readable(self):
        self.got += os.read(self._fd, 4096)
        self.stamps.append(self._loop.time())
        self._arrived.set()

    def say(self, data):
        """Send bytes, as many as the line takes."""
        os.write(self._fd, data)

    async def ask(self, data, size, patience_s=2.0):
        """Send bytes and return what came: at least `size` bytes, or less after patience_s."""
        self.got, self.stamps = b"", []
        self.say(data)
        return await self.hear(size, patience_s)

    async def hear(self, size, patience_s=2.0):
        """Return what came since the last ask(), at least `size` bytes unless patience ends."""
        try:
            async with asyncio.timeout(patience_s):
                while len(self.got) < size:
                    self._arrived.clear()
                    await self._arrived.wait()
        except TimeoutError:
            pass
        return self.got


async def mbpoll(*arguments):
    """Return (exit code, output) of mbpoll (libmodbus), an implementation nobody here wrote."""
    need("mbpoll")
    process = await asyncio.create_subprocess_exec(
        "mbpoll", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    try:
        async with asyncio.timeout(20):
            text, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        raise
    return process.returncode, text.decode(errors="replace")
