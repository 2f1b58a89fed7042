"""`python -m gateway` with its byte codes counted: what work costs, whatever the machine's mood.

    python -m tests.bench.traced_process PROFILES run --config cabinet.toml

Counts for SECONDS after a start of WARM_S, then prints {file below the project or library: count}.
Tracing makes it about twenty times slower, which changes no count at a reading a second.
"""

import asyncio
import collections
import json
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from drivers.links import profile_files
from gateway import app
from gateway.__main__ import main

WARM_S, SECONDS = 10.0, 120.0
COUNTS: collections.Counter[str] = collections.Counter()


def count(frame: FrameType, event: str, _argument: Any) -> Any:
    """Count one byte code, or begin to count those of a call."""
    if event == "call":
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
    elif event == "opcode":
        COUNTS[frame.f_code.co_filename] += 1
    return count


def stop() -> None:
    """End counting and print what was counted."""
    sys.settrace(None)
    print(json.dumps(COUNTS), flush=True)


class Traced(app.Gateway):
    """A gateway that is counted once it runs."""

    async def run(self) -> None:
        """Run as ever."""
        loop = asyncio.get_running_loop()
        loop.call_later(WARM_S, sys.settrace, count)
        loop.call_later(WARM_S + SECONDS, stop)
        await super().run()


if __name__ == "__main__":
    profile_files.FOLDER = Path(sys.argv[1])
    app.Gateway = Traced            # type: ignore[misc]
    sys.exit(main(sys.argv[2:]))
