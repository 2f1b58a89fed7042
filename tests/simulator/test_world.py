"""The truth is sound: energy neither appears nor vanishes, and a seed gives one day."""

import hashlib
import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.core.errors import Bug
from simulator.runner import QUARTER_S, Runner
from simulator.scenario import load
from simulator.world import SimulatedSite, check_closure, step

SOURCES = ("grid_import", "pv", "battery_discharge", "genset")
SINKS = ("grid_export", "battery_charge", "it", "cooling", "lighting", "other")


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 2**31), month=st.integers(1, 12), hour=st.integers(0, 23))
def test_the_bus_closes_to_a_billionth_for_any_seed_and_season(seed, month, hour):
    site = SimulatedSite(load("shop", seed, f"2026-{month:02}-15T{hour:02}:00:00Z"))
    state = site.start()
    for _ in range(300):
        before, state = state, step(site, state)
        added = {name: b - a for name, a, b in zip(site.names, before.books, state.books,
                                                   strict=True)}
        given_wh, taken_wh = (sum(added[name] for name in side) for side in (SOURCES, SINKS))
        assert given_wh == pytest.approx(taken_wh, rel=1e-9, abs=1e-12)
    book = dict(zip(site.names, state.books, strict=True))
    assert sum(book[n] for n in SOURCES) == pytest.approx(sum(book[n] for n in SINKS), rel=1e-9)
    assert book["it"] == pytest.approx(book["node:node-1"] + book["node:node-2"], rel=1e-9)


def test_the_battery_of_a_day_holds_what_came_in_less_losses_and_standby():
    runner = Runner(SimulatedSite(load("shop")))
    runner.advance(86400)
    rated, state = runner.site.scenario.battery, runner.before
    book = dict(zip(runner.site.names, state.books, strict=True))
    inside = (0.16 * 10000 + 0.96 * book["battery_charge"] - book["battery_discharge"] / 0.96
              - 5.0 * 24)
    assert state.stored_wh == pytest.approx(inside, rel=1e-9)
    assert book["battery_charge"] > 1000 and book["battery_discharge"] > 1000
    assert 0.0 <= state.stored_wh <= rated.soc_max * rated.capacity_wh + 1e-6


def test_energy_from_nowhere_is_a_bug():
    site = SimulatedSite(load("shop"))
    state = site.start()
    after = step(site, state)
    honest = [b - a for a, b in zip(state.books, after.books, strict=True)]
    forged = list(honest)
    forged[site.index["pv"]] += 1e-6
    stored = (state.stored_wh, after.stored_wh)
    check_closure(site, stored, honest, 1)
    with pytest.raises(Bug, match="bus does not close"):
        check_closure(site, stored, forged, 1)
    with pytest.raises(Bug, match="battery gained"):
        check_closure(site, (stored[0], stored[1] + 1e-6), honest, 1)
    forged = list(honest)
    forged[site.index["node:node-1"]] *= 1.001
    with pytest.raises(Bug, match="nodes take"):
        check_closure(site, stored, forged, 1)


def test_how_time_is_cut_makes_no_difference():
    entries = []
    for pieces in ((3600,), (0.25, 17.9, 900.0, 1799.99, 1800.0, 3600)):
        lines = []
        runner = Runner(SimulatedSite(load("shop")), lines.append)
        for t_s in pieces:
            runner.advance(t_s)
        entries.append((lines, runner.before))
    assert entries[0] == entries[1]


def test_books_stand_at_every_quarter_hour_of_utc_and_nowhere_else():
    lines = []
    Runner(SimulatedSite(load("shop", origin="2026-03-28T22:50:00Z")), lines.append).advance(4000)
    assert [line["utc"][11:19] for line in lines] == ["23:00:00", "23:15:00", "23:30:00",
                                                     "23:45:00"]
    assert all(line["utc_ms"] % (QUARTER_S * 1000) == 0 for line in lines)
    assert lines[0]["t_s"] == 600


def test_inside_a_second_energy_grows_in_a_straight_line():
    runner = Runner(SimulatedSite(load("shop")))
    seen = []
    for t_s in (100.0, 100.25, 100.5, 100.75):
        runner.advance(t_s)
        seen.append(runner.book("it"))
    steps = [b - a for a, b in zip(seen, seen[1:], strict=False)]
    assert steps[0] == pytest.approx(runner.flow.it_w * 0.25 / 3600, rel=1e-6)
    assert steps == pytest.approx([steps[0]] * 3, rel=1e-6)


def test_a_world_that_is_asked_for_the_past_stays_where_it_is():
    runner = Runner(SimulatedSite(load("shop")))
    runner.advance(50.5)
    energy = runner.book("it")
    runner.advance(10)
    assert (runner.t_s, runner.book("it")) == (50.5, energy)


def test_one_seed_gives_the_same_day_in_two_processes():
    command = [sys.executable, "-m", "simulator", "world", "--hours", "24", "--csv"]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE,
                             env={**os.environ, "PYTHONHASHSEED": seed}) for seed in ("1", "2")]
    days = [run.communicate(timeout=100)[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert len(days[0].splitlines()) == 24 * 60 + 2
    assert hashlib.sha256(days[0]).digest() == hashlib.sha256(days[1]).digest()


def test_another_seed_gives_another_day():
    books = []
    for seed in (7, 8):
        runner = Runner(SimulatedSite(load("shop", seed)))
        runner.advance(3600)
        books.append(runner.before.books)
    assert books[0] != books[1]
