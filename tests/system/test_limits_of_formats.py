"""Each limit that docs/formats.md states, read there: fleet and offline verifier take what lies on
it and refuse what lies one beyond.
"""

import re
import zlib
from pathlib import Path

import pytest

from fleet.formats import cbor_crosscheck, envelope, site_descriptor
from gateway.core.codec import cbor, cose
from gateway.core.errors import WattproofError
from tests.fleet.maker import CONFIG_HASH, DESCRIPTOR
from tests.support import evidence_world as forge

FORMATS = (Path(__file__).resolve().parents[2] / "docs" / "formats.md").read_text(encoding="utf-8")
read = forge.verifier("evidence_format")
period = forge.verifier("evidence_period")
GOOD, NOTHING = bytes.fromhex("010100001000000080"), b"\0\0\x80"    # one scan; no record
LISTS = [[[43, 0, ""]]]


def stated(heading, words):
    """Return the number that a section states; words: a pattern with a group for it."""
    section = FORMATS.split(f"\n## {heading}")[1].split("\n## ")[0]
    found = re.findall(words, section)
    assert len(found) == 1, (heading, words, found)
    text = found[0].replace(",", "")
    power = re.fullmatch(r"2\^(\d+)(-1)?", text)
    return (1 << int(power[1])) - bool(power[2]) if power else int(text)


# --- what is sent: a batch whose part has n of something -----------------------------------

def sealed(payload):
    """Return a payload as a signed message; who signed it is not looked at here."""
    return cose.sign1(bytes(8), payload, lambda _: bytes(64))


def payload(last=1, **changes):
    """Return the payload of a batch of one scan, some of its parts changed."""
    parts = {"version": 3, "device": "shop-1", "journal": bytes(16), "number": 1, "boot": 1,
             "first": 1, "last": last, "prev": bytes(32), "config": CONFIG_HASH,
             "clock": [3, 0, 0, 50], "codec": 0, "body": body()} | changes
    return cbor.encode(list(parts.values()))


def body(lists=LISTS, streams=(("a", 0),), columns=GOOD):
    return cbor.encode([cbor.encode([lists, [list(one) for one in streams]]), columns])


def varint(number):
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def scans(count, points=1):
    """Return columns of so many scans of one stream, all values and ticks 0."""
    return (varint(count) * 2 + b"\0\0" + varint((points + 1) * 8) + b"\0" + bytes(points + 1)
            + b"\x80")


def events(bodies, ticks=5, kind=9):
    """Return columns of events alone, under a schema without streams."""
    return (varint(len(bodies)) + b"\0\0" * len(bodies) + b"\0"
            + cbor.encode([[ticks, kind, one] for one in bodies]))


def of_events(bodies, **how):
    return payload(len(bodies), body=body([], [], events(bodies, **how)))


def packed(size):
    """Return a batch whose body has so many bytes when it is inflated: 2,200 events."""
    texts = [7000] * 2200
    missing = size - len(body([], [], events([["x" * one] for one in texts])))
    each, rest = divmod(missing, len(texts))
    made = body([], [], events([["x" * (one + each + (n < rest))] for n, one in enumerate(texts)]))
    assert len(made) == size
    machine = zlib.compressobj(1, zlib.DEFLATED, -15)
    return payload(len(texts), codec=1, body=machine.compress(made) + machine.flush())


def points(count):
    """Return so many points in lists of at most 1,024, one stream each."""
    lists = [[[number + 1, 0, str(place)] for number in range(min(1024, count - place * 1024))]
             for place in range(-(-count // 1024))]
    return payload(body=body(lists, [(str(n), n) for n in range(len(lists))],
                             scans(1, len(lists[0]))))


def absent(reason):
    """Return a batch of two scans, one of them without a value for this reason."""
    return payload(2, body=body(columns=b"\x02\x02\0\x01\0\0\x01\0\0" + varint(reason)
                                + b"\x10\0\0\0\x80"))


def swap(serial=1, readings=1):
    return of_events([[0, "x" * serial, "b", [[0, 1, 2]] * readings, 0]], kind=12)


def replaced(count):
    rows = [[n, n, n, bytes(32)] for n in range(1, count + 1)]
    parts = [2, "shop-1", bytes(16), rows, 1, 2, bytes(32), CONFIG_HASH, [3, 0, 0, 50], 0,
             cbor.encode([cbor.encode([LISTS, [["a", 0]]]), NOTHING, b"", NOTHING, b"", []])]
    return cbor.encode(parts)


def rule(number):
    parts = cbor.decode(replaced(1))
    return cbor.encode([*parts[:5], number, *parts[6:]])


# section, what it says there, batch with n of it
BATCHES = {
    "cabinet": ("3. Batch", r"\| 1 \| cabinet \| text, 1\.\.(\d+) ", lambda n: payload(
        device="x" * n)),
    "journal id": ("3. Batch", r"\| 2 \| journal id \| (\d+) bytes", lambda n: payload(
        journal=bytes(n))),
    "number": ("3. Batch", r"\| 3 \| number \| 1 \.\. (2\^32-1)", lambda n: payload(number=n)),
    "boot": ("3. Batch", r"\| 4 \| boot \| 0 \.\. (2\^32-1)", lambda n: payload(boot=n)),
    "first seq": ("3. Batch", r"\| 5 \| first seq \| 1 \.\. (2\^53)", lambda n: payload(
        n, first=n)),
    "last seq": ("3. Batch", r"first seq \.\. first seq \+ ([\d,]+), ", lambda n: payload(
        n + 1, body=body(columns=scans(n + 1)))),
    "prev": ("3. Batch", r"\| 7 \| prev \| (\d+) bytes", lambda n: payload(prev=bytes(n))),
    "config hash": ("3. Batch", r"\| 8 \| config hash \| (\d+) bytes", lambda n: payload(
        config=bytes(n))),
    "codec": ("3. Batch", r"\| 10 \| codec \| 0, (\d)", lambda n: packed_or_not(n)),
    "body inflated": ("3. Batch", r"16 MiB \(([\d,]+) bytes\)", lambda n: packed(n)),
    "streams": ("4. Schema", r"0\.\.(\d+) streams", lambda n: payload(body=body(
        streams=[(f"s{k}", 0) for k in range(n)], columns=scans(1)))),
    "points of all": ("4. Schema", r"([\d,]+) points in all streams", points),
    "points of one": ("4. Schema", r"1\.\.(\d+) points in each", lambda n: payload(body=body(
        [[[k + 1, 0, ""] for k in range(n)]], columns=scans(1, n)))),
    "exponent": ("4. Schema", r"\(-9\.\.(\d)\)", lambda n: payload(body=body([[[43, n, ""]]]))),
    "item": ("4. Schema", r"item: text of at most (\d+) ", lambda n: payload(body=body(
        [[[43, 0, "x" * n]]]))),
    "device name": ("4. Schema", r"device name: text of 1\.\.(\d+) ", lambda n: payload(
        body=body(streams=[("x" * n, 0)]))),
    "measurand": ("4. Schema", r"measurand ids \(from 1, up to ([\d,]+)\)", lambda n: payload(
        body=body([[[n, 0, ""]]]))),
    "ticks": ("5. Records", r"`ticks_ms` \(0 \.\. (2\^53)", lambda n: of_events([["x"]], ticks=n)),
    "reason": ("5. Records", r"value is absent \(1\.\.(\d+)\)", absent),
    "event body": ("5. Records", r"at most ([\d,]+) bytes encoded", lambda n: of_events(
        [["x" * (n - 4)]])),
    "event kind": ("5. Records", r"Kinds \(1\.\.(\d+)\)", lambda n: of_events([[]], kind=n)),
    "swap positions": ("5. Records", r"counters, at most (\d+);", lambda n: swap(readings=n)),
    "swap serial": ("5. Records", r"serial numbers: at most (\d+) ", lambda n: swap(n)),
    "records": ("6. Columns", r"At most ([\d,]+) records", lambda n: payload(
        n, body=body(columns=scans(n)))),
    "events": ("6. Columns", r"([\d,]+) of\s+them events", lambda n: of_events([["x"]] * n)),
    "values": ("6. Columns", r"and ([\d,]+) values\.", lambda n: payload(
        -(-n // 1024), body=body([[[k + 1, 0, ""] for k in range(1024)]],
                                 columns=scans(-(-n // 1024), 1024)))),
    "replaced": ("13. Downsampled", r"\| 1\.\.(\d+) batches", replaced),
    "rule": ("13. Downsampled", r"\| 5 \| rule \| 1\.\.(\d) ", rule),
}


def packed_or_not(codec):
    machine = zlib.compressobj(1, zlib.DEFLATED, -15)
    return payload(codec=codec, body=machine.compress(body()) + machine.flush())


def fleet_refuses(data):
    """Return why the fleet does not take a batch, None if it does."""
    try:
        envelope.reopen(sealed(data))
    except WattproofError as error:
        return str(error)
    return None


def verifier_refuses(data):
    try:
        read.Batch(data)
    except Exception as error:              # as Bundle.attempt: any error is a refusal
        return str(error) or type(error).__name__
    return None


@pytest.mark.parametrize("refuses", [fleet_refuses, verifier_refuses])
@pytest.mark.parametrize("what", BATCHES)
def test_a_batch_on_a_limit_is_taken_and_one_beyond_is_refused(what, refuses):
    heading, words, made = BATCHES[what]
    limit = stated(heading, words)
    assert refuses(made(limit)) is None
    assert refuses(made(limit + 1)) is not None


@pytest.mark.parametrize("decode", [cbor.decode, read.cbor, cbor_crosscheck.read])
def test_containers_lie_in_each_other_as_deep_as_stated(decode):
    limit = stated("1. CBOR profile", r"at most (\d+) containers")
    assert decode(b"\x81" * limit + b"\0")
    with pytest.raises((WattproofError, ValueError)):
        decode(b"\x81" * (limit + 1) + b"\0")


def test_a_sealed_batch_has_1_mib_at_most():
    limit = stated("3. Batch", r"1 MiB \(([\d,]+) bytes\) whose")
    head = len(sealed(payload(codec=0, body=bytes(10**6)))) - 10**6
    on, beyond = (sealed(payload(codec=0, body=bytes(size - head))) for size in (limit, limit + 1))
    assert (len(on), len(beyond)) == (limit, limit + 1)
    # Both know the limit before they open the body, which is none here.
    assert "at most" not in why_unread(on) and "at most" in why_unread(beyond)
    assert read.examine((bytes(32), [], beyond))[0] == "no key for its device, or too long"
    assert read.examine((bytes(32), [], on))[0] != "no key for its device, or too long"
    assert read.SEALED_MAX == limit


def why_unread(data):
    try:
        envelope.read(data)
    except WattproofError as error:
        return str(error)
    return ""


# --- the site descriptor ------------------------------------------------------------------

def device(**changes):
    return DESCRIPTOR | {"devices": [DESCRIPTOR["devices"][0] | changes]}


def filled(size):
    found = DESCRIPTOR | {"note": ""}
    return found | {"note": "x" * (size - len(cbor.encode(found | {"note": "x" * 1000})) + 1000)}


DESCRIPTORS = {
    "bytes": (r"At most ([\d,]+) bytes", filled),
    "text": (r"Text: at most (\d+) ", lambda n: DESCRIPTOR | {"site": "x" * n}),
    "lists": (r"Lists: at most\s+([\d,]+) ", lambda n: {
        "site": "shop", "interval_s": 10, "devices": [], "buses": [{"name": ""}] * n}),
    "interval_s": (r"`interval_s` \| number \|.*whole, 1 \.\. ([\d,]+)", lambda n: DESCRIPTOR | {
        "interval_s": n}),
    "unit": (r"`unit` \| number \|.*0 \.\. ([\d,]+)", lambda n: device(unit=n)),
    "serial": (r"`serial` \| text \|.*at most (\d+) characters", lambda n: device(
        serial="x" * n)),
}
SCALED = {      # limits that are powers of ten: (what, on it, beyond it)
    "rated_w": ("10^9", device(rated_w=10**9), device(rated_w=10**9 + 1)),
    "ct_ratio": ("10^-6 .. 10^6", device(ct_ratio=10**6), device(ct_ratio=10**6 + 1)),
    "ct_ratio low": ("10^-6 .. 10^6", device(ct_ratio="0.000001"), device(ct_ratio="0.0000009")),
}


def fleet_takes(descriptor):
    return site_descriptor.parse_new(cbor.encode(descriptor))


@pytest.mark.parametrize("takes", [fleet_takes, lambda one: period.site_of(cbor.encode(one))],
                         ids=["fleet", "verifier"])
@pytest.mark.parametrize("what", [*DESCRIPTORS, *SCALED])
def test_a_descriptor_on_a_limit_is_taken_and_one_beyond_is_refused(what, takes):
    if what in SCALED:
        words, on, beyond = SCALED[what]
        assert words in FORMATS.split("\n## 16. ")[1].split("\n## ")[0]
    else:
        words, made = DESCRIPTORS[what]
        limit = stated("16. Site descriptor", words)
        on, beyond = made(limit), made(limit + 1)
    assert takes(on)
    with pytest.raises((WattproofError, ValueError)):
        takes(beyond)
