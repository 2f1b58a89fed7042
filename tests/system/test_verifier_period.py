"""The offline verifier proves that a period is covered: by scans, by signed gaps, or not at all."""

import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.core.codec import cbor, record
from gateway.core.reading import CLOCK_NTP, ClockState
from tests.fleet.maker import (
    CONFIG_BYTES,
    CONFIG_HASH,
    DESCRIPTOR,
    ORIGIN_MS,
    QUARTER_MS,
    SCHEMA,
    PaperGateway,
    values,
)
from tests.support import evidence_world as forge
from tests.support.evidence_world import NTP

HOUR = ORIGIN_MS, ORIGIN_MS + 4 * QUARTER_MS
DEVICES = [one["name"] for one in DESCRIPTOR["devices"]]


@pytest.fixture
def receipt_key():
    """The fleet's receipt key."""
    return Ed25519PrivateKey.generate()


def scans(gateway, from_s, to_s, streams=None, config=False):
    """Return records of some streams from one paper second to another, sequences as they come."""
    found, seq = [], gateway.next_seq
    if config:
        found.append(record.EventRecord(seq, from_s * 1000, record.CONFIG,
                                        [CONFIG_HASH, CONFIG_BYTES]))
    for at in range(from_s, to_s, 10):
        for stream in range(len(SCHEMA)) if streams is None else streams:
            found.append(record.ScanRecord(seq + len(found), at * 1000, stream,
                                           values(stream, at)))
    return found


def with_gap(records, body):
    """Return records and one GAP event behind them."""
    last = records[-1]
    return [*records, record.EventRecord(last.seq + 1, last.ticks_ms + 1, record.GAP, body)]


def checked(tmp_path, key, gateway, sealed, period=HOUR):
    """Deliver batches and return the verifier's Bundle of a period."""
    forge.deliver(tmp_path, key, gateway, sealed)
    return forge.checked(forge.bundle(tmp_path, "shop", key, period))


def no_data(found):
    """Return the stretches that are only assumed."""
    return [one for one in found.assumed if one.startswith("no data")]


def utc(second):
    """Return a paper second of the first hour as the verifier writes it."""
    return f"2026-06-01T{second // 3600:02d}:{second // 60 % 60:02d}:{second % 60:02d}Z"


def absence(from_s, to_s, stream=-1):
    """Return the body of a GAP event."""
    return [stream, ORIGIN_MS + from_s * 1000, ORIGIN_MS + to_s * 1000, "unplugged"]


@pytest.mark.parametrize(("body", "left"), [
    (None, [(890, 1800, "every")]), (absence(890, 1800), []),
    (absence(890, 1500), [(1500, 1800, "every")]),
    (absence(890, 1800, 0), [(890, 1800, "but grid")]),
    ([-1, None, None, "not known"], [(890, 1800, "every")]),
    ([-1, None, ORIGIN_MS + 1_800_000, "not known"], [(890, 1800, "every")])])
def test_a_hole_that_the_cabinet_did_not_sign_is_named_and_a_signed_one_is_proven(
        body, left, tmp_path, receipt_key):
    gateway = PaperGateway()
    gateway.enrol(tmp_path)
    after = scans(gateway, 1800, 4500)
    first = scans(gateway, 0, 900, config=True)
    sealed = [gateway.seal(first, clock=NTP)]
    after = scans(gateway, 1800, 4500)
    sealed.append(gateway.seal(after if body is None else with_gap(after, body), clock=NTP))
    found = checked(tmp_path, receipt_key, gateway, sealed)
    assert found.faults == []
    names = {"every": DEVICES, "but grid": DEVICES[1:]}
    assert no_data(found) == [
        f"no data    {utc(begin)} to {utc(end)}, and no declared gap: {', '.join(names[who])}: "
        "what was metered then is not known" for begin, end, who in left]
    assert body is None or any("unplugged" in one or "not known" in one for one in found.proven)


@pytest.mark.parametrize(("pause_s", "named"), [(60, False), (80, True)])
def test_one_device_that_is_silent_for_more_than_six_polls_is_named(pause_s, named, tmp_path,
                                                                    receipt_key):
    gateway = PaperGateway()
    gateway.enrol(tmp_path)
    records = [one for one in scans(gateway, 0, 4500, config=True)
               if getattr(one, "stream", None) != 2
               or not 1000_000 <= one.ticks_ms < 1000_000 + (pause_s - 10) * 1000]
    for number, one in enumerate(records):
        records[number] = one._replace(seq=number + 1)
    found = checked(tmp_path, receipt_key, gateway, [gateway.seal(records, clock=NTP)])
    assert found.faults == []
    assert no_data(found) == ([
        f"no data    {utc(990)} to {utc(990 + pause_s)}, and no declared gap: {DEVICES[2]}: what "
        "was metered then is not known"] if named else [])


def test_before_the_first_and_behind_the_last_reading_there_is_no_data(tmp_path, receipt_key):
    gateway = PaperGateway()
    gateway.enrol(tmp_path)
    found = checked(tmp_path, receipt_key, gateway, [gateway.seal(clock=NTP) for _ in range(4)],
                    (ORIGIN_MS - 4 * QUARTER_MS, ORIGIN_MS + 8 * QUARTER_MS))
    assert [one[11:53] for one in no_data(found)] == [
        "2026-05-31T23:00:00Z to 2026-06-01T00:00:0", "2026-06-01T00:59:50Z to 2026-06-01T02:00:0"]


def test_values_that_are_absent_with_a_signed_reason_are_no_hole(tmp_path, receipt_key):
    gateway = PaperGateway()
    gateway.enrol(tmp_path)
    sealed = [gateway.seal(gateway.records(900, n == 0, silent=(0,)), clock=NTP) for n in range(5)]
    found = checked(tmp_path, receipt_key, gateway, sealed)
    assert (found.faults, no_data(found)) == ([], [])
    assert not any("energy      grid," in one for one in found.proven)


def test_sequences_that_the_chain_passes_over_are_a_signed_gap(tmp_path, receipt_key):
    gateway = PaperGateway()
    gateway.enrol(tmp_path)
    sealed = [gateway.seal(clock=NTP)]
    gateway.next_seq, gateway.at_s = gateway.next_seq + 500, gateway.at_s + 900
    sealed += [gateway.seal(clock=NTP) for _ in range(3)]
    found = checked(tmp_path, receipt_key, gateway, sealed)
    assert (found.faults, no_data(found)) == ([], [])
    assert any("never sealed: records 992..1491" in one for one in found.proven)


@pytest.mark.parametrize(("declared", "holds"), [
    ("2", True), ("1-2", True), ("2-2", True), ("", False), ("3", False), ("1-1", False),
    ("2-9", False), ("2-", False), ("1,2", False)])
def test_a_batch_that_rotted_is_a_gap_only_if_the_cabinet_says_so(declared, holds, tmp_path,
                                                                  receipt_key):
    gateway = PaperGateway()
    gateway.enrol(tmp_path)
    first = gateway.seal(clock=NTP)
    gateway.seal(clock=NTP)                                         # number 2 never arrives
    records = gateway.records(900, False)
    if declared:
        last = records[-1]
        records.append(record.EventRecord(last.seq + 1, last.ticks_ms, record.ALARM,
                                          ["batch-lost", declared]))
    sealed = [first, gateway.seal(records, clock=NTP), *(gateway.seal(clock=NTP) for _ in "ab")]
    found = checked(tmp_path, receipt_key, gateway, sealed)
    assert bool(found.faults) is not holds
    if holds:
        assert any("batch 2..2 lost on its flash, signed by it" in one for one in found.proven)
        assert no_data(found) == []
    else:
        assert "does not continue the batch before: records 992..1981" in found.faults[0]


def test_a_device_is_expected_only_while_a_configuration_names_it(tmp_path, receipt_key):
    gateway = PaperGateway()
    gateway.enrol(tmp_path)
    more = cbor.encode({**DESCRIPTOR, "devices": [*DESCRIPTOR["devices"], {
        "name": "heater", "kind": "meter", "role": "other", "rated_w": 1000}]})
    digest = hashlib.sha256(more).digest()
    sealed = [gateway.seal(clock=NTP) for _ in range(2)]
    records = [record.EventRecord(gateway.next_seq, gateway.at_s * 1000, record.CONFIG,
                                  [digest, more])]
    gateway.next_seq += 1
    records += gateway.records(900, False)
    sealed += [gateway.seal(records, clock=NTP, config_hash=digest)]
    sealed += [gateway.seal(clock=NTP, config_hash=digest) for _ in range(2)]
    found = checked(tmp_path, receipt_key, gateway, sealed)
    assert found.faults == []
    assert no_data(found) == [f"no data    {utc(1800)} to {utc(3600)}, and no declared gap: heater:"
                              " what was metered then is not known"]


def test_an_honest_bundle_reaches_the_end_of_its_period_though_no_counter_does(tmp_path,
                                                                              receipt_key):
    """All meters die half-way, and the records behind have no time yet: no tail is left out."""
    gateway = PaperGateway()
    gateway.enrol(tmp_path)
    everything = range(len(SCHEMA))
    unknown = ClockState(0, 0, 0, 0)
    sealed = [gateway.seal(clock=NTP), gateway.seal(clock=NTP)]
    sealed += [gateway.seal(gateway.records(900, False, silent=everything), clock=NTP)
               for _ in range(3)]
    sealed += [gateway.seal(boot=2, clock=unknown) for _ in range(2)]
    found = checked(tmp_path, receipt_key, gateway, sealed)
    assert (found.faults, no_data(found)) == ([], [])
    longer = forge.checked(forge.bundle(tmp_path, "shop", receipt_key, (
        ORIGIN_MS, ORIGIN_MS + 12 * QUARTER_MS)))
    assert longer.faults == [] and len(longer.parts) == 7


def test_a_clock_of_the_far_future_dates_nothing(tmp_path, receipt_key):
    gateway = PaperGateway()
    gateway.enrol(tmp_path)
    far = ClockState(CLOCK_NTP, 0, 4_070_908_800_000, 50)
    sealed = [gateway.seal(clock=NTP) for _ in range(4)] + [gateway.seal(boot=2, clock=far)]
    found = checked(tmp_path, receipt_key, gateway, sealed)
    assert found.faults == []
    assert not any("2099" in one for one in found.proven)


def test_roles_are_added_up_quarter_hour_by_quarter_hour(tmp_path, receipt_key):
    """A quarter hour in which one of two IT meters is not known has no energy of IT."""
    gateway = PaperGateway()
    gateway.enrol(tmp_path)
    sealed = [gateway.seal(gateway.records(900, n == 0, silent=(2,) if n == 1 else ()), clock=NTP)
              for n in range(5)]
    jump = [one if getattr(one, "stream", None) != 2 else one._replace(
        values=tuple(value + 5_000_000 for value in one.values))
        for one in gateway.records(900, False)]
    sealed += [gateway.seal(jump, clock=NTP), gateway.seal(clock=NTP)]
    found = checked(tmp_path, receipt_key, gateway, sealed, (ORIGIN_MS, ORIGIN_MS + 6 * QUARTER_MS))
    assert found.faults == []
    # 540 W, but for the quarter hours on both sides of the jump
    assert any("of all, it: 540.000 Wh" in one for one in found.proven), found.proven


def test_a_counter_that_jumps_is_not_counted_across_and_the_statement_is_held_to_it(tmp_path,
                                                                                   receipt_key):
    gateway = PaperGateway()
    gateway.enrol(tmp_path)
    sealed = []
    for quarter in range(6):
        records = gateway.records(900, quarter == 0)
        if quarter >= 2:
            records = [one if getattr(one, "stream", None) != 0 else one._replace(
                values=(one.values[0] + 90_000, one.values[1])) for one in records]
        sealed.append(gateway.seal(records, clock=NTP))
    found = checked(tmp_path, receipt_key, gateway, sealed)
    assert found.faults == []
    grid = next(one for one in found.proven if "grid, energy_active_import_total" in one)
    wh = float(grid.split(": ")[1].split(" Wh")[0])
    assert wh < 720
    said, parts = forge.opened_bundle(forge.bundle(tmp_path, "shop", receipt_key, HOUR))
    statement = json.loads(said["statement"])
    row = next(one for one in statement["meters"] if one["device"] == "grid")
    row["energy_wh"] += 90_000
    forged = forge.written({**said, "statement": json.dumps(statement).encode()}, parts,
                           receipt_key)
    assert any("energy of grid" in one for one in forge.checked(forged).faults)


def test_two_journals_that_tell_of_one_time_are_named(tmp_path, receipt_key):
    """Whoever has the cabinet's key can write another past: both are shown, neither is a proof."""
    gateway = PaperGateway()
    gateway.enrol(tmp_path)
    thief = PaperGateway(journal_id=b"\x05" * 16, key=gateway.key)
    sealed = [gateway.seal(clock=NTP) for _ in range(5)]
    thief.at_s = 900
    sealed += [thief.seal(thief.records(900, n == 0), clock=NTP) for n in range(2)]
    found = checked(tmp_path, receipt_key, gateway, sealed)
    assert found.faults == [] and found.status() == 3
    assert [one for one in found.assumed if one.startswith("set aside")] == [
        "set aside  shop-1, journal 05050505, 2026-06-01T00:15:00Z to 2026-06-01T00:44:50Z: its "
        "readings do not count, because journal 00000000 does, which covered that time; nobody "
        "has decided which is true"]
