"""Long reports: each in a process of its own, few at a time, ended when its reader goes away.

A year takes seconds of one core and a hundred megabytes; in a thread of the page's process it would
hold up the page, the receipts and the check of health.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator

from starlette.requests import Request

from fleet.errors import ReportError
from fleet.texts import say
from fleet.web.report_worker import DONE, REFUSED, WorkerJob
from gateway.core.errors import WattproofError

LONG_MS = 2 * 24 * 3_600_000    # a longer report is made in a process of its own
WORKERS_MAX = 2                 # at once: there are two cores, and one is the page's
WHOLE_S_MAX = 300.0             # for the work of one report; ten years of one cabinet take less
LOOK_S = 0.2                    # how often the reader is looked for while there is nothing to send
CHUNK_BYTES = 65536


class LongReportFailed(WattproofError):
    """A report's process ended without an answer."""

    code = "report-process"


class ReaderGone(Exception):
    """The browser that asked went away."""


async def start(job: WorkerJob) -> asyncio.subprocess.Process:
    """Start the process of a report."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "fleet.web.report_worker", json.dumps(job),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE)


async def ready(process: asyncio.subprocess.Process, request: Request) -> None:
    """Return when a report's text begins; ends the process if it has none, or no reader.

    Raises ReportError or WattproofError with its text, ReaderGone.
    """
    try:
        async with asyncio.timeout(WHOLE_S_MAX):
            how = await _first_line(process, request)
            if how == DONE:
                return
            text = (await _stdout(process).read(CHUNK_BYTES)).decode(errors="replace")
    except BaseException as error:
        await end(process)
        if isinstance(error, TimeoutError):
            raise LongReportFailed(say("page.report_too_long")) from error
        raise
    await end(process)
    if how == REFUSED:
        raise ReportError(text)
    raise LongReportFailed(text or say("page.report_failed"))


async def pieces(process: asyncio.subprocess.Process) -> AsyncIterator[bytes]:
    """Yield a report's text as it comes, and end the process however that ends."""
    try:
        while data := await _stdout(process).read(CHUNK_BYTES):
            yield data
    finally:
        await end(process)


async def end(process: asyncio.subprocess.Process) -> None:
    """End a process if it still runs."""
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    await process.wait()


async def _first_line(process: asyncio.subprocess.Process, request: Request) -> bytes:
    line = asyncio.create_task(_stdout(process).readline())
    try:
        while not line.done():
            await asyncio.wait({line}, timeout=LOOK_S)
            if not line.done() and await request.is_disconnected():
                raise ReaderGone
        return line.result()
    finally:
        line.cancel()


def _stdout(process: asyncio.subprocess.Process) -> asyncio.StreamReader:
    if process.stdout is None:
        raise LongReportFailed(say("page.report_failed"))
    return process.stdout
