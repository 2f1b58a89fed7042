"""docs/verify_evidence.py, which shares nothing with the product, judges what the product made.

Random edits of a bundle: of its bytes, and of whole batches by a forger who repairs sizes and
hashes.  Every one must be refused, and named by device and range.
"""

import json
import random

import pytest

from fleet.evidence import evidence
from fleet.transparency import proofs
from tests.support import evidence_world as forge
from tests.support.evidence_world import SCRIPT, verifier, world

SLICE, ALL = 300, 10_000


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A fleet with its bundle."""
    return world(tmp_path_factory.mktemp("fleet"))


@pytest.fixture(scope="module")
def checker():
    """The verifier; a batch that was judged once is not decoded again."""
    return forge.remembering(verifier())


def _unnamed(checker, made, edits):
    """Return the edits that were believed, or refused without naming what was touched."""
    left = []
    for edit in edits:
        faults = checker.Bundle(edit.data).faults
        said = "\n".join(faults)
        if edit.data != made.bundle and not any(name in said for name in edit.names):
            left.append((edit.what, edit.names, faults[:3]))
    return left


def _edits(made, seed, count):
    rng = random.Random(seed)
    for number in range(count):
        yield (forge.byte_edit if number % 2 else forge.record_edit)(made, rng)


def test_a_bundle_as_it_was_made_holds(made, checker):
    found = checker.Bundle(made.bundle, made.key.public_key().public_bytes_raw())
    assert found.faults == []
    assert len(found.parts) == forge.BATCHES


def test_every_one_of_some_hundred_random_edits_is_named(made, checker):
    assert _unnamed(checker, made, _edits(made, 1, SLICE)) == []


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_every_one_of_10000_random_edits_is_named(made, checker):
    assert _unnamed(checker, made, _edits(made, 2, ALL)) == []


def test_another_tree_of_the_same_size_as_a_kept_head_is_named(made, checker):
    signer = evidence.signer_of(made.key)
    other = proofs.sign_head(proofs.Head(28, bytes(32), 0), signer)
    faults = checker.Bundle(made.bundle, kept=[other]).faults
    assert any("two different trees of 28 batches" in fault for fault in faults)


def test_a_bundle_without_the_proof_that_its_log_continues_an_earlier_head_is_named(made, checker):
    said, parts = forge.opened_bundle(made.bundle)
    assert len(said["heads"]) > 1 and said["consistency"]
    bare = forge.written({**said, "consistency": []}, parts, made.key)
    assert any("no proof that the log continues" in one for one in checker.Bundle(bare).faults)


def test_the_energy_is_counted_again_from_the_batches(made, checker):
    found = checker.Bundle(made.bundle)
    found.account()
    assert found.faults == []
    # 720 W for half an hour
    assert any(one.startswith("energy      grid, energy_active_import_total, role grid: 360.000 Wh")
               for one in found.proven)


@pytest.mark.parametrize(("change", "words"), [
    (lambda said: said["meters"][0].update(energy_wh=said["meters"][0]["energy_wh"] + 50),
     "energy"), (lambda said: said.update(to="2026-06-01T00:45:00Z"), "another cabinet or period"),
    (lambda said: said["factors"].update(sha256="00" * 32), "other factors"),
    (lambda said: said["meters"].pop(0), "0.000 Wh stated"),
    (lambda said: said["evidence"]["journals"][0].update(last_seq=99_999),
     "..99999 are accounted")])
def test_a_statement_that_says_otherwise_than_the_batches_is_named(made, checker, change, words):
    said, parts = forge.opened_bundle(made.bundle)
    statement = json.loads(said["statement"])
    change(statement)
    forged = forge.written({**said, "statement": json.dumps(statement).encode()}, parts, made.key)
    found = checker.Bundle(forged)
    assert found.faults == []
    found.account()
    assert words in "\n".join(found.faults)


def test_the_program_needs_nothing_of_ours_and_fits_its_size():
    for name in forge.PROGRAM:
        text = SCRIPT.with_name(f"{name}.py").read_text(encoding="utf-8")
        assert len(text.splitlines()) <= 400
        for room in ("gateway", "fleet", "drivers", "simulator", "provisioning", "tests", "cbor2"):
            assert f"import {room}" not in text and f"from {room}" not in text
