"""A serial line as a pseudo terminal: bytes leave at the speed of the wire.

Half duplex like RS-485: what arrives while an answer is going out is a collision and lost.
"""

import asyncio
import os
import tty
from collections.abc import Callable

BITS = 10               # start, eight data, stop (8N1)
CHUNK_S = 0.004         # real; asyncio's timers are good to about a millisecond
INLINE_S = 0.0005       # real; shorter waits are not worth a timer
READ_MAX = 4096         # a pty's own buffer


class PtyLine:
    """One line.  `on_bytes` gets what the master sent; send() answers at wire speed."""

    def __init__(self, baud: int, speed: int, on_bytes: Callable[[bytes], None]):
        self.byte_s = BITS / baud / speed               # real seconds of one byte
        self._on_bytes = on_bytes
        self._loop = asyncio.get_running_loop()
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.path = os.ttyname(self._slave)             # our own slave end stays open: no HUP
        self._loop.add_reader(self._master, self._readable)
        self._data, self._sent, self._begun_s = b"", 0, 0.0
        self.busy = False

    def close(self) -> None:
        """Take the line down."""
        self._loop.remove_reader(self._master)
        os.close(self._master)
        os.close(self._slave)
        self._master = -1

    def _readable(self) -> None:
        try:
            data = os.read(self._master, READ_MAX)
        except (BlockingIOError, OSError):
            return
        if not self.busy:
            self._on_bytes(data)

    def later(self, delay_s: float, compose: Callable[[], bytes | None]) -> None:
        """Call `compose` after delay_s real seconds and send what it returns, if anything.

        The answer is composed when its first byte leaves, so it holds the values of then.
        """
        self.busy = True
        if delay_s < INLINE_S:
            self._begin(compose)
        else:
            self._loop.call_later(delay_s, self._begin, compose)

    def send(self, data: bytes, delay_s: float = 0.0) -> None:
        """Send ready bytes after delay_s real seconds."""
        self.later(delay_s, lambda: data)

    def _begin(self, compose: Callable[[], bytes | None]) -> None:
        self.busy = False
        if self._master < 0:
            return
        data = compose()
        if data:
            self.busy = True
            self._data, self._sent, self._begun_s = data, 0, self._loop.time()
            self._pump()

    def _pump(self) -> None:
        """Write the bytes that the wire would have carried by now; come back for the rest."""
        if self._master < 0:
            return
        since_s = self._loop.time() - self._begun_s
        due = min(len(self._data), 1 + int(since_s / self.byte_s + 1e-6))
        try:
            os.write(self._master, self._data[self._sent:due])
        except OSError:
            pass                    # nobody reads and the buffer is full: lost, as on a wire
        self._sent = due
        left_s = (len(self._data) - 1) * self.byte_s - since_s
        if due >= len(self._data):
            self.busy = False
        elif left_s < INLINE_S:
            self._begun_s -= left_s + self.byte_s
            self._pump()
        else:
            self._loop.call_later(min(CHUNK_S, left_s), self._pump)
