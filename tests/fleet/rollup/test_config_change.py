"""A configuration counts from its own batches on: what was reported before stays as it was.

The paper shop runs five quarter hours as made, then under another configuration, which begins
exactly at 01:15.
"""

import hashlib
import json

import pytest

from fleet.__main__ import main
from gateway.core.codec import cbor, record
from tests.fleet.maker import DESCRIPTOR

OLD, NEW, MIDNIGHT = "2026-06-01T01:00:00Z", "2026-06-01T02:00:00Z", "2026-06-01T00:00:00Z"
STREAM_OTHER = 6


def device(name, **changes):
    """Return the descriptor with one device configured otherwise."""
    return DESCRIPTOR | {"devices": [one | changes if one["name"] == name else one
                                     for one in DESCRIPTOR["devices"]]}


CT = device("other", ct_ratio=40, rated_w=80_000)
CHANGES = {
    "ct_ratio": CT, "role": device("lighting", role="cooling"),
    "rated_w": device("grid", rated_w=1), "interval": DESCRIPTOR | {"interval_s": 60},
    "battery": DESCRIPTOR | {"battery": None},
    "nodes": DESCRIPTOR | {"nodes": [one | {"idle_w": 1} for one in DESCRIPTOR["nodes"]]},
    "workloads": DESCRIPTOR | {"workloads": []},
    "devices": DESCRIPTOR | {"devices": DESCRIPTOR["devices"][::-1]},
    "factors": DESCRIPTOR | {"factor_set": "none"},
}


def run(ingest, gateway, count, descriptor=None):
    """Let the gateway seal quarter hours; under another descriptor, which the first names."""
    for place in range(count):
        if descriptor is None:
            assert ingest.process_one("shop-1", gateway.seal()).code == "admit"
            continue
        data = cbor.encode(descriptor)
        digest = hashlib.sha256(data).digest()
        records = gateway.records(900, False)
        if place == 0:
            told = record.EventRecord(0, records[0].ticks_ms, record.CONFIG, [digest, data])
            records = [one._replace(seq=gateway.next_seq + number)
                       for number, one in enumerate([told, *records])]
        assert ingest.process_one("shop-1",
                                  gateway.seal(records, config_hash=digest)).code == "admit"


def report(tmp_path, start=MIDNIGHT, end=OLD):
    """Return the bytes of a report."""
    out = tmp_path / "report.json"
    assert main(["report", "--data", str(tmp_path), "--site", "shop", "--from", start,
                 "--to", end, "--out", str(out)]) == 0
    return out.read_bytes()


@pytest.mark.parametrize("changed", CHANGES.values(), ids=CHANGES)
def test_a_report_of_an_hour_stays_byte_for_byte_when_the_configuration_changes_after_it(
        changed, ingest, gateway, tmp_path):
    run(ingest, gateway, 5)
    before = report(tmp_path)
    assert json.loads(before)["energy_wh"]["other"] == pytest.approx(360)
    run(ingest, gateway, 2, changed)
    assert report(tmp_path) == before


def test_each_quarter_hour_is_worth_what_its_own_configuration_says(ingest, gateway, tmp_path):
    run(ingest, gateway, 5)
    run(ingest, gateway, 4, CT)
    found = json.loads(report(tmp_path, end=NEW))
    # 360 W: four quarter hours of 90 Wh; from 01:15 on three of 40 x 90 Wh.  The quarter hour
    # that the change ends is not claimed: nobody knows what its last step was worth.
    assert found["energy_wh"]["other"] == pytest.approx(4 * 90 + 3 * 3600)
    assert found["energy_wh"]["it"] == pytest.approx(1080)
    rows = [one for one in found["meters"] if one["device"] == "other"]
    assert [round(one["energy_wh"], 6) for one in rows] == [4 * 90 + 3 * 3600]
    # Four ends of a run: at most one count and one step of rounding each, 1 or 40 Wh.
    assert rows[0]["bound_wh"] <= 2 * (1 + 40) * 2.5
    assert found["quality_by_role"]["other"]["missing"] > 0
    assert found["quality_by_role"]["it"]["missing"] == 0
    notes = [note for note in found["notes"] if "configuration changed" in note]
    assert len(notes) == 1 and "2026-06-01T01:15:00Z" in notes[0]


def test_a_meter_feeds_the_role_it_had_at_the_time(ingest, gateway, tmp_path):
    run(ingest, gateway, 5)
    run(ingest, gateway, 4, device("lighting", role="cooling"))
    found = json.loads(report(tmp_path, end=NEW))
    assert found["energy_wh"]["lighting"] == pytest.approx(4 * 90)
    assert found["energy_wh"]["cooling"] == pytest.approx(8 * 45 + 3 * 90)
    roles = {one["role"]: round(one["energy_wh"], 6) for one in found["meters"]
             if one["device"] == "lighting"}
    assert roles == {"lighting": 360, "cooling": 270}


def test_a_change_that_leaves_a_meter_alone_costs_it_nothing(ingest, gateway, tmp_path):
    run(ingest, gateway, 5)
    run(ingest, gateway, 4, DESCRIPTOR | {"interval_s": 60})
    found = json.loads(report(tmp_path, end=NEW))
    assert found["energy_wh"]["other"] == pytest.approx(720)
    assert found["quality"] == {"measured": 1.0, "estimated": 0.0, "missing": 0.0}
    assert found["evidence"]["coverage"] == 1.0


def test_a_gap_names_the_device_it_had_in_its_own_configuration(ingest, gateway, tmp_path):
    run(ingest, gateway, 1)
    records = gateway.records(900, False)
    start = 1_780_272_000_000 + 900_000
    records.append(record.EventRecord(0, 1_799_000, record.GAP,
                                      [STREAM_OTHER, start, start + 10_000, "unplugged"]))
    records = [one._replace(seq=gateway.next_seq + n) for n, one in enumerate(records)]
    assert ingest.process_one("shop-1", gateway.seal(records)).code == "admit"
    run(ingest, gateway, 4, DESCRIPTOR | {"devices": DESCRIPTOR["devices"][::-1]})
    found = json.loads(report(tmp_path))
    assert [one["device"] for one in found["evidence"]["gap_list"]] == ["other"]


def test_what_the_battery_held_before_is_not_made_again_by_a_later_battery(ingest, gateway,
                                                                           tmp_path):
    run(ingest, gateway, 9)
    before = report(tmp_path, OLD, NEW)
    run(ingest, gateway, 2, DESCRIPTOR | {"battery": DESCRIPTOR["battery"] | {
        "eta_charge": "0.5"}})
    assert report(tmp_path, OLD, NEW) == before


def test_a_role_that_only_part_of_a_period_has_is_nothing_in_the_rest_and_not_missing(
        ingest, gateway, tmp_path):
    run(ingest, gateway, 5)
    run(ingest, gateway, 4, device("other", role=None))
    found = json.loads(report(tmp_path, end=NEW))
    assert found["energy_wh"]["other"] == pytest.approx(4 * 90)
    # Of eight quarter hours one is missing, that of the change, at the mean of the other seven.
    mean = 4 * 90 / 7
    assert found["quality_by_role"]["other"]["missing"] == pytest.approx(mean / (360 + mean))


def test_what_changed_is_named_in_the_report(ingest, gateway, tmp_path):
    """Two meters whose addresses were mixed up, and one that was exchanged."""
    def wired(units, serial):
        return DESCRIPTOR | {"buses": [{"name": "rtu-1", "address": "ttyS1"}], "devices": [
            one | {"bus": "rtu-1", "unit": units.get(one["name"], 9), "serial": serial}
            for one in DESCRIPTOR["devices"]]}
    run(ingest, gateway, 2, wired({"grid": 1, "cooling": 4}, "A1"))
    run(ingest, gateway, 3, wired({"grid": 4, "cooling": 1}, "A1"))
    run(ingest, gateway, 2, wired({"grid": 4, "cooling": 1}, "B2"))
    notes = json.loads(report(tmp_path))["notes"]
    assert ("Changed in the quarter hour from 2026-06-01T00:30:00Z: grid: unit 1 to 4; "
            "cooling: unit 4 to 1.") in notes
    told = [one for one in json.loads(report(tmp_path, end=NEW))["notes"] if "01:15" in one]
    assert told[0].startswith("Changed in the quarter hour from 2026-06-01T01:15:00Z: grid: "
                              "serial number A1 to B2; node-1-meter: serial number A1 to B2; ")
    assert len(told) == 2


def test_a_descriptor_that_began_to_say_where_devices_hang_tells_of_no_change(
        ingest, gateway, tmp_path):
    run(ingest, gateway, 2)
    run(ingest, gateway, 3, DESCRIPTOR | {"buses": [], "devices": [
        one | {"bus": "rtu-1", "unit": 1} for one in DESCRIPTOR["devices"]]})
    notes = json.loads(report(tmp_path))["notes"]
    assert [one for one in notes if one.startswith("Changed in")] == []
    assert [one for one in notes if one.startswith("The configuration changed")] != []
