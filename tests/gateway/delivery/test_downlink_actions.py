"""What the downlink can change besides the certificate: the authority's, and the fleet's key."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.authority import certificates, issue
from gateway.core.codec.record import ALARM, DOWNLINK
from gateway.core.evidence import downlink as messages
from gateway.signer import EvidenceSigner, Verifier
from tests.gateway.delivery.test_downlink import NOW, Cabinet

TEN_YEARS = datetime.timedelta(days=3650)


@pytest.fixture
def cabinet(tmp_path):
    return Cabinet(tmp_path)


def authority_of(cabinet):
    return x509.load_pem_x509_certificate(cabinet.settings.ca.read_bytes())


def said(cabinet):
    return [body[1:3] for body in cabinet.writer.bodies(DOWNLINK)]


async def send_authority(cabinet, number, made):
    await cabinet.downlink.take(cabinet.message(
        number, action=messages.AUTHORITY, body=certificates.der(made.certificate)))


async def test_a_renewed_authority_of_the_same_key_takes_the_place_of_the_old_one(cabinet):
    old = issue.load(cabinet.data)
    made = certificates.renewed(old, NOW + TEN_YEARS)
    assert made.certificate.not_valid_after_utc > old.certificate.not_valid_after_utc
    await send_authority(cabinet, 7, made)
    assert said(cabinet) == [["authority", "done"]]
    assert authority_of(cabinet) == made.certificate
    await cabinet.downlink.take(cabinet.message(8))         # a leaf that the old one signed
    await cabinet.downlink.take(cabinet.message(9, body=certificates.der(certificates.client(
        made, "cab-1", issue.key_of(cabinet.certificate()), NOW))))
    assert said(cabinet)[1:] == [["renew", "done"], ["renew", "done"]]


def signed_by(old, stranger):
    """Return the stranger's authority, all of it but its key signed by the old one's."""
    model = stranger.certificate
    draft = (x509.CertificateBuilder().subject_name(model.subject).issuer_name(model.issuer)
             .public_key(model.public_key()).serial_number(7)
             .not_valid_before(model.not_valid_before_utc)
             .not_valid_after(model.not_valid_after_utc))
    for one in model.extensions:
        draft = draft.add_extension(one.value, one.critical)
    return certificates.Authority(stranger.key, draft.sign(old.key, hashes.SHA256()))


async def test_another_authority_is_refused_and_the_old_one_stays(cabinet):
    before, old = authority_of(cabinet), issue.load(cabinet.data)
    subject = certificates.common_name(old.certificate.subject)
    stranger = certificates.authority(subject, NOW + TEN_YEARS)
    earlier = certificates.renewed(old, NOW - TEN_YEARS)
    leaf = certificates.Authority(old.key, cabinet.renewed())
    for number, made in enumerate((stranger, earlier, leaf, signed_by(old, stranger)), 7):
        await send_authority(cabinet, number, made)
    assert said(cabinet) == [["authority", "failed"]] * 4
    assert authority_of(cabinet) == before


def swap(cabinet, number, signer, public):
    return cabinet.message(number, signer, action=messages.RECEIPT_KEY, body=public)


async def test_the_next_receipt_key_comes_with_the_old_and_ends_the_old_with_its_own(cabinet):
    old, new = cabinet.fleet, EvidenceSigner(Ed25519PrivateKey.generate())
    await cabinet.downlink.take(swap(cabinet, 7, old, new.public_raw))
    assert said(cabinet) == [["receipt-key", "done"]]
    for one in (old, new):                                  # both count until the fleet is through
        Verifier.load(cabinet.settings.receipt_key).check(one.kid, b"x", one.sign(b"x"))
    cabinet.again()                                         # a restart in between
    await cabinet.downlink.take(cabinet.message(8, old))
    await cabinet.downlink.take(swap(cabinet, 9, new, new.public_raw))
    assert said(cabinet) == [["renew", "done"], ["receipt-key", "done"]]
    await cabinet.downlink.take(cabinet.message(10, old))
    assert [body[1][:7] for body in cabinet.writer.bodies(ALARM)] == ["forged:"]
    cabinet.again()
    await cabinet.downlink.take(cabinet.message(11, old))
    await cabinet.downlink.take(cabinet.message(12, new))
    assert said(cabinet) == [["renew", "done"]]
    assert [body[1][:7] for body in cabinet.writer.bodies(ALARM)] == ["forged:"]


@pytest.mark.parametrize("body", [b"", bytes(31), bytes(33)])
async def test_what_is_no_key_changes_nothing(cabinet, body):
    before = cabinet.settings.receipt_key.read_bytes()
    await cabinet.downlink.take(swap(cabinet, 7, cabinet.fleet, body))
    assert said(cabinet) == [["receipt-key", "failed"]]
    assert cabinet.settings.receipt_key.read_bytes() == before


async def test_the_file_stays_a_usual_key_file_when_one_key_is_left(cabinet):
    before = cabinet.settings.receipt_key.read_bytes()
    await cabinet.downlink.take(swap(cabinet, 7, cabinet.fleet, cabinet.fleet.public_raw))
    assert cabinet.settings.receipt_key.read_bytes() == before
