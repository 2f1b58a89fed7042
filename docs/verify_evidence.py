#!/usr/bin/env python3
"""Check a Wattproof evidence bundle offline: python verify_evidence.py FILE
Written from docs/formats.md ("6.4": its section), imports nothing of Wattproof, needs Python 3.11
and `cryptography`.  Exit status: 0 only if everything holds, 1 if not, 2 for a wrong call."""
import argparse
import hashlib
import json
import zlib
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import lru_cache, partial

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

RANK = {**dict.fromkeys((14, 15, 16, 17, 22, 43, 47, 48, 49, 50, 54), 1), 10: 4,    # 6.9; others: 0
        **dict.fromkeys((18, 23, 24, 25, 28, 51), 2), **dict.fromkeys((7, 8, 9, 26, 27), 3)}
LAST = bytes([1] * 128 + [0] * 128)         # marks the last byte of each varint
def need(truth, text="not as docs/formats.md says"):
    if not truth:
        raise ValueError(text)
def item(data, at, depth):  # (value, offset behind it) of CBOR (section 1); a tag: (number, value)
    major, n, at = data[at] >> 5, data[at] & 31, at + 1
    if n > 23:
        need(n < 28 and major < 7, "CBOR: head")
        size = 1 << n - 24
        n, at = int.from_bytes(data[at:at + size], "big"), at + size
        need(n >= (24 if size == 1 else 1 << 4 * size) and at <= len(data), "CBOR: head")
    if major in (0, 1, 7):
        return {0: n, 1: -1 - n}[major] if major < 7 else {20: False, 21: True, 22: None}[n], at
    need((major == 6 or n <= len(data) - at) and (major < 4 or depth), "CBOR: cut short or deep")
    if major < 4:
        return (data[at:at + n] if major == 2 else data[at:at + n].decode()), at + n
    values, key, last = [], None, b""
    for _ in range(1 if major == 6 else n):
        if major == 5:
            start, (key, at) = at, item(data, at, 0)
            need(type(key) in (int, str) and data[start:at] > last, "CBOR: keys")
            last = data[start:at]
        value, at = item(data, at, depth - 1)
        values.append((key, value) if major == 5 else value)
    return (values if major == 4 else dict(values) if major == 5 else (n, *values)), at
def cbor(data, depth=8):
    value, end = item(data, 0, depth)
    return need(end == len(data), "CBOR: bytes behind the end") or value
def mark(major, n):
    size = 0 if n < 24 else next(size for size in (1, 2, 4, 8) if n < 1 << 8 * size)
    return bytes([major << 5 | (23 + size.bit_length() if size else n)]) + n.to_bytes(8)[8 - size:]
def put(*texts):
    rows = [(3, one.encode()) if isinstance(one, str) else (2, one) for one in texts]
    return mark(4, len(rows)) + b"".join(mark(major, len(raw)) + raw for major, raw in rows)
def sha(*data):
    return hashlib.sha256(b"".join(data)).digest()
@lru_cache(maxsize=8)           # all inclusion receipts of a bundle sign the same bytes
def verify(key, signature, *signed):
    Ed25519PublicKey.from_public_bytes(key).verify(signature, put("Signature1", *signed))
def opened(data, key, rebuilt=None, kind=-1):
    """Return a COSE_Sign1's payload (section 2), of a Receipt (10.2) what `rebuilt` makes of it."""
    tag, (protected, unprotected, payload, signature) = cbor(data, 6)
    header = {1: -19, 4: sha(key)[:8], **({395: 1} if rebuilt else {})}
    need(tag == 18 and cbor(protected, 1) == header, "signed with another key")
    proof = unprotected[396][kind][0] if rebuilt else None
    need(unprotected == ({396: {kind: [proof]}} if rebuilt else {}))
    if rebuilt:
        need(payload is None)
        payload = rebuilt(*cbor(proof, 2))
    verify(key, signature, protected, b"", payload)
    return payload
def climb(leaf, index, size, path):     # to the root of an inclusion path: RFC 9162 2.1.3
    if size == 1:
        need(index == 0 and not path, "the proof has another length")
        return leaf
    half, (*rest, top) = 1 << (size - 1).bit_length() - 1, path
    if index < half:
        return sha(b"\1", climb(leaf, index, half, rest), top)
    return sha(b"\1", top, climb(leaf, index - half, size - half, rest))
def extend(known, old, new, path):      # (old root, new root); known: the old, on its own spine
    if old == new:
        need(len(path) == (known is None), "the proof has another length")
        return (known or path[0],) * 2
    half, (*rest, top) = 1 << (new - 1).bit_length() - 1, path
    if old <= half:
        before, after = extend(known, old, half, rest)
        return before, sha(b"\1", after, top)
    before, after = extend(None, old - half, new - half, rest)
    return sha(b"\1", top, before), sha(b"\1", top, after)
@lru_cache(maxsize=64)          # of few schemas in a year
def layout(schema, present):
    """Return [(device, points)] (section 4), and [(stream, point or None: ticks)] by 6.5."""
    lists, streams = cbor(schema, 4)
    lists = [tuple(map(tuple, points)) for points in lists]
    series = [(s, None) for s in present]
    for index in dict.fromkeys(streams[s][1] for s in present):
        ranks = [RANK.get(measurand, 0) for measurand, _, _ in lists[index]]
        series += [(s, p) for p in sorted(range(len(ranks)), key=ranks.__getitem__)
                   for s in present if streams[s][1] == index]
    return [(device, lists[index]) for device, index in streams], series
class Columns:
    """Section 6, but values: recount_energy.py.  there: {stream: [(values, runs of absences)]}."""
    def __init__(self, schema, data):
        self.schema, self.data, self.at = layout(schema, ())[0], data, 0
        self.scans = self.order(len(self.schema), self.number())
        present = tuple(s for s, n in enumerate(self.scans[:-1]) if n)
        self.steps = {s: self.number() for s in present}                                # 6.3
        self.there = {s: self.absences(self.scans[s], len(self.schema[s][1])) for s in present}
        self.series = layout(schema, present)[1]
        self.counts = [self.scans[s] if p is None else self.there[s][p][0] for s, p in self.series]
        self.modes, numbers = [], 0                                                     # 6.5
        while len(self.modes) < len(self.counts):
            run = self.number()
            need(0 < run >> 3 <= len(self.counts) - len(self.modes), "columns: modes")
            self.modes += [run & 7] * (run >> 3)
        told = min(self.number(), len(self.counts))                                     # 6.6
        self.told = [(self.number(), self.number()) for _ in range(told)]
        for (mode, n), times in Counter(zip(self.modes, self.counts, strict=True)).items():
            need(n > 0 or n == mode == 0, "columns: mode")
            numbers += times * (n and (1, n + 1, n, n)[mode & 3])           # 6.7, 6.8
        ends = data[self.at:].translate(LAST)
        behind = ends.count(1) - numbers        # bytes that end a number, but stand in the events
        need(behind >= 0 and max(self.modes[:len(present)], default=0) < 4, "columns: series")
        self.events = cbor(data[self.at + ends.rsplit(b"\1", behind)[0].rfind(b"\1") + 1:])
        need(len(self.events) == self.scans[-1], "columns: number of events")
    def number(self):
        found = 0
        for i, byte in enumerate(self.data[self.at:self.at + 10]):
            found |= (byte & 127) << 7 * i
            if byte < 128:
                self.at += i + 1
                return found
        raise ValueError("columns: cut short")
    def order(self, n, count):                                                          # 6.2
        after, before, scans = [(s + 1) % n for s in range(n)], n - 1, [0] * (n + 1)
        need(count <= 131_072, "columns: too many records")
        while sum(scans) < count:
            for _ in range(min(self.number(), count + 1)):
                before = after[before]
                scans[before] += 1
            if sum(scans) < count:
                symbol = self.number()
                scans[symbol] += 1
                if symbol < n:
                    after[before] = before = symbol
        need(sum(scans) == count, "columns: order")
        return scans
    def absences(self, scans, points):                                                  # 6.4
        found, point = [(scans, ())] * points, 0
        for _ in range(self.number()):
            skip, width, count = self.number(), self.number(), self.number()
            runs, end, left = [], 0, scans
            for _ in range(count):
                first, more, reason = self.number(), self.number(), self.number()
                runs.append((end + first, end + first + more + 1, reason))
                end, left = runs[-1][1], left - more - 1
            point += skip + width + 1
            need(point <= points and end <= scans, "columns: absences")
            found[point - width - 1:point] = [(left, tuple(runs))] * (width + 1)
        return found
def content(payload):
    """Return (row, prev, config, boot, clock, columns, replaced) of a batch (sections 3, 13)."""
    version, device, journal, rows, boot, *said, prev, config, clock, codec, body = cbor(payload, 3)
    rows, machine = [[rows, *said, None]] if version == 3 else rows, zlib.decompressobj(-15)
    body = machine.decompress(body, 16 << 20) if codec else body
    need(version in (2, 3) and (codec == 0 or codec == 1 and machine.eof), "deflate, or version")
    parts, row = cbor(body, 2), [device, journal, rows[-1][0], rows[0][1], rows[-1][2]]
    columns, most = Columns(*parts[:2]), row[4] - row[3] + 1
    need((n := sum(columns.scans)) == most or version == 2 and n < most, "number of records")
    return row, prev, config, boot, clock, columns, rows
def examine(job):       # a batch's (fault, what `take` needs); runs in a process of its own
    key, about, sealed = job
    try:
        need(key and sealed and len(sealed) <= 1 << 20, "no key for its device, or too long")
        payload = opened(sealed, key)
        said, prev, config, _, _, columns, rows = content(payload)
        need(said == about, f"exchanged for batch {said[2]}, records {said[3]}..{said[4]}")
        gaps = [gap(said[0], *body[1:4]) for _, kind, body in columns.events if kind == 2]
        return None, (prev, config, gaps, [(*row, link or sha(payload)) for *row, link in rows])
    except Exception as error:
        return str(error) or "changed: the signature does not fit", None
def utc(ms):
    return "?" if ms is None else datetime.fromtimestamp(ms // 1000, UTC).isoformat()[:19] + "Z"
def gap(device, begin, end, why):
    return f"gap         {device}, {utc(begin)} to {utc(end)}: {why}"
def name(row):
    return f"{row[0]}, journal {row[1].hex()[:8]}, records {row[3]}..{row[4]} (batch {row[2]})"
class Bundle:
    """Section 10.  faults, notes: lines of text; parts: [about, sealed, receipt] of each batch."""
    def __init__(self, data, fleet_key=None, kept=()):
        self.faults, self.notes, self.parts, self.last, self.all = [], [], [], {}, "the whole file"
        self.places = {}
        self.attempt("the whole file: contents", self.lay_out, data)
        if self.parts:
            self.attempt(self.all, self.authorities, fleet_key, kept)
            self.attempt(f"{self.all}: registry entry", self.handovers)
            self.attempt(self.all, self.batches)
    def attempt(self, what, work, *arguments):
        try:
            work(*arguments)
        except Exception as error:      # whatever a hostile file brings about is a fault of it
            self.faults.append(f"{what}: {str(error) or 'changed: the signature does not fit'}")
    def lay_out(self, data):
        at = {24: 2, 25: 3, 26: 5}.get(data[0] & 31, 1)
        begin, (contents, at) = data[:at], item(data, at, 0)
        said = self.said = cbor(cbor(contents, 6)[1][2], 4)
        self.all = f"{said['cabinet']}, {utc(said['from'])} to {utc(said['to'])}"
        self.attempt(f"{self.all}: contents", opened, contents, said["key"])
        for *about, sizes, hashes in said["batches"]:
            self.parts.append([about])
            for size, digest in zip(sizes, hashes, strict=True):
                start, at = at, at + len(mark(2, size)) + size
                part = data[at - size:at]
                good = data[start:at] == mark(2, size) + part and sha(part) == digest
                self.parts[-1].append(part if good else None)
                self.attempt(name(about), need, good, "cut off" if at > len(data) else
                             "changed, exchanged, or moved by what was put in or taken out before")
        whole = begin == mark(4, 2 * len(self.parts) + 1) and at >= len(data) and self.parts
        self.attempt(self.all, need, whole, "bytes were put in or taken out at its begin or end")
    def authorities(self, fleet_key, kept):
        said, key, self.keys, self.heads = self.said, self.said["key"], self.said["keys"], {}
        need(said["format"] == "wattproof-evidence-1" and fleet_key in (None, key),
             "of another version, or signed with another fleet key than you gave")
        self.configs = set(map(sha, said["descriptors"]))
        for data in [*said["heads"], *kept]:
            named, size, root, _ = cbor(opened(data, key), 1)
            need(named == "wattproof-tree-head-1" and self.heads.setdefault(size, root) == root,
                 f"two different trees of {size} batches were signed")
        self.proven = {max(self.heads)}
        for data in said["consistency"]:
            opened(data, key, self.continues, -2)
        need(self.proven == self.heads.keys(), "no proof that the log continues an earlier head")
        self.notes += [f"fleet key   {key.hex()}", f"log         {max(self.heads)} batches",
                       *(f"device key  {one.hex()} of {who[:8]}" for who, one in self.keys.items())]
    def handovers(self):                                                            # section 12
        cabinet, entry, closed = self.said["cabinet"], json.loads(self.said["registry"]), {}
        held = entry.get("handovers", [])
        keys = [bytes.fromhex(one["public_hex"]) for one in held]
        keys.append(bytes.fromhex(entry["evidence_key_hex"]))
        def close(statement, old, new):
            version, kind, device, journal, key, _, at, why = cbor(opened(statement, old), 1)
            need([version, kind, device, key] == [1, "handover", cabinet, new],
                 "is about another cabinet, or names another key than comes after it")
            self.notes.append(f"hand-over   {utc(at)}, ends journal {journal.hex()[:8]}: {why}")
            closed[journal.hex()] = old
        for n, one in enumerate(held, 1):
            self.attempt(f"{cabinet}, hand-over {n} of {len(held)}", close,
                         bytes.fromhex(one["statement_hex"]), *keys[n - 1:n + 1])
        for journal, key in self.said["keys"].items():
            self.attempt(f"{cabinet}, journal {journal[:8]}", need, key == closed.get(
                journal, keys[-1]), "its key is not the device's, and no hand-over explains it")
    def continues(self, old, new, path):
        roots = extend(self.heads[old], old, new, path)
        need(roots == (self.heads[old], self.heads[max(self.heads)]), "the log was rewritten")
        return self.proven.add(old) or roots[1]
    def batches(self):
        jobs = [(self.keys.get(about[1].hex()), about, sealed) for about, sealed, _ in self.parts]
        run = partial(ProcessPoolExecutor(2).map, chunksize=50) if len(jobs) > 500 else map
        for (about, sealed, receipt), found in zip(self.parts, run(examine, jobs), strict=True):
            self.attempt(name(about), self.take, about, *found)
            if sealed and receipt is not None:
                self.attempt(name(about), opened, receipt, self.said["key"],
                             lambda *proof, sealed=sealed: self.in_tree(sealed, *proof))
        for place in sorted(self.places):
            self.attempt(self.places[place][0], self.follow, *place, *self.places[place][1:])
    def in_tree(self, sealed, size, index, path):
        need(climb(sha(b"\0", sealed), index, size, path) == self.heads[size], "not in the tree")
        return self.heads[size]
    def take(self, about, fault, found):        # places: what stands at each number of a journal
        prev, config, gaps, rows = found or (None, None, [], [(*about[2:], None)])
        before = len(self.places)
        for number, *span, link in rows:
            said = [name(about), *span, prev, link]
            held = self.places.setdefault((*about[:2], number), said)
            need(held[1:] == said[1:], f"does not name batch {number} as it is")
            prev = link
        need(fault is None, fault)
        need(len(self.places) > before, "stands there twice")
        need(config in self.configs and about[0] == self.said["cabinet"],
             "is of another cabinet, or its site descriptor is missing")
        self.notes += gaps
    def follow(self, device, journal, n, first, last, prev, link):
        begin = 0, sha(b"wattproof-chain-1", put(device, journal))
        end, before = begin if n == 1 else self.last.get(journal, (first - 1, prev))
        self.last[journal] = last, link
        hole = f": records {end + 1}..{first - 1}" if first > end + 1 else ""
        good = first > end and (before == prev or None in (before, prev))
        need(good, f"does not continue the batch before{hole}")
        self.notes += [gap(device, None, None, f"never sealed{hole}")] * bool(hole)
def main():
    parser = argparse.ArgumentParser(description="Check a Wattproof evidence bundle offline.")
    parser.add_argument("file", type=argparse.FileType("rb"), help="the bundle")
    parser.add_argument("--fleet-key", type=bytes.fromhex, help="as it was given to you, in hex")
    parser.add_argument("--head", action="append", default=[], type=argparse.FileType("rb"),
                        help="a tree head you kept: the log must continue it")
    said = parser.parse_args()
    bundle = Bundle(said.file.read(), said.fleet_key, [one.read() for one in said.head])
    print(bundle.all, *bundle.notes, *(f"WRONG       {one}" for one in bundle.faults),
          "NOT PROVEN" if bundle.faults else "everything holds", sep="\n")
    return bool(bundle.faults)
if __name__ == "__main__":
    raise SystemExit(main())
