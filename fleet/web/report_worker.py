"""One long report in a process of its own: python -m fleet.web.report_worker QUESTION.

QUESTION is JSON, a WorkerJob.  On stdout: a line that says how it went, then the HTML of the
report or the text of the error.
"""

import json
import os
import resource
import sys
from pathlib import Path
from typing import NamedTuple

from fleet import clock
from fleet.errors import ReportError
from fleet.formats.registry import Registry
from fleet.reporting import changes, html, report
from fleet.store.reader import open_reader
from gateway.core.errors import WattproofError

NICENESS = 10               # the page and the receipts come first
MEMORY_BYTES_MAX = 2 << 30  # ten years of one cabinet take half of it
DONE, REFUSED, FAILED = b"done\n", b"refused\n", b"failed\n"


class WorkerJob(NamedTuple):
    """What is asked; data: the fleet's folder, cabinet: its name, factors: as in Question."""

    data: str
    cabinet: str
    factors: str | None
    from_ms: int
    to_ms: int


def answer(job: WorkerJob) -> tuple[bytes, str]:
    """Return (how it went, text) of a report."""
    data = Path(job.data)
    try:
        cabinet = Registry(data).find(job.cabinet)
        if cabinet is None:
            raise ReportError(job.cabinet)
        with open_reader(data) as reader:
            content = report.build(reader, report.ReportRequest(
                cabinet, job.factors, job.from_ms, job.to_ms))
            changes.keep(data, reader, content, clock.utc_ms())
        return DONE, html.render(content)
    except ReportError as error:
        return REFUSED, str(error)
    except WattproofError as error:
        return FAILED, str(error)
    except MemoryError:
        return FAILED, ""


def main(request: str) -> None:
    """Answer one question on stdout."""
    os.nice(NICENESS)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    how, text = answer(WorkerJob(*json.loads(request)))
    try:
        sys.stdout.buffer.write(how + text.encode())
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        sys.stderr.close()              # the reader went away


if __name__ == "__main__":
    main(sys.argv[1])
