"""A board in the whole: MicroPython boots the flash image, the fleet admits what it measured.

Real processes: simulator, broker, fleet, and the unix port of MicroPython in its limited heap.
A power cut is SIGKILL at a random moment, or in the middle of a flash operation (half of what
was to be programmed is there, or half of the block is erased).
"""

import asyncio
import contextlib
import json
import os
import random
import re
import shutil
import signal

import pytest

from simulator.demo import checks
from simulator.demo.board_run import BoardDemo
from simulator.demo.processes import ProcessEnded, free_port, until
from simulator.demo.run import parser, prepare_folder
from tests.support.board_site import with_umqtt
from tests.support.parts import need

SEED = 20261123
CUTS = 24
WAITING = 300           # batches: 5 hours of polls each 10 s, 30 hours of polls each minute
WINDOW = 100            # batches during which the heap is told some five times


def arguments(out):
    """Return the options of a demo with a board at speed 60 in a folder."""
    return parser().parse_args(["--scenario", "board", "--exit", "--out", str(out),
                                "--port", str(free_port()), "--board"])


class BoardOnTest(BoardDemo):
    """The demo's board, with umqtt.simple out of the tests' cache."""

    cache = None

    async def provision(self):
        provisioned = super().provision
        run = self.processes.run

        async def with_package(name, command):
            if "image" in command:
                with_umqtt(self.site, self.cache)
            await run(name, command)
        self.processes.run = with_package
        await provisioned()


@pytest.fixture
def board(tmp_path, request):
    need("mosquitto")
    need("micropython")
    prepare_folder(tmp_path / "demo")
    made = BoardOnTest(arguments(tmp_path / "demo"))
    made.cache = request.config.cache.mkdir("wattproof-board")
    return made


def fill(file, blocks):
    """Fill the flash of an image but for some blocks."""
    from littlefs import LittleFS

    from provisioning.board_image import build
    size, data = build.BLOCK_BYTES * build.BLOCKS, bytearray(file.read_bytes())
    flash = LittleFS(block_size=build.BLOCK_BYTES, block_count=build.BLOCKS, mount=False)
    flash.context.buffer[:] = data[:size]
    flash.mount()
    with flash.open("filler", "wb") as filler:
        filler.write(bytes(build.BLOCK_BYTES * (build.BLOCKS - flash.used_block_count - blocks)))
    file.write_bytes(bytes(flash.context.buffer) + data[size:])


def stuck(demo):
    """Return how often the console's last lines told the same record durable."""
    told = re.findall(r"^durable (\d+)", demo.console.read_text(), re.M)
    return next((i for i, one in enumerate(reversed(told)) if one != told[-1]), len(told))


def stored(demo):
    """Return the records that the fleet holds, as (first, last) of each batch."""
    return demo.delivered().ranges if (demo.fleet / "fleet.db").is_file() else []


async def all_stored(demo, sequence, timeout_s=60):
    """Wait until the fleet holds every record up to a sequence."""
    await until(lambda: checks.lost_and_duplicated(stored(demo), sequence)[0] == 0,
                f"record {sequence} in the fleet", demo.processes, timeout_s)


def sealed(demo):
    """Return the number of the last batch that the board's console called sealed."""
    return int(([0] + re.findall(r"^sealed (\d+)", demo.console.read_text(), re.M))[-1])


async def heap_until(demo, number):
    """Return the least heap in use, in bytes, that the console told until a batch was sealed."""
    begun = len(demo.console.read_text())
    await until(lambda: sealed(demo) >= number, f"batch {number}", demo.processes, 300)
    return min(map(int, re.findall(r"heap (\d+) used", demo.console.read_text()[begun:])))


async def cut(demo, number, dice):
    """Cut the board's power: at a random moment, or inside a random flash operation."""
    if number % 2:
        await demo.processes.stop("gateway", signal.SIGKILL)
        demo.options = ["--cut", str(dice.randrange(1, 60))]
        await demo.start_gateway()
        with contextlib.suppress(ProcessEnded):     # at the cut, or: fewer operations than that
            await until(lambda: False, "a cut", demo.processes, 12)
        demo.options = []
    else:
        await asyncio.sleep(dice.uniform(0.1, 3.0))
    await demo.processes.stop("gateway", signal.SIGKILL)
    await demo.start_gateway()


@pytest.mark.timeout(120)
async def test_a_board_boots_its_image_and_the_fleet_admits_its_batches(board):
    try:
        await board.start()
        await until(lambda: len(stored(board)) >= 3, "three batches", board.processes, 60)
        await all_stored(board, board.witnessed())
    finally:
        await board.processes.stop_all()
    found = board.delivered()
    assert set(found.scans) == {"grid", "other"}
    assert checks.lost_and_duplicated(found.ranges, max(last for _, last in found.ranges)) == (0, 0)
    assert "MemoryError" not in board.console.read_text()


@pytest.mark.proof
@pytest.mark.timeout(400)
async def test_power_cuts_at_any_moment_lose_and_double_nothing(board):
    dice = random.Random(SEED)
    try:
        await board.start()
        for number in range(CUTS):
            await cut(board, number, dice)
        witnessed = board.witnessed()
        await all_stored(board, witnessed)
    finally:
        await board.processes.stop_all()
    found = board.delivered()
    assert witnessed > 10 * CUTS / 4
    assert checks.lost_and_duplicated(found.ranges, witnessed) == (0, 0)
    assert checks.undeclared_gaps(found, 10_000) == []
    text = board.console.read_text()
    assert "MemoryError" not in text and "fork" not in text


@pytest.mark.proof
@pytest.mark.timeout(300)
async def test_the_demo_with_a_board_survives_an_outage_and_a_kill(board, tmp_path):
    board.args.hours = 0.5
    assert await board.run() == 0
    summary = json.loads((tmp_path / "demo" / "summary.json").read_text())
    assert summary["lost"] == 0 and summary["duplicated"] == 0 and summary["witnessed"] > 200
    assert {row["role"] for row in summary["energy"]} >= {"grid_import", "other"}


@pytest.mark.proof
@pytest.mark.timeout(900)
async def test_hundreds_of_batches_wait_in_no_more_memory_and_all_arrive(board):
    board.args.speed = 240
    try:
        await board.start()
        await until(lambda: len(stored(board)) >= 2, "two batches", board.processes, 60)
        await board.processes.stop("broker", signal.SIGKILL)
        first = len(stored(board))
        few = await heap_until(board, first + WINDOW)
        await heap_until(board, first + WAITING - WINDOW)
        many = await heap_until(board, first + WAITING)
        await board.processes.stop("gateway", signal.SIGKILL)
        silent_ms = board.clock.utc_ms()    # meters too, so that a loaded machine catches up
        os.kill(board.processes.pid("simulator"), signal.SIGSTOP)
        await board.start_gateway()
        await board.start_broker()
        witnessed = board.witnessed()
        await all_stored(board, witnessed, 240)
    finally:
        os.kill(board.processes.pid("simulator"), signal.SIGCONT)
        await board.processes.stop_all()
    found = board.delivered()
    assert len(found.ranges) >= first + WAITING
    assert checks.lost_and_duplicated(found.ranges, witnessed) == (0, 0)
    found.scans = {device: [at for at in times if at < silent_ms]
                   for device, times in found.scans.items()}
    assert checks.undeclared_gaps(found, 10_000) == []
    assert many - few < 32 * (WAITING - WINDOW)     # not one block of the heap a batch more
    assert "MemoryError" not in board.console.read_text()


@pytest.mark.proof
@pytest.mark.timeout(400)
async def test_a_board_whose_flash_is_full_goes_on_when_the_fleet_is_back(board):
    board.args.speed = 120
    provision = board.provision

    async def provision_and_fill():
        await provision()
        fill(board.image, 24)
    board.provision = provision_and_fill
    try:
        await board.start()
        await until(lambda: len(stored(board)) >= 2, "two batches", board.processes, 60)
        await board.processes.stop("broker", signal.SIGKILL)
        await until(lambda: stuck(board) >= 20, "a full flash", board.processes, 150)
        witnessed = board.witnessed()
        await board.start_broker()
        await until(lambda: board.witnessed() > witnessed + 100, "more records",
                    board.processes, 120)
        await all_stored(board, board.witnessed())
    finally:
        await board.processes.stop_all()
    found = board.delivered()
    assert checks.lost_and_duplicated(found.ranges, witnessed + 100) == (0, 0)
    assert "MemoryError" not in board.console.read_text()


async def test_code_in_littlefs_boots_too(tmp_path, request):
    need("micropython")
    from provisioning.board_image import build
    from tests.support.board_site import make
    site = with_umqtt(make(tmp_path), request.config.cache.mkdir("wattproof-board"))
    build.build(site, tmp_path / "b.img", "littlefs")
    shutil.rmtree(site)
    process = await asyncio.create_subprocess_exec(
        need("python"), "-m", "simulator.demo.board", str(tmp_path / "b.img"), "--heap", "256K",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    try:
        async with asyncio.timeout(20):
            lines = [await process.stdout.readline() for _ in range(2)]
    finally:
        process.kill()
        await process.wait()
    assert lines[0] == b"boot 1 of kiosk-1\n"
    assert lines[1].startswith(b"durable ")
