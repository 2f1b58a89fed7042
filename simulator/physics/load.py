"""Compute load from a seeded job trace, and what a node draws for it."""

from typing import NamedTuple

from simulator.noise import smooth, uniform

JOB_SLOT_S = 600.0      # a batch job's slot: long enough to see, short enough to average out


class WorkloadModel(NamedTuple):
    """One workload of a node.  base and swing: shares of the reserved cores.

    shape: "shop" (busy while open), "night" (busy while closed), "flat", "jobs" (on or off
    by slots).  task_cpu_s: CPU time of one task; task_cores: cores a running task keeps busy.
    """

    name: str
    cores_reserved: float
    shape: str
    base: float
    swing: float
    task_cpu_s: float
    task_cores: float


class NodeModel(NamedTuple):
    """One compute node.  system_cores: what the host itself keeps busy."""

    name: str
    cores: int
    idle_w: float
    full_w: float
    system_cores: float
    workloads: tuple[WorkloadModel, ...]


def busy_share(opens_h: float, closes_h: float, local_h: float) -> float:
    """Return how busy the shop is, 0..1: closed 0, a hump over the day, highest at its middle."""
    if not opens_h <= local_h < closes_h:
        return 0.0
    position = (local_h - opens_h) / (closes_h - opens_h)
    return 4.0 * position * (1.0 - position)


def cores_used(work: WorkloadModel, stream: int, t_s: float, busy: float) -> float:
    """Return the cores a workload keeps busy now, 0..cores_reserved."""
    if work.shape == "jobs":
        shape = 1.0 if uniform(stream, int(t_s // JOB_SLOT_S)) < 0.45 else 0.0
    else:
        shape = {"shop": busy, "night": 1.0 - busy, "flat": 0.5}[work.shape]
    flutter = 0.7 * smooth(stream + 1, t_s, 240.0) + 0.3 * smooth(stream + 2, t_s, 20.0)
    share = work.base + work.swing * shape * (0.6 + 0.8 * flutter) + 0.04 * (flutter - 0.5)
    return work.cores_reserved * max(0.0, min(1.0, share))


def tasks_running(work: WorkloadModel, cores: float) -> int:
    """Return how many tasks run at once: enough to keep the cores busy."""
    return int(cores / work.task_cores + 0.999)


def node_w(node: NodeModel, cores: float) -> float:
    """Return a node's power at a number of busy cores (Fan, Weber, Barroso 2007, r = 1.4)."""
    use = max(0.0, min(1.0, cores / node.cores))
    return node.idle_w + (node.full_w - node.idle_w) * (2.0 * use - float(use ** 1.4))
