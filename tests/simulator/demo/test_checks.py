"""The demo's judgement: each promise, kept and broken; late scans are no holes, silence is."""

import pytest

from simulator.demo.checks import IMPORT, ROLES, DeliveredData, DemoRun, judge, undeclared_gaps
from simulator.demo.gateway_run import Plan, plan
from simulator.demo.run import parser

INTERVAL_MS = 10_000


def judged(scans_s, *gaps_s):
    """Return the faults of one device's scans (s) and declared gaps (device, from s, to s)."""
    return undeclared_gaps(DeliveredData(
        scans={"grid": [int(at * 1000) for at in scans_s]},
        gaps=[(name, start * 1000, end * 1000, "the bus was busy") for name, start, end in gaps_s],
    ), INTERVAL_MS)


def test_a_hole_that_nobody_declared_is_a_fault():
    assert judged([0, 10, 60, 70]) == [
        "grid: nothing for 50 s after 10000 ms UTC, and no gap record"]


def test_a_scan_late_by_less_than_two_intervals_is_no_hole():
    assert judged([0, 10, 38, 41, 50]) == []


def test_a_declared_hole_is_no_fault_for_its_device_and_for_all_devices():
    assert judged([0, 10, 60, 70], ("grid", 20, 60)) == []
    assert judged([0, 10, 60, 70], (None, 20, 60)) == []


def test_a_gap_of_another_device_explains_nothing():
    assert len(judged([0, 10, 60, 70], ("pv", 20, 60))) == 1


def test_a_slot_read_late_stands_behind_the_gap_declared_after_it():
    # Held up from 27.4 s to 64 s: slot 30 is read at 64 s, slots 40 and 50 are declared.
    assert judged([10.3, 20.4, 64.1, 66.1, 70.2], ("grid", 40, 60)) == []


def test_a_gap_record_does_not_excuse_a_hole_much_longer_than_itself():
    assert len(judged([0, 10, 300], ("grid", 20, 60))) == 1


def test_the_same_gap_declared_twice_counts_once():
    assert len(judged([0, 10, 70], ("grid", 20, 35), ("grid", 20, 35))) == 1


DEVICES = ("grid", "node-1-meter")
HOUR = (0, 3_600_000)


def good_run(**changes):
    """Return a run of one hour in which everything is right, with changes."""
    report = {
        "energy_wh": {"grid_import": 500.0, "it": 498.0},
        "meters": [
            {"role": "grid", "measurand": IMPORT, "energy_wh": 500.0, "bound_wh": 3.0},
            {"role": "it", "measurand": IMPORT, "energy_wh": 498.0, "bound_wh": 2.5}],
        "evidence": {"chain_ok": True, "coverage": 1.0, "batches": 4},
    }
    every = [at * INTERVAL_MS for at in range(360)]
    scans = {name: list(every) for name in DEVICES}
    # The other roles have no meter here: their energy and truth are both 0.
    report["energy_wh"] |= {role: 0.0 for role in ROLES if role not in report["energy_wh"]}
    truth = dict.fromkeys(ROLES, 0.0) | {"grid_import": 501.0, "it": 500.0}
    fields = {"found": DeliveredData(ranges=[(1, 400), (401, 720)], scans=scans), "witnessed": 720,
              "devices": DEVICES, "interval_ms": INTERVAL_MS, "period": HOUR, "report": report,
              "truth": truth, "chain_fault": ""}
    return DemoRun(**(fields | changes))


def failed(run):
    """Return the names of the checks that say no; the run as a whole must agree with them."""
    summary = judge(run)
    names = [check["name"] for check in summary["checks"] if not check["ok"]]
    assert summary["ok"] is (not names)
    return names


def test_a_run_in_which_everything_is_right_passes():
    assert failed(good_run()) == []


def test_the_last_witnessed_record_counts_too():
    assert failed(good_run(witnessed=721)) == ["every acknowledged record is in the fleet"]
    assert judge(good_run(witnessed=723))["lost"] == 3


def test_a_demo_without_a_witness_proves_nothing():
    assert failed(good_run(witnessed=0)) == ["every acknowledged record is in the fleet"]


def test_one_record_that_stands_twice_is_told():
    doubled = good_run()
    doubled.found.ranges[:] = [(1, 401), (401, 720)]
    assert failed(doubled) == ["none is there twice"]
    assert judge(doubled)["duplicated"] == 1


def test_an_energy_off_by_more_than_its_bound_is_told():
    truth = good_run().truth
    assert failed(good_run(truth=truth | {"it": 500.6})) == [
        "each energy is within its bound of the truth"]
    assert failed(good_run(truth=truth | {"it": 500.4})) == []


def test_an_energy_that_was_not_measured_is_told():
    run = good_run()
    run.report["energy_wh"]["it"] = None
    assert failed(run) == ["each energy is within its bound of the truth"]


def test_a_chain_that_does_not_verify_is_told():
    assert failed(good_run(chain_fault="batch 3: signature")) == ["the chain verifies"]


def test_coverage_below_one_is_told():
    run = good_run()
    run.report["evidence"]["coverage"] = 0.99
    assert failed(run) == ["the scans are complete or declared"]


def test_a_device_that_never_spoke_or_fell_silent_is_told():
    silent, fell = good_run(), good_run()
    del silent.found.scans["grid"]
    fell.found.scans["grid"][:] = fell.found.scans["grid"][:200]
    assert failed(silent) == failed(fell) == ["every gap is declared"]


def test_two_missing_polls_without_a_word_are_told_and_a_declared_gap_is_not():
    run = good_run()
    del run.found.scans["grid"][100:102]
    assert failed(run) == ["every gap is declared"]
    run.found.gaps.append(("grid", 1_000_000, 1_020_000, "the bus was busy"))
    assert failed(run) == []


def test_hours_and_ports_that_cannot_be_are_refused(capsys):
    for words in (["--hours", "nan"], ["--hours", "inf"], ["--hours", "0.1"],
                  ["--port", "70000"]):
        with pytest.raises(SystemExit) as ended:
            parser().parse_args(words)
        assert ended.value.code == 2
        assert "is not within" in capsys.readouterr().err


def test_the_broker_leaves_at_two_and_the_kill_comes_after_it_is_back():
    assert plan(None) == Plan(2.0, 3.0, 4.0, None)
    assert plan(6) == Plan(2.0, 3.0, 4.0, 6)
    assert plan(30, 24.0) == Plan(2.0, 26.0, 27.0, 30)


def test_a_short_demo_has_its_outage_at_a_third_and_its_kill_at_two_thirds():
    assert plan(3) == Plan(1.0, 1.75, 2.0, 3)
    assert plan(4.9) == Plan(4.9 / 3, 4.9 / 3 + 4.9 / 4, 4.9 * 2 / 3, 4.9)
