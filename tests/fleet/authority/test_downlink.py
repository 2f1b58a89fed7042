"""The fleet's side of the downlink: renewals, numbers that rise, messages until acknowledged."""

import json

import pytest
from cryptography import x509

from fleet import settings
from fleet.authority import downlink, issue
from gateway.core.errors import ConfigError
from gateway.core.evidence import downlink as messages
from tests.support.cabinets import NOW, enrol, fleet, later, make_cabinet, make_fleet

DUE = 1217          # days: two thirds of 1825, and the day of grace


@pytest.fixture
def data(tmp_path):
    """A fleet with one cabinet."""
    made = make_fleet(tmp_path / "fleet")
    assert enrol(make_cabinet(tmp_path / "cabinet"), made) == 0
    return made


class Events(dict):
    """Acknowledgements by cabinet, as serve reads them from the evidence."""

    def __call__(self, cabinet):
        return downlink.acknowledgements(self.get(cabinet, []))


def key_of(data):
    return settings.receipt_key(settings.load(data).receipt_key)


def post(data, action, now=NOW):
    return downlink.post(data, key_of(data), downlink.Message("shop-1", action, b""), now)


def sender(data, events=None):
    return downlink.Sender(data, key_of(data), events if events is not None else Events())


def opened(data, sealed):
    message, content = messages.open_sealed(sealed)
    key_of(data).public_key().verify(message.signature, message.signed)
    return content


def test_nothing_is_sent_before_two_thirds_of_a_certificates_life(data):
    assert sender(data).current(later(DUE - 2)) == {"shop-1": b""}


def test_a_due_certificate_is_renewed_for_the_same_key_and_sent_until_acknowledged(data):
    events = Events()
    one = sender(data, events)
    first = issue.issued(data, "shop-1")[0]
    sent = one.current(later(DUE))["shop-1"]
    content = opened(data, sent)
    made = x509.load_der_x509_certificate(content.body)
    assert (content.cabinet, content.action) == ("shop-1", "renew")
    assert made.public_key() == first.public_key()
    assert made.not_valid_after_utc == later(DUE + 1825)
    assert content.expires_utc_ms == later(DUE + downlink.LIFE_DAYS).timestamp() * 1000
    assert one.current(later(DUE + 1))["shop-1"] == sent        # still the same message
    events["shop-1"] = [[content.number, "renew", "done", "certificate until then"]]
    assert one.current(later(DUE + 2))["shop-1"] == b""
    assert len(issue.issued(data, "shop-1")) == 2


def test_an_event_about_another_number_acknowledges_nothing(data):
    events = Events()
    one = sender(data, events)
    sent = one.current(later(DUE))["shop-1"]
    number = opened(data, sent).number
    events["shop-1"] = [[number - 1, "renew", "done", ""], ["x", 1], [number]]
    assert one.current(later(DUE))["shop-1"] == sent


def test_a_message_that_expired_is_made_again_with_a_higher_number(data):
    one = sender(data)
    first = opened(data, one.current(later(DUE))["shop-1"])
    second = opened(data, one.current(later(DUE + 31))["shop-1"])
    assert second.number > first.number and second.body == first.body
    assert second.expires_utc_ms > later(DUE + 31).timestamp() * 1000


def test_numbers_rise_also_within_one_millisecond_and_for_a_fleet_that_lost_the_old_ones(data):
    numbers = [post(data, "x") for _ in range(3)]
    assert numbers == sorted(set(numbers))
    for _, file in downlink.waiting(data, "shop-1"):
        file.unlink()
    assert post(data, "x", later(1)) > numbers[-1]


def test_messages_go_out_one_after_the_other(data):
    events = Events()
    one = sender(data, events)
    for action in ("a", "b"):
        post(data, action)
    first = opened(data, one.current(NOW)["shop-1"])
    assert first.action == "a"
    events["shop-1"] = [[first.number, "a", "unknown", ""]]
    assert opened(data, one.current(NOW)["shop-1"]).action == "b"


def test_without_the_authoritys_key_nothing_is_renewed_and_the_rest_goes_on(data, caplog):
    (data / "authority/ca.key").unlink()
    post(data, "a", later(DUE))
    one = sender(data)
    assert opened(data, one.current(later(DUE))["shop-1"]).action == "a"
    assert "the authority's key is not here" in caplog.text


def test_one_bad_entry_stops_neither_receipts_nor_the_process(data, caplog):
    (data / "registry/bad-1.json").write_text("{")
    assert sender.__call__ and downlink.Sender.current
    with pytest.raises(ConfigError):
        sender(data)                    # at a start it is told
    (data / "registry/bad-1.json").unlink()
    one = sender(data)
    (data / "registry/bad-1.json").write_text("{")
    assert one.current(NOW) == {}
    assert "bad-1.json" in caplog.text


def test_renew_leaves_a_message_and_a_revoked_or_unknown_cabinet_gets_none(data, capsys):
    assert fleet(["renew", "shop-1", "--data", str(data), "--json"]) == 0
    said = capsys.readouterr().out
    number = json.loads(said[said.rindex("{\n"):])["number"]
    assert [held for held, _ in downlink.waiting(data, "shop-1")] == [number]
    assert fleet(["renew", "shop-9", "--data", str(data)]) == 1
    assert "no certificate was issued" in capsys.readouterr().err
    assert fleet(["revoke", "shop-1", "--data", str(data)]) == 0
    assert fleet(["renew", "shop-1", "--data", str(data)]) == 1
    assert downlink.waiting(data, "shop-1") == []
    assert sender(data).current(later(DUE)) == {"shop-1": b""}


def test_a_queue_is_bounded_and_a_renewal_takes_the_place_of_an_older_one(data):
    for number in range(downlink.WAITING_MAX):
        post(data, f"a{number}")
    with pytest.raises(ConfigError, match="8 messages wait"):
        post(data, "one-more")
    assert len(downlink.waiting(data, "shop-1")) == downlink.WAITING_MAX
    for _, file in downlink.waiting(data, "shop-1")[1:]:
        file.unlink()
    for days in range(20):
        downlink.renew(data, key_of(data), "shop-1", later(days))
    assert [downlink.content_of(file).action
            for _, file in downlink.waiting(data, "shop-1")] == ["a0", "renew"]
    newest = downlink.content_of(downlink.waiting(data, "shop-1")[1][1])
    assert x509.load_der_x509_certificate(newest.body) == issue.issued(data, "shop-1")[-1]


def test_a_message_that_is_too_large_is_not_sent(data):
    with pytest.raises(ConfigError, match="at most 65536"):
        downlink.post(data, key_of(data), downlink.Message("shop-1", "a", bytes(65_536)), NOW)
    assert downlink.waiting(data, "shop-1") == []


def test_a_clock_that_stepped_back_gives_no_number_twice(data):
    events = Events()
    one = sender(data, events)
    number = post(data, "a", later(10))
    events["shop-1"] = [[number, "a", "done", ""]]
    one.current(later(10))
    assert [held for held, _ in downlink.settled(data, "shop-1")] == [number]
    assert post(data, "b", later(9)) == number + 1


def test_settled_messages_are_kept_for_a_while_only_and_an_odd_outcome_is_a_failure(data):
    events = Events()
    one = sender(data, events)
    numbers = []
    for hour in range(downlink.SETTLED_MAX + 4):
        numbers.append(post(data, "a", later(hour / 24)))
        events["shop-1"] = [[numbers[-1], "a", "../x", ""]]
        one.current(later(hour / 24))
    held = downlink.settled(data, "shop-1")
    assert [number for number, _ in held] == numbers[-downlink.SETTLED_MAX:]
    assert {file.suffix for _, file in held} == {".failed"}


def test_cabinets_lists_certificates_messages_and_outcomes(data, tmp_path, capsys):
    assert enrol(make_cabinet(tmp_path / "second", "shop-b", "shop-2"), data) == 0
    assert fleet(["revoke", "shop-2", "--data", str(data), "--now", NOW.isoformat()]) == 0
    number = post(data, "a")
    sender(data, Events({"shop-1": [[number, "a", "failed", ""]]})).current(NOW)
    post(data, "b")
    capsys.readouterr()
    assert fleet(["cabinets", "--data", str(data)]) == 0
    first, second = capsys.readouterr().out.splitlines()
    assert first.split(", ") == [f"{'shop':<16} {'shop-1':<16}", "certificate until 2031-02-28",
                                 "last message a: failed", "waiting: b"]
    assert second.endswith("revoked at 2026-03-01T12:00:00Z")
    assert fleet(["cabinets", "--data", str(data), "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["cabinets"]
    assert [(row["cabinet"], row["waiting"], row["last"]) for row in rows] == [
        ("shop-1", ["b"], ["a", "failed"]), ("shop-2", [], None)]


def test_a_certificate_that_could_not_be_put_in_place_is_sent_again_each_week(data):
    events = Events()
    one = sender(data, events)
    first = opened(data, one.current(later(DUE))["shop-1"])
    for week in range(1, 4):
        number = downlink.waiting(data, "shop-1")[-1][0]
        events["shop-1"] = [[number, "renew", "failed", "Read-only file system"]]
        assert one.current(later(DUE + 7 * week - 1))["shop-1"] == b""
        again = opened(data, one.current(later(DUE + 7 * week))["shop-1"])
        assert again.number > number and again.body == first.body
    events["shop-1"] = [[again.number, "renew", "done", ""]]
    for days in (22, 40, 400):
        assert one.current(later(DUE + days))["shop-1"] == b""
    assert len(issue.issued(data, "shop-1")) == 2


def test_an_action_that_failed_for_another_reason_than_a_certificate_is_not_sent_again(data):
    events = Events()
    one = sender(data, events)
    events["shop-1"] = [[post(data, "a"), "a", "failed", ""]]
    assert one.current(NOW)["shop-1"] == one.current(later(30))["shop-1"] == b""
