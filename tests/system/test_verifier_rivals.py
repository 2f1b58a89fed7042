"""The offline verifier and journals that tell of the same time: set aside, decided, hidden."""

import hashlib
import json

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.errors import ReportError
from fleet.formats import decision as decisions
from fleet.formats.registry import key_id
from fleet.formats.timetext import utc_ms
from tests.fleet.maker import ORIGIN_MS
from tests.support import evidence_world as forge
from tests.support.fleet_rows import change
from tests.support.rivals import Site, rtc

FROZEN_WH, HOUR_S = 100_500, 3600


@pytest.fixture
def site(tmp_path):
    """A fleet with one cabinet."""
    made = Site(tmp_path)
    yield made
    made.close()


def robbed(site):
    """Twelve quarter hours, and a thief's journal about four of them; return the thief."""
    site.deliver(site.true, 12)
    thief = site.thief(HOUR_S)
    site.deliver(thief, 4, FROZEN_WH)
    return thief


def lines(found, word):
    """Return the words of lines that begin so, of what is proven and assumed."""
    return [" ".join(one.split()) for one in (*found.proven, *found.assumed)
            if one.startswith(word)]


def forged(site, bundle, **changes):
    """Return a bundle whose contents the fleet itself changed and signed again."""
    said, parts = forge.opened_bundle(bundle)
    return forge.checked(forge.written({**said, **changes}, parts, site.key))


def contents(bundle):
    """Return the contents of a bundle."""
    return forge.opened_bundle(bundle)[0]


def test_the_energy_is_what_it_was_without_the_thief_and_the_overlap_is_named(site):
    site.deliver(site.true, 12)
    before = lines(forge.checked(site.bundle(3)), "energy")
    site.deliver(site.thief(HOUR_S), 4, FROZEN_WH)
    found = forge.checked(site.bundle(3))
    assert (found.faults, found.status()) == ([], 3)
    assert lines(found, "energy") == before
    assert lines(found, "set aside") == [
        "set aside shop-1, journal 05050505, 2026-06-01T01:00:00Z to 2026-06-01T01:59:50Z: its "
        "readings do not count, because journal 00000000 does, which covered that time; nobody "
        "has decided which is true"]


def test_a_decision_is_shown_with_its_author_and_its_reason(site):
    thief = robbed(site)
    assert site.decide(thief, 4, 6, "the meter was changed") == 0
    assert site.decide(site.true, 5, 6, "only for a quarter hour") == 0
    found = forge.checked(site.bundle(3))
    assert found.faults == [] and found.status() == 3
    shown = lines(found, "decision")
    assert len(shown) == 2 and "A. Auditor: of shop-1 journal 05050505 counts from " \
        "2026-06-01T01:00:00Z to 2026-06-01T01:30:00Z: the meter was changed" in shown[0]
    aside = lines(found, "set aside")
    assert any("journal 00000000, 2026-06-01T01:00:00Z to 2026-06-01T01:14:50Z" in one
               and "as decision 1 says" in one for one in aside)
    assert any("journal 05050505, 2026-06-01T01:15:00Z to 2026-06-01T01:29:50Z" in one
               and "as decision 2 says" in one for one in aside)
    assert any("journal 05050505, 2026-06-01T01:30:00Z" in one and "nobody" in one
               for one in aside)


@pytest.mark.parametrize("shift_s", [-100, 0, 40])
def test_an_honest_new_journal_is_nobodys_assumption(site, shift_s):
    site.deliver(site.true, 6)
    site.deliver(site.thief(6 * 900, 7), 8, clock=rtc(shift_s))
    bundle = site.bundle(3)
    said = contents(bundle)
    found = forge.verifier().Bundle(
        bundle, site.key.public_key().public_bytes_raw(), said["heads"], [site.true.public],
        hashlib.sha256(said["factors"]).digest())
    found.account()
    assert found.faults == []
    assert found.assumed == [] and found.status() == 0


def test_a_fleet_that_does_not_say_what_it_set_aside_contradicts_itself(site):
    robbed(site)
    bundle = site.bundle(3)
    found = forged(site, bundle, set_aside=[])
    assert any("both have readings of" in one for one in found.faults)
    said, parts = forge.opened_bundle(bundle)
    older = {key: value for key, value in said.items() if key not in ("set_aside", "decisions")}
    assert any("that both are true" in one for one in forge.checked(
        forge.written(older, parts, site.key)).assumed)


def test_a_fleet_that_sets_the_true_journal_aside_says_so_or_contradicts_its_statement(site):
    """It can say anything of its own: then it stands among what is assumed, never proven."""
    robbed(site)
    bundle = site.bundle(3)
    rows = [[bytes(16), number, utc_ms(f"2026-06-01T0{n}:{m:02d}:00Z"), utc_ms(
        f"2026-06-01T0{n}:{m:02d}:00Z") + 899_999, b"\5" * 16, None]
            for number, (n, m) in enumerate([(1, 0), (1, 15), (1, 30), (1, 45)], 5)]
    found = forged(site, bundle, set_aside=rows)
    assert found.faults and found.status() == 1


def signed(key, number, journal, cabinet="shop-1"):
    """Return a decision about quarter hours 4 and 5."""
    said = decisions.Decision(cabinet, number, journal, ORIGIN_MS + 4 * 900_000,
                              ORIGIN_MS + 6 * 900_000, ORIGIN_MS, "nobody", "because")
    return decisions.seal(said, key_id(key.public_key().public_bytes_raw()), key.sign)


@pytest.mark.parametrize(("make", "words"), [
    (lambda site: [signed(Ed25519PrivateKey.generate(), 1, b"\5" * 16)], "another key"),
    (lambda site: [signed(site.key, 2, b"\5" * 16)], "one is missing"),
    (lambda site: [signed(site.key, 1, b"\5" * 16, "shop-2")], "not one of this cabinet"),
    (lambda site: [signed(site.key, 1, bytes(16))], "a decision is about that time"),
    (lambda site: [b""], "cut short")],
    ids=["another key", "a hole in the numbers", "another cabinet", "not obeyed", "no decision"])
def test_decisions_that_do_not_hold_are_named(site, make, words):
    robbed(site)
    found = forged(site, site.bundle(3), decisions=make(site))
    assert any(words in one for one in found.faults), found.faults


@pytest.mark.parametrize("altered", [
    {"number": 9}, {"from": 1 << 60}, {"to": 0}, {"by": bytes(3)}, {"decision": 1}])
def test_rows_that_are_not_as_they_are_written_are_named(site, altered):
    robbed(site)
    bundle = site.bundle(3)
    keys = ("journal", "number", "from", "to", "by", "decision")
    rows = [list((dict(zip(keys, row, strict=True)) | altered).values())
            for row in contents(bundle)["set_aside"]]
    assert any("set aside" in one for one in forged(site, bundle, set_aside=rows).faults)


def test_verify_and_journals_name_it_until_a_person_has_decided(site, capsys):
    thief = robbed(site)
    assert site.command("verify", "--site", "shop") == 1
    out = capsys.readouterr().out
    assert "DECIDE: shop-1: Journal 05050505 has readings of 2026-06-01T01:00:00Z to " \
        "2026-06-01T01:59:50Z that journal 00000000 covers" in out and "fleet decide" in out
    assert site.command("journals", "--cabinet", "shop-1") == 1
    assert "Nobody has decided" in capsys.readouterr().out
    assert site.decide(site.true, 0, 32) == 0
    capsys.readouterr()
    assert site.command("verify", "--site", "shop") == 0
    assert "decision 1" in capsys.readouterr().out
    assert site.command("journals", "--site", "shop", "--json") == 0
    (cabinet,) = json.loads(capsys.readouterr().out)["cabinets"]
    assert [one["journal"] for one in cabinet["journals"]] == ["00" * 16, "05" * 16]
    assert cabinet["set_aside"][0]["decision"]["reason"] == "the board was stolen"
    assert cabinet["decisions"][0]["author"] == "A. Auditor" and thief.number > 1


def test_a_row_names_the_decision_that_is_in_force(site):
    robbed(site)
    assert [site.decide(site.true, first, 6) for first in (4, 5)] == [0, 0]
    bundle = site.bundle(3)
    rows = [[*row[:5], 1 if row[5] else None] for row in contents(bundle)["set_aside"]]
    found = forged(site, bundle, set_aside=rows)
    assert any("decision 1 does not say so" in one for one in found.faults)


def test_a_decision_that_was_written_into_the_store_makes_no_bundle(site):
    robbed(site)
    said = signed(Ed25519PrivateKey.generate(), 1, b"\5" * 16)
    change(site.store, "INSERT INTO decisions VALUES ('shop-1', 1, ?)", said)
    with pytest.raises(ReportError, match="not signed by a key of this fleet"):
        site.bundle(3)


def test_decide_refuses_what_it_cannot_mean(site, capsys):
    robbed(site)
    times = ("--from", "2026-06-01T01:00:00Z", "--to", "2026-06-01T02:00:00Z", "--reason", "x")
    for cabinet, journal, given in (
            ("shop-1", "ff", times), ("nobody", "05", times), ("shop-1", "", times),
            ("shop-1", "05", (*times[:3], "2026-06-01T01:00:00Z", *times[4:]))):
        assert site.command("decide", "--cabinet", cabinet, "--journal", journal, *given) == 1
        assert "next:" in capsys.readouterr().err
    assert site.command("verify", "--site", "shop") == 1
