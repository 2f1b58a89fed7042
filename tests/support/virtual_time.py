"""An asyncio loop whose time jumps: sleeps cost nothing, files and pipes stay real.

When nothing is ready and the next timer is `wait` seconds away, the loop moves its clock by
`wait` instead of sleeping: a day of polling runs in milliseconds and twice the same.  A loop
with no timer and no ready descriptor would wait for ever, so that is an error here.
"""

import asyncio
import selectors


class _JumpingSelector(selectors.DefaultSelector):
    def __init__(self):
        super().__init__()
        self.skipped = 0.0          # s, virtual time gained so far

    def select(self, timeout=None):
        """Poll real descriptors; when idle, add `timeout` to the virtual clock."""
        ready = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise RuntimeError("deadlock: nothing scheduled and nothing to read")
        self.skipped += max(timeout, 0.0)
        return []


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """SelectorEventLoop with time() in virtual seconds, starting at 0."""

    def __init__(self):
        self._jump = _JumpingSelector()
        super().__init__(self._jump)

    def time(self):
        """Return virtual seconds since the loop was made."""
        return self._jump.skipped


def run(coroutine):
    """Run a coroutine to its end in virtual time and return its result."""
    loop = VirtualTimeLoop()
    try:
        return loop.run_until_complete(coroutine)
    finally:
        loop.close()
