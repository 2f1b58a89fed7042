"""Keys: loaded with care, used for signing and checking only."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.core.errors import BadSignature, ConfigError
from gateway.signer import EvidenceSigner, Verifier, kid_of
from tests.support.cabinet_folder import private_pem, public_pem

# RFC 8032, 7.1, test 2: secret key, public key, message 72, signature.
SECRET = bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
PUBLIC = bytes.fromhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
SIGNATURE = bytes.fromhex(
    "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
    "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00")


def key_file(folder, data, mode=0o600):
    """Write a key file."""
    path = folder / "key.pem"
    path.write_bytes(data)
    path.chmod(mode)
    return path


def test_the_signer_gives_the_signature_of_rfc_8032(tmp_path):
    key = Ed25519PrivateKey.from_private_bytes(SECRET)
    signer = EvidenceSigner.load(key_file(tmp_path, private_pem(key)))
    assert signer.public_raw == PUBLIC
    assert signer.sign(b"\x72") == SIGNATURE
    assert signer.kid == kid_of(PUBLIC) == hashlib.sha256(PUBLIC).digest()[:8]


def test_a_key_file_in_another_layout_is_the_same_key(tmp_path):
    key = Ed25519PrivateKey.from_private_bytes(SECRET)
    pem, public = private_pem(key), public_pem(key)
    body, rest = pem.splitlines()[1], pem.splitlines()
    folded = b"\n".join([rest[0], body[:20], body[20:], rest[2]]) + b"\n"
    for data in (pem, b"# made by hand\n" + pem, pem.replace(b"\n", b"\r\n"), folded):
        assert EvidenceSigner.load(key_file(tmp_path, data)).public_raw == PUBLIC, data
    for data in (public, b"# made by hand\n" + public):
        assert Verifier.load(key_file(tmp_path, data)).kid == kid_of(PUBLIC)


def test_a_damaged_key_file_is_never_taken_for_another_key(tmp_path):
    pem = private_pem(Ed25519PrivateKey.from_private_bytes(SECRET))
    body = pem.splitlines()[1]
    for at in range(len(body)):
        for wrong in (body[:at], body[:at] + b"*" + body[at + 1:], body[:at] + body[at + 1:]):
            with pytest.raises(ConfigError, match="key.pem"):
                EvidenceSigner.load(key_file(tmp_path, pem.replace(body, wrong)))


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_that_others_can_read_is_refused(tmp_path, mode):
    key = Ed25519PrivateKey.from_private_bytes(SECRET)
    with pytest.raises(ConfigError, match="chmod 600"):
        EvidenceSigner.load(key_file(tmp_path, private_pem(key), mode))


def test_files_that_are_no_ed25519_key_are_named(tmp_path):
    for data in (b"", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
                 private_pem(ec.generate_private_key(ec.SECP256R1()))):
        with pytest.raises(ConfigError, match="key.pem"):
            EvidenceSigner.load(key_file(tmp_path, data))
    with pytest.raises(ConfigError, match="No such file"):
        EvidenceSigner.load(tmp_path / "gone.pem")


def test_the_verifier_accepts_its_key_and_nothing_else(tmp_path):
    key = Ed25519PrivateKey.from_private_bytes(SECRET)
    verifier = Verifier.load(key_file(tmp_path, public_pem(key)))
    verifier.check(kid_of(PUBLIC), b"\x72", SIGNATURE)
    for kid, signed, signature in (
            (bytes(8), b"\x72", SIGNATURE),
            (kid_of(PUBLIC), b"\x73", SIGNATURE),
            (kid_of(PUBLIC), b"\x72", SIGNATURE[:-1] + b"\x01"),
            (kid_of(PUBLIC), b"\x72", SIGNATURE[:10])):
        with pytest.raises(BadSignature):
            verifier.check(kid, signed, signature)
