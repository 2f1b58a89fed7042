"""What the adapters have in common: the harness' channels in our words, and its recorded day.

The harness is a folder that is not part of this project (README.md beside this file).  Its day
is an .npz of whole numbers [device][channel][time]; read here without numpy.
"""

import array
import json
import os
import re
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path

from gateway.core.codec.record import ScanRecord
from gateway.core.measurand import BY_NAME
from gateway.core.reading import Point, Stream
from tests.bench.load import METERS, NAMES, SEEDS, Plan, day

PHASES = ("l1", "l2", "l3")
# The harness' channel -> our measurand.  A mean current and a demand we have no id for: such ids
# are kept, not refused, and nothing predicts them.
CHANNELS = {
    **{f"V{i}": f"voltage_{p}_n" for i, p in enumerate(PHASES, 1)},
    **{f"I{i}": f"current_{p}" for i, p in enumerate(PHASES, 1)},
    **{f"P{i}": f"power_active_{p}" for i, p in enumerate(PHASES, 1)},
    **{f"S{i}": f"power_apparent_{p}" for i, p in enumerate(PHASES, 1)},
    **{f"Q{i}": f"power_reactive_{p}" for i, p in enumerate(PHASES, 1)},
    **{f"PF{i}": f"power_factor_{p}" for i, p in enumerate(PHASES, 1)},
    "Iavg": "", "Isum": "current_total", "P": "power_active_total", "S": "power_apparent_total",
    "Q": "power_reactive_total", "PF": "power_factor_total", "ANG": "phase_angle_total",
    "F": "frequency", "Ei": "energy_active_import_total", "Et": "energy_active_sum_total",
    "Er": "energy_reactive_sum_total",
    **{f"E{i}": f"energy_active_sum_{p}" for i, p in enumerate(PHASES, 1)},
    "Ee": "energy_active_export_total", "D15": "",
}
NAMELESS = 60_000
KWH = 3                         # the harness counts energy in kWh, we in Wh


def schema_of(names: list[str], decimals: list[int], devices: int) -> tuple[Stream, ...]:
    """Return the schema of equal meters with the harness' channels and decimals."""
    points = []
    for place, (name, digits) in enumerate(zip(names, decimals, strict=True)):
        ours = CHANNELS[name]
        measurand = BY_NAME[ours].id if ours else NAMELESS + place
        points.append(Point(measurand, KWH * ours.startswith("energy") - digits, ""))
    return tuple(Stream(f"m{device:02d}", tuple(points)) for device in range(devices))


def recorded(path: Path) -> tuple[array.array, tuple[int, int, int]]:
    """Return (int32 numbers, their shape) of array `x` of an .npz file."""
    with zipfile.ZipFile(path) as files:
        data = files.read("x.npy")
    size = struct.unpack_from("<H", data, 8)[0]             # NumPy's format 1.0
    head = data[10:10 + size].decode("latin-1")
    found = re.search(r"'shape': \((\d+), (\d+), (\d+)\)", head)
    if found is None or "'<i4'" not in head or "'fortran_order': False" not in head:
        raise SystemExit(f"{path}: not an array of int32 in three dimensions: {head}")
    numbers = array.array("i")
    numbers.frombytes(data[10 + size:])
    return numbers, (int(found[1]), int(found[2]), int(found[3]))


def records(count: int) -> Iterator[ScanRecord]:
    """Yield `count` scans of the bench's meters every 10 s, device by device.

    They are the harness' (BENCH_DAY names its file) or, without it, our own day's.
    """
    if "BENCH_DAY" not in os.environ:
        ours = next(day(SEEDS[0], "coarse", Plan(10, -(-count // METERS), 1)))[:count]
        for number, one in enumerate(ours):
            yield one._replace(ticks_ms=10_000 * (number // METERS) + one.stream)
        return
    numbers, (devices, channels, times) = recorded(Path(os.environ["BENCH_DAY"]))
    order = list(CHANNELS)
    spare = iter([order.index("Iavg"), order.index("D15")])
    theirs = {name: place for place, name in enumerate(CHANNELS.values()) if name}
    places = [(theirs[name] if name in theirs else next(spare),
               10 if name in theirs and name.startswith("energy") else 1) for name in NAMES]
    for number in range(count):
        time, s = divmod(number, devices)
        row = numbers[s * channels * times + time % times:(s + 1) * channels * times:times]
        values = tuple([row[place] * scale for place, scale in places])
        yield ScanRecord(number + 1, 10_000 * time + s, s, values)


def memory_mib() -> float:
    """Return this process' resident memory."""
    text = Path("/proc/self/status").read_text()
    return int(text.split("VmRSS:")[1].split()[0]) / 1024


def say(**figures: object) -> None:
    """Print one JSON line, as the harness reads it."""
    print(json.dumps(figures), flush=True)


def received(path: str) -> Iterator[tuple[str, bytes]]:
    """Yield (topic, payload) of a file of the harness' sink."""
    data, at = Path(path).read_bytes(), 0
    while at + 16 <= len(data):
        _, topic, payload = struct.unpack_from("<dII", data, at)
        at += 16 + topic + payload
        if at <= len(data):
            yield data[at - payload - topic:at - payload].decode(), data[at - payload:at]
