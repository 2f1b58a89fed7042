"""The truth: one step of the whole site, and the books that nobody may doubt.

step() is pure.  The world always moves in whole simulated seconds, so a day is the same
however its time is cut; inside a second every power is constant, hence energy at any
moment is exact by linear interpolation.
"""

from datetime import UTC, datetime
from typing import NamedTuple
from zoneinfo import ZoneInfo

from gateway.core.errors import Bug
from gateway.core.roles import ENERGY_NAMES
from simulator.noise import lane, smooth
from simulator.physics import battery, cabinet, grid, lighting, load, pv, sun, weather
from simulator.scenario import Scenario

STEP_S = 1
CLOSURE = 1e-9          # relative; the sum of some twenty doubles is good to about 1e-15
ROLES: tuple[str, ...] = ENERGY_NAMES       # in the order of _entries


class Flow(NamedTuple):
    """What flows during one step.  battery_w: discharge positive; grid_w: import positive."""

    grid_w: float = 0.0
    pv_w: float = 0.0
    pv_dc_w: float = 0.0
    battery_w: float = 0.0
    it_w: float = 0.0
    cooling_w: float = 0.0
    lighting_w: float = 0.0
    other_w: float = 0.0
    node_w: tuple[float, ...] = ()
    cores: tuple[tuple[float, ...], ...] = ()     # per node: host, then each workload
    outdoor_c: float = 0.0
    cell_c: float = 0.0


class State(NamedTuple):
    """The site after t_s whole seconds.  books: cumulative, in the order of SimulatedSite.names."""

    t_s: int
    stored_wh: float
    battery_c: float
    cabinet_c: float
    books: tuple[float, ...]
    flow: Flow


class SimulatedSite:
    """A scenario prepared for stepping: seeded streams, names of the books, local time."""

    def __init__(self, scenario: Scenario):
        self.scenario = scenario
        self.streams = {name: lane(scenario.seed, name) for name in (
            "clouds", "drift", "other", "frequency", "voltage")}
        self.load_streams = tuple(tuple(lane(scenario.seed, f"{node.name}/{work.name}")
                                        for work in node.workloads) for node in scenario.nodes)
        self.names = book_names(scenario)
        self.index = {name: i for i, name in enumerate(self.names)}
        self.zone = ZoneInfo(scenario.site["timezone"])
        self._offset_at, self._offset_s = -1, 0

    def unix_s(self, t_s: float) -> float:
        """Return UTC seconds of a simulated moment."""
        return self.scenario.origin_utc_ms / 1000 + t_s

    def local_h(self, t_s: float) -> float:
        """Return local time of day in hours; the zone's offset is looked up once a quarter."""
        unix_s = self.unix_s(t_s)
        quarter = int(unix_s // 900)
        if quarter != self._offset_at:
            offset = datetime.fromtimestamp(quarter * 900, UTC).astimezone(self.zone).utcoffset()
            self._offset_at, self._offset_s = quarter, int(offset.total_seconds() if offset else 0)
        return (unix_s + self._offset_s) % 86400 / 3600

    def start(self) -> State:
        """Return the state at the origin: books at zero."""
        scene = self.scenario
        return State(0, scene.soc_start * scene.battery.capacity_wh, 25.0,
                     scene.cabinet.setpoint_c + 1.0, (0.0,) * len(self.names), Flow())


def book_names(scenario: Scenario) -> tuple[str, ...]:
    """Return the names of all books: roles, node:N, cpu:N, cpu:N/W and tasks:N/W."""
    names = [*ROLES]
    for node in scenario.nodes:
        names += [f"node:{node.name}", f"cpu:{node.name}"]
        for work in node.workloads:
            names += [f"cpu:{node.name}/{work.name}", f"tasks:{node.name}/{work.name}"]
    return tuple(names)


def _light(site: SimulatedSite, t_s: float) -> tuple[float, float, float, float]:
    """Return (dc_w, ac_w, outdoor_c, cell_c) of the field at a moment."""
    scene, position, table = site.scenario, site.scenario.site, site.scenario.pv
    local = site.local_h(t_s)
    drift = scene.weather["drift_c"] * (smooth(site.streams["drift"], t_s, 10800.0) - 0.5)
    air_c = weather.outdoor_c(local, scene.weather["mean_c"], scene.weather["swing_c"], drift)
    where = sun.position(position["latitude_deg"], position["longitude_deg"], site.unix_s(t_s))
    clear = sun.clear_sky_w_m2(where.sin_elevation)
    if clear <= 0.0:
        return 0.0, 0.0, air_c, air_c
    cover = weather.cloud_cover(site.streams["clouds"], t_s, scene.weather["cloudiness"])
    plane = (table["tilt_deg"], table["azimuth_deg"])
    light = sun.on_plane_w_m2(sun.clouded_w_m2(clear, cover), cover, where, plane)
    cell = pv.cell_c(air_c, light, table["noct_c"])
    dc = pv.dc_w(table["peak_w"], light, cell, table["temperature_per_k"])
    return dc, pv.ac_w(dc, table["inverter_w"]), air_c, cell


def _cores(site: SimulatedSite, t_s: float, busy: float) -> tuple[tuple[float, ...], ...]:
    rows = []
    for node, streams in zip(site.scenario.nodes, site.load_streams, strict=True):
        used = [load.cores_used(work, stream, t_s, busy)
                for work, stream in zip(node.workloads, streams, strict=True)]
        rows.append((node.system_cores + sum(used), *used))
    return tuple(rows)


def flow_at(site: SimulatedSite, state: State, dt_s: float) -> Flow:
    """Return the flows of the step that begins at a state."""
    scene, shop, t_s = site.scenario, site.scenario.shop, state.t_s
    local = site.local_h(t_s)
    dc, ac, air_c, cell = _light(site, t_s)
    cores = _cores(site, t_s, load.busy_share(shop["opens_h"], shop["closes_h"], local))
    nodes = tuple(load.node_w(node, row[0])
                  for node, row in zip(scene.nodes, cores, strict=True))
    moved = cabinet.cooling_heat_w(scene.cabinet, state.cabinet_c)
    cool = cabinet.cooling_w(scene.cabinet, moved, cabinet.performance(state.cabinet_c, air_c))
    light = lighting.lighting_w(shop["lighting_w"], shop["night_light_w"],
                                (shop["opens_h"], shop["closes_h"]), local)
    other = shop["other_w"] * (0.7 + 0.6 * smooth(site.streams["other"], t_s, 420.0))
    it = sum(nodes)
    loads = it + cool + light + other
    stored = battery.allowed_w(scene.battery, state.stored_wh, state.battery_c,
                               battery.wish_w(ac - loads), dt_s)
    need = grid.balance_w(ac + stored, loads)
    return Flow(need, ac, dc, stored, it, cool, light, other, nodes, cores, air_c, cell)


def _entries(site: SimulatedSite, flow: Flow, dt_s: float) -> list[float]:
    """Return what one step adds to each book, in the order of SimulatedSite.names."""
    h = dt_s / 3600.0
    rows = [max(flow.grid_w, 0.0) * h, max(-flow.grid_w, 0.0) * h, flow.pv_w * h,
            max(-flow.battery_w, 0.0) * h, max(flow.battery_w, 0.0) * h, 0.0,
            flow.it_w * h, flow.cooling_w * h, flow.lighting_w * h, flow.other_w * h]
    for node, power, cores in zip(site.scenario.nodes, flow.node_w, flow.cores, strict=True):
        rows += [power * h, cores[0] * dt_s]
        for work, used in zip(node.workloads, cores[1:], strict=True):
            rows += [used * dt_s, used * dt_s / work.task_cpu_s]
    return rows


def check_closure(site: SimulatedSite, stored_wh: tuple[float, float], added: list[float],
                  dt_s: float) -> None:
    """Raise Bug unless one step's energies close: bus, nodes and battery.

    stored_wh: before and after.  The bus and the nodes must close to CLOSURE of what flowed;
    the battery to the same plus the rounding of its far larger stored energy.
    """
    grid_in, grid_out, made, charged, given = added[:5]
    it, cool, light, other = added[6:10]
    sources, sinks = grid_in + made + given, grid_out + charged + it + cool + light + other
    if abs(sources - sinks) > CLOSURE * max(sources, sinks):
        raise Bug(f"the bus does not close: {sources!r} Wh in, {sinks!r} Wh out")
    nodes = sum(added[site.index[f"node:{node.name}"]] for node in site.scenario.nodes)
    if abs(nodes - it) > CLOSURE * max(it, nodes):
        raise Bug(f"nodes take {nodes!r} Wh, IT says {it!r} Wh")
    ratings = site.scenario.battery
    inner = (charged * ratings.eta_charge - given / ratings.eta_discharge
             - ratings.standby_w * dt_s / 3600.0)
    off = stored_wh[1] - stored_wh[0] - inner
    if abs(off) > CLOSURE * (charged + given) + 1e-13 * ratings.capacity_wh and stored_wh[1] > 0:
        raise Bug(f"the battery gained {off!r} Wh from nowhere")


def step(site: SimulatedSite, state: State, dt_s: float = STEP_S) -> State:
    """Return the state dt_s later.  Raises Bug if any energy appears or vanishes."""
    scene = site.scenario
    flow = flow_at(site, state, dt_s)
    added = _entries(site, flow, dt_s)
    stored = battery.stored_after_wh(scene.battery, state.stored_wh, flow.battery_w, dt_s)
    room = weather.room_c(flow.outdoor_c)
    warmth = battery.temperature_after_c(
        state.battery_c, room, battery.heat_w(scene.battery, flow.battery_w), dt_s)
    moved = cabinet.cooling_heat_w(scene.cabinet, state.cabinet_c)
    inside = cabinet.inside_after_c(scene.cabinet, state.cabinet_c, room, flow.it_w - moved, dt_s)
    check_closure(site, (state.stored_wh, stored), added, dt_s)
    books = tuple([a + b for a, b in zip(state.books, added, strict=True)])
    return State(state.t_s + int(dt_s), stored, warmth, inside, books, flow)
