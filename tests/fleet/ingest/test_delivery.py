"""Delivery that goes wrong: for each fault one outcome, told and bounded."""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet import verify
from fleet.__main__ import main
from fleet.formats.registry import Registry
from fleet.ingest.ingest import NOT_ROLLED_UP, Ingest
from fleet.store import incidents
from fleet.store.reader import StoreReader
from fleet.web import proof
from fleet.web.snapshot import EMPTY
from gateway.core.codec import record
from gateway.core.evidence import batch, chain, handover, receipt
from tests.fleet.maker import ORIGIN_MS, PaperGateway
from tests.support.fleet_rows import rows

SHORT_S = 60


def content(outcome):
    """Return the Receipt of an outcome."""
    return receipt.open_sealed(outcome.receipt)[1]


def told(tmp_path, *kinds):
    """Return the incidents of these kinds (all when none is given)."""
    found = StoreReader(tmp_path).incidents("shop-1")
    return [one for one in found if not kinds or one.kind in kinds]


def faults(tmp_path):
    """Return what `fleet verify` finds wrong."""
    checked, = verify.site(StoreReader(tmp_path), Registry(tmp_path).sites()["shop"])
    return checked.faults


def skip(gateway, records):
    """Let a gateway lose records before they were sealed: its chain goes on without them."""
    gateway.next_seq += records


# Holes: nothing was ever sealed there.

def test_the_low_water_mark_passes_a_hole_that_the_chain_itself_states(ingest, gateway, tmp_path):
    ingest.process_one("shop-1", gateway.seal(seconds=SHORT_S))
    hole = gateway.next_seq
    skip(gateway, 40)
    sealed = gateway.seal(seconds=SHORT_S)
    outcome = ingest.process_one("shop-1", sealed)
    assert (outcome.code, content(outcome).low_water) == ("admit", gateway.next_seq - 1)
    assert content(outcome).chain == chain.chain_hash(batch.open_sealed(sealed)[0].payload)
    (gap,) = told(tmp_path)
    assert (gap.kind, gap.position) == (incidents.GAP, str(hole))
    assert gap.detail.startswith(f"records {hole}..{hole + 39} were never sealed")


def test_a_hole_is_found_in_any_order_and_a_missing_batch_is_still_waited_for(ingest, gateway,
                                                                              tmp_path):
    first, second = gateway.seal(seconds=SHORT_S), gateway.seal(seconds=SHORT_S)
    end = gateway.next_seq - 1
    skip(gateway, 7)
    third = gateway.seal(seconds=SHORT_S)
    assert content(ingest.process_one("shop-1", third)).low_water == 0
    assert content(ingest.process_one("shop-1", first)).low_water == 67
    assert told(tmp_path) == []                     # batch 2 may hold what is not here
    assert content(ingest.process_one("shop-1", second)).low_water == gateway.next_seq - 1
    (gap,) = told(tmp_path)
    assert gap.detail.startswith(f"records {end + 1}..{end + 7} were never sealed")


def test_a_journal_may_begin_with_a_hole_but_only_at_its_start(ingest, gateway, tmp_path):
    gateway.next_seq = 11
    outcome = ingest.process_one("shop-1", gateway.seal(seconds=SHORT_S))
    assert content(outcome).low_water == gateway.next_seq - 1
    assert told(tmp_path)[0].detail.startswith("records 1..10 were never sealed")
    liar = PaperGateway(journal_id=b"\x02" * 16, key=gateway.key)
    liar.next_seq = 11
    sealed = liar.seal(seconds=SHORT_S, prev=bytes(32))
    assert ingest.process_one("shop-1", sealed).code == "broken-chain"


def test_a_batch_its_gateway_declares_lost_is_passed_and_booked_as_lost(ingest, gateway, tmp_path):
    ingest.process_one("shop-1", gateway.seal(seconds=SHORT_S))
    gateway.seal(seconds=SHORT_S)                   # its bytes rot on flash before they are sent
    ingest.process_one("shop-1", gateway.seal(seconds=SHORT_S))
    alarm = record.EventRecord(gateway.next_seq, gateway.at_s * 1000, record.ALARM,
                               ["batch-lost", "2"])
    outcome = ingest.process_one("shop-1", gateway.seal([alarm], seconds=SHORT_S))
    assert content(outcome).low_water == gateway.next_seq - 1
    (lost,) = told(tmp_path)
    assert (lost.kind, lost.position) == (incidents.LOST, "2")
    assert faults(tmp_path) == []


@pytest.mark.parametrize("said", [None, "3", "2-3", "2-9"])
def test_verify_believes_a_true_signed_declaration_and_not_the_note_that_was_made_of_it(
        said, ingest, gateway, store, tmp_path):
    ingest.process_one("shop-1", gateway.seal(seconds=SHORT_S))
    gateway.seal(seconds=SHORT_S)
    alarms = [] if said is None else [record.EventRecord(
        gateway.next_seq, gateway.at_s * 1000, record.ALARM, ["batch-lost", said])]
    last = gateway.seal(alarms, seconds=SHORT_S)
    ingest.process_one("shop-1", last)
    with store.transaction():
        store.incidents.note(incidents.LOST, batch.open_sealed(last)[1], 2, "somebody's word", 0)
    assert [one.code for one in faults(tmp_path)] == [verify.MISSING]


@pytest.mark.parametrize("number", ["9", "x", "", "-1", 2])
def test_a_batch_that_cannot_be_lost_is_not_believed_lost(number, ingest, gateway, tmp_path):
    alarm = record.EventRecord(1, 0, record.ALARM, ["batch-lost", number])
    ingest.process_one("shop-1", gateway.seal([alarm], seconds=SHORT_S))
    assert told(tmp_path, incidents.LOST) == []


# Two of one name.

def test_a_clone_is_told_within_one_batch_and_both_sides_are_kept(ingest, gateway, store, tmp_path):
    clone = PaperGateway(key=gateway.key)
    first = gateway.seal(seconds=SHORT_S)
    ingest.process_one("shop-1", first)
    clone.at_s = 3600
    other = clone.seal(seconds=SHORT_S)
    assert ingest.process_one("shop-1", other).receipt is None
    (found,) = told(tmp_path)
    assert (found.kind, found.position, found.count) == (incidents.CLONE, "1", 1)
    assert "a clone or a restored board" in found.detail
    kept = rows(store, "SELECT sealed FROM quarantine")
    assert kept == [(other,)]
    assert content(ingest.process_one("shop-1", gateway.seal(seconds=SHORT_S))).low_water == 133


def test_a_clone_that_goes_on_is_refused_for_good_and_only_counted(ingest, gateway, store,
                                                                   tmp_path):
    clone = PaperGateway(key=gateway.key)
    ingest.process_one("shop-1", gateway.seal(seconds=SHORT_S))
    clone.at_s = 3600
    first = clone.seal(seconds=SHORT_S)
    after = [clone.seal(seconds=SHORT_S) for _ in range(80)]
    for sealed in (first, first):
        assert ingest.process_one("shop-1", sealed).receipt is None
    for sealed in after:        # told where the journal stands, and that is where it stood
        outcome = ingest.process_one("shop-1", sealed)
        assert (outcome.code, outcome.low_water) == ("broken-chain", None)
        assert content(outcome).low_water == 67
    assert told(tmp_path, incidents.CLONE)[0].count == 2
    assert [one.count for one in told(tmp_path, incidents.CHAIN)] == [80]
    assert rows(store, "SELECT count(*) FROM quarantine")[0][0] <= 64
    assert StoreReader(tmp_path).journals("shop-1")[0].records == 67
    late = [gateway.seal(seconds=SHORT_S) for _ in range(2)]            # the first side goes on,
    assert ingest.process_one("shop-1", late[1]).code == "broken-chain"       # but only in order
    assert [ingest.process_one("shop-1", one).code for one in late] == ["admit", "admit"]


def test_a_wiped_journal_is_a_reset_that_is_told_and_never_merged(ingest, gateway, tmp_path):
    ingest.process_one("shop-1", gateway.seal(seconds=SHORT_S))
    wiped = PaperGateway(journal_id=b"\x07" * 16, key=gateway.key)
    wiped.at_s = 3600
    for _ in range(2):
        assert ingest.process_one("shop-1", wiped.seal(seconds=SHORT_S)).code == "admit"
    (reset,) = told(tmp_path)
    assert (reset.kind, reset.journal, reset.count) == (incidents.RESET, b"\x07" * 16, 1)
    assert [row.journal for row in StoreReader(tmp_path).journals("shop-1")] == [
        bytes(16), b"\x07" * 16]


def test_a_batch_spliced_in_from_another_device_or_journal_is_refused(ingest, gateway, tmp_path):
    other = PaperGateway("other-1", key=gateway.key)
    other.enrol(tmp_path)
    assert ingest.process_one("shop-1", other.seal(seconds=SHORT_S)).code == "unknown-device"
    gateway.seal(seconds=SHORT_S)
    strange = PaperGateway(journal_id=b"\x03" * 16, key=gateway.key)
    first = strange.seal(seconds=SHORT_S)
    sealed = gateway.seal(seconds=SHORT_S, journal_id=b"\x03" * 16)     # number 2, other chain
    assert ingest.process_one("shop-1", first).code == "admit"
    assert ingest.process_one("shop-1", sealed).code == "broken-chain"


# A board replaced.

def replace(tmp_path, old, **changes):
    """Hand an enrolled device over to a new key; return the new board."""
    new = PaperGateway(journal_id=b"\x0b" * 16)
    made = handover.Handover("shop-1", old.journal_id, new.public, None, ORIGIN_MS, "lightning")
    statement = handover.seal(made._replace(**changes), old.kid, old.key.sign)
    entry = new.entry() | {"handovers": [{"public_hex": old.public.hex(),
                                          "statement_hex": statement.hex()}]}
    (tmp_path / "registry/shop-1.json").write_text(json.dumps(entry))
    return new


def test_a_replaced_board_goes_on_and_the_old_one_may_only_finish_its_journal(ingest, gateway,
                                                                              tmp_path):
    ingest.process_one("shop-1", gateway.seal(seconds=SHORT_S))
    late = gateway.seal(seconds=SHORT_S)
    new = replace(tmp_path, gateway)
    assert ingest.process_one("shop-1", new.seal(seconds=SHORT_S)).code == "admit"
    assert [one.kind for one in told(tmp_path)] == [incidents.HANDOVER]
    assert ingest.process_one("shop-1", late).code == "admit"  # what was still on its way
    again = PaperGateway(journal_id=b"\x0c" * 16, key=gateway.key)      # the old key, elsewhere
    assert ingest.process_one("shop-1", again.seal(seconds=SHORT_S)).code == "bad-signature"
    thief = PaperGateway(key=new.key)                                   # the new key, old journal
    assert ingest.process_one("shop-1", thief.seal(seconds=SHORT_S)).code == "bad-signature"
    second = PaperGateway(journal_id=b"\x0d" * 16, key=new.key)         # the new board wiped
    assert ingest.process_one("shop-1", second.seal(seconds=SHORT_S)).code == "admit"
    assert [one.kind for one in told(tmp_path, incidents.RESET)] == [incidents.RESET]


def test_a_statement_that_names_the_journal_explains_only_that_one(ingest, gateway, tmp_path):
    ingest.process_one("shop-1", gateway.seal(seconds=SHORT_S))
    new = replace(tmp_path, gateway, new_journal=b"\x0f" * 16)
    ingest.process_one("shop-1", new.seal(seconds=SHORT_S))
    assert [one.kind for one in told(tmp_path)] == [incidents.RESET]
    named = PaperGateway(journal_id=b"\x0f" * 16, key=new.key)
    ingest.process_one("shop-1", named.seal(seconds=SHORT_S))
    assert sorted(one.kind for one in told(tmp_path)) == [incidents.HANDOVER, incidents.RESET]


@pytest.mark.parametrize("changes", [{"cabinet": "shop-2"}, {"new_public": bytes(32)}])
def test_a_statement_about_another_device_or_key_makes_the_entry_invalid(changes, gateway,
                                                                         tmp_path):
    replace(tmp_path, gateway, **changes)
    with pytest.raises(Exception, match="hand-over 1 does not hold"):
        Registry(tmp_path)


def test_a_statement_somebody_else_signed_makes_the_entry_invalid(gateway, tmp_path):
    stranger = PaperGateway(key=Ed25519PrivateKey.generate())
    stranger.public = gateway.public
    replace(tmp_path, stranger)
    with pytest.raises(Exception, match="hand-over 1 does not hold"):
        Registry(tmp_path)


# Poison: signed by the right key, readable by nobody.

def test_poison_is_refused_twice_then_kept_unbooked_and_the_stream_goes_on(ingest, gateway, store,
                                                                           tmp_path):
    ingest.process_one("shop-1", gateway.seal(seconds=SHORT_S))
    poison = gateway.seal(seconds=SHORT_S, body=b"\xff" * 50)
    good = gateway.seal(seconds=SHORT_S)
    assert content(ingest.process_one("shop-1", good)).low_water == 67
    codes = [ingest.process_one("shop-1", poison).code for _ in range(5)]
    assert codes == ["bad-schema", "bad-schema", NOT_ROLLED_UP, "duplicate", "duplicate"]
    assert content(ingest.process_one("shop-1", poison)).low_water == gateway.next_seq - 1
    (found,) = told(tmp_path)
    assert (found.kind, found.position) == (incidents.QUARANTINED, "2")
    assert found.detail.startswith("batch 2: received, not booked: ")
    assert StoreReader(tmp_path).refused("shop-1") == {"bad-schema": 3}
    booked = rows(store, "SELECT number FROM batches WHERE rolled_up = 1")
    assert booked == [(1,), (3,)]
    assert rows(store, "SELECT sealed FROM batches WHERE number = 2") == [(poison,)]


def test_poison_of_a_stranger_or_that_does_not_fit_the_chain_is_never_kept(ingest, gateway, store):
    stranger = PaperGateway()
    foreign = stranger.seal(seconds=SHORT_S, body=b"\xff")
    ingest.process_one("shop-1", gateway.seal(seconds=SHORT_S))
    fork = PaperGateway(key=gateway.key).seal(seconds=SHORT_S, body=b"\xff")
    for _ in range(5):
        assert ingest.process_one("shop-1", foreign).code == "bad-signature"
        assert ingest.process_one("shop-1", fork).receipt is None
    assert rows(store, "SELECT count(*) FROM batches") == [(1,)]


def test_content_that_arithmetic_cannot_take_is_stored_and_named_not_booked(store, gateway,
                                                                            receipt_key, tmp_path):
    ingest = Ingest(store, Registry(tmp_path).find, receipt_key, lambda: ORIGIN_MS)
    huge = record.EventRecord(1, 1 << 53, record.STOP, ["x"])
    outcome = ingest.process_one("shop-1", gateway.seal([huge], seconds=SHORT_S))
    assert content(outcome).low_water == 1          # nothing stops, whatever the books say
    assert ingest.process_one("shop-1", gateway.seal(seconds=SHORT_S)).code == "admit"


# What a person reads.

def test_verify_names_each_incident_and_a_chained_hole_is_no_fault(ingest, gateway, tmp_path,
                                                                   capsys):
    ingest.process_one("shop-1", gateway.seal(seconds=SHORT_S))
    skip(gateway, 5)
    ingest.process_one("shop-1", gateway.seal(seconds=SHORT_S))
    assert main(["verify", "--data", str(tmp_path), "--site", "shop"]) == 0
    assert "note: shop-1" in (text := capsys.readouterr().out)
    assert "never sealed: records 68..72" in text
    poison = gateway.seal(seconds=SHORT_S, body=b"\xff" * 50)
    for _ in range(3):
        ingest.process_one("shop-1", poison)
    assert main(["verify", "--data", str(tmp_path), "--site", "shop"]) == 1
    assert "received, not booked" in capsys.readouterr().out


def test_verify_knows_the_old_and_the_new_key_of_a_replaced_board(ingest, gateway, tmp_path,
                                                                  capsys):
    ingest.process_one("shop-1", gateway.seal(seconds=SHORT_S))
    new = replace(tmp_path, gateway)
    ingest.process_one("shop-1", new.seal(seconds=SHORT_S))
    assert main(["verify", "--data", str(tmp_path), "--site", "shop"]) == 0
    assert "board replaced, signed" in capsys.readouterr().out


@pytest.mark.parametrize(("kind", "state"), [
    (incidents.CLONE, "bad"), (incidents.RESET, "bad"), (incidents.QUARANTINED, "bad"),
    (incidents.LOST, "bad"), (incidents.GAP, "watch"), (incidents.FUTURE, "watch"),
    (incidents.HANDOVER, "good"), (incidents.RESTATED, "good"), (incidents.PLACED, "good")])
def test_the_page_says_what_needs_a_person_and_what_is_only_to_be_known(kind, state):
    row = incidents.Incident("shop-1", bytes(16), kind, "", 1, 2, "what happened", 2, 5, 6)
    line = proof.lines(EMPTY._replace(incidents=[row]), None, None)[-1]
    assert (line.title, line.state) == ("Journals", state)
    assert ("what happened (2 times)" in line.text) == (state != "good")


def test_the_page_says_how_many_records_wait_for_a_time():
    line = proof.lines(EMPTY._replace(unplaced=66), None, None)[-1]
    assert (line.state, line.text) == ("watch", "66 records not dated yet; they are kept, "
                                       "with their proof.")


# What the cabinet says is lost, and the fleet has.

def alarm(gateway, text):
    """Return a batch-lost alarm as the gateway's next record."""
    return record.EventRecord(gateway.next_seq, gateway.at_s * 1000, record.ALARM,
                              ["batch-lost", text])


@pytest.mark.parametrize("text", ["1", "2", "1-2"])
def test_a_batch_that_is_stored_is_not_believed_lost(text, ingest, gateway, tmp_path):
    for _ in range(2):
        ingest.process_one("shop-1", gateway.seal(seconds=SHORT_S))
    outcome = ingest.process_one("shop-1", gateway.seal([alarm(gateway, text)], seconds=SHORT_S))
    assert content(outcome).low_water == gateway.next_seq - 1
    assert told(tmp_path) == []


def test_of_a_range_only_what_is_not_stored_is_believed(ingest, gateway, tmp_path):
    sealed = [gateway.seal(seconds=SHORT_S) for _ in range(6)]
    for number in (1, 3, 6):                        # 2, 4 and 5 never come
        ingest.process_one("shop-1", sealed[number - 1])
    outcome = ingest.process_one("shop-1", gateway.seal([alarm(gateway, "1-6")], seconds=SHORT_S))
    assert content(outcome).low_water == gateway.next_seq - 1
    assert [one.position for one in told(tmp_path, incidents.UNHELD)] == ["2-2", "4-5"]


def test_a_batch_stored_beyond_a_hole_is_not_believed_lost(ingest, gateway, tmp_path):
    sealed = [gateway.seal(seconds=SHORT_S) for _ in range(3)]
    ingest.process_one("shop-1", sealed[0])
    ingest.process_one("shop-1", sealed[2])               # 2 is on its way
    ingest.process_one("shop-1", gateway.seal([alarm(gateway, "3")], seconds=SHORT_S))
    assert told(tmp_path) == []
    outcome = ingest.process_one("shop-1", sealed[1])
    assert content(outcome).low_water == gateway.next_seq - 1


def test_what_was_passed_as_lost_is_not_counted_again(ingest, gateway, tmp_path):
    sealed = [gateway.seal(seconds=SHORT_S) for _ in range(2)]
    ingest.process_one("shop-1", sealed[0])
    for _ in range(3):
        ingest.process_one("shop-1", gateway.seal([alarm(gateway, "2")], seconds=SHORT_S))
    (lost,) = told(tmp_path, incidents.LOST)
    assert lost.count == 1


def test_a_batch_that_comes_after_it_was_called_lost_is_not_lost_any_more(ingest, gateway,
                                                                          tmp_path):
    sealed = [gateway.seal(seconds=SHORT_S) for _ in range(2)]
    ingest.process_one("shop-1", sealed[0])
    ingest.process_one("shop-1", gateway.seal([alarm(gateway, "2")], seconds=SHORT_S))
    assert [one.position for one in told(tmp_path, incidents.LOST)] == ["2"]
    ingest.process_one("shop-1", sealed[1])
    assert told(tmp_path, incidents.LOST) == []
