"""The simulation's event loop: virtual time only, no sockets, no threads, no descriptors.

Where asyncio would ask the operating system, the clock moves to the next timer; timers of one
instant strike in the order in which they were set.  An executor's work runs inline.  Nothing
scheduled is a deadlock and raises.  Tasks hash by the order in which they were made, so that
sets of tasks (TaskGroup has one) have the same order in every process, and inherit their
maker's `owner`, so that a process' tasks are known.
"""

import asyncio
import itertools
from heapq import heappop, heappush

TICK_S = 1e-6                # the shortest sleep


class Deadlock(Exception):
    """No timer and nothing ready: every task waits for another."""


class _Call:
    """A callback that waits for its turn; what asyncio calls a handle."""

    __slots__ = ("when_s", "callback", "given", "context")

    def __init__(self, when_s, callback, given, context):
        self.when_s, self.callback, self.given, self.context = when_s, callback, given, context

    def cancel(self):
        """Never make the call."""
        self.callback = self.given = self.context = None

    def cancelled(self):
        """Return whether somebody cancelled it."""
        return self.callback is None

    def when(self):
        """Return the instant of a timer, in virtual seconds."""
        return self.when_s


class _Task(asyncio.Task):
    def __init__(self, coroutine, *, loop, number, **more):
        self._number = number
        self.owner = getattr(asyncio.current_task(loop), "owner", None)
        super().__init__(coroutine, loop=loop, **more)

    def __hash__(self):
        return self._number

    def __eq__(self, other):
        return self is other


class SimLoop(asyncio.BaseEventLoop):
    """An asyncio loop that starts at 0 s and costs no real time while it waits."""

    def __init__(self):
        self.now_s = 0.0
        super().__init__()
        self._timers, self._orders = [], itertools.count()
        numbers = itertools.count(1)
        self.set_task_factory(lambda loop, coroutine, **more: _Task(
            coroutine, loop=loop, number=next(numbers), **more))

    def time(self):
        """Return virtual seconds."""
        return self.now_s

    def call_soon(self, callback, *given, context=None):
        """Call back in the next turn."""
        call = _Call(self.now_s, callback, given, context)
        self._ready.append(call)
        return call

    call_soon_threadsafe = call_soon

    def call_at(self, when_s, callback, *given, context=None):
        """Call back at an instant."""
        call = _Call(when_s, callback, given, context)
        heappush(self._timers, (when_s, next(self._orders), call))
        return call

    def call_later(self, delay_s, callback, *given, context=None):
        """Call back after a while: a microsecond at least, or who sleeps for a rounding error
        until the clock has moved would sleep for ever."""
        return self.call_at(self.now_s + max(delay_s, TICK_S), callback, *given, context=context)

    def _run_once(self):
        """Take a turn: what is ready, and the timers of this instant or else of the next."""
        ready, timers = self._ready, self._timers
        if not ready:
            while timers and timers[0][2].callback is None:
                heappop(timers)
            if not timers:
                raise Deadlock("nothing scheduled")
            self.now_s = max(self.now_s, timers[0][0])
        while timers and timers[0][0] <= self.now_s:
            ready.append(heappop(timers)[2])
        for _ in range(len(ready)):
            call = ready.popleft()
            if call.callback is not None:
                self._make(call)

    def _make(self, call):
        try:
            if call.context is None:
                call.callback(*call.given)
            else:
                call.context.run(call.callback, *call.given)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self.call_exception_handler({"message": "in a callback", "exception": error})

    def _process_events(self, _events):
        pass

    def _write_to_self(self):
        pass

    def add_signal_handler(self, _number, _callback, *_given):
        """Signals reach a simulated process through its `stop` event."""

    def run_in_executor(self, _executor, work, *given):
        """Do the work now; its future is done when this returns."""
        future = self.create_future()
        try:
            future.set_result(work(*given))
        except BaseException as error:
            future.set_exception(error)
        return future


def run(main):
    """Run main(), a coroutine function, to its end in virtual time; return its result."""
    loop = SimLoop()
    failed = []
    loop.set_exception_handler(lambda _loop, context: failed.append(context))
    try:
        asyncio.set_event_loop(loop)
        result = loop.run_until_complete(main())
    finally:
        asyncio.set_event_loop(None)
        loop.close()
    if failed:
        raise AssertionError(f"an exception nobody awaited: {failed[0]}")
    return result
