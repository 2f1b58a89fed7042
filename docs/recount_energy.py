"""Energy of meters from the counters in signed batches (docs/formats.md 6.5 - 6.9 and 10.4).

Part of verify_evidence.py; written from docs/formats.md, imports nothing of Wattproof.
"""
from bisect import bisect_left, bisect_right
from collections import namedtuple
from itertools import accumulate, compress, pairwise
from math import isqrt

from evidence_format import BIG, LAST, SWAP, Batch, cbor, need
from evidence_rivals import pieces_of

ENERGY = {43: "energy_active_import_total", 47: "energy_active_export_total",
          51: "energy_active_sum_total", 56: "energy_yield_total"}
QUARTER_MS, SPREAD_MS = 900_000, 31 * 86_400_000
MAINS = {measurand: ((1,),) for measurand in (1, 2, 3, 4, 5, 6, 29)}    # without sources: 6.9's
RULES = MAINS | {                                                       # neighbour
    7: ((3, 15, 1), (3, 18, 1)), 8: ((3, 16, 2), (3, 18, 2)), 9: ((3, 17, 3), (3, 18, 3)),
    10: ((1, 7, 8, 9),), 14: ((1, 11, 12, 13),), 15: ((2, 11, 19),), 16: ((2, 12, 20),),
    17: ((2, 13, 21),), 18: ((1, 15, 16, 17), (2, 14, 22)), 22: ((1, 19, 20, 21),),
    23: ((3, 11, 15),), 24: ((3, 12, 16),), 25: ((3, 13, 17),), 26: ((3, 14, 18),),
    27: ((3, 14, 18),), 28: ((4, 14, 22),), 43: ((1, 40, 41, 42),), 47: ((1, 44, 45, 46),),
    48: ((1, 40, 44),), 49: ((1, 41, 45),), 50: ((1, 42, 46),),
    51: ((1, 43, 47), (1, 48, 49, 50)), 54: ((1, 52, 53),)}     # target: (rule, *sources) ...
PREDICT = {1: lambda d, *v: sum(v), 2: lambda d, a, b: (isqrt(4 * (a * a + b * b)) + 1) // 2,
           3: lambda d, a, b: (2 * a * d + b) // (2 * b) if b > 0 else d,
           4: lambda d, a, b: 90 * d * b * (11 * abs(b) + 7 * abs(a)) // (
               11 * (a * a + b * b) + 14 * abs(a * b) or 1)}




class Series:
    """The series of a batch's columns (formats.md 6.6 - 6.8); each is decoded when asked for."""

    def __init__(self, columns):
        """columns: a Columns of evidence_format.py."""
        self.columns, self.where, last = columns, {}, {}
        begin, data, k = columns.at, columns.data, sum(n > 0 for n in columns.counts)
        self.ends = [begin - 1, *compress(range(begin, len(data)), data[begin:].translate(LAST))]
        bases, kinds = iter(self.signed(0, k)), [self.kind(s, p) for s, p in columns.series]
        steps, at, order = {}, -1, list(dict.fromkeys(kind for kind in kinds if kind))
        for skipped, step in columns.told:
            at += skipped + 1
            need(at < len(order) and 1 < step < 1 << 64, "columns: step")
            steps[order[at]] = step
        for place, kind, n, mode in zip(columns.series, kinds, columns.counts, columns.modes,
                                        strict=True):
            base = last.get((kind, mode >> 2), 0) + (next(bases) if n else 0)
            self.where[place] = mode, n, k, base, steps.get(kind, 1), last.get(kind)
            if n:
                last[kind, mode >> 2], last[kind] = base, place
                k += (0, n, n - 1, n - 1)[mode & 3]

    def kind(self, s, p):
        """Return the point of a group (6.5) that a place is of; False for ticks."""
        return p is not None and (id(self.columns.schema[s][1]), p)

    def signed(self, k, n):
        """Return n signed numbers, from the k-th on."""
        ends, data = self.ends[k:k + n + 1], self.columns.data
        raw = data[ends[0] + 1:ends[n] + 1]
        numbers = raw if len(raw) == n else [
            sum((byte & 127) << 7 * i for i, byte in enumerate(data[a + 1:min(b, a + 10) + 1]))
            for a, b in pairwise(ends)]
        return [number >> 1 ^ -(number & 1) for number in numbers]

    def values(self, s, p):
        """Return the values that are there of point p of stream s; p None: its ticks."""
        mode, n, k, base, step, before = self.where[s, p]
        if n == 0:
            return []
        rest = self.signed(k, (0, n, n - 1, n - 1)[mode & 3])
        found = ([base] * n if mode & 3 == 0 else [base + one for one in rest] if mode & 3 == 1
                 else list(accumulate(rest if mode & 3 == 2 else accumulate(rest), initial=base)))
        guess = ([i * self.step(s) for i in range(n)] if p is None else
                 self.predicted(s, p, before) if mode > 3 else [0] * n)
        found = [(a + b // step) * step for a, b in zip(found, guess, strict=True)]
        need(-1 << 63 <= min(found) <= max(found) < 1 << 64, "columns: value")
        return found

    def step(self, s):
        """Return the usual step of a stream's ticks (6.3)."""
        told = [number for stream, number in self.columns.steps.items() if stream <= s]
        return sum(number >> 1 ^ -(number & 1) for number in told)

    def runs(self, s, p):
        """Return the (first scan, behind the last, reason)s in which a point is absent."""
        return self.columns.there[s][p][1]

    def predicted(self, s, p, before):
        """Return what a point's values are told against (6.9); before: its neighbour, if any."""
        points = self.columns.schema[s][1]
        target, exponent, name = points[p]
        place = {points[q][0]: q for q in reversed(range(len(points))) if points[q][2] == name}
        for rule, *sources in RULES.get(target, ()):
            down = [points[place[m]][1] for m in sources if m in place]
            if len(down) == len(sources) and (
                    down[0] - down[1] >= exponent if rule == 3 else
                    down[0] == down[1] and exponent <= 0 if rule == 4 else {*down} <= {exponent}):
                break
        else:
            raise ValueError("columns: not the point's prediction")
        need(all(self.runs(s, place[m]) == self.runs(s, p) for m in sources), "columns: absences")
        d = 10 ** (down[0] - down[1] - exponent if rule == 3 else max(-exponent, 0))
        others = [(s, place[m]) for m in sources] or [before]
        rows = zip(*(self.values(*one) for one in others), strict=True)
        return [PREDICT[rule](d * (100 if target == 27 else 1), *row) for row in rows]


# What the descriptor of a batch says of a counter.  worth: Wh of a count, rate: counts per hour at
# rated power, modulus: of the register, slack_ms: the poll interval.
Rule = namedtuple("Rule", ("worth", "rate", "modulus", "slack_ms", "role"))
# Of one batch, counter and quarter hour the first and last reading; broken: an impossible step lies
# between.  boot: (journal, boot), offset_ms: UTC less ticks of the clock that placed the batch.
# last_ms of a Point, the time of one reading, is its only time.
Part = namedtuple("Part", ("first_ms", "first", "last_ms", "last", "broken",
                           "rule", "boot", "offset_ms"))
Point = namedtuple("Point", ("ms", "value", "broken", "rule", "boot", "offset_ms"))
# Another serial number.  ms: from here on the new device was read, old_ms: up to here the old one
# (None: the event has no such entry).  ends: {(measurand, exponent): (old end, new start)}.
Swap = namedtuple("Swap", ("device", "old", "new", "ms", "old_ms", "boot", "offset_ms", "config",
                           "ends"))
# Points of one register.  old_ms: of the last one of the device before, new_ms: of the first one of
# the device after; None: it did not begin or end by a swap.
Run = namedtuple("Run", ("points", "old_ms", "new_ms"))


def rule_of(site, device, exponent):
    """Return the Rule of a device's counters with this exponent."""
    entry = next((one for one in site["devices"] if one["name"] == device), {})
    worth = 10.0 ** exponent * float(entry.get("ct_ratio") or 1)
    rate = -(-int(entry.get("rated_w") or 1_000_000) * 1000 // max(int(worth * 1000), 1))
    return Rule(worth, rate, 1 << (32 if entry.get("kind") == "pv" else 62),
                site["interval_s"] * 1000, entry.get("role"))


def step(rule, older, newer):
    """Return the counts between two readings (ms, value), or None if that cannot be."""
    counts = newer[1] - older[1] + (rule.modulus if newer[1] < older[1] else 0)
    limit = rule.rate * (newer[0] - older[0] + rule.slack_ms) * 105 // 360_000_000 + 1
    return counts if counts <= limit and newer[0] - older[0] <= SPREAD_MS else None


def parts_of(row, rule, boot, offset_ms, swaps):
    """Return the Parts of the readings [(ms, value), ...] of one counter in one batch.

    swaps: [ms] from which another device was read: no step leads to it."""
    found, last, swaps = [], None, sorted(swaps)
    for one in row:
        if last and one[0] <= last[0]:
            continue                        # not later than the one before: not used
        if last and one[0] // QUARTER_MS == last[0] // QUARTER_MS:
            same = bisect_right(swaps, last[0]) == bisect_right(swaps, one[0])
            broken = found[-1].broken or same and step(rule, last, one) is None
            found[-1] = Part(*found[-1][:2], *one, broken, rule, boot, offset_ms)
        else:
            found.append(Part(*one, *one, False, rule, boot, offset_ms))
        last = one
    return found


def read(job):
    """Return what `readings` gives, or the words why it cannot; for a process of its own."""
    try:
        return readings(job)
    except Exception as error:
        return str(error) or type(error).__name__


def readings(job):
    """Return what a batch says under a clock: {"parts": {(device, measurand, exponent): [Part]},
    "ticks": (lowest, highest), "quarters": set, "runs": {device: [(from ms, to ms)]},
    "events": [[ms, kind, body]] and "swaps": [Swap]}.

    job: (sealed, sites by hash, clock or None, [(from ms, to ms)] that do not count); without a
    clock there are only ticks, and events without times.  A run is scans that follow each other
    within six poll intervals.
    """
    sealed, sites, clock, aside = job
    batch = Batch(cbor(sealed)[1][2])
    site, boot = sites[batch.config], (batch.row[1], batch.boot)
    series, offset = Series(batch.columns), clock and clock[2] - clock[1]

    def counts(at):
        return not any(first <= at + offset <= end for first, end in aside)
    found = {"parts": {}, "quarters": set(), "runs": {}, "swaps": [], "events": [
        [clock and at + offset, *rest] for at, *rest in batch.columns.events
        if not clock or counts(at)]}
    if clock:
        found["swaps"] = [one for one in swaps_of(batch, boot, offset) if counts(one.ms - offset)]
    seen = [at for at, *_ in batch.columns.events]
    limit = 6000 * site["interval_s"] + (QUARTER_MS if batch.coarse else 0)
    times = {s: series.values(s, None) for s, p in series.where if p is None}
    for ticks in times.values():
        need(0 <= min(ticks) and max(ticks) <= BIG, "columns: ticks")
        seen += (min(ticks), max(ticks))
    for s, stamps in (with_cells(batch, times) if clock else {}).items():
        device, stamps = batch.columns.schema[s][0], list(filter(counts, stamps))
        if not stamps:
            continue
        found["runs"][device] = runs_of([at + offset for at in stamps], limit)
        found["quarters"] |= {(at + offset) // QUARTER_MS for at in stamps}
    for s, p in series.where if clock else ():
        device, points = batch.columns.schema[s]
        if p is None or points[p][0] not in ENERGY or points[p][2]:
            continue
        rule, ticks = rule_of(site, device, points[p][1]), times[s]
        for first, end, _ in reversed(series.runs(s, p)):
            ticks = ticks[:first] + ticks[end:]
        row = [(at + offset, value) for at, value in zip(
            ticks, series.values(s, p), strict=True) if 0 <= value <= 1 << 62 and counts(at)]
        key = device, points[p][0], points[p][1]
        swaps = [one.ms for one in found["swaps"] if one.device == device]
        found["parts"].setdefault(key, []).extend(parts_of(row, rule, boot, offset, swaps))
    return {**found, "ticks": (min(seen), max(seen)) if seen else None}


def swaps_of(batch, boot, offset):
    """Return the Swaps that a batch's events tell of (section 5), with their energy counters."""
    found, schema = [], batch.columns.schema
    for ticks, kind, body in batch.columns.events:
        if kind != SWAP or body[0] >= len(schema):
            continue
        stream, old, new, readings, *more = body
        device, points = schema[stream]
        ends = {points[p][:2]: (end, start) for p, end, start, *_ in readings
                if p < len(points) and points[p][0] in ENERGY and not points[p][2]}
        found.append(Swap(device, old, new, ticks + offset, more[0] + offset if more else None,
                          boot, offset, batch.config, ends))
    return found


def with_cells(batch, times):
    """Return {stream: ticks} of scans, of a downsampled batch also those that its cells stand
    for."""
    if batch.cells is None:
        return times
    cells = Series(batch.cells[0])
    more = {s: cells.values(s, None) for s, p in cells.where if p is None}
    return {s: sorted({*times.get(s, ()), *more.get(s, ())}) for s in {*times, *more}}


def runs_of(stamps, limit):
    """Return [(first, last)] of times that follow each other within a limit."""
    stamps, runs = sorted(stamps), []
    for at in stamps:
        if runs and at - runs[-1][1] <= limit:
            runs[-1][1] = at
        else:
            runs.append([at, at])
    return [tuple(one) for one in runs]


def runs(parts, swaps=()):
    """Return the Runs of a counter's Parts: nothing counts from one worth and role to the next,
    nor from the register of one device to that of the one that replaced it.

    swaps: [Swap], each with (last of the old register or None, first of the new, Rule) as ends.
    """
    points = {Point(*end, one.broken, *one[5:]) for one in parts for end in (one[:2], one[2:4])}
    pieces = pieces_of(points, swaps)

    def place(one, ms):                     # in the order of reading: boots, each by its ticks
        (begins, since), ticks = pieces[one.boot], ms - one.offset_ms
        return since[bisect_right(begins, ticks) - 1], one.boot, ticks
    rows = sorted(points, key=lambda one: (*place(one, one.ms), one.value, one.broken))
    places, found, begin, head, old_ms = [place(one, one.ms) for one in rows], [], 0, [], None
    for swap in sorted(swaps, key=lambda one: place(one, one.ms)):
        old, new, rule = swap.ends
        at = bisect_left(places, place(swap, swap.ms))
        if at == len(rows):
            break                           # nothing was read of the new device
        end = at if swap.old_ms is None else min(
            bisect_right(places, place(swap, swap.old_ms)), at)
        piece = head + rows[begin:end]
        if old is not None:
            end_ms = swap.ms - rule.slack_ms if swap.old_ms is None else swap.old_ms
            piece.append(Point(end_ms, old, False, piece[-1].rule if piece else rule,
                               swap.boot, swap.offset_ms))
        head = [] if new is None else [Point(swap.ms, new, False, rule, swap.boot, swap.offset_ms)]
        found += [Run(piece, old_ms, (head or rows[at:])[0].ms)] if piece else []
        old_ms, begin = piece[-1].ms if piece else None, at
    return [part for run in (*found, Run(head + rows[begin:], old_ms, None)) for part in alike(run)]


def alike(run):
    """Return a Run in those of one worth and role."""
    points, begin, found = run.points, 0, []
    for i in range(1, len(points) + 1):
        if i == len(points) or points[i].rule[::4] != points[begin].rule[::4]:
            found.append(Run(points[begin:i], run.old_ms if begin == 0 else None,
                             run.new_ms if i == len(points) else None))
            begin = i
    return found


class Counter:
    """The quarter hours of one Run of a counter: shares {quarter: counts, None if not known}."""

    def __init__(self, run):
        self.shares, self.last, self.total, self.opening = {}, None, 0, None
        self.readings, self.run = sorted({one[:2] for one in run.points}), run
        before = run.points[0]
        if run.old_ms is not None:          # nothing is known of what lies between two registers
            first, here = -(-run.old_ms // QUARTER_MS), before.ms // QUARTER_MS
            far = here - first > SPREAD_MS // QUARTER_MS
            self.shares.update(dict.fromkeys(() if far else range(first, here)))
        for one in run.points:
            self.follow(before, one)
            if one is before and run.old_ms is not None and not one.broken:
                self.opening = 0            # of the quarter hour that begins with the swap
            before = one
        if run.new_ms is not None:
            self.leave()

    def follow(self, before, one):
        if one.boot != before.boot and one.ms <= before.ms:
            self.leave()                    # their distance is unknown
            self.restart(one)
        else:
            shift = one.offset_ms - before.offset_ms
            slewed = abs(shift) <= one.rule.slack_ms and one.ms > before.ms
            if one.boot == before.boot and not slewed and self.last and (
                    before.ms + shift != self.last[0]):
                self.leave()                # the clock was set: the counter went on
                self.last, self.opening = (before.ms + shift, self.last[1]), self.total
            self.advance(one)
        if one.broken:
            self.opening = None

    def advance(self, one):
        if self.last is None:
            return self.restart(one)
        if one.ms <= self.last[0]:
            return None
        older, counts = self.last, step(one.rule, self.last, one[:2])
        quarter, end = older[0] // QUARTER_MS, one.ms // QUARTER_MS
        if counts is None:
            far = one.ms // QUARTER_MS - quarter > SPREAD_MS // QUARTER_MS
            for passed in range(quarter, quarter + 1 if far else end):
                self.close(passed, None)
            return self.restart(one)
        for passed in range(quarter, end):
            at = (passed + 1) * QUARTER_MS
            value = self.total + counts * (at - older[0]) / (one.ms - older[0])
            self.close(passed, value)
            self.opening = value
        self.last, self.total = one[:2], self.total + counts
        return None

    def restart(self, one):
        self.last, self.total = one[:2], 0
        self.opening = None if one.ms % QUARTER_MS else 0

    def leave(self):
        if self.last and self.last[0] % QUARTER_MS:
            self.close(self.last[0] // QUARTER_MS, self.total)

    def close(self, quarter, value):
        share = None if value is None or self.opening is None else value - self.opening
        other = self.shares.get(quarter, 0)
        self.shares[quarter] = None if share is None or other is None else other + share

    def energy(self, first, end, uncertainty_ms):
        """Return (counts, bound in counts, known quarter hours) of quarters first .. end - 1."""
        known = {q: share for q, share in self.shares.items()
                 if first <= q < end and share is not None}
        if not known:
            return None
        bounds = [self.bound(at * QUARTER_MS, uncertainty_ms)
                  for at in (min(known), max(known) + 1)]
        return sum(known.values()), sum(bounds) + 2 + self.unread(known), len(known)

    def unread(self, known):
        """Return the most that was counted beside a swap, unread, in known quarter hours."""
        points, (_, old_ms, new_ms), times = self.run.points, self.run, []
        rate, (first, last) = points[0].rule.rate, (points[i].ms // QUARTER_MS for i in (0, -1))
        if new_ms is not None and last in known and new_ms // QUARTER_MS != last:
            times.append(min(new_ms, (last + 1) * QUARTER_MS) - points[-1].ms)
        if old_ms is not None and first in known:
            times.append(points[0].ms - max(old_ms, first * QUARTER_MS))
        return sum(rate * ms * 105 // 360_000_000 + 1 for ms in times if ms > 0)

    def bound(self, at, uncertainty_ms):
        """Return how far the value at a boundary can be from the truth, in counts."""
        rows = self.readings
        i, j = bisect_right(rows, (at, 1 << 63)) - 1, bisect_left(rows, (at, -1))
        if i < 0 or j == len(rows):
            return 0
        before, after = rows[i], rows[j]
        if before[0] == after[0]:           # a reading lies at the boundary
            i, j = bisect_left(rows, (at, -1)) - 1, bisect_right(rows, (at, 1 << 63))
            beside = [rows[k] for k in (i, j) if 0 <= k < len(rows)]
            here = after
            return max(((abs(one[1] - here[1]) + 1) / abs(one[0] - here[0]) for one in beside),
                       default=0) * uncertainty_ms
        value = before[1] + (after[1] - before[1]) * (at - before[0]) / (after[0] - before[0])
        slope = (abs(after[1] - before[1]) + 1) / (after[0] - before[0])
        return max(value - before[1], after[1] - value, 0) + slope * uncertainty_ms
