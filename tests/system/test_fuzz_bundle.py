"""Bundles altered in any layer and signed again: never a crash of the verifier, never believed.

The forger here holds every key but a gateway's: it is the fleet itself.  Sizes, SHA-256 and the
fleet's signature are repaired, so that the altered layer is reached.
"""

import hashlib

import pytest

from gateway.core.codec import cbor, cose
from tests.support import evidence_world as forge
from tests.support.fuzz import altered, damaged, either, lcg

CASES, MANY = 150, 6000
# What else stands in the contents is text for people, what recount_energy.py judges, or the
# registry entry, whose hand-overs have tests of their own (test_verifier_handover.py).
PROVEN = ("format", "cabinet", "key", "keys", "heads", "consistency", "descriptors", "batches")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A fleet with its bundle."""
    return forge.world(tmp_path_factory.mktemp("fleet"))


@pytest.fixture(scope="module")
def checker():
    """The verifier; a batch that was judged once is not decoded again."""
    return forge.remembering(forge.verifier())


def contents(below, made, said, parts):
    """Alter the contents; return (what, bundle, the batch it must be named by)."""
    name = sorted(said)[below(len(said))]
    new = {**said, name: altered(below, said[name])}
    payload = either(below, new) if below(4) == 0 else cbor_of(new)
    if payload is None or payload == cbor.encode(said) or said_twice(said[name], new[name]):
        return None
    head = cose.sign1(hashlib.sha256(said["key"]).digest()[:8], payload, made.key.sign)
    out = [cbor.head(cbor.ARRAY, 1 + len(parts))]
    for part in (head, *parts):
        out += [cbor.head(cbor.BYTES, len(part)), part]
    return name, b"".join(out), None


def said_twice(old, new):
    """Return whether a list of papers only holds one of them once more."""
    return isinstance(old, list) and isinstance(new, list) and len(new) > len(old) and all(
        one in old for one in new) and all(one in new for one in old)


def cbor_of(value):
    """Return a value's bytes, None for one that is nested too deep to be written."""
    try:
        return cbor.encode(value)
    except Exception:
        return None


def a_part(below, made, said, parts):
    """Alter a batch or an inclusion receipt; sizes, hashes and the contents fit again."""
    at = below(len(parts))
    new = list(parts)
    new[at] = damaged(below, parts[at]) if below(2) else loosely(below, made, parts[at], at % 2)
    name = forge.name_of(said["batches"][at // 2])
    return ("receipt" if at % 2 else "batch"), forge.written(said, new, made.key), name


def loosely(below, made, part, is_receipt):
    """Return a part whose inner layer is altered; what the fleet signs, it signs again."""
    tag = cbor.decode(part)
    if is_receipt:
        return either(below, tag)
    payload = either(below, cbor.decode(tag.value[2]))
    signature = made.gateway.key.sign if below(4) == 0 else made.key.sign
    return cose.sign1(made.gateway.kid, payload, signature)


def a_head(below, made, said, parts):
    """Alter what a signed tree head says of the log; its time is the fleet's word only."""
    heads = list(said["heads"])
    at = below(len(heads))
    *proven, at_ms = cbor.decode(cose.open_sign1(heads[at]).payload)
    new = altered(below, proven)
    payload = cbor_of([*new, at_ms] if isinstance(new, list) else new) or b""
    heads[at] = cose.sign1(cose.open_sign1(heads[at]).kid, payload, made.key.sign)
    return "heads", forge.written({**said, "heads": heads}, parts, made.key), None


def case(below, made, said, parts):
    """Return one altered bundle."""
    return (contents, a_part, a_part, a_head)[below(4)](below, made, said, parts)


def unnamed(checker, made, seed, count):
    """Return the cases that were believed although something that is proven was altered, or
    that were refused without naming the batch."""
    said, parts = forge.opened_bundle(made.bundle)
    below, left = lcg(seed), []
    for number in range(count):
        found = case(below, made, said, parts)
        if found is None or found[1] == made.bundle:
            continue
        what, data, name = found
        faults = checker.Bundle(data).faults
        believed = not faults and what in (*PROVEN, "batch", "receipt")
        if believed or (name is not None and not any(name in fault for fault in faults)):
            left.append((number, what, name, faults[:3]))
    return left


def test_bundles_altered_and_signed_again_are_never_believed(made, checker):
    assert unnamed(checker, made, 1, CASES) == []


@pytest.mark.proof
@pytest.mark.timeout(600)
def test_thousands_of_bundles_altered_and_signed_again_are_never_believed(made, checker):
    assert unnamed(checker, made, 2, MANY) == []
