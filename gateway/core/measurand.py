"""Measurands: what can be measured, in which unit, counted in which steps.

A value in a record is a whole number of 10**exponent units.  `exponent` is the coarse
(default) resolution, `fine` the one a device may be configured for.  Ids stand in signed
batches: an id is never given a second meaning and never removed.  OBIS codes: IEC 62056-6-1
(value groups of active, reactive and phase quantities).
"""

from gateway.core.types import NamedTuple

GAUGE, COUNTER, STATE = 0, 1, 2        # momentary value, cumulative register, code

Measurand = NamedTuple("Measurand", [
    ("id", int), ("name", str), ("unit", str), ("exponent", int), ("fine", int), ("kind", int),
    ("obis", str)])

TABLE = (
    Measurand(1, "voltage_l1_n", "V", -1, -1, GAUGE, "1-0:32.7.0"),
    Measurand(2, "voltage_l2_n", "V", -1, -1, GAUGE, "1-0:52.7.0"),
    Measurand(3, "voltage_l3_n", "V", -1, -1, GAUGE, "1-0:72.7.0"),
    Measurand(4, "voltage_l1_l2", "V", -1, -1, GAUGE, ""),
    Measurand(5, "voltage_l2_l3", "V", -1, -1, GAUGE, ""),
    Measurand(6, "voltage_l3_l1", "V", -1, -1, GAUGE, ""),
    Measurand(7, "current_l1", "A", -2, -3, GAUGE, "1-0:31.7.0"),
    Measurand(8, "current_l2", "A", -2, -3, GAUGE, "1-0:51.7.0"),
    Measurand(9, "current_l3", "A", -2, -3, GAUGE, "1-0:71.7.0"),
    Measurand(10, "current_total", "A", -2, -3, GAUGE, ""),
    Measurand(11, "power_active_l1", "W", 0, -1, GAUGE, "1-0:36.7.0"),
    Measurand(12, "power_active_l2", "W", 0, -1, GAUGE, "1-0:56.7.0"),
    Measurand(13, "power_active_l3", "W", 0, -1, GAUGE, "1-0:76.7.0"),
    Measurand(14, "power_active_total", "W", 0, -1, GAUGE, "1-0:16.7.0"),
    Measurand(15, "power_apparent_l1", "VA", 0, -1, GAUGE, ""),
    Measurand(16, "power_apparent_l2", "VA", 0, -1, GAUGE, ""),
    Measurand(17, "power_apparent_l3", "VA", 0, -1, GAUGE, ""),
    Measurand(18, "power_apparent_total", "VA", 0, -1, GAUGE, "1-0:9.7.0"),
    Measurand(19, "power_reactive_l1", "var", 0, -1, GAUGE, ""),
    Measurand(20, "power_reactive_l2", "var", 0, -1, GAUGE, ""),
    Measurand(21, "power_reactive_l3", "var", 0, -1, GAUGE, ""),
    Measurand(22, "power_reactive_total", "var", 0, -1, GAUGE, ""),
    Measurand(23, "power_factor_l1", "1", -2, -3, GAUGE, ""),
    Measurand(24, "power_factor_l2", "1", -2, -3, GAUGE, ""),
    Measurand(25, "power_factor_l3", "1", -2, -3, GAUGE, ""),
    Measurand(26, "power_factor_total", "1", -2, -3, GAUGE, ""),
    Measurand(27, "power_factor_raw_percent", "%", -2, -2, GAUGE, ""),
    Measurand(28, "phase_angle_total", "deg", -1, -1, GAUGE, ""),
    Measurand(29, "frequency", "Hz", -2, -3, GAUGE, "1-0:14.7.0"),
    Measurand(40, "energy_active_import_l1", "Wh", 0, 0, COUNTER, "1-0:21.8.0"),
    Measurand(41, "energy_active_import_l2", "Wh", 0, 0, COUNTER, "1-0:41.8.0"),
    Measurand(42, "energy_active_import_l3", "Wh", 0, 0, COUNTER, "1-0:61.8.0"),
    Measurand(43, "energy_active_import_total", "Wh", 0, 0, COUNTER, "1-0:1.8.0"),
    Measurand(44, "energy_active_export_l1", "Wh", 0, 0, COUNTER, "1-0:22.8.0"),
    Measurand(45, "energy_active_export_l2", "Wh", 0, 0, COUNTER, "1-0:42.8.0"),
    Measurand(46, "energy_active_export_l3", "Wh", 0, 0, COUNTER, "1-0:62.8.0"),
    Measurand(47, "energy_active_export_total", "Wh", 0, 0, COUNTER, "1-0:2.8.0"),
    Measurand(48, "energy_active_sum_l1", "Wh", 0, 0, COUNTER, ""),
    Measurand(49, "energy_active_sum_l2", "Wh", 0, 0, COUNTER, ""),
    Measurand(50, "energy_active_sum_l3", "Wh", 0, 0, COUNTER, ""),
    Measurand(51, "energy_active_sum_total", "Wh", 0, 0, COUNTER, ""),
    Measurand(52, "energy_reactive_import_total", "varh", 0, 0, COUNTER, "1-0:3.8.0"),
    Measurand(53, "energy_reactive_export_total", "varh", 0, 0, COUNTER, "1-0:4.8.0"),
    Measurand(54, "energy_reactive_sum_total", "varh", 0, 0, COUNTER, ""),
    Measurand(55, "energy_apparent_total", "VAh", 0, 0, COUNTER, ""),
    Measurand(56, "energy_yield_total", "Wh", 0, 0, COUNTER, ""),
    Measurand(60, "power_dc_input", "W", 0, -1, GAUGE, ""),
    Measurand(61, "dc_current", "A", -2, -3, GAUGE, ""),
    Measurand(62, "dc_voltage", "V", -1, -1, GAUGE, ""),
    Measurand(70, "temperature", "degC", -1, -1, GAUGE, ""),
    Measurand(71, "temperature_cabinet", "degC", -1, -1, GAUGE, ""),
    Measurand(72, "temperature_heatsink", "degC", -1, -1, GAUGE, ""),
    Measurand(73, "temperature_transformer", "degC", -1, -1, GAUGE, ""),
    Measurand(74, "temperature_other", "degC", -1, -1, GAUGE, ""),
    Measurand(75, "temperature_correction", "degC", -1, -1, GAUGE, ""),
    Measurand(76, "bms_temperature", "degC", -1, -1, GAUGE, ""),
    Measurand(77, "cell_temperature_min", "degC", -1, -1, GAUGE, ""),
    Measurand(78, "cell_temperature_max", "degC", -1, -1, GAUGE, ""),
    Measurand(79, "humidity", "%", -1, -1, GAUGE, ""),
    Measurand(80, "humidity_correction", "%", -1, -1, GAUGE, ""),
    Measurand(90, "battery_voltage", "V", -2, -3, GAUGE, ""),
    Measurand(91, "battery_current", "A", -1, -1, GAUGE, ""),
    Measurand(92, "cell_voltage_min", "V", -3, -3, GAUGE, ""),
    Measurand(93, "cell_voltage_max", "V", -3, -3, GAUGE, ""),
    Measurand(94, "capacity_remaining_ah", "Ah", -2, -3, GAUGE, ""),
    Measurand(95, "capacity_total_ah", "Ah", -2, -3, GAUGE, ""),
    Measurand(96, "state_of_charge", "%", -1, -1, GAUGE, ""),
    Measurand(97, "cycles", "1", 0, 0, COUNTER, ""),
    Measurand(98, "modules", "1", 0, 0, STATE, ""),
    Measurand(110, "state", "1", 0, 0, STATE, ""),
    Measurand(111, "state_vendor", "1", 0, 0, STATE, ""),
    Measurand(112, "events", "1", 0, 0, STATE, ""),
    Measurand(113, "unit_id", "1", 0, 0, STATE, ""),
    Measurand(114, "baud_code", "1", 0, 0, STATE, ""),
    Measurand(120, "cpu_time", "s", -3, -3, COUNTER, ""),
    Measurand(121, "cpu_cores", "1", -3, -3, GAUGE, ""),
    Measurand(122, "cores_reserved", "1", -3, -3, GAUGE, ""),
    Measurand(123, "tasks_running", "1", 0, 0, GAUGE, ""),
    Measurand(124, "tasks_total", "1", 0, 0, COUNTER, ""),
    Measurand(125, "gpu_time", "s", -3, -3, COUNTER, ""),
    Measurand(126, "gpu_energy", "Wh", -3, -3, COUNTER, ""),
)

BY_ID = {m.id: m for m in TABLE}
BY_NAME = {m.name: m for m in TABLE}
