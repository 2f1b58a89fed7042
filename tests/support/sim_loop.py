"""The simulation's event loop: virtual time only, no sockets, no threads, no descriptors.

Where asyncio would ask the operating system, an object moves the clock to the next timer.
An executor's work runs inline.  Nothing scheduled is a deadlock and raises.  Tasks hash by
the order in which they were made, so that sets of tasks (TaskGroup has one) have the same
order in every process, and inherit their maker's `owner`, so that a process' tasks are known.
"""

import asyncio
import itertools


class Deadlock(Exception):
    """No timer and nothing ready: every task waits for another."""


class _Jump:
    """Stands where a selector would: waiting is free."""

    def __init__(self, loop):
        self._loop = loop

    def select(self, timeout):
        """Move the clock to the next timer unless something is ready."""
        if timeout is None:
            raise Deadlock("nothing scheduled")
        if timeout > 0:
            loop = self._loop
            loop.now_s = max(loop.now_s, loop._scheduled[0]._when)
        return ()


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
        self._selector = _Jump(self)
        self._clock_resolution = 1e-9
        numbers = itertools.count(1)
        self.set_task_factory(lambda loop, coroutine, **more: _Task(
            coroutine, loop=loop, number=next(numbers), **more))

    def time(self):
        """Return virtual seconds."""
        return self.now_s

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
