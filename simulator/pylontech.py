"""What a Pylontech stack says about itself: information fields of its answers."""

import struct
from typing import NamedTuple

from simulator.runner import Runner
from simulator.scenario import ScenarioDevice

KELVIN_ZERO = 2731              # temperatures are tenths of a kelvin
CELL_OHM = 0.0004
ALL = 0xFF


class Stack(NamedTuple):
    """The stack now.  Equal modules in parallel; currents positive while charging."""

    modules: int
    cells: int
    cell_mv: int
    current_a: float            # of one module
    temperature_c: float
    remaining_mah: int          # of one module
    total_mah: int              # of one module
    cycles: int
    serial: int

    def analog(self, argument: bytes) -> bytes | None:
        """Return the answer to 0x42: cells, temperatures, current, capacity of each module.

        argument: one byte, a module from 1 or 0xFF for all.  None if there is no such module.
        """
        wanted = self._wanted(argument)
        if wanted is None:
            return None
        asked = self.modules if argument[0] == ALL else argument[0]
        return bytes((0, asked)) + b"".join(self._module(m) for m in wanted)

    def manufacturer(self, argument: bytes) -> bytes | None:
        """Return the answer to 0x51: name 10 bytes, version 2, manufacturer 20."""
        return struct.pack(">10s2s20s", b"US3000", b"\x01\x00", b"Pylon (simulated)")

    def management(self, argument: bytes) -> bytes | None:
        """Return the answer to 0x92: limits and what is enabled."""
        if self._wanted(argument) is None or argument[0] == ALL:
            return None
        return struct.pack(">BHHhhB", argument[0], 53250, 45000, 370, -370, 0xC0)

    def serial_number(self, argument: bytes) -> bytes | None:
        """Return the answer to 0x93: module and 16 characters."""
        if self._wanted(argument) is None or argument[0] == ALL:
            return None
        return bytes((argument[0],)) + b"SIM%013d" % (self.serial + argument[0] - 1)

    def _wanted(self, argument: bytes) -> range | None:
        if len(argument) != 1:
            return None
        if argument[0] == ALL:
            return range(1, self.modules + 1)
        return range(argument[0], argument[0] + 1) if 1 <= argument[0] <= self.modules else None

    def _module(self, number: int) -> bytes:
        cells = [self.cell_mv + (number + cell) % 3 - 1 for cell in range(self.cells)]
        warm = KELVIN_ZERO + round(self.temperature_c * 10)
        return (struct.pack(f">B{self.cells}h", self.cells, *cells)
                + struct.pack(">B5h", 5, warm + 6, warm, warm + 1, warm + 2, warm - 1)
                + struct.pack(">hHHBHH", round(self.current_a * 10), sum(cells),
                              self.remaining_mah, 2, self.total_mah, self.cycles))


def stack(runner: Runner, device: ScenarioDevice) -> Stack:
    """Return the stack as the world has it now.

    The cell voltage is a straight line through LFP's flat middle, 3.25 V at half charge,
    plus the drop over CELL_OHM.
    """
    scene, flow = runner.site.scenario, runner.flow
    soc = runner.stored_wh() / scene.battery.capacity_wh
    if flow.battery_w > 0.0:
        inner_w = -flow.battery_w / scene.battery.eta_discharge
    else:
        inner_w = -flow.battery_w * scene.battery.eta_charge
    rest_v = 3.25 + 0.12 * (soc - 0.5)
    current = (inner_w - scene.battery.standby_w) / (rest_v * scene.cells * scene.modules)
    capacity = scene.capacity_ah / scene.modules * 1000
    throughput = runner.book("battery_discharge") / scene.battery.capacity_wh
    return Stack(scene.modules, scene.cells, round((rest_v + current * CELL_OHM) * 1000), current,
                 runner.before.battery_c, min(round(capacity * soc), 0xFFFE), round(capacity),
                 211 + int(throughput), device.serial)
