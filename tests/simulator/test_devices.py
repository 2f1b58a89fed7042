"""What a device shows is what the world did: in whole steps, with the right sign, consistent."""

import struct
from math import sqrt

import pytest

from drivers.driver import Setup, build, run
from drivers.links.profile_files import find
from drivers.modbus import RtuReads
from gateway.core.errors import Refused
from gateway.core.measurand import BY_ID
from gateway.core.reading import Absent
from simulator.devices import READ_MAX, electrical, read, registers
from simulator.runner import Runner
from simulator.scenario import load
from simulator.servers.rtu_pty import ServedUnit, answer
from simulator.world import SimulatedSite

AFTERNOON = "2026-10-06T12:30:00Z"


@pytest.fixture(scope="module")
def runner():
    made = Runner(SimulatedSite(load("shop", origin=AFTERNOON)))
    made.advance(1800.5)
    return made


def device(runner, name):
    return next(d for d in runner.site.scenario.devices if d.name == name)


def driven(runner, name, everything=False):
    """Return [(point, value)] as the product's own driver reads a device in memory."""
    wanted = device(runner, name)
    unit = ServedUnit(wanted.profile, registers(runner, wanted))

    def ask(question):
        reply = answer(unit, question.request[1:-2])
        if reply[0] & 0x80:
            raise Refused("refused", reply[1])
        return reply[2:]

    driver = build(find(wanted.profile), Setup(RtuReads(), wanted.unit, everything=everything))
    return list(zip(driver.points, run(driver.poll(), ask), strict=True))


def by_name(pairs):
    return {BY_ID[point.measurand].name: value for point, value in pairs}


def float_at(runner, name, address):
    wanted = device(runner, name)
    cells = read(registers(runner, wanted), (4, address, 2), wanted.profile)
    return struct.unpack(">f", cells)[0]


def test_meters_count_in_whole_watt_hours_from_where_they_stood(runner):
    meters = (("node-1-meter", "node:node-1", 1512208), ("cooling", "cooling", 702118),
              ("lighting", "lighting", 951007), ("other", "other", 1100290))
    for name, book, start in meters:
        assert round(float_at(runner, name, 72) * 1000) == start + int(runner.book(book)), name


def test_a_watt_hour_is_still_visible_just_below_ten_megawatt_hours():
    for wh in (9_999_998, 9_999_999, 8_388_609):
        shown = struct.unpack(">f", struct.pack(">f", wh / 1000))[0]
        assert round(shown * 1000) == wh


def test_the_battery_meter_imports_what_is_charged_and_exports_what_is_discharged(runner):
    seen = electrical(runner, device(runner, "battery-meter"))
    assert seen["energy_active_import_total"] == 2214563 + int(runner.book("battery_charge"))
    assert seen["energy_active_export_total"] == 2041777 + int(runner.book("battery_discharge"))
    assert seen["power_active_total"] == -runner.flow.battery_w


def test_phases_add_up_and_power_is_voltage_times_current_times_factor(runner):
    for name in ("grid", "battery-meter"):
        seen = electrical(runner, device(runner, name))
        total = sum(seen[f"power_active_l{p}"] for p in (1, 2, 3))
        assert total == pytest.approx(seen["power_active_total"], abs=1e-6)
        for p in (1, 2, 3):
            apparent = seen[f"voltage_l{p}_n"] * seen[f"current_l{p}"]
            assert apparent * seen[f"power_factor_l{p}"] == pytest.approx(
                seen[f"power_active_l{p}"], abs=1e-6)
        assert seen["power_apparent_total"] == pytest.approx(
            sqrt(seen["power_active_total"] ** 2 + seen["power_reactive_total"] ** 2), abs=1e-6)
        assert 215 < seen["voltage_l1_n"] < 245 and 49.9 < seen["frequency"] < 50.1
        phases = sum(seen[f"energy_active_import_l{p}"] for p in (1, 2, 3))
        assert abs(phases - seen["energy_active_import_total"]) <= 3


def test_the_products_own_drivers_read_the_same_truth(runner):
    grid = by_name(driven(runner, "grid"))
    assert grid["energy_active_import_total"] == 4182733 + int(runner.book("grid_import"))
    assert grid["power_active_total"] == pytest.approx(runner.flow.grid_w, abs=0.51)
    node = by_name(driven(runner, "node-2-meter"))
    assert node["energy_active_import_total"] == 1309951 + int(runner.book("node:node-2"))
    room = by_name(driven(runner, "climate"))
    assert room["temperature"] == pytest.approx(runner.before.cabinet_c * 10, abs=0.51)
    for values in (grid, node, room):
        assert not [v for v in values.values() if isinstance(v, Absent)]


def test_reads_outside_the_map_or_over_the_limit_are_refused(runner):
    meter = device(runner, "grid")
    blocks = registers(runner, meter)
    assert read(blocks, (4, 500, 2), meter.profile) == 2
    assert read(blocks, (4, 106, 4), meter.profile) == 2
    assert read(blocks, (4, 0, READ_MAX[meter.profile] + 2), meter.profile) == 3
    assert read(blocks, (5, 0, 2), meter.profile) == 1
    assert read(blocks, (4, 65535, 2), meter.profile) == 2
    sensor = device(runner, "climate")
    assert read(registers(runner, sensor), (4, 0, 2), sensor.profile) == 2
    assert len(read(registers(runner, sensor), (4, 1, 2), sensor.profile)) == 4


@pytest.mark.parametrize("name", ["grid", "battery-meter", "node-1-meter", "cooling"])
def test_every_point_of_a_profile_finds_the_quantity_of_its_name(runner, name):
    wanted = device(runner, name)
    truth = electrical(runner, wanted)
    compared = 0
    for point, value in driven(runner, name, everything=True):
        quantity = BY_ID[point.measurand].name
        if quantity in truth:
            step = 10.0 ** point.exponent
            assert value * step == pytest.approx(truth[quantity], rel=1e-6, abs=step), quantity
            compared += 1
    assert compared >= (35 if wanted.profile == "eastron-sdm630-v2" else 12)


def test_the_inverter_as_the_products_own_sunspec_driver_reads_it(runner):
    values = {BY_ID[p.measurand].name: v for p, v in driven(runner, "pv") if p.item == ""}
    assert values["energy_yield_total"] == 9120455 + int(runner.book("pv"))
    assert values["power_active_total"] == round(runner.flow.pv_w)
    assert values["power_dc_input"] == round(runner.flow.pv_dc_w)
    assert values["state"] == 4
