"""A site descriptor comes signed, from an enrolled device, and is not believed for that."""

import hashlib
import json

import pytest

from fleet.__main__ import main
from fleet.formats import site_descriptor
from gateway.core.codec import cbor, record
from gateway.core.errors import BadSchema
from tests.fleet.maker import DESCRIPTOR


def described(**changes):
    """Return the paper shop's descriptor with other keys."""
    return DESCRIPTOR | changes


def of_device(**changes):
    """Return the descriptor with its first device changed."""
    return described(devices=[DESCRIPTOR["devices"][0] | changes, *DESCRIPTOR["devices"][1:]])


def of_battery(**changes):
    """Return the descriptor with its battery changed."""
    return described(battery=DESCRIPTOR["battery"] | changes)


def of_node(**changes):
    """Return the descriptor with one node, changed."""
    return described(nodes=[DESCRIPTOR["nodes"][0] | changes])


BAD = {
    "workloads": (described(workloads=[1]), "workloads must be a list"),
    "workload": (described(workloads=[{"node": "node-1"}]), "every workload has a node and"),
    "battery": (described(battery="none"), "battery must be a map, or null"),
    "capacity": (of_battery(capacity_wh="much"), "capacity_wh must be a whole number or"),
    "efficiency": (of_battery(eta_charge="1.5"), "eta_charge must be from 0.001 to 1"),
    "discharge": (of_battery(eta_discharge="1.001"), "eta_discharge must be from 0.001 to 1"),
    "capacity of none": (of_battery(capacity_wh=0), "capacity_wh must be from"),
    "too many": (described(devices=[{"name": f"d{n}"} for n in range(
        site_descriptor.ENTRIES_MAX + 1)]), "devices must be a list of at most"),
    "long name": (of_device(name="n" * (site_descriptor.TEXT_CHARS_MAX + 1)), "with a name"),
    "no efficiency": (of_battery(eta_discharge=0), "eta_discharge must be from"),
    "nan": (of_battery(standby_w="NaN"), "standby_w must be a whole number or"),
    "nodes": (described(nodes={}), "nodes must be a list"),
    "cores": (of_node(cores=0), "cores must be from"),
    "truth": (of_node(idle_w=True), "idle_w must be a whole number or"),
    "meter": (of_node(meter=[1]), "meter must be a text"),
    "site": (described(site=5), "site must be a text"),
    "zone": (described(timezone=None), "timezone must be a text"),
    "interval": (described(interval_s=True), "interval_s must be a whole number"),
    "path": (described(factor_set="/etc/passwd.toml"), "without a path"),
    "no devices": (described(devices=None), "devices must be a list"),
    "twins": (described(devices=DESCRIPTOR["devices"][:1] * 2), "two devices of one name"),
    "role": (of_device(role=["grid"]), "'grid': role must be a text"),
    "rated": (of_device(rated_w=-5), "'grid': rated_w must be a whole number from 0"),
    "rated text": (of_device(rated_w="much"), "'grid': rated_w must be a whole number"),
    "ratio": (of_device(ct_ratio=0), "ct_ratio must be from"),
    "ratio text": (of_device(ct_ratio="1e999999"), "ct_ratio must be a whole number or"),
    "bus": (of_device(bus=1), "'grid': bus must be a text"),
    "metrics": (of_device(path=["/a"]), "'grid': path must be a text"),
    "unit": (of_device(unit=-1), "'grid': unit must be a whole number from 0 to 65535"),
    "unit too high": (of_device(unit=65_536), "'grid': unit must be a whole number"),
    "serial": (of_device(serial="x" * 65), "'grid': serial must have at most 64 characters"),
    "serial number": (of_device(serial=4711), "'grid': serial must be a text"),
    "buses": (described(buses={}), "buses must be a list"),
    "nameless bus": (described(buses=[{"address": "x"}]), "every bus has a name"),
    "address": (described(buses=[{"name": "a", "address": 1}]), "its address is a text"),
    "list": ([], "a map is expected"),
}


@pytest.mark.parametrize(("descriptor", "words"), BAD.values(), ids=BAD)
def test_a_descriptor_that_no_report_could_be_made_with_is_refused_by_name(descriptor, words):
    with pytest.raises(BadSchema, match="site descriptor: .*" + words):
        site_descriptor.parse(cbor.encode(descriptor))


@pytest.mark.parametrize("descriptor", [
    DESCRIPTOR, described(battery=None), described(nodes=[], workloads=[]), of_node(idle_w="0.5"),
    of_device(bus="rtu-1", unit=3, serial="A1"), of_device(bus=None, unit=None, serial=None),
    described(buses=[{"name": "rtu-1", "address": "ttyS1"}]),
    of_device(role=None, ct_ratio="2.5"), of_device(role="a role of tomorrow")])
def test_a_descriptor_as_gateways_make_them_is_taken_as_it_is(descriptor):
    assert site_descriptor.parse(cbor.encode(descriptor)) == descriptor


@pytest.mark.parametrize("name", ["workloads", "battery", "cores", "rated text"])
def test_a_bad_descriptor_is_refused_and_reports_go_on(name, ingest, gateway, tmp_path):
    for _ in range(5):
        assert ingest.process_one("shop-1", gateway.seal()).code == "admit"
    data = cbor.encode(BAD[name][0])
    digest = hashlib.sha256(data).digest()
    records = gateway.records(900, False)
    told = record.EventRecord(0, records[0].ticks_ms, record.CONFIG, [digest, data])
    records = [one._replace(seq=gateway.next_seq + n) for n, one in enumerate([told, *records])]
    bad = gateway.seal(records, config_hash=digest)
    outcome = ingest.process_one("shop-1", bad)
    assert (outcome.code, outcome.receipt) == ("bad-schema", None)
    assert BAD[name][1] in outcome.detail
    out = tmp_path / "report.json"
    assert main(["report", "--data", str(tmp_path), "--site", "shop", "--from",
                 "2026-06-01T00:00:00Z", "--to", "2026-06-01T01:00:00Z", "--out", str(out)]) == 0
    assert json.loads(out.read_text())["energy_wh"]["it"] == pytest.approx(540)
