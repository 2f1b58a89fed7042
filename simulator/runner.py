"""The world as it runs: moved on to "now" whenever somebody asks, never further.

Two neighbouring whole seconds are held; every question is answered at a moment between
them, exactly, because power is constant inside a second.
"""

from collections.abc import Callable
from typing import Any

from simulator.clock import format_utc
from simulator.world import ROLES, STEP_S, Flow, SimulatedSite, State, step

QUARTER_S = 900
Truth = dict[str, Any]          # a line of truth.jsonl


class Runner:
    """A site in time.  on_quarter: called with the books at every UTC quarter hour."""

    def __init__(self, site: SimulatedSite, on_quarter: Callable[[Truth], None] | None = None):
        self.site = site
        self.t_s = 0.0
        self.before = site.start()
        self.after = step(site, self.before)
        self._on_quarter = on_quarter
        self._report(self.before)

    def advance(self, t_s: float) -> None:
        """Move on to t_s simulated seconds after the origin; going back does nothing."""
        while self.after.t_s <= t_s:
            self.before = self.after
            self.after = step(self.site, self.before, STEP_S)
            self._report(self.before)
        self.t_s = max(self.t_s, t_s)

    def _report(self, state: State) -> None:
        if self._on_quarter and int(self.site.unix_s(state.t_s)) % QUARTER_S == 0:
            self._on_quarter(truth_entry(self.site, state))

    @property
    def flow(self) -> Flow:
        """Return what flows now."""
        return self.after.flow

    def book(self, name: str) -> float:
        """Return a book's value now: Wh, CPU seconds or tasks since the origin."""
        i = self.site.index[name]
        low = self.before.books[i]
        return low + (self.after.books[i] - low) * self._part()

    def stored_wh(self) -> float:
        """Return the battery's stored energy now."""
        low = self.before.stored_wh
        return low + (self.after.stored_wh - low) * self._part()

    def _part(self) -> float:
        return min(max((self.t_s - self.before.t_s) / STEP_S, 0.0), 1.0)


def truth_entry(site: SimulatedSite, state: State) -> Truth:
    """Return the books of a state as one line of truth.jsonl (cumulative since the origin)."""
    utc_ms = site.scenario.origin_utc_ms + state.t_s * 1000
    book = dict(zip(site.names, state.books, strict=True))
    nodes = {}
    for node in site.scenario.nodes:
        nodes[node.name] = {
            "energy_wh": book[f"node:{node.name}"], "cpu_s": book[f"cpu:{node.name}"],
            "workloads": {work.name: {
                "cpu_s": book[f"cpu:{node.name}/{work.name}"],
                "tasks": book[f"tasks:{node.name}/{work.name}"],
                "cores_reserved": work.cores_reserved,
                "reserved_s": work.cores_reserved * state.t_s,
            } for work in node.workloads}}
    return {"utc": format_utc(utc_ms), "utc_ms": utc_ms, "t_s": state.t_s,
            "energy_wh": {role: book[role] for role in ROLES}, "nodes": nodes,
            "battery": {"stored_wh": state.stored_wh,
                        "soc": state.stored_wh / site.scenario.battery.capacity_wh}}
