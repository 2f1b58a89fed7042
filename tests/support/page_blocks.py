"""The code blocks of a page, run as a reader would run them, and their output compared.

    for block in blocks(text): ...      every block with the output the page shows for it
    with Runner(folder) as runner:      a folder of its own, in which the commands run
        fault = runner.fault(block)     how its output differs from the page's, or None

Fences: `sh` and `python` are run.  `text exact` behind one of them is its output to the
character; `text shape` is its output with numbers and hexadecimal left free, because they
depend on the run, and lines of equal shape in a row as one.  `text part`: these lines stand in
the output in this order.  A block of `sh` that begins a server starts it in the background.
"""

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
KINDS = ("exact", "shape", "part")
READY_S, RUN_S = 60, 120
_FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.M | re.S)
_FREE = re.compile(r"\b(?:[0-9a-f]{2,}|[\d.]+)\b")
_SERVER = re.compile(r"simulator serve .*--out (\S+)")


class Block(NamedTuple):
    """A block that is run: line of the page, sh or python, source; how the output compares
    (None: any, the exit code must be 0) and the output of the page."""

    line: int
    language: str
    source: str
    kind: str | None
    output: str


def blocks(text):
    """Return the Blocks of a page; raises ValueError for a fence that nobody would run."""
    found = []
    for match in _FENCE.finditer(text):
        info, body, line = match[1].split(), match[2], text[:match.start()].count("\n") + 1
        if info in (["sh"], ["python"]):
            found.append(Block(line, info[0], body, None, ""))
        elif info[:1] == ["text"] and info[1:] and info[1] in KINDS and found \
                and found[-1].kind is None:
            found[-1] = found[-1]._replace(kind=info[1], output=body)
        else:
            raise ValueError(f"line {line}: a block that is neither run nor compared: {match[1]!r}")
    return found


def shape(text):
    """Return the lines of a text with # for numbers and hexadecimal, equal neighbours once."""
    lines = []
    for line in text.splitlines():
        plain = re.sub(r"(?:-?#[ ,]*)+", "# ", _FREE.sub("#", line)).split()
        if plain and plain != (lines[-1] if lines else None):
            lines.append(plain)
    return [" ".join(line) for line in lines]


def difference(block, printed):
    """Return how a block's output differs from the page's, or None."""
    wanted, got = block.output.splitlines(), printed.splitlines()
    if block.kind == "shape":
        wanted, got = shape(block.output), shape(printed)
    if block.kind == "part":
        rest = iter([line.strip() for line in got])
        lost = [line for line in wanted if line.strip() not in rest]
        return f"line {block.line}: not printed: {lost[0]!r}" if lost else None
    if block.kind is None or wanted == got:
        return None
    return f"line {block.line}: the page says {wanted}, a run prints {got}"


class Runner:
    """Runs the blocks of a page in a folder; ends the servers they began when it is left."""

    def __init__(self, folder):
        self.folder = Path(folder)
        # As in the project's virtual environment, with this tree first.
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        self._environment = {**os.environ, "PATH": path, "PYTHONPATH": str(ROOT)}
        self._servers = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for server in self._servers:
            server.terminate()
            server.wait(timeout=RUN_S)

    def fault(self, block):
        """Run a block; returns how it differs from the page, or None."""
        server = _SERVER.search(block.source)
        if block.language == "sh" and server:
            return self._serve(block, self.folder / server[1])
        command = [sys.executable, "-c"] if block.language == "python" else ["bash", "-ec"]
        done = subprocess.run([*command, block.source], cwd=self.folder, check=False,
                              env=self._environment, capture_output=True, text=True, timeout=RUN_S)
        if done.returncode:
            return f"line {block.line}: exit code {done.returncode}: {done.stderr[-1000:]}"
        return difference(block, done.stdout)

    def _serve(self, block, out):
        (out / "endpoints.json").unlink(missing_ok=True)        # of an earlier run in this folder
        self._servers.append(subprocess.Popen(
            shlex.split(block.source), cwd=self.folder, env=self._environment,
            stdout=subprocess.DEVNULL))
        end = time.monotonic() + READY_S
        while not (out / "endpoints.json").exists():
            if self._servers[-1].poll() is not None or time.monotonic() > end:
                return f"line {block.line}: the server does not start"
            time.sleep(0.05)
        return None
