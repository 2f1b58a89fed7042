"""A board's journal on LittleFS: the power goes at every operation of the flash chip.

The interpreter of the boards runs the product's journal and store on its own LittleFS, over
NOR flash in RAM (tests/support/board_power_cuts.py); at each operation once before it and once in
the middle of it.
"""

import asyncio
import os
from pathlib import Path

import pytest

from tests.support.parts import need

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tests" / "support" / "board_power_cuts.py"
OPERATIONS_MIN = 1500


async def cuts_of(first, step, root=ROOT):
    """Run the cuts at operations first, first + step ...; return (cuts, operations, records)."""
    process = await asyncio.create_subprocess_exec(
        need("micropython"), "-X", "heapsize=64M", str(SCRIPT), str(root), str(first), str(step),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
    said = (await process.communicate())[0].decode()
    assert process.returncode == 0, said[-2000:]
    return tuple(int(number) for number in said.split())


async def test_a_boards_journal_survives_a_power_cut_at_every_fiftieth_flash_operation():
    cuts, operations, records = await cuts_of(7, 50)
    assert cuts > 60 and operations >= OPERATIONS_MIN and records > 10 * cuts


@pytest.mark.proof
@pytest.mark.timeout(400)
async def test_a_boards_journal_survives_a_power_cut_at_every_flash_operation(capsys):
    jobs = os.cpu_count() or 1
    done = await asyncio.gather(*[cuts_of(first, jobs) for first in range(jobs)])
    cuts, operations = sum(row[0] for row in done), done[0][1]
    with capsys.disabled():
        print(f"\nboard on LittleFS: {cuts} power cuts at {operations} flash operations, 0 lost")
    assert cuts == 2 * operations >= 2 * OPERATIONS_MIN
