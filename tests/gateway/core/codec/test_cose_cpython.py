"""COSE_Sign1 against cryptography and scitt-cose, and under mutation."""

import random

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from scitt_cose import cose_sign1 as scitt

from gateway.core.codec.cose import ALG_ED25519, open_sign1, sign1
from gateway.core.errors import FormatError

KEY = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(
    "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))   # RFC 8032 7.1 test 1
PUBLIC_PEM = KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def test_a_signature_verifies_with_the_key_and_with_no_changed_byte():
    data = sign1(b"kid-0001", b"payload", KEY.sign)
    message = open_sign1(data)
    KEY.public_key().verify(message.signature, message.signed)
    survivors = 0
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1
        try:
            other = open_sign1(bytes(changed))
        except FormatError:
            continue
        survivors += 1
        with pytest.raises(InvalidSignature):
            KEY.public_key().verify(other.signature, other.signed)
    assert survivors > 64       # kid, payload and signature bytes reach the verifier


def test_another_implementation_verifies_ours(monkeypatch):
    # scitt-cose 0.5.0 knows Ed25519 only under its older number -8; tell it the newer one.
    monkeypatch.setattr(scitt, "COSE_ALG_EDDSA", ALG_ED25519)
    data = sign1(b"kid-0001", b"payload", KEY.sign)
    other = scitt.verify_sign1(data, public_key_pem=PUBLIC_PEM)
    assert other.payload == b"payload"
    assert other.protected == {1: -19, 4: b"kid-0001"} and other.unprotected == {}
    with pytest.raises(scitt.CoseError):
        scitt.verify_sign1(data[:-1] + bytes([data[-1] ^ 1]), public_key_pem=PUBLIC_PEM)


def test_ours_refuses_the_older_algorithm_number_that_the_other_writes():
    pem = KEY.private_bytes(Encoding.PEM, scitt.serialization.PrivateFormat.PKCS8,
                            scitt.serialization.NoEncryption())
    data = scitt.sign_sign1(b"payload", alg="EdDSA", private_key_pem=pem,
                            protected={4: b"kid-0001"})
    with pytest.raises(FormatError):
        open_sign1(data)


def test_random_damage_raises_nothing_but_format_error():
    rng, data = random.Random(20261123), sign1(b"kid-0001", bytes(range(200)), KEY.sign)
    refused = 0
    for _ in range(3000):
        changed = bytearray(data)
        for _ in range(rng.randrange(1, 5)):
            changed[rng.randrange(len(changed))] = rng.randrange(256)
        cut = rng.randrange(len(changed) + 1) if rng.random() < .3 else len(changed)
        try:
            open_sign1(bytes(changed[:cut]))
        except FormatError:
            refused += 1
    assert refused > 500
