"""Bytes of an evidence bundle: CBOR, COSE, Merkle paths, batches (docs/formats.md 1 - 7, 12, 13).

Part of verify_evidence.py; written from docs/formats.md, imports nothing of Wattproof.  Every
limit of those sections is enforced here, before the work that it bounds.
"""
import hashlib
import re
import zlib
from collections import Counter
from datetime import UTC, datetime
from functools import lru_cache

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

RANK = {**dict.fromkeys((14, 15, 16, 17, 22, 43, 47, 48, 49, 50, 54), 1), 10: 4,    # 6.9; others: 0
        **dict.fromkeys((18, 23, 24, 25, 28, 51), 2), **dict.fromkeys((7, 8, 9, 26, 27), 3)}
LAST = bytes([1] * 128 + [0] * 128)         # marks the last byte of each varint
PADDED = re.compile(rb"[\x80-\xff]\x00|[\x80-\xff]{10}")    # varints that no writer may write
SEALED_MAX, INFLATED_MAX, UTC_MS_MAX = 1 << 20, 16 << 20, 253_402_300_799_999
RECORDS_MAX, VALUES_MAX, EVENTS_MAX, BIG = 131_072, 4_194_304, 16_384, 1 << 53
SCHEMA_MAX, POINTS_MAX = 1 << 20, 16_384    # bytes; points of all streams
LINES_MAX = 60                              # of one list that are printed
CHANGED = "changed: the signature does not fit"
GAP, CLOCK, ALARM, SWAP = 2, 4, 10, 12      # kinds of events
SOURCES = {0: "unknown", 1: "real-time clock", 2: "device", 3: "NTP", 4: "GNSS", 9: "simulated"}


def need(truth, text="not as docs/formats.md says"):
    if not truth:
        raise ValueError(text)


def whole(value, low, high):
    return type(value) is int and low <= value <= high


def octets(value, size):
    return type(value) is bytes and len(value) == size


def text(value, most):
    return type(value) is str and 1 <= len(value) <= most


def item(data, at, depth):
    """Return (value, offset behind it) of CBOR (section 1); a tag: (number, value)."""
    need(at < len(data), "CBOR: cut short")
    major, n, at = data[at] >> 5, data[at] & 31, at + 1
    if n > 23:
        need(n < 28 and major < 7, "CBOR: head")
        size = 1 << n - 24
        n, at = int.from_bytes(data[at:at + size], "big"), at + size
        need(n >= (24 if size == 1 else 1 << 4 * size) and at <= len(data), "CBOR: head")
    if major in (0, 1, 7):
        need(major < 7 or n in (20, 21, 22), "CBOR: simple value")
        need(major != 1 or n < 1 << 63, "CBOR: number")
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
    need(type(data) is bytes, "CBOR: bytes are expected")
    value, end = item(data, 0, depth)
    need(end == len(data), "CBOR: bytes behind the end")
    return value


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
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, put("Signature1", *signed))
    except InvalidSignature:
        raise ValueError(CHANGED) from None


def opened(data, key, rebuilt=None, kind=-1):
    """Return a COSE_Sign1's payload (section 2), of a Receipt (10.2) what `rebuilt` makes of it."""
    found = cbor(data, 6)
    need(type(found) is tuple and found[0] == 18 and type(found[1]) is list and
         len(found[1]) == 4, "not a signed message")
    protected, unprotected, payload, signature = found[1]
    header = {1: -19, 4: sha(key)[:8], **({395: 1} if rebuilt else {})}
    need(cbor(protected, 1) == header, "signed with another key")
    proof = unprotected[396][kind][0] if rebuilt else None
    need(unprotected == ({396: {kind: [proof]}} if rebuilt else {}))
    if rebuilt:
        need(payload is None)
        payload = rebuilt(*cbor(proof, 2))
    need(octets(signature, 64) and type(payload) is bytes, "not a signed message")
    verify(key, signature, protected, b"", payload)
    return payload


def climb(leaf, index, size, path):
    """Return the root that an inclusion path leads to: RFC 9162 2.1.3."""
    if size == 1:
        need(index == 0 and not path, "the proof has another length")
        return leaf
    need(path, "the proof has another length")
    half, (*rest, top) = 1 << (size - 1).bit_length() - 1, path
    if index < half:
        return sha(b"\1", climb(leaf, index, half, rest), top)
    return sha(b"\1", top, climb(leaf, index - half, size - half, rest))


def extend(known, old, new, path):
    """Return (old root, new root) of a consistency path; known: the old, on its own spine."""
    if old == new:
        need(len(path) == (known is None), "the proof has another length")
        return (known or path[0],) * 2
    need(path, "the proof has another length")
    half, (*rest, top) = 1 << (new - 1).bit_length() - 1, path
    if old <= half:
        before, after = extend(known, old, half, rest)
        return before, sha(b"\1", after, top)
    before, after = extend(None, old - half, new - half, rest)
    return sha(b"\1", top, before), sha(b"\1", top, after)


@lru_cache(maxsize=64)          # of few schemas in a year
def layout(schema, present):
    """Return [(device, points)] (section 4), and [(stream, point or None: ticks)] by 6.5."""
    need(len(schema) <= SCHEMA_MAX, "schema: too long")
    lists, streams = cbor(schema, 4)
    need(len(streams) <= 256 and list(dict.fromkeys(s[1] for s in streams)) == list(
        range(len(lists))), "schema: streams, or order of the point lists")
    lists = [tuple(map(tuple, points)) for points in lists]
    need(len(set(lists)) == len(lists), "schema: a point list twice")
    for points in lists:
        need(1 <= len(points) <= 1024 and all(
            whole(m, 1, 65_535) and whole(e, -9, 9) and type(i) is str and len(i) <= 64
            for m, e, i in points), "schema: points")
    need(all(len(one) == 2 and text(one[0], 64) for one in streams), "schema: streams")
    need(sum(len(lists[index]) for _, index in streams) <= POINTS_MAX, "schema: too many points")
    series = [(s, None) for s in present]
    for index in dict.fromkeys(streams[s][1] for s in present):
        ranks = [RANK.get(measurand, 0) for measurand, _, _ in lists[index]]
        series += [(s, p) for p in sorted(range(len(ranks)), key=ranks.__getitem__)
                   for s in present if streams[s][1] == index]
    return [(device, lists[index]) for device, index in streams], series


def swapped(stream, old, new, readings, ticks=0, *_):
    """Whether these are the entries of a meter-swap (section 5)."""
    return (whole(stream, 0, 255) and all(type(one) is str and len(one) <= 64 for one in (old, new))
            and whole(ticks, 0, BIG) and type(readings) is list and len(readings) <= 256 and all(
                type(one) is list and len(one) > 2 and whole(one[0], 0, BIG) and all(
                    n is None or whole(n, 0, (1 << 64) - 1) for n in one[1:3]) for one in readings))


class Columns:
    """Section 6, but values: recount_energy.py.  there: {stream: [(values, runs of absences)]}."""

    def __init__(self, schema, data):
        need(type(schema) is type(data) is bytes, "columns: bytes are expected")
        self.schema, self.data, self.at = layout(schema, ())[0], data, 0
        self.scans = self.order(len(self.schema), self.number())
        need(self.scans[-1] <= EVENTS_MAX, "columns: too many events")
        need(sum(n * len(points) for n, (_, points) in zip(self.scans, self.schema, strict=False))
             <= VALUES_MAX, "columns: too many values")
        present = tuple(s for s, n in enumerate(self.scans[:-1]) if n)
        self.steps = {s: self.number() for s in present}                                # 6.3
        self.there = {s: self.absences(self.scans[s], len(self.schema[s][1])) for s in present}
        self.series = layout(schema, present)[1]
        self.counts = [self.scans[s] if p is None else self.there[s][p][0] for s, p in self.series]
        self.modes, numbers, last = [], 0, None                                         # 6.5
        while len(self.modes) < len(self.counts):
            run = self.number()
            need(0 < run >> 3 <= len(self.counts) - len(self.modes) and run & 7 != last,
                 "columns: modes")
            self.modes += [last := run & 7] * (run >> 3)
        told = min(self.number(), len(self.counts))                                     # 6.6
        self.told = [(self.number(), self.number()) for _ in range(told)]
        for (mode, n), times in Counter(zip(self.modes, self.counts, strict=True)).items():
            need(n > 0 or n == mode == 0, "columns: mode")
            numbers += times * (n and (1, n + 1, n, n)[mode & 3])           # 6.7, 6.8
        ends = data[self.at:].translate(LAST)
        behind = ends.count(1) - numbers        # bytes that end a number, but stand in the events
        need(behind >= 0 and max(self.modes[:len(present)], default=0) < 4, "columns: series")
        end = self.at + ends.rsplit(b"\1", behind)[0].rfind(b"\1") + 1
        need(not PADDED.search(data, 0, end), "columns: a number is padded or too long")
        self.events = self.happened(end)

    def happened(self, at):                                                             # 6.10
        found, (n, at) = [], self.head(at)
        need(n == self.scans[-1], "columns: number of events")
        for _ in range(n):
            three, at = self.head(at)
            ticks, at = item(self.data, at, 0)
            kind, start = item(self.data, at, 0)
            body, at = item(self.data, start, 6)
            need(three == 3 and whole(ticks, 0, BIG) and whole(kind, 1, 255) and
                 type(body) is list and at - start <= 8192, "columns: event")
            need(kind != SWAP or swapped(*body), "event meter-swap")
            found.append([ticks, kind, body])
        need(at == len(self.data), "columns: bytes behind the end")
        return found

    def head(self, at):
        need(at < len(self.data) and self.data[at] >> 5 == 4, "columns: events")
        size = (0, 1, 2, 4)[max((self.data[at] & 31) - 23, 0)]
        value = int.from_bytes(self.data[at + 1:at + 1 + size]) if size else self.data[at] & 31
        need(self.data[at:at + 1 + size] == mark(4, value), "columns: events")
        return value, at + 1 + size

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
        left = count
        need(count <= RECORDS_MAX, "columns: too many records")
        while left > 0:
            run = self.number()
            need(run <= left and (n or not run), "columns: order")
            for _ in range(run):
                before = after[before]
                scans[before] += 1
            left -= run
            if left:
                symbol, left = self.number(), left - 1
                need(symbol <= n and not (n and symbol == after[before]), "columns: order")
                scans[symbol] += 1
                if symbol < n:
                    after[before] = before = symbol
        return scans

    def absences(self, scans, points):                                                  # 6.4
        found, point = [(scans, ())] * points, 0
        for _ in range(self.number()):
            skip, width, count = self.number(), self.number(), self.number()
            runs, end, left = [], 0, scans
            need(0 < count <= scans, "columns: absences")
            for _ in range(count):
                first, more, reason = self.number(), self.number(), self.number()
                need(1 <= reason <= 255 and (first or not runs or runs[-1][2] != reason),
                     "columns: absences")
                runs.append((end + first, end + first + more + 1, reason))
                end, left = runs[-1][1], left - more - 1
            point += skip + width + 1
            need(point <= points and end <= scans, "columns: absences")
            found[point - width - 1:point] = [(left, tuple(runs))] * (width + 1)
        return found


class Batch:
    """A batch (section 3) or downsampled batch (section 13).

    row: its row in the contents.  rows: [number, first seq, last seq, chain value or None] of
    each batch that it holds.  columns: its records.  cells: columns and scans of section 13.
    """

    def __init__(self, payload):
        version, device, journal, rows, boot, *said, prev, config, clock, codec, body = cbor(
            payload, 3)
        need(version in (2, 3) and type(version) is int, "batch: version")
        self.coarse = version == 2
        need(text(device, 40) and octets(journal, 16) and octets(prev, 32) and octets(config, 32)
             and whole(boot, 0, (1 << 32) - 1), "batch: head")
        need(type(clock) is list and len(clock) == 4 and clock[0] in SOURCES and
             all(whole(n, 0, BIG) for n in clock) and clock[2] <= UTC_MS_MAX, "batch: clock")
        if self.coarse:
            need(len(said) == 1 and whole(said[0], 1, 4) and type(rows) is list and
                 1 <= len(rows) <= 256, "coarsened batch: rule, or batches")
            need(all(one[0] == rows[0][0] + i and (i == 0 or one[1] > rows[i - 1][2]) and
                     octets(one[3], 32) for i, one in enumerate(rows)), "coarsened batch: order")
        else:
            need(len(said) == 2, "batch: parts")
            rows = [[rows, *said, None]]
        need(all(whole(n, 1, (1 << 32) - 1) and whole(first, 1, BIG) and whole(
                 last, first, min(first + RECORDS_MAX - 1, BIG)) for n, first, last, _ in rows),
             "batch: number or sequences")
        self.prev, self.config, self.boot, self.clock, self.rows = prev, config, boot, clock, rows
        self.row = [device, journal, rows[-1][0], rows[0][1], rows[-1][2]]
        self.read(codec, body)

    def read(self, codec, body):
        machine = zlib.decompressobj(-15)
        need(type(body) is bytes and whole(codec, 0, 1), "batch: codec")
        body = machine.decompress(body, INFLATED_MAX) if codec else body
        need(len(body) <= INFLATED_MAX and (not codec or machine.eof and not machine.unused_data),
             "batch: deflate")
        schema, columns, *rest = cbor(body, 2)
        need(len(rest) == (4 if self.coarse else 0), "batch: body")
        self.columns, self.cells = Columns(schema, columns), None
        most, n = self.row[4] - self.row[3] + 1, sum(self.columns.scans)
        need(n == most or self.coarse and n < most, "number of records")
        if self.coarse:
            self.cells = Columns(schema, rest[1]), rest[2]


def examine(job):
    """Return (fault, what Bundle.take needs) of a batch; runs in a process of its own."""
    key, about, sealed = job
    try:
        need(key and sealed and len(sealed) <= SEALED_MAX, "no key for its device, or too long")
        payload = opened(sealed, key)
        batch = Batch(payload)
        need(batch.row == about,
             f"exchanged for batch {batch.row[2]}, records {batch.row[3]}..{batch.row[4]}")
        chain = [(*row[:3], row[3] or sha(payload)) for row in batch.rows]
        return None, (batch.prev, batch.config, batch.boot, batch.clock,
                      [one for one in batch.columns.events if one[1] in (GAP, CLOCK, ALARM)], chain)
    except Exception as error:
        return str(error) or type(error).__name__, None


def utc(ms):
    """Return a time as RFC 3339, ? where there is none that can be written."""
    if not whole(ms, 0, UTC_MS_MAX):
        return "?"
    return datetime.fromtimestamp(ms // 1000, UTC).isoformat()[:19] + "Z"


def shown(line):
    """Return a line of text with everything escaped that could steer a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "backslashreplace").decode()
                   for c in line)


def listed(title, rows):
    """Return a list's lines, of a long one the first."""
    if not rows and title == "WRONG":
        return []
    more = [f"  and {len(rows) - LINES_MAX} more"] if len(rows) > LINES_MAX else []
    return [title, *(f"  {row}" for row in rows[:LINES_MAX] or ["nothing"]), *more]


def name(row):
    return f"{row[0]}, journal {row[1].hex()[:8]}, records {row[3]}..{row[4]} (batch {row[2]})"
