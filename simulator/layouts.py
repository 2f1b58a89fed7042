"""Where each quantity lies in a simulated device, and what is sent for it.

These tables are the simulator's own and not the drivers' profiles: a wrong address in a
profile must show up as a wrong value in the demo, not be served back by the same mistake.
Sources: Eastron SDM630 Modbus protocol V2 1.2.1, Eastron SDM120 Modbus protocol V2.5,
XY-MD02 register table, SunSpec Information Models 1 and 103.  Wire addresses, from 0.
"""

import struct
from collections.abc import Mapping

# Eastron input registers: quantity -> address of a float32; energies in kWh and kvarh.
SDM630 = {
    "voltage_l1_n": 0, "voltage_l2_n": 2, "voltage_l3_n": 4, "current_l1": 6, "current_l2": 8,
    "current_l3": 10, "power_active_l1": 12, "power_active_l2": 14, "power_active_l3": 16,
    "power_apparent_l1": 18, "power_apparent_l2": 20, "power_apparent_l3": 22,
    "power_reactive_l1": 24, "power_reactive_l2": 26, "power_reactive_l3": 28,
    "power_factor_l1": 30, "power_factor_l2": 32, "power_factor_l3": 34,
    "power_active_total": 52, "power_apparent_total": 56, "power_reactive_total": 60,
    "power_factor_total": 62, "phase_angle_total": 66, "frequency": 70,
    "energy_active_import_total": 72, "energy_active_export_total": 74,
    "energy_reactive_import_total": 76, "energy_reactive_export_total": 78,
    "energy_active_sum_total": 342, "energy_reactive_sum_total": 344,
    "energy_active_import_l1": 346, "energy_active_import_l2": 348,
    "energy_active_import_l3": 350, "energy_active_export_l1": 352,
    "energy_active_export_l2": 354, "energy_active_export_l3": 356,
    "energy_active_sum_l1": 358, "energy_active_sum_l2": 360, "energy_active_sum_l3": 362,
}
SDM120 = {
    "voltage_l1_n": 0, "current_l1": 6, "power_active_total": 12, "power_apparent_total": 18,
    "power_reactive_total": 24, "power_factor_total": 30, "frequency": 70,
    "energy_active_import_total": 72, "energy_active_export_total": 74,
    "energy_reactive_import_total": 76, "energy_reactive_export_total": 78,
    "energy_active_sum_total": 342, "energy_reactive_sum_total": 344,
}
EASTRON_SPANS = {"eastron-sdm630-v2": ((0, 108), (200, 70), (334, 48)),
                 "eastron-sdm120": ((0, 80), (342, 4))}
EASTRON_FLOATS = {"eastron-sdm630-v2": SDM630, "eastron-sdm120": SDM120}

RegisterBlock = tuple[int, bytes]           # wire address of the first register, two bytes for each


def eastron_inputs(profile: str, values: Mapping[str, float]) -> list[RegisterBlock]:
    """Return the input registers (function 4) of an Eastron meter.

    values: quantity -> V, A, W, VA, var, Hz, degrees; energies in whole Wh and varh, shown
    in kWh as a float32.  Registers between the defined ones read as 0.
    """
    blocks = []
    places = EASTRON_FLOATS[profile].items()
    for start, count in EASTRON_SPANS[profile]:
        cells = bytearray(2 * count)
        inside = [(q, at) for q, at in places if start <= at < start + count]
        for quantity, address in inside:
            unit = 1000.0 if quantity.startswith("energy_") else 1.0
            struct.pack_into(">f", cells, 2 * (address - start), values[quantity] / unit)
        blocks.append((start, bytes(cells)))
    return blocks


def eastron_holdings(profile: str, unit: int, serial: int) -> list[RegisterBlock]:
    """Return the holding registers (function 3): settings as floats, serial, meter code."""
    settings = bytearray(2 * 32)
    struct.pack_into(">f", settings, 2 * 0x12, 0.0)             # one stop bit, no parity
    struct.pack_into(">f", settings, 2 * 0x14, float(unit))
    struct.pack_into(">f", settings, 2 * 0x1C, 2.0)             # 9600 baud
    code = 0x0070 if profile == "eastron-sdm630-v2" else 0x0020
    return [(0, bytes(settings)), (0xFC00, struct.pack(">IHH", serial, code, 0))]


def climate_inputs(temperature_c: float, humidity_percent: float) -> list[RegisterBlock]:
    """Return the input registers of an XY-MD02: tenths from address 1, not 0."""
    return [(1, struct.pack(">hH", round(temperature_c * 10), round(humidity_percent * 10)))]


def climate_holdings(unit: int) -> list[RegisterBlock]:
    """Return the holding registers of an XY-MD02: unit, baud code, two corrections."""
    return [(0x0101, struct.pack(">HHhh", unit, 0, 0, 0))]


SUNSPEC_BASE = 40000


def sunspec_holdings(values: Mapping[str, float], serial: int, unit: int) -> list[RegisterBlock]:
    """Return the SunSpec map: marker, model 1, model 103 (integers and scale factors), end.

    values: A (total and phases), V, W, Hz, VA, var, percent, whole Wh, dc A, V, W, degC and
    `asleep` (1 at night).
    """
    common = struct.pack(">HH32s32s16s16s32sHH", 1, 66, b"Wattproof Simulator", b"PV-8000",
                         b"", b"1.0", str(serial).encode(), unit, 0x8000)
    return [(SUNSPEC_BASE, b"SunS" + common + _model_103(values) + b"\xff\xff\x00\x00")]


def _model_103(v: Mapping[str, float]) -> bytes:
    def n(name: str, factor: float = 1.0) -> int:
        return round(v[name] * factor)

    state = 2 if v["asleep"] else 4                             # sleeping, MPPT
    return struct.pack(
        ">HH4HhHHH3HhhhHhhhhhhhIhHhHhhhhhhhhHHIIIIII", 103, 50,
        n("current_total", 100), n("current_l1", 100), n("current_l2", 100),
        n("current_l3", 100), -2, 0xFFFF, 0xFFFF, 0xFFFF,
        n("voltage_l1_n", 10), n("voltage_l2_n", 10), n("voltage_l3_n", 10), -1,
        n("power_active_total"), 0, n("frequency", 100), -2,
        n("power_apparent_total"), 0, n("power_reactive_total"), 0,
        n("power_factor_total", 10000), -2, n("energy_wh"), 0,
        n("dc_current", 100), -2, n("dc_voltage", 10), -1, n("power_dc_input"), 0,
        n("temperature_cabinet", 10), -0x8000, -0x8000, -0x8000, -1,
        state, 0xFFFF, 0, 0, 0, 0, 0, 0)
