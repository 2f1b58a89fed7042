"""Adding a protocol: each row of the registry has its server, its line in the page, a right file.

What stands in docs/design.md ("Where does it go?") is true as long as this holds.
"""

import importlib
import re
from pathlib import Path

import pytest

from drivers import profile
from drivers.links import profile_files, registry
from gateway.config import load as config
from simulator.buses import BUSES
from tests.support.cabinet_folder import EXAMPLE, make_folder

ROOT = Path(__file__).resolve().parents[2]
# row -> [[bus]] and [[device]] of a cabinet that is right
CABINETS = {
    "modbus-rtu": ('tty = "/dev/ttyS1"', 'unit = 1\nprofile = "xy-md02"'),
    "modbus-tcp": ('host = "10.0.0.5"', 'unit = 1\nprofile = "sunspec-generic"'),
    "pylontech": ('tty = "/dev/ttyS2"', 'unit = 2\nprofile = "pylontech-rs485"'),
    "prometheus": ('url = "http://10.0.0.6:9100"',
                   'profile = "compute-prometheus"\ncores = 8\nmeter = "meter"'),
}
METER = """
[[bus]]
name = "meter"
transport = "tcp"
protocol = "modbus"
host = "10.0.0.7"

[[device]]
name = "meter"
bus = "meter"
profile = "eastron-sdm120"
"""


def cabinet(row):
    """Return the text of a cabinet.toml with one such bus and a device on it."""
    bus, device = CABINETS[row.name]
    head = EXAMPLE.read_text().split("[[bus]]")[0].replace(
        "[journal]", "off_grid = true\n[journal]")
    return (f'{head}[[bus]]\nname = "bus"\ntransport = "{row.transport}"\n'
            f'protocol = "{row.protocol}"\n{bus}\n\n[[device]]\nname = "device"\nbus = "bus"\n'
            f"{device}\n{METER}")


@pytest.mark.parametrize("row", registry.ROWS, ids=registry.NAMES)
def test_a_cabinet_with_such_a_bus_is_right_and_has_its_defaults(tmp_path, row):
    path = make_folder(tmp_path, cabinet(row))
    assert config.check(path) == []
    loaded = config.load(path)
    bus = loaded.buses[0]
    assert (bus.transport, bus.protocol) == (row.transport, row.protocol)
    assert {key: getattr(bus, key) for key in row.usual} == row.usual
    assert len(loaded.drivers[0].points) > 0


@pytest.mark.parametrize("row", registry.ROWS, ids=registry.NAMES)
def test_the_simulator_plays_such_a_bus(row):
    played = BUSES[row.name]
    assert (played.transport, played.protocol) == (row.transport, row.protocol)
    assert callable(importlib.import_module(f"simulator.servers.{played.server}").serve)
    for stem in played.profiles:
        assert row.name in profile_files.find(stem).transport.buses


def test_the_simulator_plays_no_other_bus():
    assert set(BUSES) == set(registry.NAMES)


def test_the_page_for_operators_lists_each_bus_with_its_keys():
    text = (ROOT / "docs" / "operations.md").read_text(encoding="utf-8")
    table = text.split("### Buses")[1].split("\n## ")[0]
    stated = {}
    for line in table.splitlines():
        if line.startswith("| `"):
            name, pair, needed, optional, units = (
                re.findall(r"[`]([^`]+)[`]", cell) or [cell.strip()]
                for cell in line.strip("|").split("|"))
            stated[name[0]] = (tuple(pair), tuple(needed), tuple(optional), units[0])
    assert stated == {
        row.name: ((row.transport, row.protocol), row.needed, row.optional or ("-",),
                   f"{row.units[0]} to {row.units[1]}") for row in registry.ROWS}


def test_each_profile_names_a_protocol_whose_module_builds_its_driver():
    for stem in profile_files.names():
        made = profile_files.find(stem)
        spoken = profile.protocol(stem, made.protocol)
        assert all(spoken.location(point) for point in made.points)
