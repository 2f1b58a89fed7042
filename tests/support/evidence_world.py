"""A small fleet with evidence, its bundle, and hands that forge it.

`world` makes two cabinets of paper (tests/fleet/maker.py), admits their batches at a real
desk and bundles the first one's half hour.  An Edit is a forged bundle and the names of which
the verifier must say at least one.
"""

import hashlib
import importlib.util
import sys
from collections import namedtuple
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.evidence import evidence, timestamp
from fleet.formats.registry import Registry, registry_file
from fleet.ingest.ingest import Ingest
from fleet.reporting import report
from fleet.store.reader import open_reader
from fleet.store.writer import EvidenceStore
from fleet.transparency import proofs
from fleet.transparency.merkle_log import MerkleLog
from gateway.core.codec import cbor, cose
from gateway.core.reading import CLOCK_NTP, ClockState
from tests.fleet.maker import ORIGIN_MS, PaperGateway

SCRIPT = Path(__file__).resolve().parents[2] / "docs" / "verify_evidence.py"
# The auditor's program, in the order in which its files import each other.
PROGRAM = ("evidence_format", "evidence_rivals", "recount_energy", "evidence_period",
           "verify_evidence")
BATCHES, BATCH_S, HALF_HOUR_MS, DAY_MS = 14, 150, 1_800_000, 86_400_000
QUARTER_MS = 900_000
NTP = ClockState(CLOCK_NTP, 0, ORIGIN_MS, 50)

# bundle, other: bytes of two cabinets' bundles.  key: the fleet's private receipt key.
World = namedtuple("World", ("data", "bundle", "other", "key", "gateway"))
# A fleet whose cabinet has the network's time.  brought: what an auditor can bring, by name.
RealWorld = namedtuple("RealWorld", ("data", "bundle", "key", "gateway", "period", "brought"))
# what: words.  data: the forged bundle.  names: texts; the verifier must say one of them.
Edit = namedtuple("Edit", ("what", "data", "names"))
# A stretch of the file and how the verifier names it.
Span = namedtuple("Span", ("start", "end", "name"))

WHOLE = "the whole file"
PERIOD = "shop-1, 2026-06-01T00:00:00Z to 2026-06-01T00:30:00Z: contents: changed"


def verifier(name="verify_evidence"):
    """Return a file of the auditor's program in docs/ as a module."""
    if str(SCRIPT.parent) not in sys.path:
        sys.path.append(str(SCRIPT.parent))     # where the program's files find each other
    spec = importlib.util.spec_from_file_location(name, SCRIPT.with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module          # so that its worker processes find it
    spec.loader.exec_module(module)
    return module


def remembering(module):
    """Return the verifier, made to judge each batch once: `examine` is a pure function, and most
    edits leave most batches as they are."""
    plain, known = module.examine, {}

    def examine(job):
        key, about, sealed = job
        place = key, tuple(about), sealed
        if place not in known:
            known[place] = plain(job)
        return known[place]
    module.examine = examine
    return module


def world(data):
    """Return a World whose fleet lives in the folder `data`."""
    key, first, second = Ed25519PrivateKey.generate(), PaperGateway(), PaperGateway("shop-2")
    first.enrol(data)
    second.enrol(data, "corner")
    store = EvidenceStore(data)
    now_ms = [ORIGIN_MS]
    ingest = Ingest(store, Registry(data).find, key, lambda: now_ms[0])
    for number in range(BATCHES):
        now_ms[0] = ORIGIN_MS + number // (BATCHES // 2) * DAY_MS       # two signed tree heads
        for gateway in (first, second):
            outcome = ingest.process_one(gateway.cabinet, gateway.seal(seconds=BATCH_S))
            if outcome.code != "admit":
                raise AssertionError(outcome.detail)
    store.close()
    return World(data, bundle(data, "shop", key), bundle(data, "corner", key), key, first)


def bundle(data, site, key, period=(ORIGIN_MS, ORIGIN_MS + HALF_HOUR_MS), kept=()):
    """Return the bundle of a site's first half hour, or of another period (from, to) in ms."""
    device = report.cabinet_of(Registry(data).sites(), site)
    question = report.ReportRequest(device, None, *period)
    with open_reader(data) as reader:
        return evidence.build(reader, question, registry_file(data, device), key,
                              kept if isinstance(kept, evidence.KeptHeads)
                              else evidence.KeptHeads(kept))


def checked(data, *brought):
    """Return the verifier's Bundle of a file, its period and statement checked as well."""
    found = verifier().Bundle(data, *brought)
    found.account()
    return found


def real_world(data, batches=7, period=(ORIGIN_MS, ORIGIN_MS + 6 * QUARTER_MS), keys=None):
    """Return a RealWorld of one cabinet with batches of a quarter hour each.

    keys: a RealWorld whose keys are used; without a gateway the cabinet's are new.
    """
    key = keys.key if keys else Ed25519PrivateKey.generate()
    gateway = PaperGateway(key=keys.gateway.key if keys and keys.gateway else None)
    gateway.enrol(data)
    deliver(data, key, gateway, [gateway.seal(clock=NTP) for _ in range(batches)])
    made = bundle(data, "shop", key, period)
    said, _ = opened_bundle(made)
    return RealWorld(data, made, key, gateway, period, {
        "fleet_key": key.public_key().public_bytes_raw(), "devices": [gateway.public],
        "factors": hashlib.sha256(said["factors"]).digest(), "kept": said["heads"]})


def deliver(data, key, gateway, sealed):
    """Have a fleet admit sealed batches, as late as they were sealed."""
    store, now_ms = EvidenceStore(data), [ORIGIN_MS]
    ingest = Ingest(store, Registry(data).find, key, lambda: now_ms[0])
    for number, one in enumerate(sealed, 1):
        now_ms[0] = ORIGIN_MS + number * QUARTER_MS
        outcome = ingest.process_one(gateway.cabinet, one)
        if outcome.code != "admit":
            raise AssertionError(outcome.detail)
    store.close()


def tree_head(made):
    """Return the signed head of a world's log, as `fleet tree-head` writes it."""
    with open_reader(made.data) as reader, reader.snapshot() as connection:
        head = timestamp.head_of(MerkleLog(connection), None)
    return proofs.sign_head(head, evidence.signer_of(made.key))


def opened_bundle(data):
    """Return (contents map, [parts]) of a bundle, without any check."""
    contents, *parts = cbor.decode(data)
    return cbor.decode(cose.open_sign1(contents).payload), parts


def name_of(row):
    """Return how the verifier names a batch, from its row in the contents."""
    return f"{row[0]}, journal {row[1].hex()[:8]}, records {row[3]}..{row[4]} (batch {row[2]})"


def spans(data):
    """Return the Spans of a bundle: the contents, then every batch with its receipt."""
    said, parts = opened_bundle(data)
    sizes = [len(part) + len(cbor.head(cbor.BYTES, len(part))) for part in parts]
    at = len(data) - sum(sizes)
    found = [Span(0, at, said["cabinet"])]
    for row, (one, two) in zip(said["batches"], zip(sizes[::2], sizes[1::2], strict=True),
                               strict=True):
        found.append(Span(at, at + one + two, name_of(row)))
        at += one + two
    return found


def written(said, parts, key, signature=None):
    """Return a bundle of parts with sizes and hashes repaired, signed by `key`; or with an old
    signature when the forger has no key."""
    rows = [row[:5] for row in said["batches"]]
    table = [[*row, [len(one) for one in pair], [hashlib.sha256(one).digest() for one in pair]]
             for row, pair in zip(rows, zip(parts[::2], parts[1::2], strict=True), strict=True)]
    payload = cbor.encode({**said, "batches": table})
    kid = hashlib.sha256(said["key"]).digest()[:8]
    sign = key.sign if signature is None else lambda _: signature
    out = [cbor.head(cbor.ARRAY, 1 + len(parts))]
    for part in (cose.sign1(kid, payload, sign), *parts):
        out += [cbor.head(cbor.BYTES, len(part)), part]
    return b"".join(out)


def touched(data, start, end):
    """Return the names of the spans of a file that bytes start .. end - 1 lie in, and those
    that begin or end there."""
    names = [span.name for span in spans(data) if span.start <= end and start <= span.end]
    # A byte of the contents may change the very name that the faults begin with.
    return [*names, WHOLE, ": contents: changed"] if start < spans(data)[0].end else names


def byte_edit(made, rng):
    """Return one Edit of the bytes of the file, as damage or a clumsy forger would do it."""
    data, size = made.bundle, len(made.bundle)
    kind = rng.choice(("change", "delete", "insert", "truncate", "swap", "splice"))
    at, count = rng.randrange(size), rng.choice((1, 1, 2, 8, 32, 500))
    end = min(at + count, size)
    if kind == "change":
        new = bytes((data[at] ^ rng.randrange(1, 256),)) + data[at + 1:]
        return Edit(f"change 1 byte at {at}", data[:at] + new, touched(data, at, at + 1))
    if kind == "delete":
        return Edit(f"delete {at}..{end}", data[:at] + data[end:], touched(data, at, end))
    if kind == "insert":
        new = rng.randbytes(count)
        return Edit(f"insert {count} at {at}", data[:at] + new + data[at:], touched(data, at, at))
    if kind == "truncate":
        return Edit(f"truncate at {at}", data[:at], touched(data, at, at + 1))
    if kind == "splice":
        forged = data[:at] + made.other[at:end] + data[end:]
        return Edit(f"splice {at}..{end}", forged, touched(data, at, end))
    to = rng.randrange(size)
    first, second = sorted((at, to))
    width = min(count, second - first, size - second)
    forged = (data[:first] + data[second:second + width] + data[first + width:second]
              + data[first:first + width] + data[second + width:])
    return Edit(f"swap {width} at {first} and {second}", forged,
                touched(data, first, first + width) + touched(data, second, second + width))


def record_edit(made, rng):
    """Return one Edit of whole batches by a forger who repairs sizes and hashes; sometimes it
    is the fleet itself, which can sign its contents again, but never a gateway's batch."""
    said, parts = opened_bundle(made.bundle)
    rows, n = said["batches"], len(said["batches"])
    pairs = [list(pair) for pair in zip(parts[::2], parts[1::2], strict=True)]
    kind = rng.choice(("change", "delete", "insert", "swap", "truncate", "splice", "renumber"))
    i, j = rng.sample(range(1, n - 1), 2)
    names = [name_of(rows[i]), name_of(rows[i + 1])]
    if kind == "change":
        at = rng.randrange(len(pairs[i][0]))
        pairs[i][0] = pairs[i][0][:at] + bytes((pairs[i][0][at] ^ 1 << rng.randrange(8),)) \
            + pairs[i][0][at + 1:]
    elif kind == "delete":
        del rows[i], pairs[i]
    elif kind == "insert":
        rows.insert(i, rows[j])
        pairs.insert(i, pairs[j])
        names += [name_of(rows[j]), name_of(rows[i])]
    elif kind == "swap":
        pairs[i], pairs[j] = pairs[j], pairs[i]
        names += [name_of(rows[j])]
    elif kind == "truncate":
        del rows[i:], pairs[i:]
        names = [PERIOD]
    elif kind == "splice":
        _, other = opened_bundle(made.other)
        pairs[i] = other[2 * i:2 * i + 2]
    else:
        rows[i] = [*rows[i][:3], rows[i][3] + 1, rows[i][4], *rows[i][5:]]
        names = [name_of(rows[i])]
    # A fleet that signs less than it has writes a shorter bundle; its statement gives it away
    # (recount_energy.py), not the batches that are left.
    signature = None if kind != "truncate" and rng.random() < 0.5 else bytes(64)
    data = written(said, [part for pair in pairs for part in pair], made.key, signature)
    return Edit(f"{kind} batch {i + 1}" + (", signed again" if signature is None else ""),
                data, names)
