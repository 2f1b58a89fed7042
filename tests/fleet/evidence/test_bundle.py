"""The time-stamp request, the bundle, and what their commands say."""

import hashlib

import pytest

from fleet import __main__ as command
from fleet.errors import ReportError
from fleet.evidence import timestamp
from fleet.transparency import proofs
from gateway.core.codec import cbor
from tests.support.evidence_world import bundle, opened_bundle


def test_the_time_stamp_request_is_the_der_of_rfc_3161():
    digest = bytes(range(32))
    assert proofs.timestamp_request(digest) == bytes.fromhex(
        "3039" "020101"                                     # SEQUENCE, version 1
        "3031" "300d" "0609608648016503040201" "0500"       # imprint: SHA-256, no parameters
        "0420" + digest.hex() + "0101ff")                   # digest; the certificate is wanted
    assert timestamp.request(b"head") == proofs.timestamp_request(hashlib.sha256(b"head").digest())


def test_a_bundle_holds_the_batches_byte_for_byte_and_is_the_same_twice(filled, receipt_key):
    made = bundle(filled[0], "shop", receipt_key)
    said, parts = opened_bundle(made)
    assert parts[::2] == filled[1]
    assert [row[2:5] for row in said["batches"]] == [
        [1, 1, 496], [2, 497, 991], [3, 992, 1486], [4, 1487, 1981]]
    assert hashlib.sha256(said["descriptors"][0]).digest() == said["config"]
    assert bundle(filled[0], "shop", receipt_key) == made
    assert cbor.encode(cbor.decode(made)) == made


def test_a_head_of_nothing_is_not_signed(store):
    with pytest.raises(ReportError, match="holds no batch"):
        timestamp.head_of(store.log, None)


def test_the_commands_of_evidence_say_what_is_missing(tmp_path, capsys, gateway):
    data = ["--data", str(tmp_path), "--out", str(tmp_path / "x")]
    assert command.main(["tree-head", *data]) == 1
    assert "fleet init" in capsys.readouterr().err
