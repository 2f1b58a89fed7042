"""`serve` as a process: what it writes, what it answers, how it stops."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from simulator.clock import ScaledClock, format_utc, parse_utc
from simulator.runner import Runner
from simulator.scenario import load
from simulator.world import SimulatedSite

SPEED = 3600            # half an hour of the shop in half a second


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """Serve the shop for some simulated hours and stop it; returns (folder, exit code, ...)."""
    out = tmp_path_factory.mktemp("served")
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator", "serve", "--out", str(out), "--speed", str(SPEED)],
        stdout=subprocess.PIPE, text=True)
    try:
        said = process.stdout.readline()
        table = json.loads((out / "endpoints.json").read_text())
        lines = {name: os.path.realpath(out / "bus" / name) for name in os.listdir(out / "bus")}
        while (out / "truth.jsonl").read_text().count("\n") < 6:
            assert process.poll() is None
    finally:
        process.send_signal(signal.SIGTERM)
        code = process.wait(20)
    return out, code, said, table, lines


def truth(out: Path):
    return [json.loads(line) for line in (out / "truth.jsonl").read_text().splitlines()]


def test_it_says_where_to_look_and_stops_cleanly(served):
    out, code, said, _, _ = served
    assert code == 0
    assert "12 devices at speed 3600" in said and "endpoints.json" in said


def test_endpoints_name_every_bus_and_every_device_in_the_words_of_the_configuration(served):
    out, _, _, table, lines = served
    buses = {bus["name"]: bus for bus in table["buses"]}
    assert {name: (bus["transport"], bus["protocol"]) for name, bus in buses.items()} == {
        "rtu-1": ("serial", "modbus"), "rtu-2": ("serial", "modbus"), "pv": ("tcp", "modbus"),
        "bms": ("serial", "pylontech"), "node-1": ("http", "prometheus"),
        "node-2": ("http", "prometheus")}
    assert set(lines) == {"rtu-1", "rtu-2", "bms"}
    assert all(place.startswith("/dev/pts/") for place in lines.values())
    assert buses["rtu-1"]["tty"] == str(out / "bus" / "rtu-1")
    assert [d["name"] for d in table["devices"]][:2] == ["grid", "node-1-meter"]
    node = next(d for d in table["devices"] if d["name"] == "node-2")
    assert node["workloads"] == ["batch", "cache"] and node["meter"] == "node-2-meter"
    assert table["battery"]["capacity_wh"] == 10000
    assert table["factors"] == {"id": "de-2024-direct-duck-1"}
    assert table["truth"] == str(out / "truth.jsonl")


def test_the_books_of_a_served_day_are_those_of_the_computed_day(served):
    lines = truth(served[0])
    expected = []
    runner = Runner(SimulatedSite(load("shop")), expected.append)
    runner.advance(5 * 900)
    assert lines[:6] == expected
    assert lines[0]["utc"] == "2026-10-06T05:00:00Z" and lines[0]["energy_wh"]["it"] == 0.0


def test_the_last_line_says_where_the_books_stood_when_it_stopped(served):
    lines = truth(served[0])
    assert [line.get("stopped", False) for line in lines] == [False] * (len(lines) - 1) + [True]
    assert lines[-1]["utc_ms"] >= lines[-2]["utc_ms"]


def test_another_process_can_live_in_the_same_time(served):
    table = served[3]["clock"]
    clock = ScaledClock.from_table(table)
    assert clock.table() == table
    assert clock.speed == SPEED
    assert clock.elapsed_s() > 5 * 900
    assert clock.utc_ms() > parse_utc("2026-10-06T06:15:00Z")


def test_times_are_written_as_they_are_read():
    assert parse_utc("1970-01-02T00:00:00Z") == 86_400_000
    assert format_utc(parse_utc("2026-10-06T07:00:00+02:00")) == "2026-10-06T05:00:00Z"
