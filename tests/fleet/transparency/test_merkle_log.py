"""The log inside the store: its leaves, its signed heads, and COSE receipts about them."""

import hashlib

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from scitt_cose import cose_sign1, receipt

from fleet.evidence import evidence
from fleet.formats.registry import Registry, verified
from fleet.ingest.ingest import Ingest
from fleet.store.writer import connect
from fleet.transparency import merkle, proofs
from fleet.transparency.merkle_log import MerkleLog
from gateway.core.errors import FormatError
from tests.fleet.maker import ORIGIN_MS

DAY_MS = 86_400_000


@pytest.fixture
def log(filled):
    """The log of `filled`."""
    connection = connect(filled[0] / "fleet.db", read_only=True)
    yield MerkleLog(connection)
    connection.close()


def _verifier(key):
    public = key.public_key().public_bytes_raw()
    return lambda signed, signature: verified(public, signed, signature)


def test_leaves_are_the_batches_in_the_order_of_admission(filled, log):
    assert log.size() == 4
    leaves = [hashlib.sha256(b"\0" + sealed).digest() for sealed in filled[1]]
    assert [log.node(0, index) for index in range(4)] == leaves
    pairs = [hashlib.sha256(b"\1" + a + b).digest() for a, b in (leaves[:2], leaves[2:])]
    assert log.head().root == hashlib.sha256(b"\1" + pairs[0] + pairs[1]).digest()


def test_a_duplicate_or_refused_batch_is_no_leaf(filled, ingest, log):
    assert ingest.process_one("shop-1", filled[1][0]).code == "duplicate"
    assert ingest.process_one("shop-1", filled[1][0][:-1] + b"!").code == "bad-signature"
    assert log.size() == 4


def test_a_store_from_before_the_log_gets_its_leaves_in_order_of_arrival(filled, store):
    connection = connect(store.path)
    before = MerkleLog(connection).head()
    connection.executescript("DELETE FROM tree_nodes; DELETE FROM leaves;")
    with store.transaction():
        assert store.log.append_missing() == 4
    assert MerkleLog(connection).head() == before
    connection.close()


def test_the_head_of_a_day_holds_what_had_arrived_by_its_end(tmp_path, store, receipt_key, gateway):
    for after_ms in (0, DAY_MS - 1, DAY_MS, 3 * DAY_MS):
        ingest = Ingest(store, Registry(tmp_path).find, receipt_key,
                        lambda after_ms=after_ms: ORIGIN_MS + after_ms)
        assert ingest.process_one("shop-1", gateway.seal(seconds=60)).code == "admit"
    sizes = [store.log.day(ORIGIN_MS + day * DAY_MS).size for day in range(4)]
    assert sizes == [2, 3, 3, 4]
    assert [head.size for head in store.log.daily(ORIGIN_MS)] == [2, 3]


def test_a_signed_head_opens_with_the_right_key_only(log, receipt_key):
    signed = proofs.sign_head(log.head(), evidence.signer_of(receipt_key))
    assert proofs.open_head(signed, _verifier(receipt_key)) == log.head()
    with pytest.raises(FormatError, match="does not fit"):
        proofs.open_head(signed, lambda *_: False)


def test_scitt_cose_accepts_our_inclusion_receipts(filled, log, receipt_key, monkeypatch):
    # scitt-cose knows Ed25519 only under its older number -8; tell it the newer one.
    monkeypatch.setattr(cose_sign1, "COSE_ALG_EDDSA", -19)
    pem = receipt_key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    prover = proofs.Prover(log.head(), evidence.signer_of(receipt_key))
    for index, sealed in enumerate(filled[1]):
        found = receipt.verify_receipt(prover.inclusion(index, log.node),
                                       leaf_entry_hex=sealed.hex(), log_public_key_pem=pem)
        assert found.ok, found.errors
        assert (found.tree_size, found.leaf_index) == (4, index)
        other = receipt.verify_receipt(prover.inclusion(index, log.node),
                                       leaf_entry_hex=sealed.hex() + "00", log_public_key_pem=pem)
        assert not other.ok


def test_receipts_prove_what_they_say_and_nothing_else(filled, log, receipt_key):
    signer, verify = evidence.signer_of(receipt_key), _verifier(receipt_key)
    prover, leaf = proofs.Prover(log.head(), signer), merkle.leaf_hash(filled[1][2])
    inclusion, consistency = prover.inclusion(2, log.node), prover.consistency(3, log.node)
    assert proofs.included(inclusion, leaf, verify) == (4, 2)
    assert proofs.continued(consistency, log.head(3), verify) == 4
    for wrong in (lambda: proofs.included(inclusion, leaf[::-1], verify),
                  lambda: proofs.included(consistency, leaf, verify),
                  lambda: proofs.continued(consistency, log.head(2), verify),
                  lambda: proofs.continued(inclusion, log.head(3), verify),
                  lambda: proofs.included(inclusion[:-1], leaf, verify),
                  lambda: proofs.included(inclusion, leaf, lambda *_: False)):
        with pytest.raises(FormatError):
            wrong()


def test_every_flipped_bit_of_a_receipt_is_noticed(filled, log, receipt_key):
    verify, leaf = _verifier(receipt_key), merkle.leaf_hash(filled[1][1])
    made = proofs.Prover(log.head(), evidence.signer_of(receipt_key)).inclusion(1, log.node)
    believed = []
    for at in range(8 * len(made)):
        forged = bytearray(made)
        forged[at // 8] ^= 1 << at % 8
        try:
            believed.append((at, proofs.included(bytes(forged), leaf, verify)))
        except FormatError:
            continue
    assert believed == []
