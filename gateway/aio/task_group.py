"""Tasks that belong together: when one fails, the others end, and the failure is raised.

Two parts of asyncio forget that their task was cancelled, and a session that is started again
after each failure would then go on for ever: a TaskGroup of Python 3.11 and 3.12 if a task of
it fails at that very moment, and wait_for of 3.11, which aiomqtt uses, if what it waits for
comes at that very moment.
"""

import asyncio
from collections.abc import Coroutine


async def run_until_first_failure(*work: Coroutine[object, object, None]) -> None:
    """Run coroutines that never return until one raises, and raise that; when cancelled, all
    of them are, and CancelledError it is."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()


def raise_if_cancelled() -> None:
    """Raise CancelledError if the running task was cancelled and has forgotten it."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
