"""A board's signatures, against RFC 8032, hashlib and `cryptography`."""

import hashlib

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.micro.ed25519 import run, sign_steps, verify_steps
from gateway.micro.sha512 import digest_steps
from provisioning.board_image.build import unpacked

# RFC 8032, 7.1: seed, public key, message, signature of tests 1, 2 and 3.
VECTORS = (
    ("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701c"
     "f9b46bd25bf5f0595bbe24655141438e7a100b"),
    ("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0"
     "f11d8c387b2eaeb4302aeeb00d291612bb0c00"),
    ("c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f76098"
     "4dc6594a7c15e9716ed28dc027beceea1ec40a"),
)


@pytest.mark.parametrize("vector", VECTORS)
def test_the_vectors_of_the_standard_are_signed_and_verified(vector):
    seed, public, message, signature = (bytes.fromhex(text) for text in vector)
    assert run(sign_steps(seed, public, message)) == signature
    assert run(verify_steps(unpacked(public), message, signature))


@settings(max_examples=15, deadline=None)
@given(st.binary(min_size=32, max_size=32), st.binary(max_size=400))
def test_any_message_gets_the_signature_that_cryptography_makes(seed, message):
    key = Ed25519PrivateKey.from_private_bytes(seed)
    public = key.public_key().public_bytes_raw()
    signature = run(sign_steps(seed, public, message))
    assert signature == key.sign(message)
    assert run(verify_steps(unpacked(public), message, signature))


@settings(max_examples=15, deadline=None)
@given(st.integers(0, 511), st.binary(min_size=1, max_size=40))
def test_a_flipped_bit_is_refused_here_and_by_cryptography(bit, message):
    key = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
    spoilt = bytearray(key.sign(message))
    spoilt[bit // 8] ^= 1 << bit % 8
    with pytest.raises(InvalidSignature):
        key.public_key().verify(bytes(spoilt), message)
    assert not run(verify_steps(unpacked(key.public_key().public_bytes_raw()), message,
                                bytes(spoilt)))


def test_a_signature_of_another_length_is_refused():
    key = unpacked(bytes.fromhex(VECTORS[0][1]))
    assert not run(verify_steps(key, b"", b"\0" * 63))
    assert not run(verify_steps(key, b"", b"\0" * 65))


def test_sha512_is_that_of_hashlib_however_the_parts_are_cut():
    data = bytes(index % 251 for index in range(400))
    for size in (0, 1, 111, 112, 113, 127, 128, 129, 239, 240, 256, 400):
        for cut in (0, size // 7, size // 3, size // 2, size):
            steps = digest_steps(data[:cut], data[cut:size])
            assert run(steps) == hashlib.sha512(data[:size]).digest(), (size, cut)


def test_signing_gives_the_loop_its_turn_at_least_32_times():
    steps = sign_steps(bytes(32), bytes(32), bytes(1000))
    assert sum(1 for _ in steps) >= 32
