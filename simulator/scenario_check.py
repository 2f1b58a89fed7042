"""What a scenario file may say: tables of keys, ranges and defaults, and their checker."""

import difflib
import zoneinfo
from collections.abc import Iterable
from typing import Any, NamedTuple

from gateway.core.errors import ConfigError
from gateway.core.roles import ROLE_NAMES
from simulator.buses import BUSES, OLD_KINDS, PROFILES, PROTOCOLS, TRANSPORTS, name_of

ROLES = tuple(name for name in ROLE_NAMES if name != "genset")     # none is played yet
METERS = ("eastron-sdm630-v2", "eastron-sdm120", "sunspec-generic")
NODE_PROFILE = "compute-prometheus"
REQUIRED = object()
Table = dict[str, Any]          # of a scenario's TOML


class ScenarioKey(NamedTuple):
    """One key: kind, and a range (numbers), a choice (text) or nothing; its default."""

    kind: type
    low: float | None = None
    high: float | None = None
    choice: tuple[str, ...] = ()
    default: object = REQUIRED


def _number(low: float, high: float, default: object = REQUIRED) -> ScenarioKey:
    return ScenarioKey(float, low, high, (), default)


def _whole(low: int, high: int, default: object = REQUIRED) -> ScenarioKey:
    return ScenarioKey(int, low, high, (), default)


_TEXT = ScenarioKey(str)
_SHARE = _number(0.0, 1.0)
WH_MAX = 9_999_999          # float32 kWh still shows every Wh (16.8 MWh is the end of it)

TABLES: dict[str, dict[str, ScenarioKey]] = {
    "scenario": {"name": _TEXT, "title": _TEXT, "seed": _whole(0, 2**31),
                 "origin": ScenarioKey(object)},
    "site": {"id": _TEXT, "name": _TEXT, "cabinet": _TEXT, "timezone": _TEXT, "factors": _TEXT,
             "latitude_deg": _number(-89, 89), "longitude_deg": _number(-180, 180)},
    "weather": {"mean_c": _number(-60, 50), "swing_c": _number(0, 25), "drift_c": _number(0, 20),
                "humidity_percent": _number(5, 95), "cloudiness": _SHARE},
    "pv": {"peak_w": _number(0, 25000), "inverter_w": _number(1, 30000), "tilt_deg": _number(0, 90),
           "azimuth_deg": _number(-180, 180), "temperature_per_k": _number(-0.01, 0),
           "noct_c": _number(30, 70)},
    "battery": {"capacity_wh": _number(1, 1e6), "power_w": _number(0, 1e5),
                "eta_charge": _number(0.5, 1), "eta_discharge": _number(0.5, 1),
                "standby_w": _number(0, 1000), "soc_min": _SHARE, "soc_max": _SHARE,
                "soc_start": _SHARE, "modules": _whole(1, 8), "cells": _whole(1, 16),
                "capacity_ah": _number(1, 16000)},
    "grid": {"voltage_v": _number(100, 260)},
    "cabinet": {"heat_capacity_j_k": _number(5000, 1e8), "loss_w_k": _number(0, 1000),
                "setpoint_c": _number(5, 45), "band_k": _number(0.5, 20),
                "cooling_max_w": _number(0, 1e5), "fan_w": _number(0, 2000)},
    "shop": {"opens_h": _number(0, 24), "closes_h": _number(0, 24), "lighting_w": _number(0, 1e5),
             "night_light_w": _number(0, 1e5), "other_w": _number(0, 1e5)},
}
NODE = {"name": _TEXT, "cores": _whole(1, 1024), "idle_w": _number(0, 1e5),
        "full_w": _number(0, 1e5), "system_cores": _number(0, 64)}
WORKLOAD = {"name": _TEXT, "cores_reserved": _number(0, 1024),
            "shape": ScenarioKey(str, choice=("shop", "night", "flat", "jobs")), "base": _SHARE,
            "swing": _SHARE, "task_cpu_s": _number(0.001, 1e6), "task_cores": _number(0.01, 1024)}
BUS = {"name": _TEXT, "transport": ScenarioKey(str, choice=TRANSPORTS),
       "protocol": ScenarioKey(str, choice=PROTOCOLS), "baud": _whole(1200, 500_000, 9600)}
DEVICE = {"name": _TEXT, "bus": _TEXT, "unit": _whole(1, 247, 1),
          "profile": ScenarioKey(str, choice=PROFILES),
          "role": ScenarioKey(str, choice=ROLES, default=None),
          "feeds": ScenarioKey(list, default=()), "meter": ScenarioKey(str, default=None),
          "rated_w": _whole(1, 10_000_000, None), "serial": _whole(1, 2**31, 1),
          "import_wh": _whole(0, WH_MAX, 0), "export_wh": _whole(0, WH_MAX, 0)}
FAULT = {"name": _TEXT, "bus": _TEXT, "unit": _whole(1, 247),
         "kind": ScenarioKey(str, choice=("dead", "late", "crc", "garbage", "truncate")),
         "from_s": _number(0, 1e9), "to_s": _number(0, 1e9), "delay_s": _number(0, 60, 0.0)}


class Checker:
    """Collects mistakes; raise_if_any() raises one ConfigError that lists them all."""

    def __init__(self, where: str):
        self.where = where
        self.faults: list[str] = []

    def fault(self, path: str, text: str) -> None:
        """Note one mistake."""
        self.faults.append(f"{self.where}: {path}: {text}")

    def raise_if_any(self) -> None:
        """Raise ConfigError when anything was noted."""
        if self.faults:
            raise ConfigError("\n".join(self.faults))

    def table(self, path: str, given: object, keys: dict[str, ScenarioKey]) -> Table:
        """Return a table's values with defaults; notes every unknown, missing or bad key."""
        if not isinstance(given, dict):
            self.fault(path, "must be a table")
            given = {}
        self.unknown(path, given, keys)
        return {name: self.value(f"{path} {name}", given.get(name, key.default), key)
                for name, key in keys.items()}

    def unknown(self, path: str, given: Iterable[str], known: Iterable[str]) -> None:
        """Note keys that nobody reads, with the nearest one that somebody does."""
        for name in given:
            if name not in known:
                near = difflib.get_close_matches(name, list(known), 1)
                self.fault(f"{path} {name}", "unknown key" + (
                    f"; did you mean {near[0]}?" if near else ""))

    def value(self, path: str, value: object, key: ScenarioKey) -> object:
        """Return a value in its kind; notes what is missing, of another kind or out of range."""
        if value is REQUIRED:
            self.fault(path, "missing")
            return _harmless(key)
        if value is None or value == key.default:
            return value
        wanted = (int, float) if key.kind is float else key.kind
        if not isinstance(value, wanted) or isinstance(value, bool):
            self.fault(path, f"{value!r} is not {_kind_name(key.kind)}")
            return _harmless(key)
        return self._within(path, value, key)

    def _within(self, path: str, value: Any, key: ScenarioKey) -> object:
        if key.choice and value not in key.choice:
            self.fault(path, f"{value!r} is none of {', '.join(key.choice)}")
        if key.low is not None and key.high is not None and not key.low <= value <= key.high:
            self.fault(path, f"{value} is not within {key.low:g} .. {key.high:g}")
        return float(value) if key.kind is float else value


def _harmless(key: ScenarioKey) -> object:
    """Return a stand-in for a value that is already noted as a mistake."""
    return {float: key.low, int: key.low, str: "", list: ()}.get(key.kind)


def _kind_name(kind: type) -> str:
    return {float: "a number", int: "a whole number", str: "text", list: "a list"}.get(
        kind, kind.__name__)


def read_tables(raw: Table, check: Checker) -> Table:
    """Return all tables of a scenario, checked one by one and against each other."""
    lists = {"node": {**NODE, "workload": ScenarioKey(list, default=())}, "bus": BUS,
             "device": DEVICE,
             "fault": FAULT}
    check.unknown("top level", raw, [*TABLES, *lists])
    tables: Table = {
        name: check.table(f"[{name}]", raw.get(name, {}), keys) for name, keys in TABLES.items()}
    raw = {**raw, "bus": _renamed(raw.get("bus", []), check)}
    for name, keys in lists.items():
        tables[name] = _rows(check, f"[[{name}]]", raw.get(name, []), keys)
    for node in tables["node"]:
        node["workload"] = _rows(check, f"[[node]] {node['name']}: workload",
                                 node["workload"] or [], WORKLOAD)
    _check_wiring(tables, check)
    _check_sense(tables, check)
    return tables


def _renamed(buses: object, check: Checker) -> list[object]:
    """Return the [[bus]] tables with the new keys for an old `kind`, which is a mistake."""
    rows: list[object] = []
    for bus in buses if isinstance(buses, list) else [buses]:
        kind = bus.get("kind") if isinstance(bus, dict) else None
        if isinstance(bus, dict) and kind in OLD_KINDS:
            new = BUSES[OLD_KINDS[kind]]
            check.fault(f"[[bus]] {bus.get('name')}:", f'kind = "{kind}" is now transport = '
                        f'"{new.transport}", protocol = "{new.protocol}"')
            bus = {"transport": new.transport, "protocol": new.protocol,
                   **{key: value for key, value in bus.items() if key != "kind"}}
        rows.append(bus)
    return rows


def _rows(check: Checker, path: str, given: object, keys: dict[str, ScenarioKey]) -> list[Table]:
    rows = []
    for number, row in enumerate(given if isinstance(given, (list, tuple)) else [given], 1):
        name = row.get("name", number) if isinstance(row, dict) else number
        rows.append(check.table(f"{path} {name}:", row, keys))
    names = [row["name"] for row in rows]
    for name in sorted({n for n in names if names.count(n) > 1}):
        check.fault(path, f"the name {name!r} is given more than once")
    return rows


def _check_sense(tables: Table, check: Checker) -> None:
    """Note values that are each in range but cannot be together."""
    battery, shop = tables["battery"], tables["shop"]
    if not battery["soc_min"] < battery["soc_max"]:
        check.fault("[battery] soc_max", "must be above soc_min")
    if battery["capacity_ah"] > 65 * battery["modules"]:
        check.fault("[battery] capacity_ah", "more than 65 Ah per module does not fit the "
                                             "protocol's 16 bits of mAh; add modules")
    if not shop["opens_h"] < shop["closes_h"]:
        check.fault("[shop] closes_h", "must be after opens_h")
    for node in tables["node"]:
        if node["full_w"] < node["idle_w"]:
            check.fault(f"[[node]] {node['name']}: full_w", "must not be below idle_w")
        reserved = node["system_cores"] + sum(w["cores_reserved"] for w in node["workload"])
        if reserved > node["cores"]:
            check.fault(f"[[node]] {node['name']}: workload", f"{reserved:g} cores reserved, "
                        f"the node has {node['cores']}")
    try:
        zoneinfo.ZoneInfo(tables["site"]["timezone"])
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError):
        check.fault("[site] timezone", f"{tables['site']['timezone']!r} is no known time zone; "
                                       "write it as Europe/Berlin")


def _check_pairs(buses: list[Table], check: Checker) -> dict[str, str]:
    """Return the kind of each bus by name, "" for a pair of keys that is not played."""
    kinds = {}
    for bus in buses:
        pair = bus["transport"], bus["protocol"]
        kinds[bus["name"]] = name_of(*pair)
        if not kinds[bus["name"]] and pair[0] in TRANSPORTS and pair[1] in PROTOCOLS:
            check.fault(f"[[bus]] {bus['name']}:", f"{pair[1]} is not spoken over {pair[0]}")
    return kinds


def _check_wiring(tables: Table, check: Checker) -> None:
    """Note devices on buses that do not exist, doubled units, and meters that feed nobody."""
    kinds = _check_pairs(tables["bus"], check)
    nodes = [node["name"] for node in tables["node"]]
    seen: set[tuple[str, int]] = set()
    for device in tables["device"]:
        path = f"[[device]] {device['name']}:"
        spoken = [name for name, bus in BUSES.items() if device["profile"] in bus.profiles]
        if device["bus"] not in kinds:
            check.fault(path, f"no bus {device['bus']!r}")
        elif spoken and kinds[device["bus"]] and kinds[device["bus"]] not in spoken:
            check.fault(path, f"{device['profile']} speaks {' or '.join(spoken)}, the bus is "
                               f"{kinds[device['bus']]}")
        if (device["bus"], device["unit"]) in seen:
            check.fault(path, f"unit {device['unit']} is taken on {device['bus']}")
        seen.add((device["bus"], device["unit"]))
        if device["profile"] in METERS and not (device["role"] and device["rated_w"]):
            check.fault(path, "a meter needs role and rated_w")
        if device["role"] == "it" and len(device["feeds"] or ()) != 1:
            check.fault(path, "a meter of role it needs feeds = [one node]")
        for fed in [*(device["feeds"] or ())]:
            if fed not in nodes:
                check.fault(path, f"feeds {fed!r}, which is no node")
        if device["profile"] == NODE_PROFILE and device["name"] not in nodes:
            check.fault(path, "a compute device is named as its node")
