"""Energy and carbon of workloads: dynamic by CPU seconds, idle by reservation.

See docs/accounting.md section 14.  The parts of a host always sum to its energy.  CPU seconds are
not energy (frequency, vector units): docs/accounting.md section 1 states that limit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.core.roles import NOT_LOADS
from gateway.ledger.compute.kpi import ratio
from gateway.ledger.flows.flows import Step


@dataclass(frozen=True)
class HostWorkload:
    """A workload's use of a host in an interval: CPU seconds, cores held and for how long."""

    cpu_s: float
    cores_reserved: float
    reserved_s: float


@dataclass(frozen=True)
class Gpu:
    """One GPU in an interval: energy, idle power, SM-seconds and reserved seconds by workload."""

    energy_wh: float
    idle_w: float
    use: Mapping[str, float] = field(default_factory=dict)
    reserved: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Host:
    """A host in an interval of dt_s: metered energy (GPUs included), cores, idle power of the
    host without its GPUs, its workloads by name."""

    energy_wh: float
    dt_s: float
    cores: float
    idle_w: float
    workloads: Mapping[str, HostWorkload] = field(default_factory=dict)
    gpus: Sequence[Gpu] = ()


@dataclass(frozen=True)
class Split:
    """Wh by workload, and what no workload answers for: the operator's pool."""

    dynamic_wh: Mapping[str, float]
    idle_wh: Mapping[str, float]
    unattributed_dynamic_wh: float
    unreserved_idle_wh: float

    def energy_wh(self, name: str) -> float:
        """Dynamic and idle energy of one workload."""
        return self.dynamic_wh.get(name, 0) + self.idle_wh.get(name, 0)


def host_split(host: Host, spread_idle: bool = False) -> Split:
    """Split a host's energy over its workloads; spread_idle puts unreserved idle on the
    reservations instead of the pool.  Reservations beyond the host's cores share its idle."""
    rest_wh = host.energy_wh - sum(gpu.energy_wh for gpu in host.gpus)
    held = {name: load.cores_reserved * load.reserved_s for name, load in host.workloads.items()}
    used = {name: load.cpu_s for name, load in host.workloads.items()}
    lots = [_lot(rest_wh, host.idle_w * host.dt_s / 3600, used,
                 _shares(held, host.cores * host.dt_s))]
    lots += [_lot(gpu.energy_wh, gpu.idle_w * host.dt_s / 3600, gpu.use,
                  _shares(gpu.reserved, host.dt_s)) for gpu in host.gpus]
    names = dict.fromkeys([*host.workloads, *(n for gpu in host.gpus for n in gpu.use),
                           *(n for gpu in host.gpus for n in gpu.reserved)])
    dynamic: dict[str, float] = {n: sum(lot[0].get(n, 0) for lot in lots) for n in names}
    idle: dict[str, float] = {n: sum(lot[1].get(n, 0) for lot in lots) for n in names}
    loose_wh, free_wh = sum(lot[2] for lot in lots), sum(lot[3] for lot in lots)
    reserved_wh = sum(idle.values())
    if spread_idle and reserved_wh > 0:
        idle = {name: wh * (reserved_wh + free_wh) / reserved_wh for name, wh in idle.items()}
        free_wh = 0
    return Split(dynamic, idle, loose_wh, free_wh)


def _lot(energy_wh: float, idle_wh: float, use: Mapping[str, float],
         shares: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float], float, float]:
    """Return (dynamic by name, idle by name, dynamic of nobody, idle of nobody) of one part."""
    idle_wh = min(energy_wh, idle_wh)
    dynamic_wh, total_use = energy_wh - idle_wh, sum(use.values())
    dynamic = {n: dynamic_wh * s / total_use if total_use else 0 for n, s in use.items()}
    idle = {name: idle_wh * share for name, share in shares.items()}
    free_wh = max(idle_wh - sum(idle.values()), 0)
    return dynamic, idle, 0 if total_use else dynamic_wh, free_wh


def _shares(held: Mapping[str, float], whole: float) -> dict[str, float]:
    bottom = max(whole, sum(held.values()))
    return {name: part / bottom if bottom else 0 for name, part in held.items()}


@dataclass(frozen=True)
class Rate:
    """Full rate of IT energy, or the overhead that waits in the period's pool."""

    g_per_kwh: float | None
    pool_g: float


def full_rate(it_carbon_g: float, overhead_carbon_g: float, e_it_wh: float) -> Rate:
    """Return (C_IT + C_overhead) / E_IT; without IT energy the overhead goes to the pool."""
    all_g = it_carbon_g + overhead_carbon_g
    rate = ratio(all_g * 1000, e_it_wh)
    return Rate(None, all_g) if rate is None else Rate(rate, 0)


@dataclass(frozen=True)
class Pool:
    """Carbon of a period that no interval's IT energy could carry, and its rate over all."""

    direct_g: Sequence[float]
    pool_g: float
    pool_rate_g_per_kwh: float | None
    total_g: float
    full_rate_g_per_kwh: float | None


def period_pool(intervals: Sequence[tuple[float, float, float]],
                unallocated_direct_g: float) -> Pool:
    """Spread overhead of zero-IT intervals and unallocated fuel over the period's IT energy.

    intervals: (IT energy Wh, IT carbon g, overhead carbon g) each."""
    rates = [full_rate(it_g, over_g, it_wh) for it_wh, it_g, over_g in intervals]
    direct = [it_g + over_g - rate.pool_g
              for (_, it_g, over_g), rate in zip(intervals, rates, strict=True)]
    pool_g = sum(rate.pool_g for rate in rates) + unallocated_direct_g
    e_it_wh, total_g = sum(it_wh for it_wh, _, _ in intervals), sum(direct) + pool_g
    return Pool(direct, pool_g, ratio(pool_g * 1000, e_it_wh), total_g,
                ratio(total_g * 1000, e_it_wh))


@dataclass(frozen=True)
class Embodied:
    """Embodied carbon of a machine: total g, expected life s, resources reserved of total."""

    total_g: float
    life_s: float
    reserved: float
    resources: float


@dataclass(frozen=True)
class JobSlice:
    """A job's share of one interval: the host cut to the job's window, and the full rate."""

    host: Host
    rate_g_per_kwh: float | None


@dataclass(frozen=True)
class Job:
    """What one job used and caused; None where a rate was undefined."""

    dynamic_wh: float
    idle_wh: float
    per_interval_g: Sequence[float | None]
    operational_g: float | None
    embodied_g: float
    carbon_g: float | None


def job(name: str, window_s: float, slices: Sequence[JobSlice],
        embodied: Embodied | None = None, pool_rate_g_per_kwh: float = 0) -> Job:
    """Account a job over the intervals it touches; partial intervals by its own counters."""
    splits = [host_split(piece.host) for piece in slices]
    grams = [None if piece.rate_g_per_kwh is None
             else split.energy_wh(name) * (piece.rate_g_per_kwh + pool_rate_g_per_kwh) / 1000
             for piece, split in zip(slices, splits, strict=True)]
    known = [g for g in grams if g is not None]
    operational_g = sum(known) if len(known) == len(grams) else None
    made_g: float = 0
    if embodied is not None:
        made_g = (embodied.total_g * window_s / embodied.life_s
                  * embodied.reserved / embodied.resources)
    return Job(sum(split.dynamic_wh.get(name, 0) for split in splits),
               sum(split.idle_wh.get(name, 0) for split in splits), grams, operational_g,
               made_g, None if operational_g is None else operational_g + made_g)


def per_unit(carbon_g: float | None, units: float | None) -> float | None:
    """Return carbon over units; None when either is undefined or there are no units."""
    return None if carbon_g is None or units is None else ratio(carbon_g, units)


@dataclass(frozen=True)
class UnitRates:
    """Grams per unit of compute, None for zero units."""

    g_per_reserved_core_hour: float | None
    g_per_used_core_hour: float | None
    g_per_gpu_hour: float | None
    g_per_task: float | None


@dataclass(frozen=True)
class Units:
    """Compute done in a window; seconds for cores and GPUs."""

    core_s_reserved: float
    core_s_used: float
    gpu_s_reserved: float = 0
    tasks: float = 0


def unit_rates(cpu_carbon_g: float, gpu_carbon_g: float, units: Units) -> UnitRates:
    """Return carbon per core-hour (reserved, used), GPU-hour and task (CPU and GPU together)."""
    return UnitRates(
        per_unit(cpu_carbon_g * 3600, units.core_s_reserved),
        per_unit(cpu_carbon_g * 3600, units.core_s_used),
        per_unit(gpu_carbon_g * 3600, units.gpu_s_reserved),
        per_unit(cpu_carbon_g + gpu_carbon_g, units.tasks))


def overhead_rate(step: Step) -> float | None:
    """Return the full rate of IT energy in a step (g/kWh), overhead and residual included;
    None without IT energy or with any part undefined (docs/accounting.md section 14.2)."""
    grams = {sink: g for sink, g in step.carbon_by_sink_g.items()
             if sink not in NOT_LOADS}
    it_g, rest_g, ci = grams.pop("it", None), step.residual_carbon_g, step.ci_g_per_kwh
    others = [g for g in grams.values() if g is not None]
    if it_g is None or rest_g is None or ci is None or len(others) < len(grams):
        return None
    it_wh = sum(step.origin_by_sink_wh.get("it", {}).values())
    return full_rate(it_g, sum(others) + rest_g, it_wh).g_per_kwh
