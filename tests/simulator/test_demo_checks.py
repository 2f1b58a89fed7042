"""The demo's judgement about gaps: late scans are no holes, silent holes are."""

from simulator.demo_checks import Delivered, undeclared_gaps

INTERVAL_MS = 10_000


def judged(scans_s, *gaps_s):
    """Return the faults of one device's scans (s) and declared gaps (device, from s, to s)."""
    return undeclared_gaps(Delivered(
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
