"""What each panel of a site's page shows, as values for its template.  Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from markupsafe import Markup

from fleet.formats import timetext
from fleet.formats.registry import EnrolledCabinet
from fleet.ingest.live_table import LiveValues, rows, section
from fleet.reporting import swaps, text
from fleet.reporting.charts import meter
from fleet.texts import say
from fleet.web import proof
from fleet.web.snapshot import Snapshot, figures_of_day
from gateway.core.roles import LOAD_NAMES
from gateway.ledger.site import DEVICE_ROLE

PowerFlow = list[tuple[str, object]]


class PageView(NamedTuple):
    """What is known of a site.  figures: latest live message, age_s and arrived_ms: of it,
    receipt_age_s: since the last receipt, connected: whether the broker is connected, damaged: what
    is wrong with the store, "" if nothing is."""

    cabinet: EnrolledCabinet
    snapshot: Snapshot
    figures: LiveValues | None
    age_s: float | None
    arrived_ms: int | None
    receipt_age_s: float | None
    connected: bool
    damaged: str = ""


class Tile(NamedTuple):
    """A figure in large type; state: good | watch | bad, or "" for no colour."""

    label: str
    number: str
    unit: str
    note: str
    state: str = ""


class FlowRow(NamedTuple):
    """Power of one role, with its bar; None = unknown."""

    role: str
    watts: float | None
    bar: Markup


class Power(NamedTuple):
    """The panel of power now; residual: W, or None when it is unknown."""

    total_in: str
    sources: list[FlowRow]
    total_out: str
    sinks: list[FlowRow]
    residual: float | None


class NodeRow(NamedTuple):
    """A compute node, its values as the live message has them."""

    name: str
    power_w: object
    cores: object
    cpu_share: object
    bar: Markup
    tasks_running: object
    tasks_per_min: object


class ComputePanel(NamedTuple):
    """The panel of nodes, battery and climate, values as the live message has them."""

    nodes: list[NodeRow]
    no_nodes: str
    soc: object
    has_battery: bool
    soc_bar: Markup
    stored_wh: object
    battery_g_per_kwh: object
    climate: list[str]


class Day(NamedTuple):
    """The panel of today so far; rows: label and value."""

    span: str
    rows: list[tuple[str, str]]
    notes: list[str]


class DeviceRow(NamedTuple):
    """A device; state: good | bad."""

    state: str
    name: str
    note: str


class Devices(NamedTuple):
    """The panel of devices."""

    heading: str
    rows: list[DeviceRow]


def state(view: PageView) -> str:
    """Return live, late, silent, none or revoked."""
    if view.cabinet.revoked:
        return "revoked"
    if view.figures is None or view.age_s is None:
        return "silent" if view.snapshot.span or view.damaged else "none"
    if view.age_s > text.SILENT_S:
        return "silent"
    return "late" if view.age_s > text.LATE_S else "live"


def status(view: PageView, found: str) -> str:
    """Return the sentences beside a page's state: from when its figures are, and whether the
    broker is connected."""
    if found == "revoked":
        said = say("status.revoked", time=_local(view, _utc_ms(view.cabinet.revoked)))
    elif found == "silent" and view.figures is None:
        said = say("status.silent_since_start")
    elif found == "silent":
        said = say("status.silent", time=_local(view, view.arrived_ms))
    else:
        at_ms = _utc_ms((view.figures or {}).get("utc"))
        said = say("status.measured", time=_local(view, at_ms), age=text.age(view.age_s)) \
            if at_ms is not None else say("status.not_dated", age=text.age(view.age_s))
    return said if view.connected else f"{said} {say('status.disconnected')}"


def _utc_ms(stamp: object) -> int | None:
    """Return the milliseconds of an RFC 3339 text of a live message, None for anything else."""
    try:
        return timetext.utc_ms(str(stamp)) if stamp else None
    except (ValueError, OverflowError):
        return None


def _local(view: PageView, at_ms: int | None) -> str:
    return text.NONE if at_ms is None else timetext.local(at_ms, view.cabinet.timezone)


def tiles(view: PageView, lines: Sequence[proof.ProofLine]) -> list[Tile]:
    """Return the four figures at the top; lines: of the evidence panel."""
    carbon, power_w = section(view.figures, "carbon"), section(view.figures, "power_w")
    today = view.snapshot.today
    intensity = carbon.get("bus_g_per_kwh")
    return [
        _tile("core_hour", text.grams(carbon.get("core_hour_g")), say("tile.core_hour_note")),
        _tile("renewable", text.share(carbon.get("renewable_share_it")),
              say("tile.renewable_note")),
        _tile("loads", _sum([row for row in flows(power_w, metered(view))[1]
                             if row[0] in LOAD_NAMES]),
              say("tile.loads_note", intensity=text.figure(intensity, 0, say("chart.g_per_kwh")))
              if text.is_number(intensity) else say("tile.loads_note_unknown")),
        _tile("evidence", text.share(today["evidence"]["present"] if today else None, 1),
              _evidence_note(lines))._replace(state=proof.worst(lines)),
    ]


def _evidence_note(lines: Sequence[proof.ProofLine]) -> str:
    """Name the line that keeps the evidence from being proven, else the worst of the others."""
    proving = [line for line in lines if line.key in proof.PROVING]
    sound, worst = proof.worst(proving), proof.worst(lines)
    if worst == proof.GOOD:
        return say("tile.evidence_good")
    return say(f"tile.evidence_{sound}_see",
               line=proof.first(proving if sound == worst else lines, worst))


def _tile(key: str, value: str, note: str) -> Tile:
    number, separator, unit = value.rpartition("\u202f")
    return Tile(say(f"tile.{key}"), number or unit, separator + unit if number else "", note)


def metered(view: PageView) -> frozenset[str] | None:
    """Return the roles that a device of the site has, by today's report; None before there is
    one."""
    today = view.snapshot.today
    return None if today is None else frozenset(
        DEVICE_ROLE[energy] for energy in today["quality_by_role"])


def flows(power_w: LiveValues,
          roles: frozenset[str] | None = None) -> tuple[PowerFlow, PowerFlow]:
    """Return (sources, sinks) as (role, W or None), from the signed powers of a live message.

    Import, discharge and generation are positive; what flows the other way is a sink.  roles:
    those that the site meters; a role that nobody meters has no row.
    """
    grid, battery = power_w.get("grid"), power_w.get("battery")
    sources = [("grid", "grid", _part(grid, 1)), ("pv", "pv", power_w.get("pv")),
               ("battery", "battery", _part(battery, 1)),
               ("genset", "genset", power_w.get("genset"))]
    sinks = [(role, role, power_w.get(role)) for role in LOAD_NAMES]
    sinks += [("charge", "battery", _part(battery, -1)), ("export", "grid", _part(grid, -1))]

    def shown(role: str) -> bool:
        known = text.is_number(power_w.get(role))
        return known or (role != "genset" if roles is None else role in roles)
    return ([(name, watts) for name, role, watts in sources if shown(role)],
            [(name, watts) for name, role, watts in sinks if shown(role)])


def _part(value: object, sign: int) -> float | None:
    return max(sign * value, 0.0) if text.is_number(value) else None


def power(view: PageView) -> Power | None:
    """Return the flows of power now; None before the first live message."""
    if view.figures is None:
        return None
    power_w = section(view.figures, "power_w")
    sources, sinks = flows(power_w, metered(view))
    top = max(_total(sources), _total(sinks), 1.0)
    residual = power_w.get("residual")
    return Power(_sum(sources), _flow_rows(sources, top), _sum(sinks), _flow_rows(sinks, top),
                 residual if text.is_number(residual) else None)


def _total(flow: PowerFlow) -> float:
    return float(sum(max(watts, 0) for _, watts in flow if text.is_number(watts)))


def _sum(flow: PowerFlow) -> str:
    """A part is not the whole: with a power unknown the sum is said to be at least that."""
    known = sum(text.is_number(watts) for _, watts in flow)
    if not known:
        return text.NONE
    total = text.power(_total(flow))
    return total if known == len(flow) else say("number.at_least", value=total)


def _flow_rows(flow: PowerFlow, top: float) -> list[FlowRow]:
    return [FlowRow(role, watts, _bar(role, watts / top)) if text.is_number(watts) else
            FlowRow(role, None, _bar(role, None)) for role, watts in flow]


def _bar(css: str, part: object) -> Markup:
    return meter([(css, float(part))] if text.is_number(part) else [])


def compute(view: PageView) -> ComputePanel:
    """Return the nodes, the battery and the climate of the latest live message."""
    battery, carbon = section(view.figures, "battery"), section(view.figures, "carbon")
    soc = battery.get("soc")
    climate = [_climate(one) for one in rows(view.figures, "climate")]
    roles = metered(view)
    has_battery = roles is None or "battery" in roles or text.is_number(soc)
    today = view.snapshot.today
    no_nodes = say("report.no_nodes" if today is not None and not today["nodes"] else
                   "live.no_nodes")
    return ComputePanel([_node(node) for node in rows(view.figures, "nodes")], no_nodes, soc,
                        has_battery, _bar("battery", soc), battery.get("stored_wh"),
                        carbon.get("battery_g_per_kwh"), climate)


def _climate(row: LiveValues) -> str:
    temperature, humidity = row.get("temperature_c"), row.get("humidity")
    if not text.is_number(temperature) and not text.is_number(humidity):
        return say("live.climate_unknown", name=row.get("name"))
    return say("live.climate", name=row.get("name"), temperature=text.figure(temperature, 1, "°C"),
               humidity=text.figure(humidity, 0, "%"))


def _node(node: LiveValues) -> NodeRow:
    busy = node.get("cpu_share")
    return NodeRow(str(node.get("name")), node.get("power_w"), node.get("cores"), busy,
                _bar("it", busy), node.get("tasks_running"), node.get("tasks_per_min"))


def day(snapshot: Snapshot) -> Day | None:
    """Return the totals of today so far; None when it cannot be accounted yet."""
    today = snapshot.today
    if today is None:
        return None
    held, factors = figures_of_day(today), today["factors"]
    figures = (("loads", text.energy(held["loads_wh"])), ("carbon", text.grams(held["carbon_g"])),
               ("core_hours", text.figure(held["core_hours"], 1)),
               ("core_hour", text.grams(held["g_per_core_hour"])),
               ("tasks", text.figure(held["tasks"])),
               ("renewable", text.share(held["renewable"])), ("pue", text.figure(held["pue"], 2)))
    kind = "estimated" if factors["estimated"] else "published"
    notes = [say(f"day.factors_{kind}", id=factors["id"])]
    if today["energy_wh"].get("battery_discharge") is not None:
        notes.insert(0, say("day.battery"))
    if factors["configured_sha256"] not in (None, factors["sha256"]):
        notes.append(say("day.other_factors", id=factors["configured_id"]))
    notes += swaps.notes(today["meter_swaps"])
    if today["evidence"]["simulated"]:
        notes.insert(0, say("report.simulated"))
    notes += map(text.describe_overlap, today["evidence"]["set_aside"])
    if today["changes"]:
        notes.append(say.plural("report.changed", len(today["changes"]) + today["changes_more"]))
    zone = timetext.zone(today["timezone"])
    start, end = (datetime.fromtimestamp(timetext.utc_ms(at) / 1000, zone)
                  for at in (today["from"], today["to"]))
    return Day(say("day.span", from_time=f"{start:%Y-%m-%d %H:%M}", to_time=f"{end:%H:%M}",
                   timezone=zone.key),
               [(say(f"day.{key}"), value) for key, value in figures], notes)


def devices(view: PageView) -> Devices | None:
    """Return which devices answer; None when the gateway names none."""
    found = rows(view.figures, "devices")
    if not found:
        return None
    silent = sum(row.get("ok") is not True for row in found)
    heading = (say.plural("devices.silent", silent, all=text.figure(len(found))) if silent
               else say.plural("devices.all", len(found)))
    return Devices(heading, [_cabinet(row) for row in found])


def _cabinet(row: LiveValues) -> DeviceRow:
    name, age = str(row.get("name")), text.age(row.get("age_s"))
    if row.get("ok") is True:
        return DeviceRow(proof.GOOD, name, age)
    reason = say.named("device_reason", row.get("reason") or "no-reply")
    if not text.is_number(row.get("age_s")):
        return DeviceRow(proof.BAD, name, say("devices.never", reason=reason))
    return DeviceRow(proof.BAD, name, say("devices.last", reason=reason, age=age))
