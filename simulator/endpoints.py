"""endpoints.json: what stands where, in the words of cabinet.toml.

Provisioning copies everything but version, scenario, seed and truth into the tables of a
site's configuration; nothing else needs to know that the cabinet is simulated.
"""

from pathlib import Path

from simulator.buses import where
from simulator.clock import ScaledClock
from simulator.scenario import Scenario, ScenarioBus, ScenarioDevice

VERSION = 1
TIMEOUT_S = 1.0         # real; the slowest simulated answer takes 0.2 s of the wire at speed 1


def endpoints(scenario: Scenario, clock: ScaledClock, addresses: dict[str, str | int],
              truth: Path) -> dict[str, object]:
    """Return the table of endpoints.json.  addresses: bus name -> pty path or TCP port."""
    rated = scenario.battery
    return {
        "version": VERSION, "scenario": scenario.name, "seed": scenario.seed,
        "site": {key: scenario.site[key] for key in ("id", "name", "timezone", "cabinet")},
        "factors": {"id": scenario.site["factors"]},
        "clock": clock.table(), "truth": str(truth),
        "buses": [_bus(bus, addresses[bus.name]) for bus in scenario.buses
                  if bus.name in addresses],
        "devices": [_device(scenario, device) for device in scenario.devices],
        "battery": {"capacity_wh": round(rated.capacity_wh), "eta_charge": rated.eta_charge,
                    "eta_discharge": rated.eta_discharge, "standby_w": rated.standby_w},
    }


def _bus(bus: ScenarioBus, address: str | int) -> dict[str, object]:
    return {"name": bus.name, "transport": bus.transport, "protocol": bus.protocol,
            **where(bus.transport, address, bus.baud), "timeout_s": TIMEOUT_S}


def _device(scenario: Scenario, device: ScenarioDevice) -> dict[str, object]:
    table: dict[str, object] = {"name": device.name, "bus": device.bus, "profile": device.profile}
    if device.profile == "compute-prometheus":
        node = next(n for n in scenario.nodes if n.name == device.name)
        return {**table, "path": "/metrics", "cores": node.cores, "idle_w": node.idle_w,
                "meter": device.meter, "workloads": [work.name for work in node.workloads]}
    table["unit"] = device.unit
    if device.role:
        table.update(role=device.role, rated_w=device.rated_w, ct_ratio=1)
    if device.feeds:
        table["feeds"] = list(device.feeds)
    return table
