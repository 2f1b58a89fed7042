"""From the world to what each device shows: quantities, registers, answers to reads.

Meters count in whole steps: the floor of the true energy to 1 Wh, plus what the counter
showed at the origin.  Everything is computed when asked for, at the moment of asking.
"""

from collections.abc import Callable
from math import atan2, degrees, sqrt
from typing import NamedTuple

from simulator import layouts
from simulator.noise import smooth
from simulator.physics import grid, weather
from simulator.runner import Runner
from simulator.scenario import ScenarioDevice

PHASES = (0.36, 0.33, 0.31)         # how a three-phase load splits; nothing is ever even
# Reactive by active power of each role's load; a meter of the battery sees its inverter.
TAN_PHI = {"grid": 0.12, "pv": 0.02, "battery": 0.05, "it": 0.20, "cooling": 0.50,
           "lighting": 0.30, "other": 0.35}
ILLEGAL_FUNCTION, ILLEGAL_ADDRESS, ILLEGAL_VALUE = 1, 2, 3


class MeterState(NamedTuple):
    """What a meter sees: power positive for import at its point, energies since the origin."""

    power_w: float
    import_wh: float
    export_wh: float


def metered(runner: Runner, device: ScenarioDevice) -> MeterState:
    """Return power and energies at a device's metering point, by its role."""
    flow, book = runner.flow, runner.book
    if device.role == "grid":
        return MeterState(flow.grid_w, book("grid_import"), book("grid_export"))
    if device.role == "battery":
        return MeterState(-flow.battery_w, book("battery_charge"), book("battery_discharge"))
    if device.role == "pv":
        return MeterState(-flow.pv_w, 0.0, book("pv"))
    if device.role == "it":
        names = [node.name for node in runner.site.scenario.nodes]
        power = flow.node_w[names.index(device.feeds[0])]
        return MeterState(power, book(f"node:{device.feeds[0]}"), 0.0)
    powers = {"cooling": flow.cooling_w, "lighting": flow.lighting_w, "other": flow.other_w}
    return MeterState(powers[str(device.role)], book(str(device.role)), 0.0)


def electrical(runner: Runner, device: ScenarioDevice) -> dict[str, float]:
    """Return a meter's quantities: V, A, W, VA, var, Hz; energies in whole Wh and varh."""
    seen = metered(runner, device)
    tan, t_s, streams = TAN_PHI[str(device.role)], runner.t_s, runner.site.streams
    apparent = sqrt(1.0 + tan * tan)
    values: dict[str, float] = {
        "frequency": grid.frequency_hz(streams["frequency"], t_s),
        "power_active_total": seen.power_w, "power_reactive_total": abs(seen.power_w) * tan,
        "power_apparent_total": abs(seen.power_w) * apparent,
        "power_factor_total": (1.0 if seen.power_w >= 0 else -1.0) / apparent,
        "phase_angle_total": degrees(atan2(abs(seen.power_w) * tan, seen.power_w)),
    }
    shares = PHASES if device.profile != "eastron-sdm120" else (1.0,)
    for phase, share in enumerate(shares, 1):
        power = seen.power_w * share
        volts = grid.voltage_v(runner.site.scenario.voltage_v, runner.flow.grid_w,
                               smooth(streams["voltage"] + phase, t_s, 53.0))
        values.update({
            f"voltage_l{phase}_n": volts, f"current_l{phase}": abs(power) * apparent / volts,
            f"power_active_l{phase}": power, f"power_reactive_l{phase}": abs(power) * tan,
            f"power_apparent_l{phase}": abs(power) * apparent,
            f"power_factor_l{phase}": values["power_factor_total"]})
    values.update(_energies(seen, device, tan))
    return values


def _energies(seen: MeterState, device: ScenarioDevice, tan: float) -> dict[str, float]:
    bought, sold = device.import_wh + int(seen.import_wh), device.export_wh + int(seen.export_wh)
    reactive = int((seen.import_wh + seen.export_wh) * tan)
    values: dict[str, float] = {
        "energy_active_import_total": bought, "energy_active_export_total": sold,
        "energy_active_sum_total": bought + sold, "energy_reactive_import_total": reactive,
        "energy_reactive_export_total": 0, "energy_reactive_sum_total": reactive}
    for phase, share in enumerate(PHASES, 1):
        left = int((device.import_wh + seen.import_wh) * share)
        right = int((device.export_wh + seen.export_wh) * share)
        values[f"energy_active_import_l{phase}"] = left
        values[f"energy_active_export_l{phase}"] = right
        values[f"energy_active_sum_l{phase}"] = left + right
    return values


def inverter(runner: Runner, device: ScenarioDevice) -> dict[str, float]:
    """Return a PV inverter's quantities as SunSpec means them: generation is positive."""
    values = electrical(runner, device)
    values["power_active_total"] = abs(values["power_active_total"])
    values["power_factor_total"] = abs(values["power_factor_total"])
    values["current_total"] = sum(values[f"current_l{phase}"] for phase in (1, 2, 3))
    values["energy_wh"] = values["energy_active_export_total"]
    dc = runner.flow.pv_dc_w
    values["dc_voltage"] = 610.0 - dc / 200.0 if dc > 0.0 else 0.0
    values["dc_current"] = dc / values["dc_voltage"] if dc > 0.0 else 0.0
    values["power_dc_input"] = dc
    values["temperature_cabinet"] = runner.flow.outdoor_c + 8.0 + dc / 400.0
    values["asleep"] = 0.0 if dc > 0.0 else 1.0
    return values


def climate(runner: Runner) -> tuple[float, float]:
    """Return (degC, percent relative humidity) inside the cabinet."""
    inside = runner.before.cabinet_c
    base = runner.site.scenario.weather["humidity_percent"]
    return inside, weather.humidity_percent(base, inside)


RegisterBlocks = Callable[[int], list[layouts.RegisterBlock]]


def registers(runner: Runner, device: ScenarioDevice) -> RegisterBlocks:
    """Return a function that gives a device's register blocks by Modbus function (3 or 4)."""
    if device.profile == "xy-md02":
        return lambda function: (layouts.climate_inputs(*climate(runner)) if function == 4
                                 else layouts.climate_holdings(device.unit))
    if device.profile == "sunspec-generic":
        return lambda function: (
            layouts.sunspec_holdings(inverter(runner, device), device.serial, device.unit)
            if function == 3 else [])
    return lambda function: (
        layouts.eastron_inputs(device.profile, electrical(runner, device)) if function == 4
        else layouts.eastron_holdings(device.profile, device.unit, device.serial))


READ_MAX = {"eastron-sdm630-v2": 80, "eastron-sdm120": 80, "xy-md02": 10}


def read(blocks: RegisterBlocks, request: tuple[int, int, int], profile: str) -> bytes | int:
    """Return the registers asked for, or the Modbus exception code.

    request: (function, address, count).  Eastron answers whole floats only, so an odd
    address or count of its input registers is illegal.
    """
    function, address, count = request
    if function not in (3, 4):
        return ILLEGAL_FUNCTION
    if not 1 <= count <= READ_MAX.get(profile, 125):
        return ILLEGAL_VALUE
    if profile.startswith("eastron") and function == 4 and (address % 2 or count % 2):
        return ILLEGAL_ADDRESS
    for start, cells in blocks(function):
        if start <= address and address + count <= start + len(cells) // 2:
            return cells[2 * (address - start): 2 * (address - start + count)]
    return ILLEGAL_ADDRESS
