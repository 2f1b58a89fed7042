"""The fleet changes its receipt key: cabinets first trust both keys, then the new one only."""

import json
import stat

from cryptography.hazmat.primitives.serialization import load_pem_public_key

from fleet import settings
from fleet.authority import downlink, rotation
from fleet.ingest import shown_receipt
from fleet.store import backup
from gateway.core.errors import ConfigError
from gateway.core.evidence import downlink as messages
from gateway.core.evidence import receipt
from tests.support.cabinets import NOW, fleet


def key_of(data):
    return settings.receipt_key(settings.load(data).receipt_key)


def raw(key):
    return key.public_key().public_bytes_raw()


def rotate(data, *words):
    return fleet(["rotate", "--data", str(data), "--now", NOW.isoformat(), *words])


def answer(data, *cabinets, outcome="done"):
    """Let cabinets acknowledge everything that waits for them."""
    def events(cabinet):
        bodies = [[number, "receipt-key", outcome, ""]
                  for number, _ in downlink.waiting(data, cabinet) if cabinet in cabinets]
        return downlink.acknowledgements(bodies)
    downlink.Sender(data, key_of(data), events).current(NOW)


def waiting(data, cabinet):
    """Return (kid, body) of what waits."""
    opened = [messages.open_sealed(file.read_bytes())
              for _, file in downlink.waiting(data, cabinet)]
    assert {content.action for _, content in opened} <= {"receipt-key"}
    return [(signed.kid, content.body) for signed, content in opened]


def test_the_next_key_is_announced_with_the_old_one_and_closed_with_the_new_one(data, capsys):
    old = key_of(data)
    assert rotate(data) == 0
    assert key_of(data).private_bytes_raw() == old.private_bytes_raw()
    told = waiting(data, "shop-1")
    assert told == waiting(data, "shop-2") and told[0][0] == rotation.key_id(raw(old))
    new_raw = told[0][1]
    assert rotate(data) == 0 and waiting(data, "shop-1") == told        # once, and not again
    assert "have not said so: shop-1, shop-2" in capsys.readouterr().out
    answer(data, "shop-1", "shop-2")
    assert rotate(data, "--finish") == 0
    assert raw(key_of(data)) == new_raw != raw(old)
    public = load_pem_public_key((data / "keys/receipt.pub").read_bytes())
    assert public.public_bytes_raw() == new_raw
    assert waiting(data, "shop-1") == [(rotation.key_id(new_raw), new_raw)]
    assert not (data / "keys/receipt.next.key").exists()
    secret = {path.name: path.read_bytes() for path in (data / "keys").iterdir()}
    assert sum(b"PRIVATE" in content for content in secret.values()) == 2   # receipt, client
    assert stat.S_IMODE((data / "keys/receipt.key").stat().st_mode) == 0o600
    answer(data, "shop-1", "shop-2")
    assert rotate(data, "--finish") == 0 and waiting(data, "shop-1") == []      # nothing left


def test_it_is_not_finished_while_a_cabinet_has_not_answered_unless_one_says_so(data, capsys):
    assert rotate(data, "--finish") == 1
    assert "no change is under way" in capsys.readouterr().err
    old = key_of(data)
    assert rotate(data) == 0
    answer(data, "shop-1")
    answer(data, "shop-2", outcome="failed")
    assert rotate(data, "--finish") == 1
    assert "shop-2: not said yet" in capsys.readouterr().err
    assert raw(key_of(data)) == raw(old)
    assert rotate(data) == 0                                    # tells shop-2 again
    assert rotate(data, "--finish", "--anyway") == 0
    first, second = waiting(data, "shop-2")                     # the old word, then the new one
    assert first[0] == rotation.key_id(raw(old)) and second[0] == rotation.key_id(raw(key_of(data)))


def test_a_revoked_cabinet_neither_learns_the_key_nor_holds_the_others_up(data):
    assert fleet(["revoke", "shop-2", "--data", str(data)]) == 0
    assert rotate(data) == 0
    assert downlink.waiting(data, "shop-2") == []
    answer(data, "shop-1")
    assert rotate(data, "--finish") == 0


def test_a_power_cut_before_the_last_messages_is_made_good_by_finishing_again(data, monkeypatch):
    assert rotate(data) == 0
    answer(data, "shop-1", "shop-2")
    with monkeypatch.context() as patch:
        patch.setattr(rotation, "post", lambda *_: (_ for _ in ()).throw(ConfigError("cut")))
        assert rotate(data, "--finish") == 1
    assert downlink.waiting(data, "shop-1") == []
    assert rotate(data, "--finish") == 0
    assert [kid for kid, _ in waiting(data, "shop-1")] == [rotation.key_id(raw(key_of(data)))]


def test_it_is_not_finished_under_a_fleet_that_runs(data, capsys):
    assert rotate(data) == 0
    answer(data, "shop-1", "shop-2")
    with backup.lock(data):
        assert rotate(data, "--finish") == 1
    assert "another `fleet serve`" in capsys.readouterr().err
    assert (data / "keys/receipt.next.key").exists()


def test_a_receipt_of_the_former_key_is_still_believed_when_a_cabinet_shows_it(data):
    old = key_of(data)
    content = receipt.Receipt("shop-1", bytes(16), 1, 5, bytes(32), 0)
    shown = receipt.seal(content, rotation.key_id(raw(old)), old.sign)
    assert rotate(data) == 0
    answer(data, "shop-1", "shop-2")
    assert rotate(data, "--finish") == 0
    new, path = raw(key_of(data)), settings.load(data).receipt_key
    assert shown_receipt.opened(shown, "shop-1", [new]) is None
    assert shown_receipt.opened(shown, "shop-1", [new, *rotation.former(path)]) == content


def test_the_fingerprint_is_said_before_and_after(data, capsys):
    capsys.readouterr()
    assert rotate(data, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told["silent"] == ["shop-1", "shop-2"] and told["told"] == []
    assert rotate(data, "--finish", "--anyway", "--json") == 0
    assert json.loads(capsys.readouterr().out)["fleet_key"] == told["fleet_key"]
