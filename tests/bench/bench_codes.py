"""Where the gateway's work goes at L1, in byte codes a second: the same on every machine."""

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.bench import rig
from tests.bench.bench_gateway import wait_s
from tests.bench.figure import Figure
from tests.bench.process import python, running
from tests.bench.traced_process import SECONDS, WARM_S

# part -> beginnings of the files that are it; the first that fits counts.
PARTS = {
    "encoding and journal": ("gateway/core/",),
    "decoding floats": ("drivers/links/decimals.py",),
    "polling": ("drivers/", "gateway/polling/", "gateway/aio/", "gateway/timekeeping/"),
    "asyncio": ("asyncio/", "selectors.py"),
    "the rest": ("",),
}
LIBRARY = Path(asyncio.__file__).parents[1]
LOAD = ("L1: 20 meters x 34 points at 1 Hz, batch a minute, both reads of a poll at once, "
        f"{SECONDS:g} s")


def part_of(file: str) -> str:
    """Return the part that a source file belongs to."""
    path = file.removeprefix(f"{Path.cwd()}/").removeprefix(f"{LIBRARY}/")
    return next(part for part, heads in PARTS.items() if path.startswith(heads))


def measure() -> Iterator[Figure]:
    """Yield byte codes a second in all and by part."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(rig.workshop())
        meters = stack.enter_context(running(
            "meters", python("tests.bench.meter_server"), folder / "meters.log"))
        made = rig.make_site(folder / "site", meters.line()["ports"],
                             {"interval_s": 1, "batch_minutes": 1}, rig.free_port(), 2)
        stack.enter_context(rig.broker(made))
        stack.enter_context(rig.fleet(made))
        gateway = stack.enter_context(running("gateway", python(
            "tests.bench.traced_process", *rig.gateway_command(made)[3:]), folder / "gateway.log"))
        wait_s(WARM_S + SECONDS)
        counts = gateway.line()
    yield Figure("byte codes a second", sum(counts.values()) / SECONDS, "", None, LOAD)
    for part in PARTS:
        share = sum(n for file, n in counts.items() if part_of(file) == part)
        yield Figure(part, share / sum(counts.values()) * 100, "%", None, LOAD)
