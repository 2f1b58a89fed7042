"""The offline verifier holds each journal to the key that the hand-overs of its boards give it.

The forger is the fleet itself here: whoever has no fleet key cannot change a bundle's contents
at all (test_verifier.py).
"""

import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.formats.registry import Registry
from fleet.ingest.ingest import Ingest
from fleet.store.writer import EvidenceStore
from gateway.core.evidence import handover
from tests.fleet.maker import ORIGIN_MS, PaperGateway
from tests.support import evidence_world as forge

BOARDS = 3
FIRST, SECOND = "shop-1, hand-over 1 of 2", "shop-1, hand-over 2 of 2"
UNEXPLAINED = "its key is not the device's, and no hand-over explains it"


def statement(old, new, **changes):
    """Return an entry of `handovers`: board `old` names board `new`."""
    said = handover.Handover("shop-1", old.journal_id, new.public, new.journal_id, ORIGIN_MS,
                             "lightning")
    made = handover.seal(said._replace(**changes), old.kid, old.key.sign)
    return {"public_hex": old.public.hex(), "statement_hex": made.hex()}


def enrol(data, boards):
    """Write the registry entry after each of these boards but the last was replaced."""
    entry = boards[-1].entry() | {"handovers": [
        statement(*pair) for pair in zip(boards, boards[1:], strict=False)]}
    (data / "registry").mkdir(exist_ok=True)
    (data / "registry/shop-1.json").write_text(json.dumps(entry))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(bundle of a cabinet whose board was replaced twice, its boards, the fleet's key)."""
    data, key = tmp_path_factory.mktemp("fleet"), Ed25519PrivateKey.generate()
    boards = [PaperGateway(journal_id=bytes([number]) * 16) for number in range(BOARDS)]
    store, registry = EvidenceStore(data), None
    for number, board in enumerate(boards):
        enrol(data, boards[:number + 1])
        registry = Registry(data)
        board.at_s = 600 * number
        outcome = Ingest(store, registry.find, key, lambda: ORIGIN_MS).process_one(
            "shop-1", board.seal(seconds=600))
        assert outcome.code == "admit"
    store.close()
    return forge.bundle(data, "shop", key), boards, key


@pytest.fixture(scope="module")
def checker():
    """The verifier."""
    return forge.verifier()


def judged(checker, made, registry=lambda entry: None, keys=lambda keys: None):
    """Return the faults of the bundle after the fleet itself changed its contents."""
    said, parts = forge.opened_bundle(made[0])
    entry = json.loads(said["registry"])
    registry(entry)
    keys(said["keys"])
    forged = forge.written({**said, "registry": json.dumps(entry).encode()}, parts, made[2])
    return checker.Bundle(forged).faults


def journal(number):
    """Return how the verifier names a board's journal."""
    return f"shop-1, journal {bytes([number] * 4).hex()}: {UNEXPLAINED}"


def test_a_bundle_over_two_exchanges_of_the_board_holds_and_tells_them(made, checker):
    found = checker.Bundle(made[0])
    assert (found.faults, len(found.parts)) == ([], BOARDS)
    assert [note for note in found.proven if note.startswith("hand-over")] == [
        f"hand-over   2026-06-01T00:00:00Z, ends journal {digits}: lightning"
        for digits in ("00000000", "01010101")]


def test_a_missing_hand_over_leaves_a_journal_unexplained(made, checker):
    faults = judged(checker, made, lambda entry: entry["handovers"].pop(0))
    assert faults == [journal(0)]


def test_swapped_hand_overs_are_both_named(made, checker):
    faults = judged(checker, made, lambda entry: entry["handovers"].reverse())
    assert [fault.split(":")[0] for fault in faults[:2]] == [FIRST, SECOND]
    assert faults[2:] == [journal(0), journal(1)]


def replaced(number, make):
    """Return a change of the entry: the hand-over with this number is another statement."""
    def change(entry):
        entry["handovers"][number] |= make(entry)
    return change


def test_a_hand_over_that_another_key_signed_is_named(made, checker):
    thief = PaperGateway()
    thief.kid = made[1][0].kid
    forged = statement(thief, made[1][1], old_journal=bytes(16))["statement_hex"]
    faults = judged(checker, made, replaced(0, lambda _: {"statement_hex": forged}))
    assert faults == [f"{FIRST}: changed: the signature does not fit", journal(0)]


@pytest.mark.parametrize("changes", [{"cabinet": "shop-2"}, {"new_public": bytes(32)}])
def test_a_hand_over_about_another_cabinet_or_key_is_named(changes, made, checker):
    _, second, third = made[1]
    faults = judged(checker, made, replaced(1, lambda _: statement(second, third, **changes)))
    assert faults == [f"{SECOND}: is about another cabinet, or names another key than comes "
                      "after it", journal(1)]


def test_a_hand_over_that_closes_another_journal_explains_none(made, checker):
    first, second, _ = made[1]
    faults = judged(checker, made, replaced(0, lambda _: statement(
        first, second, old_journal=bytes([9]) * 16)))
    assert faults == [journal(0)]


@pytest.mark.parametrize("number", range(BOARDS))
def test_a_journal_given_to_another_board_is_named(number, made, checker):
    other = made[1][(number + 1) % BOARDS]
    faults = judged(checker, made, keys=lambda keys: keys.update(
        {bytes([number] * 16).hex(): other.public}))
    assert journal(number) in faults
    assert any("signed with another key" in fault for fault in faults)


def test_every_flipped_bit_of_a_hand_over_is_named(made, checker):
    def flipped(at):
        def make(entry):
            raw = bytearray.fromhex(entry["handovers"][0]["statement_hex"])
            raw[at // 8] ^= 1 << at % 8
            return {"statement_hex": raw.hex()}
        return make
    size = len(json.loads(forge.opened_bundle(made[0])[0]["registry"])["handovers"][0][
        "statement_hex"]) * 4
    for at in range(0, size, 23):
        faults = judged(checker, made, replaced(0, flipped(at)))
        assert [fault for fault in faults if fault.startswith(FIRST)], at


def test_the_key_of_the_first_board_leads_to_those_after_it_and_none_leads_back(made, checker):
    boards, key = made[1], made[2].public_key().public_bytes_raw()
    first = checker.Bundle(made[0], key, (), [boards[0].public])
    assert first.faults == []
    last = checker.Bundle(made[0], key, (), [boards[-1].public])
    assert [fault.split(":")[0] for fault in last.faults] == [
        f"shop-1, journal {digits}" for digits in ("00000000", "01010101")]
    assert all("no hand-over from one leads to it" in fault for fault in last.faults)
