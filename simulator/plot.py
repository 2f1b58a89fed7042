"""`simulator world`: the truth as a table, for people who plot."""

import argparse
import csv
import json
from typing import TextIO

from simulator.clock import format_utc
from simulator.runner import Runner, truth_entry
from simulator.scenario import Scenario
from simulator.world import SimulatedSite

COLUMNS = ("utc", "t_s", "grid_w", "pv_w", "battery_w", "it_w", "cooling_w", "lighting_w",
           "other_w", "soc", "cabinet_c", "outdoor_c")


def write(scenario: Scenario, args: argparse.Namespace, out: TextIO) -> int:
    """Compute args.hours of a scenario; write rows (args.csv) or the books at the end."""
    runner = Runner(SimulatedSite(scenario))
    table = csv.writer(out, lineterminator="\n")
    if args.csv:
        table.writerow(COLUMNS)
    seconds, every = int(args.hours * 3600), max(1, args.every)
    for t_s in range(0, seconds + 1, every):
        runner.advance(t_s)
        if args.csv:
            table.writerow(_row(runner, scenario, t_s))
    runner.advance(seconds)
    energy_wh = truth_entry(runner.site, runner.before)["energy_wh"]
    if args.json:
        print(json.dumps({"hours": args.hours, "energy_wh": energy_wh}, indent=1), file=out)
    elif not args.csv:
        for role, energy in energy_wh.items():
            print(f"{role:<20}{energy:12.1f} Wh", file=out)
    return 0


def _row(runner: Runner, scenario: Scenario, t_s: int) -> list[str]:
    flow = runner.flow
    powers = (flow.grid_w, flow.pv_w, flow.battery_w, flow.it_w, flow.cooling_w,
              flow.lighting_w, flow.other_w)
    soc = runner.stored_wh() / scenario.battery.capacity_wh
    return [format_utc(scenario.origin_utc_ms + t_s * 1000), str(t_s),
            *(f"{power:.1f}" for power in powers), f"{soc:.4f}",
            f"{runner.before.cabinet_c:.2f}", f"{flow.outdoor_c:.2f}"]
