"""One authority for two cabinets, as real processes: mosquitto with TLS, gateways, `fleet serve`.

A cabinet is renewed while it runs, obeys no message that is not for it and for now, and is shut
out; a fleet changes its receipt key and its authority's certificate without a visit.
"""

import re
import shutil

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.authority import downlink
from gateway.signer import EvidenceSigner, Verifier
from tests.support.authority_site import Site
from tests.support.parts import need

WORDS = ["unreadable", "forged", "foreign", "old", "expired"]
pytestmark = [pytest.mark.proof, pytest.mark.timeout(400)]


@pytest.fixture
def made(tmp_path):
    """A fleet with two cabinets; the broker and the first one's gateway run."""
    need("mosquitto")
    site = Site(tmp_path, "shop-1", "shop-2")
    try:
        site.start("broker")
        site.start("shop-1")
        yield site
    finally:
        site.stop_all()


def certificate(made):
    return x509.load_pem_x509_certificate((made.folder / "shop-1/keys/tls.crt").read_bytes())


def refusals(made):
    """Return the words with which the running gateway refused messages, in order."""
    return [line.partition("downlink refused, ")[2].partition(":")[0]
            for line in made.log("shop-1").splitlines() if "downlink refused, " in line]


async def renew_twice(made):
    """Renew shop-1 twice while it runs; return the first message."""
    made.say("fleet", "renew", "shop-1", "--data", made.data)
    [(_, file)] = downlink.waiting(made.data, "shop-1")
    genuine = file.read_bytes()
    made.start("serve")
    await made.until(lambda: made.state("shop-1", "renew") == "done")
    made.say("fleet", "renew", "shop-1", "--data", made.data)
    await made.until(lambda: made.state("shop-1", "renew") == "done")
    assert len(downlink.settled(made.data, "shop-1")) == 2
    return genuine


async def test_a_cabinet_is_renewed_while_it_runs_and_obeys_nothing_that_is_not_for_it(made):
    keys, first = made.folder / "shop-1/keys", certificate(made)
    secrets = [(keys / name).read_bytes() for name in ("tls.key", "evidence.key")]
    genuine = await renew_twice(made)
    renewed, floor = certificate(made), downlink.settled(made.data, "shop-1")[-1][0]
    assert renewed.public_key() == first.public_key()
    assert renewed.serial_number != first.serial_number
    assert [(keys / name).read_bytes() for name in ("tls.key", "evidence.key")] == secrets

    # Whoever holds the fleet's certificate, but not its receipt key, changes nothing.
    made.stop("serve")
    stranger = EvidenceSigner(Ed25519PrivateKey.generate())
    await made.send_down(b"garbage", made.message(floor + 9, stranger),
                         made.message(floor + 9, cabinet="shop-2"), genuine,
                         made.message(floor + 9, expires_utc_ms=1_780_272_000_000))
    await made.until(lambda: len(refusals(made)) >= len(WORDS))
    assert refusals(made) == WORDS
    await made.send_down(made.message(floor + 5), made.message(floor + 4))      # out of order
    await made.until(lambda: made.status("shop-1")["uplink"]["downlinks_refused"] == 6)
    assert refusals(made) == WORDS and certificate(made) == renewed

    # After SIGKILL the number is still known, and the new certificate gets in.
    made.running.pop("shop-1").kill()
    made.start("shop-1")
    await made.until(lambda: made.log("shop-1").count("online at") == 2)
    await made.send_down(genuine, made.message(floor + 5, action="renew"))
    await made.until(lambda: len(refusals(made)) > len(WORDS))
    assert refusals(made) == [*WORDS, "old"] and certificate(made) == renewed

    # The fleet reads all of that in signed evidence.
    made.start("serve")
    await made.until(lambda: len(made.alarms("shop-1")) == 6)
    assert [text.partition(":")[0] for text in made.alarms("shop-1")] == [*WORDS, "old"]


async def test_a_revoked_cabinet_is_refused_by_fleet_and_broker_and_its_evidence_stays(made):
    keys, second = made.folder / "shop-1/keys", made.folder / "shop-2/keys"
    old = made.folder / "old.crt"
    shutil.copy(keys / "tls.crt", old)
    made.say("fleet", "renew", "shop-1", "--data", made.data)
    made.start("serve")
    await made.until(lambda: made.state("shop-1", "renew") == "done")
    assert old.read_bytes() != (keys / "tls.crt").read_bytes()
    await made.until(lambda: made.acknowledged("shop-1") > 0)
    held = made.acknowledged("shop-1")
    made.say("fleet", "revoke", "shop-1", "--data", made.data)
    await made.until(lambda: "this cabinet was revoked at" in made.log("serve"))
    made.stop("serve")
    made.stop("broker")
    made.start("broker")
    await made.until(lambda: made.status("shop-1")["uplink"]["state"] == "rejected")
    assert await made.gets_in(second / "tls.crt", second / "tls.key", "shop-2")
    assert not await made.gets_in(old, keys / "tls.key", "shop-1")
    assert not await made.gets_in(keys / "tls.crt", keys / "tls.key", "shop-1")
    said = made.say("fleet", "verify", "--data", made.data, "--site", "site-shop-1")
    assert "signatures, chain and sequence hold" in said and "was revoked at" in said
    assert int(re.findall(r"receipted up to (\d+)", said)[0]) >= held
    assert "revoked at" in made.say("fleet", "cabinets", "--data", made.data)


async def test_a_fleet_changes_its_receipt_key_and_renews_its_authority_without_a_visit(made):
    public = made.folder / "shop-1/fleet/receipt.pub"
    old = made.signer()
    made.say("fleet", "renew", "authority", "--data", made.data)
    made.say("fleet", "rotate", "--data", made.data)
    made.start("shop-2")
    made.start("serve")
    for name in ("shop-1", "shop-2"):
        await made.until(lambda name=name: made.state(name, "receipt-key") == "done")
        assert made.state(name, "authority") == "done"
        assert (made.folder / name / "ca/ca.crt").read_bytes() == (
            made.data / "authority/ca.crt").read_bytes()
    Verifier.load(public).check(old.kid, b"x", old.sign(b"x"))          # both, for now
    made.stop("serve")
    made.say("fleet", "rotate", "--data", made.data, "--finish")
    before, new = made.acknowledged("shop-1"), made.signer()
    assert new.kid != old.kid and before > 0
    made.start("serve")
    await made.until(lambda: made.state("shop-1", "receipt-key") == "done")
    assert Verifier.load(public).kid == new.kid
    assert public.read_bytes() == (made.data / "keys/receipt.pub").read_bytes()
    await made.until(lambda: made.acknowledged("shop-1") > before)
    for name in ("broker", "shop-1"):                                   # all start on what is there
        made.stop(name)
        made.start(name)
    after = made.acknowledged("shop-1")
    await made.until(lambda: made.acknowledged("shop-1") > after)
    await made.send_down(made.message(1 << 52, old))
    await made.until(lambda: refusals(made) == ["forged"])
