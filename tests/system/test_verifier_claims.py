"""The offline verifier says what is proven, assumed and not checked, and never more than that.

The forger holds every key but a cabinet's: it is the fleet's operator.  Each forgery has the
exit status and a word that an auditor is told.
"""

import hashlib
import json
import subprocess
import sys

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.evidence import evidence
from fleet.transparency import proofs
from gateway.core.codec import cbor
from gateway.core.evidence import receipt
from tests.fleet.maker import ORIGIN_MS
from tests.support import evidence_world as forge
from tests.support.evidence_world import QUARTER_MS, SCRIPT

DAY_MS = 86_400_000
PROVEN, WRONG, ASSUMED = 0, 1, 3


@pytest.fixture(scope="module")
def real(tmp_path_factory):
    """A fleet whose cabinet has the network's time, seven quarter hours of it."""
    return forge.real_world(tmp_path_factory.mktemp("fleet"))


def judged(data, real, **changed):
    """Return the Bundle of a file, judged with everything that an auditor can bring."""
    brought = {**real.brought, **changed}
    return forge.checked(data, brought["fleet_key"], brought["kept"], brought["devices"],
                         brought["factors"])


def told(found):
    """Return everything that is printed, as one text."""
    return "\n".join(found.lines())


def test_with_every_key_brought_all_is_proven_and_the_sentence_says_energy_only(real):
    found = judged(real.bundle, real)
    assert (found.faults, found.assumed, found.status()) == ([], [], PROVEN)
    # 720 W for an hour and a half
    assert any("grid, energy_active_import_total, role grid: 1080.000 Wh" in line
               for line in found.proven)
    assert any("of all, it: 810.000 Wh" in line for line in found.proven)
    assert found.sentence().startswith("PROVEN with the keys that were brought: ")
    assert "energy only: grams and workloads are not checked" in found.sentence()
    assert [line for line in found.unchecked if "grams" in line]
    assert told(found).splitlines()[-1] == found.sentence()


@pytest.mark.parametrize(("left_out", "word"), [
    ({"fleet_key": None}, "--fleet-key"), ({"devices": ()}, "--device-key"),
    ({"factors": None}, "--factors"), ({"kept": ()}, "--head")])
def test_a_key_that_the_file_itself_gives_is_assumed(left_out, word, real):
    found = judged(real.bundle, real, **left_out)
    assert found.status() == ASSUMED
    assert len(found.assumed) == 1 and word in found.assumed[0]
    assert "NOT PROVEN" in found.sentence()


def test_the_fingerprint_of_a_device_key_is_as_good_as_the_key(real):
    prints = [hashlib.sha256(one).digest() for one in real.brought["devices"]]
    assert judged(real.bundle, real, devices=prints).status() == PROVEN


@pytest.mark.parametrize(("other", "word"), [
    ({"fleet_key": bytes(32)}, "another fleet key"), ({"devices": [bytes(32)]}, "not a device key"),
    ({"factors": bytes(32)}, "not the one you gave")])
def test_another_key_than_the_auditor_brought_is_a_contradiction(other, word, real):
    found = judged(real.bundle, real, **other)
    assert found.status() == WRONG
    assert word in "\n".join(found.faults)
    assert all(fault.startswith("shop-1, ") for fault in found.faults)


# --- forgeries by whoever can sign for the fleet -------------------------------------------

def reworded(change):
    """Return a forgery of the statement alone."""
    def forgery(said, parts):
        statement = json.loads(said["statement"])
        change(statement)
        return {**said, "statement": json.dumps(statement).encode()}, parts
    return forgery


def smaller(statement):
    for one in statement["meters"]:
        one.update(energy_wh=one["energy_wh"] / 10, bound_wh=1e9)


def vague(statement):
    statement["meters"][0]["bound_wh"] = 1e9


def fewer_grams(statement):
    statement["carbon_g"] = {key: None if value is None else value / 10
                             for key, value in statement["carbon_g"].items()}


def other_role(statement):
    next(one for one in statement["meters"] if one["role"] == "it")["role"] = "cooling"


def other_sums(statement):
    energy = statement["energy_wh"]
    energy["it"], energy["other"] = energy["other"], energy["it"]


def ghost(statement):
    statement["meters"].append({"device": "ghost", "measurand": "energy_yield_total", "role": "pv",
                                "energy_wh": 5000.0, "bound_wh": 5000.0})


def twice(statement):
    statement["meters"].append(statement["meters"][0])


def roles_of_the_descriptor(said, parts):
    site = cbor.decode(said["descriptors"][0])
    next(one for one in site["devices"] if one["role"] == "it")["role"] = "cooling"
    changed = cbor.encode(site)
    return {**said, "descriptors": [changed], "config": hashlib.sha256(changed).digest()}, parts


def another_configuration(said, parts):
    other = cbor.encode(cbor.decode(said["descriptors"][0]) | {"name": "another"})
    return {**said, "descriptors": [*said["descriptors"], other],
            "config": hashlib.sha256(other).digest()}, parts


def factors_alone(said, parts):
    return {**said, "factors": said["factors"].replace(b'"g_per_kwh":"', b'"g_per_kwh":"0.')}, parts


def factors_and_hash(said, parts):
    said, _ = factors_alone(said, parts)
    digest = hashlib.sha256(said["factors"]).hexdigest()
    return reworded(lambda one: one["factors"].update(sha256=digest))(said, parts)


def long_period(said, parts):
    said = {**said, "to": said["from"] + 300 * DAY_MS}
    return reworded(lambda one: one.update(to="2027-03-28T00:00:00Z"))(said, parts)


def without_tail(said, parts):
    return {**said, "batches": said["batches"][:3]}, parts[:6]


def without_tail_as_told(said, parts):
    said, parts = without_tail(said, parts)

    def change(statement):
        statement["evidence"]["journals"][0]["last_seq"] = said["batches"][-1][4]
    return reworded(change)(said, parts)


def receipts(make):
    def forgery(said, parts):
        return {**said, "receipts": make(said["receipts"])}, parts
    return forgery


FORGERIES = {
    "altered grams": (reworded(fewer_grams), PROVEN, "grams and workloads are not checked"),
    "roles in the statement": (reworded(other_role), WRONG, "no batch has such a meter and role"),
    "energies of roles exchanged": (reworded(other_sums), WRONG, "energy of it"),
    "roles in the descriptor": (roles_of_the_descriptor, WRONG, "site descriptor is missing"),
    "another configuration": (another_configuration, WRONG, "configuration"),
    "factors": (factors_alone, WRONG, "other factors"),
    "factors and their hash": (factors_and_hash, WRONG, "not the one you gave"),
    "energies / 10 with a bound of 1e9 Wh": (reworded(smaller), WRONG, "108.000 Wh stated"),
    "a bound of 1e9 Wh": (reworded(vague), WRONG, "bound of energy of"),
    "300 days over two hours": (long_period, ASSUMED, "no data    2026-06-01T01:44:50Z to "
                                "2027-03-28T00:00:00Z, and no declared gap: grid, "),
    "the last 4 of 7 batches dropped": (without_tail, WRONG, "are accounted"),
    "dropped, and the statement says so": (without_tail_as_told, WRONG, "it says, and left out"),
    "an invented meter": (reworded(ghost), WRONG, "energy of ghost"),
    "a meter twice": (reworded(twice), WRONG, "stands there twice"),
    "garbage receipts": (receipts(lambda _: [b"garbage"]), WRONG, "receipts"),
    "no receipts": (receipts(lambda _: []), WRONG, "of a journal is missing"),
    "receipts twice": (receipts(lambda old: old * 2), WRONG, "of a journal twice"),
}


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_signed_by_the_fleet_is_called_what_it_is(name, real):
    forgery, status, word = FORGERIES[name]
    data = forge.written(*forgery(*forge.opened_bundle(real.bundle)), real.key)
    found = judged(data, real)
    assert found.status() == status, found.lines()
    assert word in told(found)
    assert status != WRONG or all(fault.startswith("shop-1, 2026-06-01T00:00:00Z to 2026-06-01T01:"
                                                   "30:00Z") or "(batch " in fault
                                  for fault in found.faults)


def with_receipt(real, key, **changes):
    """Return the faults of a bundle whose receipt was changed and signed with a key."""
    said, parts = forge.opened_bundle(real.bundle)
    content = receipt.open_sealed(said["receipts"][0])[1]._replace(**changes)
    kid = hashlib.sha256(real.brought["fleet_key"]).digest()[:8]
    sealed = receipt.seal(content, kid, key.sign)
    data = forge.written({**said, "receipts": [sealed]}, parts, real.key)
    return "\n".join(judged(data, real).faults)


@pytest.mark.parametrize(("changes", "word"), [
    ({"low_water": 1}, "what it says of record 1"), ({"chain": bytes(32)}, "what it says of rec"),
    ({"cabinet": "shop-2"}, "not one of this cabinet"), ({"issued_utc_ms": 5}, "of another time"),
    ({"journal_id": b"\x07" * 16}, "or of another one")])
def test_a_receipt_that_says_otherwise_than_the_batches_is_named(changes, word, real):
    assert word in with_receipt(real, real.key, **changes)


def test_a_receipt_signed_by_another_key_is_named(real):
    other = Ed25519PrivateKey.generate()
    assert "receipts: changed: the signature does not fit" in with_receipt(real, other)


def test_a_fleet_that_never_had_the_tail_can_only_be_assumed_to_be_whole(tmp_path, real):
    """The strongest form: statement, receipts and log fit the batches that are left."""
    made = forge.real_world(tmp_path, batches=3, period=real.period, keys=real)
    found = judged(made.bundle, real, kept=made.brought["kept"])
    assert found.status() == ASSUMED
    assert any("no data    2026-06-01T00:44:50Z to 2026-06-01T01:30:00Z" in one
               for one in found.assumed)


def test_an_invented_cabinet_is_found_by_its_key_and_otherwise_only_assumed(tmp_path, real):
    made = forge.real_world(tmp_path, keys=real._replace(gateway=None))
    assert judged(made.bundle, real, kept=made.brought["kept"]).status() == WRONG
    assert judged(made.bundle, real, kept=made.brought["kept"], devices=()).status() == ASSUMED


def test_simulated_time_is_said_on_every_line_and_is_never_a_proof(tmp_path):
    made = forge.world(tmp_path)
    found = forge.checked(made.bundle, made.key.public_key().public_bytes_raw(),
                          forge.opened_bundle(made.bundle)[0]["heads"], [made.gateway.public],
                          hashlib.sha256(forge.opened_bundle(made.bundle)[0]["factors"]).digest())
    assert found.status() == ASSUMED
    assert [one for one in found.assumed] == [
        "simulated time: the clock of the batches is a simulation's"]
    assert all(line.endswith("[simulated time]") for line in found.lines())
    assert "IN SIMULATED TIME" in found.sentence()
    said, parts = forge.opened_bundle(made.bundle)
    assert said["simulated"] is True
    denied = forge.checked(forge.written({**said, "simulated": False}, parts, made.key))
    assert "the contents say simulated = False" in "\n".join(denied.faults)


# --- what is printed -----------------------------------------------------------------------

HOSTILE = "a\x1b[2J\x1b]0;x\x07\r\n\u202egnp\u200b\ud7ff"


def test_nothing_that_is_printed_can_steer_a_terminal(real):
    said, parts = forge.opened_bundle(real.bundle)
    data = forge.written({**said, "site": HOSTILE, "cabinet": "\x9b31m" + HOSTILE[:20]}, parts,
                         real.key)
    found = judged(data, real)
    assert found.status() == WRONG
    assert "\\x1b[2J" in told(found) and "\\u202e" in told(found)
    for line in found.lines():
        assert line.isprintable(), repr(line)


def run(tmp_path, data, *arguments):
    """Run the program as an auditor does, in a folder of its own."""
    (tmp_path / "a.bundle").write_bytes(data)
    return subprocess.run([sys.executable, str(SCRIPT), "a.bundle", *arguments], check=False,
                          capture_output=True, text=True, cwd=tmp_path)


def test_the_program_ends_with_0_1_2_or_3_and_one_sentence(tmp_path, real):
    (tmp_path / "head").write_bytes(real.brought["kept"][0])
    keys = ["--fleet-key", real.brought["fleet_key"].hex(), "--head", "head", "--factors",
            real.brought["factors"].hex(), "--device-key", real.brought["devices"][0].hex()]
    for arguments, data, status, begin in (
            (keys, real.bundle, PROVEN, "PROVEN with the keys"),
            ([], real.bundle, ASSUMED, "CONSISTENT, NOT PROVEN: the energy"),
            (keys, real.bundle[:-1], WRONG, "NOT PROVEN: 1 contradictions"),
            ([], b"", WRONG, "NOT PROVEN: 1 contradictions in the evidence of the whole file")):
        done = run(tmp_path, data, *arguments)
        assert (done.returncode, done.stderr) == (status, "")
        assert done.stdout.splitlines()[-1].startswith(begin)
    assert run(tmp_path, real.bundle, "--fleet-key", "12").returncode == 2
    done = json.loads(run(tmp_path, real.bundle, "--json").stdout)
    assert (done["status"], done["wrong"], done["simulated"]) == (ASSUMED, [], False)


# --- tree heads ----------------------------------------------------------------------------

def test_a_head_kept_at_any_moment_is_proved_to_be_continued_by_any_later_bundle(tmp_path):
    made, kept = None, []
    for count in range(1, 8):
        made = forge.real_world(tmp_path / str(count), batches=count,
                                period=(ORIGIN_MS, ORIGIN_MS + QUARTER_MS), keys=made)
        kept.append(forge.tree_head(made))          # as `fleet tree-head` writes it
        for number, head in enumerate(kept, 1):
            data = forge.bundle(made.data, "shop", made.key, made.period, [head])
            found = judged(data, made, kept=[head])
            assert (found.faults, found.status()) == ([], PROVEN), (number, count)
            assert any(f"the log continues the head of {number} batches" in one
                       for one in found.proven)
    everything = forge.bundle(made.data, "shop", made.key, made.period, kept)
    assert judged(everything, made, kept=kept).status() == PROVEN


def test_a_bundle_without_a_proof_about_a_kept_head_accuses_nobody(tmp_path, real):
    early = forge.real_world(tmp_path / "early", batches=2, period=(
        ORIGIN_MS, ORIGIN_MS + QUARTER_MS), keys=real)
    found = judged(real.bundle, real, kept=[forge.tree_head(early)])
    assert (found.faults, found.status()) == ([], ASSUMED)
    assert "fleet evidence --head FILE" in found.assumed[0]
    found = judged(early.bundle, early, kept=[forge.tree_head(real)])
    assert (found.faults, found.status()) == ([], ASSUMED)
    assert "this bundle is older than the head of 7 batches" in found.assumed[0]


def test_a_log_that_was_rewritten_is_named_by_a_kept_head(tmp_path, real):
    signer = evidence.signer_of(real.key)
    other = proofs.sign_head(proofs.Head(7, bytes(32), 0), signer)
    assert "two different trees of 7 batches" in judged(real.bundle, real, kept=[other]).faults[0]
    with pytest.raises(Exception, match="the log was rewritten"):
        forge.bundle(real.data, "shop", real.key, real.period, [other])
    for size in (0, 8):
        head = proofs.sign_head(proofs.Head(size, bytes(32), 0), signer)
        with pytest.raises(Exception, match="the store is older than the head"):
            forge.bundle(real.data, "shop", real.key, real.period, [head])
    stranger = proofs.sign_head(proofs.Head(7, bytes(32), 0), evidence.signer_of(
        Ed25519PrivateKey.generate()))
    assert judged(real.bundle, real, kept=[stranger]).status() == WRONG
    with pytest.raises(Exception, match="not one of this fleet"):
        forge.bundle(real.data, "shop", real.key, real.period, [stranger])


def test_a_head_of_a_former_receipt_key_is_proved_to_readers_who_bring_that_key(tmp_path, real):
    new, head = Ed25519PrivateKey.generate(), forge.tree_head(real)
    former, now = real.brought["fleet_key"], new.public_key().public_bytes_raw()
    data = forge.bundle(real.data, "shop", new, real.period,
                        evidence.KeptHeads([head], [former]))
    found = judged(data, real, fleet_key=now, kept=[(head, former)])
    assert (found.faults, found.status()) == ([], PROVEN)
    assert any("the log continues the head of 7 batches" in one for one in found.proven)
    assert "another key" in judged(data, real, fleet_key=now, kept=[head]).faults[0]
    forged = proofs.sign_head(proofs.Head(7, bytes(32), 0), evidence.signer_of(real.key))
    assert judged(data, real, fleet_key=now, kept=[(forged, former)]).status() == WRONG
    with pytest.raises(Exception, match="not one of this fleet"):
        forge.bundle(real.data, "shop", new, real.period, [head])
    (tmp_path / "head").write_bytes(head)
    done = run(tmp_path, data, "--fleet-key", now.hex(), "--former-key", former.hex(), "--head",
               "head", "--factors", real.brought["factors"].hex(), "--device-key",
               real.brought["devices"][0].hex())
    assert (done.returncode, done.stderr) == (PROVEN, "")
