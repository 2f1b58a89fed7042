"""A scenario file becomes checked values; every mistake is listed at once.

A scenario is data: scenarios/NAME.toml or any path.  Keys, kinds and ranges stand in the
tables below; an unknown key is a mistake, named with the nearest known one.
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from gateway.core.errors import ConfigError
from simulator.clock import parse_utc
from simulator.faults import InjectedFault
from simulator.physics.battery import BatteryModel
from simulator.physics.cabinet import Enclosure
from simulator.physics.load import NodeModel, WorkloadModel
from simulator.scenario_check import Checker, Table, read_tables

FOLDER = Path(__file__).parent / "scenarios"


@dataclass(frozen=True, slots=True)
class ScenarioDevice:
    """One device on a bus.  role None: it measures no energy.  Counters start as given."""

    name: str
    bus: str
    unit: int
    profile: str
    role: str | None
    feeds: tuple[str, ...]
    meter: str | None
    rated_w: int | None
    serial: int
    import_wh: int
    export_wh: int


@dataclass(frozen=True, slots=True)
class ScenarioBus:
    """One line or address.  transport, protocol: a row of buses.py."""

    name: str
    transport: str
    protocol: str
    baud: int


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything a run depends on.  weather, pv, shop, grid, site: tables of numbers."""

    name: str
    title: str
    seed: int
    origin_utc_ms: int
    site: Table
    weather: dict[str, float]
    pv: dict[str, float]
    battery: BatteryModel
    soc_start: float
    modules: int
    cells: int
    capacity_ah: float
    voltage_v: float
    cabinet: Enclosure
    shop: dict[str, float]
    nodes: tuple[NodeModel, ...]
    buses: tuple[ScenarioBus, ...]
    devices: tuple[ScenarioDevice, ...]
    faults: tuple[InjectedFault, ...]


def find(name: str) -> Path:
    """Return the file of a scenario: a name in scenarios/, or a path.  Raises ConfigError."""
    for path in (FOLDER / f"{name}.toml", Path(name)):
        if path.is_file():
            return path
    known = ", ".join(sorted(p.stem for p in FOLDER.glob("*.toml")))
    raise ConfigError(f"no scenario {name!r}; there are: {known}; or give a path to a .toml file")


def load(name: str, seed: int | None = None, origin: str | None = None) -> Scenario:
    """Return a scenario by name or path.  Raises ConfigError that lists every mistake."""
    path = find(name)
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not TOML: {error}") from error
    return build(raw, str(path), seed, origin)


def build(raw: Table, where: str, seed: int | None = None,
          origin: str | None = None) -> Scenario:
    """Return a scenario from its parsed tables.  Raises ConfigError with all mistakes."""
    check = Checker(where)
    tables = read_tables(raw, check)
    origin_ms = _origin(tables["scenario"], origin, check)
    check.raise_if_any()
    head, battery = tables["scenario"], dict(tables["battery"])
    extras = {key: battery.pop(key) for key in (
        "soc_start", "modules", "cells", "capacity_ah")}
    return Scenario(
        name=head["name"], title=head["title"], origin_utc_ms=origin_ms,
        seed=head["seed"] if seed is None else seed,
        site=tables["site"], weather=tables["weather"], pv=tables["pv"],
        battery=BatteryModel(**battery), voltage_v=tables["grid"]["voltage_v"],
        cabinet=Enclosure(**tables["cabinet"]), shop=tables["shop"],
        nodes=tuple(_node(n) for n in tables["node"]),
        buses=tuple(ScenarioBus(**b) for b in tables["bus"]),
        devices=tuple(ScenarioDevice(**{**d, "feeds": tuple(d["feeds"])})
                      for d in tables["device"]),
        faults=tuple(InjectedFault(**f) for f in tables["fault"]), **extras)


def _node(table: Table) -> NodeModel:
    loads = tuple(WorkloadModel(**work) for work in table["workload"])
    return NodeModel(**{k: v for k, v in table.items() if k != "workload"}, workloads=loads)


def _origin(head: Table, override: str | None, check: Checker) -> int:
    text = override or str(head["origin"]).replace(" ", "T")
    try:
        return parse_utc(text)
    except ValueError as error:
        check.fault("--origin" if override else "[scenario] origin", str(error))
        return 0
