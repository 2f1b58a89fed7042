"""Coarsened batches at the fleet: the same energy to the bit, nothing twice, forks found."""

import gc
import sqlite3

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet import verify
from fleet.evidence import evidence
from fleet.formats import registry
from fleet.ingest.ingest import Ingest
from fleet.reporting import report
from fleet.store import incidents
from fleet.store.reader import StoreReader, open_reader
from fleet.store.writer import FILE, EvidenceStore
from gateway.core.codec import record
from gateway.core.evidence import downsampled, receipt
from gateway.core.journal.downsampled_files import DownsampledBatches
from tests.fleet.maker import ORIGIN_MS, SCHEMA, PaperGateway
from tests.support.downsampled_batches import coarse_of, stored_batches, until_rule
from tests.support.evidence_world import checked

BATCHES = 30                    # quarter hours; 22 of them may be downsampled, 16 + 6
KEY = Ed25519PrivateKey.from_private_bytes(b"f" * 32)


def desk_at(folder, gateway):
    gateway.enrol(folder)
    return Ingest(EvidenceStore(folder), registry.Registry(folder).find, KEY, lambda: ORIGIN_MS)


def shaken(records, batch_number):
    """Make a quarter hour of paper lively: gauges move, a meter jumps, one falls, some are
    silent.  The paper's own readings would be the same at both ends of anything."""
    found = []
    for item in records:
        if not record.is_event(item):
            at = item.ticks_ms // 10_000
            values = list(item.values)
            if SCHEMA[item.stream].device == "bms":
                values[0] = 300 + (at * 37) % 401
            if item.stream == 1 and batch_number == 5 and at % 90 == 40:
                values[0] += 10**7                          # one reading that cannot be
            if item.stream == 3 and batch_number >= 7:
                values[0] -= 50_000                         # another meter from here on
            item = item._replace(values=tuple(values))
        found.append(item)
    return found


def lively(gateway):
    """Return BATCHES sealed quarter hours of a shaken shop, one stream silent for a while."""
    made = []
    for number in range(1, BATCHES + 1):
        silent = (4,) if number in (9, 10) else ()
        made.append(gateway.seal(shaken(gateway.records(900, number == 1, silent), number)))
    return made


def books(folder):
    """Return what the fleet booked, without which batch it came in."""
    with sqlite3.connect(folder / FILE) as connection:
        return {
            "counters": set(connection.execute(
                "SELECT stream, measurand, item, quarter_ms, first_ms, first, last_ms, last, "
                "broken FROM counter_parts JOIN channels ON channel = id")),
            "gauges": set(connection.execute(
                "SELECT stream, measurand, item, quarter_ms, sum(count), sum(total), min(low), "
                "max(high), max(last_ms), max(last) FROM gauge_parts JOIN channels "
                "ON channel = id GROUP BY 1, 2, 3, 4")),
            "scans": set(
                connection.execute("SELECT stream, quarter_ms, sum(count), sum(absent) FROM "
                                            "scan_parts GROUP BY 1, 2")),
            "events": set(connection.execute("SELECT seq, kind, utc_ms, body FROM events"))}


def faults(folder):
    device = registry.Registry(folder).find("shop-1")
    with open_reader(folder) as reader:
        return [fault for checked in verify.site(reader, [device]) for fault in checked.faults]


@pytest.fixture
def shop():
    """A paper gateway and its sealed quarter hours."""
    gateway = PaperGateway(key=Ed25519PrivateKey.from_private_bytes(b"g" * 32))
    return gateway, lively(gateway)


def received(folder, gateway, messages):
    ingest = desk_at(folder, gateway)
    outcomes = [ingest.process_one("shop-1", sealed) for sealed in messages]
    return ingest, [outcome.code for outcome in outcomes], outcomes


def coarser(gateway, sealed, rule=downsampled.QUARTERS):
    """Return all messages that a gateway sends after it made room, oldest first."""
    _, batches = stored_batches(gateway, sealed)
    until_rule(gateway, batches, rule)
    assert {one.rule for one in coarse_of(batches).values()} == {rule}
    return [batches.read(number) for number in batches.numbers()]


def test_quarter_hours_come_out_the_same_to_the_bit_from_coarsened_batches(tmp_path, shop):
    gateway, sealed = shop
    messages = coarser(gateway, sealed)
    assert len(messages) == 2 + 8
    assert sum(map(len, messages[:2])) < sum(map(len, sealed[:22])) / 3
    _, codes, _ = received(tmp_path / "whole", gateway, sealed)
    _, coarse_codes, outcomes = received(tmp_path / "coarse", gateway, messages)
    assert set(codes) == set(coarse_codes) == {"admit"}
    whole, thin = books(tmp_path / "whole"), books(tmp_path / "coarse")
    assert any(row[8] for row in whole["counters"])         # there is a jump to be seen
    assert whole == thin
    assert receipt.open_sealed(outcomes[-1].receipt)[1].low_water == gateway.next_seq - 1
    assert faults(tmp_path / "coarse") == []


def test_counters_alone_still_give_the_same_counters_and_scans(tmp_path, shop):
    gateway, sealed = shop
    received(tmp_path / "whole", gateway, sealed)
    received(tmp_path / "coarse", gateway, coarser(gateway, sealed, downsampled.COUNTERS))
    whole, thin = books(tmp_path / "whole"), books(tmp_path / "coarse")
    for what in ("counters", "scans", "events"):
        assert whole[what] == thin[what]


def test_ends_keep_the_whole_energy_between_them(tmp_path, shop):
    gateway, sealed = shop
    received(tmp_path / "whole", gateway, sealed)
    received(tmp_path / "coarse", gateway, coarser(gateway, sealed, downsampled.ENDS))
    spans = [{(row[:3], edge(row)) for row in books(tmp_path / side)["counters"]
              for edge in (lambda row: row[4:6], lambda row: row[6:8])} for side in
             ("whole", "coarse")]
    for channel in {channel for channel, _ in spans[0]}:
        whole, thin = (sorted(edge for name, edge in side if name == channel) for side in spans)
        assert (whole[0], whole[-1]) == (thin[0], thin[-1])
    assert books(tmp_path / "whole")["events"] == books(tmp_path / "coarse")["events"]


@pytest.mark.parametrize("held", [range(5), range(10, 16), (3, 15, 18), range(16)])
def test_what_had_arrived_whole_is_not_counted_again(tmp_path, shop, held):
    gateway, sealed = shop
    received(tmp_path / "whole", gateway, sealed)
    ingest, _, _ = received(tmp_path / "mixed", gateway, [sealed[place] for place in held])
    codes = [ingest.process_one("shop-1", message).code for message in coarser(gateway, sealed)]
    assert codes[0] == ("duplicate" if list(held) == list(range(16)) else "admit")
    assert books(tmp_path / "mixed") == books(tmp_path / "whole")
    assert faults(tmp_path / "mixed") == []


def test_a_whole_batch_that_comes_after_its_coarsened_one_is_a_duplicate(tmp_path, shop):
    gateway, sealed = shop
    ingest, _, _ = received(tmp_path, gateway, coarser(gateway, sealed))
    before = books(tmp_path)
    outcome = ingest.process_one("shop-1", sealed[4])
    assert outcome.code == "duplicate"
    assert receipt.open_sealed(outcome.receipt)[1].low_water == gateway.next_seq - 1
    assert books(tmp_path) == before


def test_the_low_water_mark_stands_inside_a_coarsened_batch_that_is_not_here_yet(tmp_path, shop):
    gateway, sealed = shop
    ingest, _, outcomes = received(tmp_path, gateway, sealed[:3])
    low = receipt.open_sealed(outcomes[-1].receipt)[1]
    _, batches = stored_batches(gateway, sealed)
    until_rule(gateway, batches, downsampled.QUARTERS)
    assert batches.chain_at(batches.numbers()[0], low.low_water) == low.chain
    assert batches.chain_at(batches.numbers()[0], low.low_water - 1) is None


def test_a_coarsened_batch_that_names_another_chain_is_a_fork(tmp_path, shop):
    gateway, sealed = shop
    twin = PaperGateway(key=gateway.key)
    others = [twin.seal() for _ in range(BATCHES)]
    ingest, _, _ = received(tmp_path, gateway, sealed[:3])
    before = books(tmp_path)
    outcome = ingest.process_one("shop-1", coarser(twin, others)[0])
    assert outcome.code == "fork" and books(tmp_path) == before
    with open_reader(tmp_path) as reader:
        assert incidents.CLONE in {one.kind for one in reader.incidents("shop-1")}


def test_a_coarsened_batch_that_is_changed_or_of_a_stranger_is_refused(tmp_path, shop):
    gateway, sealed = shop
    ingest, _, _ = received(tmp_path, gateway, [])
    message = bytearray(coarser(gateway, sealed)[0])
    message[-70] ^= 1
    assert ingest.process_one("shop-1", bytes(message)).code == "bad-signature"
    stranger = PaperGateway()
    assert ingest.process_one("shop-1",
                              coarser(stranger, [stranger.seal() for _ in range(BATCHES)])[0]
                              ).code == "bad-signature"
    assert books(tmp_path)["scans"] == set()


def test_a_person_is_told_what_is_left_of_which_records(tmp_path, shop):
    gateway, sealed = shop
    received(tmp_path, gateway, coarser(gateway, sealed))
    told = [one for one in StoreReader(tmp_path).incidents("shop-1") if one.kind
            == incidents.DOWNSAMPLED]
    assert len(told) == 2
    assert told[0].detail.startswith("records 1..") and "flash was full" in told[0].detail


def test_an_older_store_learns_of_coarsened_batches(tmp_path, shop):
    gateway, sealed = shop
    received(tmp_path, gateway, sealed[:2])
    gc.collect()                            # nobody holds its store any more
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute("DROP INDEX batches_whole")
        connection.execute("ALTER TABLE batches DROP COLUMN whole")
        connection.execute("PRAGMA user_version = 3")
    _, codes, _ = received(tmp_path, gateway, coarser(gateway, sealed))
    assert set(codes) == {"admit"} and faults(tmp_path) == []


def test_what_does_not_free_a_quarter_of_its_room_is_left_as_it_is(shop):
    gateway, sealed = shop
    _, batches = stored_batches(gateway, sealed, DownsampledBatches)
    done = until_rule(gateway, batches, downsampled.ENDS)
    assert [one.rule for one in done] == [downsampled.QUARTERS] * 2      # a block is a block
    assert batches.held_bytes() == 4096 * len(batches.numbers())


def statement(folder):
    """Return the report of a shop's first six hours, but for how many batches it rests on."""
    device = report.cabinet_of(registry.Registry(folder).sites(), "shop")
    with open_reader(folder) as reader:
        content = report.build(reader, report.ReportRequest(
            device, None, ORIGIN_MS, ORIGIN_MS + 6 * 3_600_000))
    content.pop("evidence")
    content.pop("incidents", None)
    return content


def test_a_report_says_the_same_of_coarsened_batches(tmp_path, shop):
    gateway, sealed = shop
    received(tmp_path / "whole", gateway, sealed)
    received(tmp_path / "coarse", gateway, coarser(gateway, sealed))
    whole, thin = statement(tmp_path / "whole"), statement(tmp_path / "coarse")
    assert whole["meters"] and whole == thin


def bundled(folder):
    """Return the bundle of a shop's first six hours, and what the auditor's programs say of it."""
    device = report.cabinet_of(registry.Registry(folder).sites(), "shop")
    question = report.ReportRequest(device, None, ORIGIN_MS, ORIGIN_MS + 6 * 3_600_000)
    with open_reader(folder) as reader:
        data = evidence.build(reader, question, registry.registry_file(folder, device), KEY)
    return data, checked(data)


@pytest.mark.parametrize("held", [(), (0, 3, 15, 18)])
def test_the_auditors_programs_check_and_count_coarsened_batches(tmp_path, shop, held):
    gateway, sealed = shop
    ingest, _, _ = received(tmp_path, gateway, [sealed[place] for place in held])
    for message in coarser(gateway, sealed):
        ingest.process_one("shop-1", message)
    _, bundle = bundled(tmp_path)
    assert bundle.faults == []
    assert sum(note.startswith("energy") for note in bundle.proven) > 5


def test_the_auditors_program_names_a_coarsened_batch_that_says_otherwise(tmp_path, shop):
    gateway, sealed = shop
    received(tmp_path, gateway, coarser(gateway, sealed))
    twin = PaperGateway(key=gateway.key)
    other = coarser(twin, [twin.seal() for _ in range(BATCHES)])[0]
    with sqlite3.connect(tmp_path / FILE) as connection:              # somebody rewrites history
        connection.execute("UPDATE batches SET sealed = ? WHERE number = 1", (other,))
    _, bundle = bundled(tmp_path)
    assert any("(batch 16)" in fault for fault in bundle.faults)
