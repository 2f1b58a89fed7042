"""The meter of the benches: 34 float32 input registers in three islands, and its profile.

It lies like an SDM630 (0..35, 48..65, 342..355) but answers at once and over TCP too, as the
peers' harness has it: a device with a documented pause would measure the pause.
"""

import struct
from pathlib import Path

from provisioning.toml_text import document
from tests.bench.load import NAMES, SEEDS, Cabinet

STEM = "bench-meter"
HEAD = """manufacturer = "nobody"
model = "bench meter"
kind = "meter"
protocol = "modbus"
maturity = "simulated"
"""
ADDRESSES = (*range(0, 36, 2), *range(48, 66, 2), *range(342, 356, 2))
REGISTERS = 356
GAP_MAX = 12                        # one read over the hole of the first two islands
Spans = tuple[tuple[int, int], ...]             # (address, count) of each read
SPANS: Spans = ((0, 66), (342, 14))             # what the planner makes of it
ISLANDS: Spans = ((0, 36), (48, 18), (342, 14))


def write_profile(folder: Path) -> Path:
    """Write the meter's profile into a folder of profiles; return the file."""
    points = [{"measurand": name, "address": address, "format": "float32", "group": "journal",
               "source": ["bench"]} for name, address in zip(NAMES, ADDRESSES, strict=True)]
    text = HEAD + document("A meter for benches.", [
        ("sources", {"bench": "tests/bench/meter.py"}),
        ("transport", {"buses": ["modbus-tcp", "modbus-rtu"],
                       "bauds": [9600, 19200, 38400, 57600, 115200],
                       "source": ["bench"]}),
        ("reading", {"function": 4, "registers_max": 125, "gap_max": GAP_MAX, "step": 2,
                     "source": ["bench"]}),
        ("point", points)])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{STEM}.toml"
    path.write_text(text, encoding="utf-8")
    return path


def images(seconds: int) -> list[list[bytes]]:
    """Return [second][meter] -> the register bytes 0..355 of that second of the day."""
    cabinet = Cabinet(SEEDS[0])
    cabinet.step(12 * 3600)
    return [[_image(values) for values in cabinet.step(1)] for _ in range(seconds)]


def _image(values: dict[str, float]) -> bytes:
    cells = bytearray(2 * REGISTERS)
    for name, address in zip(NAMES, ADDRESSES, strict=True):
        struct.pack_into(">f", cells, 2 * address, values[name])
    return bytes(cells)
