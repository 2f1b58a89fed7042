"""The registry of buses: one row for each pair of transport and protocol."""

import pytest

from drivers.links import BusConfig, open_link, profile_files, registry, wire_for
from gateway.core.errors import ConfigError
from tests.drivers.links.test_links_cpython import FakeClock


@pytest.mark.parametrize(("transport", "protocol"), [("can", "modbus"), ("tcp", "pylontech")])
def test_an_unknown_kind_of_bus_is_refused_with_the_known_ones(transport, protocol):
    for work in (lambda bus: open_link(bus, FakeClock()), wire_for):
        with pytest.raises(ConfigError, match="modbus over serial, modbus over tcp, pylontech "
                                              "over serial, prometheus over http"):
            work(BusConfig("bus", transport, protocol))


@pytest.mark.parametrize("row", registry.ROWS, ids=registry.NAMES)
def test_each_row_opens_its_transport_and_builds_transactions(row):
    bus = BusConfig("bus", row.transport, row.protocol, url="http://127.0.0.1:9100")
    assert open_link(bus, FakeClock()).counts.asked == 0
    assert hasattr(wire_for(bus), {"modbus": "read", "pylontech": "ask"}.get(row.protocol, "get"))


def test_a_name_and_a_pair_stand_in_one_row_only():
    assert len(set(registry.NAMES)) == len(registry.BY_PAIR) == len(registry.ROWS)


def test_a_profile_that_names_no_row_is_refused_with_the_rows(tmp_path):
    path = profile_files.FOLDER / "climate" / "xy-md02.toml"
    text = path.read_text().replace('"modbus-rtu"', '"rtu"')
    (tmp_path / "odd.toml").write_text(text)
    with pytest.raises(ConfigError, match="buses = rtu is not known; allowed: modbus-rtu, "):
        profile_files.load(tmp_path / "odd.toml")
