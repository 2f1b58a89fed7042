"""The downlink at the cabinet: each message is obeyed by one cabinet, once, in time."""

import datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from fleet.authority import certificates, issue
from gateway.core.codec.record import ALARM, DOWNLINK
from gateway.core.evidence import downlink as messages
from gateway.delivery.downlink import NUMBER_FILE, DownlinkReceiver
from gateway.signer import EvidenceSigner, Verifier
from tests.gateway.delivery.test_uplink import CABINET, NOW, make_site, settings_of
from tests.support import one_site

NOW_MS = int(NOW.timestamp() * 1000)
LATER_MS = NOW_MS + 86_400_000


class Clock:
    """A clock that is known; floor_ms: not known, but so late at least."""

    floor_ms = None

    def ticks_ms(self):
        return 5

    def unix_s(self):
        return NOW_MS / 1000

    def certificate_floor_ms(self):
        return self.floor_ms


class Writer:
    """Keeps the events that were put."""

    def __init__(self):
        self.clock, self.events = Clock(), []

    async def put(self, event):
        self.events.append((event.kind, event.body))

    def bodies(self, kind):
        return [body for found, body in self.events if found == kind]


class Cabinet:
    """A cabinet's folder and its downlink; `again` is a restart."""

    def __init__(self, folder):
        self.site = make_site(folder, 1)
        self.data = self.site / one_site.FLEET
        self.settings = settings_of(self.site, 1)
        key = load_pem_private_key((self.data / "keys/receipt.key").read_bytes(), None)
        self.fleet = EvidenceSigner(key)
        self.again()

    def again(self):
        self.writer, self.alarms = Writer(), set()
        self.downlink = DownlinkReceiver(CABINET, self.settings, Verifier.load(
            self.settings.receipt_key), self.writer, self.alarms)

    def renewed(self, name=CABINET):
        public = load_pem_private_key(self.settings.key.read_bytes(), None).public_key()
        return certificates.client(issue.load(self.data), name, public,
                                   NOW + datetime.timedelta(days=1))

    def message(self, number=7, signer=None, **changes):
        parts = {"cabinet": CABINET, "number": number, "issued_utc_ms": NOW_MS,
                 "expires_utc_ms": LATER_MS, "action": messages.RENEW,
                 "body": certificates.der(self.renewed())} | changes
        signer = signer or self.fleet
        return messages.seal(messages.Downlink(**parts), signer.kid, signer.sign)

    def certificate(self):
        return x509.load_pem_x509_certificate(self.settings.certificate.read_bytes())


@pytest.fixture
def cabinet(tmp_path):
    return Cabinet(tmp_path)


async def test_a_renewed_certificate_is_put_in_place_and_acknowledged_by_an_event(cabinet):
    before = cabinet.certificate()
    await cabinet.downlink.take(cabinet.message())
    after = cabinet.certificate()
    assert after.not_valid_after_utc > before.not_valid_after_utc
    assert after.public_key() == before.public_key()
    assert cabinet.writer.bodies(DOWNLINK) == [
        [7, "renew", "done", f"certificate until {after.not_valid_after_utc:%Y-%m-%d}"]]
    assert cabinet.downlink.counts == {"downlinks": 1, "downlinks_refused": 0}
    assert cabinet.alarms == set()


async def refused(cabinet, data, told):
    """Give a message that must change nothing; the alarm says why."""
    before = {path: path.read_bytes() for path in cabinet.site.rglob("*") if path.is_file()}
    await cabinet.downlink.take(data)
    assert cabinet.writer.bodies(DOWNLINK) == []
    assert [body[0] for body in cabinet.writer.bodies(ALARM)] == ["downlink-refused"]
    assert told in cabinet.writer.bodies(ALARM)[0][1]
    assert {path: path.read_bytes() for path in before} == before


async def test_a_message_for_another_cabinet_is_refused(cabinet):
    await refused(cabinet, cabinet.message(cabinet="cab-2"), "foreign: it is for cab-2")


async def test_a_message_of_another_key_is_refused(cabinet):
    stranger = EvidenceSigner(Ed25519PrivateKey.generate())
    await refused(cabinet, cabinet.message(signer=stranger), "forged: signed by key")
    cabinet.again()
    as_fleet = type("Liar", (), {"kid": cabinet.fleet.kid, "sign": stranger.sign})
    await refused(cabinet, cabinet.message(signer=as_fleet), "forged: key")


async def test_an_expired_message_is_refused_also_without_a_clock(cabinet):
    await refused(cabinet, cabinet.message(expires_utc_ms=NOW_MS), "expired: it expired")
    cabinet.again()
    cabinet.writer.clock.floor_ms = LATER_MS
    await refused(cabinet, cabinet.message(), "expired: it expired")


async def test_an_older_number_is_refused_also_after_a_restart(cabinet):
    await cabinet.downlink.take(cabinet.message(number=7))
    cabinet.again()
    await refused(cabinet, cabinet.message(number=6), "old: its number 6 is not above 7")


async def test_the_same_message_again_changes_nothing_and_is_acknowledged_once_a_run(cabinet):
    data = cabinet.message()
    await cabinet.downlink.take(data)
    certificate = cabinet.settings.certificate.read_bytes()
    cabinet.settings.certificate.write_bytes(b"kept")
    for _ in range(3):
        await cabinet.downlink.take(data)
    assert len(cabinet.writer.bodies(DOWNLINK)) == 1
    cabinet.again()
    for _ in range(3):
        await cabinet.downlink.take(data)
    assert cabinet.writer.bodies(DOWNLINK) == [[7, "renew", "done", "obeyed before"]]
    assert cabinet.settings.certificate.read_bytes() == b"kept" != certificate


async def test_each_kind_of_refusal_has_its_word_and_its_own_alarm_once_a_run(cabinet):
    await cabinet.downlink.take(cabinet.message(number=7))
    stranger = EvidenceSigner(Ed25519PrivateKey.generate())
    bad = [b"garbage", cabinet.message(8, stranger), cabinet.message(8, cabinet="cab-2"),
           cabinet.message(6), cabinet.message(8, expires_utc_ms=NOW_MS)]
    for data in bad + bad:
        await cabinet.downlink.take(data)
    words = [body[1].partition(":")[0] for body in cabinet.writer.bodies(ALARM)]
    assert words == ["unreadable", "forged", "foreign", "old", "expired"]
    assert {body[0] for body in cabinet.writer.bodies(ALARM)} == {"downlink-refused"}
    assert cabinet.downlink.counts == {"downlinks": 1, "downlinks_refused": 10}


@pytest.mark.parametrize("data", [b"garbage", bytes(messages.DOWNLINK_BYTES_MAX + 1), b"\xd2\x84"])
async def test_garbage_and_oversized_messages_are_refused(cabinet, data):
    await refused(cabinet, data, "")


async def test_no_changed_byte_is_believed_and_a_flood_is_one_alarm_per_word(cabinet):
    data = cabinet.message()
    for place in range(len(data)):
        await cabinet.downlink.take(data[:place] + bytes((data[place] ^ 1,)) + data[place + 1:])
    assert cabinet.writer.bodies(DOWNLINK) == []
    words = [body[1].partition(":")[0] for body in cabinet.writer.bodies(ALARM)]
    assert sorted(words) == ["forged", "unreadable"]
    assert cabinet.downlink.counts["downlinks_refused"] == len(data)
    assert not cabinet.settings.certificate.with_name(NUMBER_FILE).exists()


async def test_an_unknown_action_is_acknowledged_as_such(cabinet):
    await cabinet.downlink.take(cabinet.message(action="reboot"))
    assert cabinet.writer.bodies(DOWNLINK) == [
        [7, "reboot", "unknown", "this software has no such action"]]


async def test_a_certificate_for_another_name_fails_and_keeps_the_old_one(cabinet):
    before = cabinet.settings.certificate.read_bytes()
    wrong = certificates.der(cabinet.renewed("cab-2"))
    await cabinet.downlink.take(cabinet.message(body=wrong))
    assert cabinet.writer.bodies(DOWNLINK)[0][:3] == [7, "renew", "failed"]
    await cabinet.downlink.take(cabinet.message(number=8, body=b"no certificate"))
    assert cabinet.writer.bodies(DOWNLINK)[1][:3] == [8, "renew", "failed"]
    assert cabinet.settings.certificate.read_bytes() == before
    assert not cabinet.settings.certificate.with_name(NUMBER_FILE).exists()


async def test_a_power_cut_before_the_number_was_kept_repeats_the_action_and_no_more(cabinet):
    data, number = cabinet.message(), cabinet.settings.certificate.with_name(NUMBER_FILE)
    await cabinet.downlink.take(data)
    made, kept = cabinet.settings.certificate.read_bytes(), number.read_bytes()
    number.unlink()                                         # the cut came after the action
    number.with_name(number.name + ".new").write_bytes(kept[:2])    # and while this was written
    cabinet.again()
    await cabinet.downlink.take(data)
    assert [body[2] for body in cabinet.writer.bodies(DOWNLINK)] == ["done"]
    assert cabinet.settings.certificate.read_bytes() == made
    assert number.read_bytes() == kept
    cabinet.again()
    await cabinet.downlink.take(data)
    assert [body[3] for body in cabinet.writer.bodies(DOWNLINK)] == ["obeyed before"]


async def test_a_number_that_cannot_be_read_stops_the_downlink_and_says_so(cabinet):
    cabinet.settings.certificate.with_name(NUMBER_FILE).write_text("nonsense")
    await refused(cabinet, cabinet.message(), "no-number: ")


async def test_a_withdrawn_message_is_nothing(cabinet):
    await cabinet.downlink.take(b"")
    assert cabinet.writer.events == []
