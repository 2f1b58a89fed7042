#!/usr/bin/env python3
"""Count a bundle's energy again: python recount_energy.py FILE

Runs verify_evidence.py (beside it), then derives each meter's energy of the period from the
signed counters alone and compares it with the bundle's statement, within the bound that the
statement gives.  Written from docs/formats.md 10.4; imports nothing of Wattproof.  Exit
status: 0 only if both hold.
"""
import argparse
import hashlib
import json
from concurrent.futures import ProcessPoolExecutor
from itertools import accumulate, compress, pairwise
from math import isqrt

from verify_evidence import LAST, Bundle, cbor, content, need, utc

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
        """columns: a Columns of verify_evidence.py."""
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


def rule_of(site, device, exponent):
    """Return (Wh of a count, counts per hour at rated power, modulus, slack ms)."""
    entry = next((one for one in site["devices"] if one["name"] == device), {})
    worth = 10.0 ** exponent * float(entry.get("ct_ratio") or 1)
    rate = -(-int(entry.get("rated_w") or 1_000_000) * 1000 // max(int(worth * 1000), 1))
    return worth, rate, 1 << (32 if entry.get("kind") == "pv" else 62), site["interval_s"] * 1000


def step(rule, older, newer):
    """Return the counts between two readings (ms, value), or None if that cannot be."""
    counts = newer[1] - older[1] + (rule[2] if newer[1] < older[1] else 0)
    limit = rule[1] * (newer[0] - older[0] + rule[3]) * 105 // 360_000_000 + 1
    return counts if counts <= limit and newer[0] - older[0] <= SPREAD_MS else None


def advance(readings, rule):
    """Return {start of quarter hour: counts} of a counter, without what nobody can know.

    Readings between two impossible steps are a run; only quarter hours with both ends in the
    same run are known.
    """
    total, run, there = 0, 0, {}
    rising = sorted(dict(sorted(readings, reverse=True)).items())       # of one time the lowest
    for older, newer in pairwise(rising):
        counts = step(rule, older, newer)
        run += counts is None
        first, last = -(-older[0] // QUARTER_MS), newer[0] // QUARTER_MS
        for quarter in range(first, last + 1) if counts is not None else ():
            part = (quarter * QUARTER_MS - older[0]) / (newer[0] - older[0])
            there[run, quarter] = total + counts * part
        total += counts or 0
    return {quarter * QUARTER_MS: there[run, quarter + 1] - counts
            for (run, quarter), counts in there.items() if (run, quarter + 1) in there}


def readings(job):
    """Return (journal and boot, clock, {(device, measurand, rule and role): [(ticks, value)]})
    of a sealed batch: of each energy counter the first and last reading, and all that stand
    beside a quarter hour's boundary or an impossible step.  Rule and role are those of the
    configuration that the batch itself names."""
    sealed, sites, clocks = job
    said, _, config, boot, clock, columns, _ = content(cbor(sealed)[1][2])
    site = sites[config]
    roles = {one["name"]: one.get("role") for one in site["devices"]}
    clock, found = clock if clock[0] else clocks.get((said[1], boot)), {}
    series = Series(columns)
    for s, p in columns.series if clock else ():
        name, points = columns.schema[s]
        if p is None or points[p][0] not in ENERGY or points[p][2]:
            continue
        ticks, rule = series.values(s, None), rule_of(site, name, points[p][1])
        for first, end, _ in reversed(series.runs(s, p)):
            ticks = ticks[:first] + ticks[end:]
        row = [(at - clock[1] + clock[2], value)
               for at, value in zip(ticks, series.values(s, p), strict=True)]
        beside = (one for a, b in pairwise(row) for one in (a, b) if
                  a[0] // QUARTER_MS != b[0] // QUARTER_MS or step(rule, a, b) is None)
        found[name, points[p][0], rule, roles.get(name)] = [*row[:1], *row[-1:], *beside]
    return (said[1], boot), clock, found


def counted(bundle):
    """Return {(device, measurand name): Wh} of the bundle's period."""
    said = bundle.said
    sites = {sha256(one): cbor(one) for one in said["descriptors"]}
    jobs = [(sealed, sites, {}) for _, sealed, _ in bundle.parts]
    run = ProcessPoolExecutor(2).map if len(jobs) > 500 else map
    results = list(run(readings, jobs))
    known = sorted((clock[1], boot, clock) for boot, clock, _ in results if clock)
    clocks = {boot: clock for _, boot, clock in reversed(known)}        # the earliest counts
    series, rules, energy = {}, {}, {}
    for job, (boot, clock, found) in zip(jobs, results, strict=True):
        if clock is None and boot in clocks:
            found = readings((*job[:2], clocks))[2]
        for (device, measurand, rule, role), values in found.items():
            key = device, measurand, rule[0], role      # nothing counts from one worth to another
            series.setdefault(key, set()).update(values)
            rules[key] = max(rule, rules.get(key, rule))
    for (device, measurand, *rest), values in series.items():
        rule = rules[device, measurand, *rest]
        inside = [counts * rule[0] for at, counts in advance(values, rule).items()
                  if said["from"] <= at < said["to"]]
        if inside:
            key = device, ENERGY[measurand]
            energy[key] = energy.get(key, 0) + sum(inside)
    return energy


def compare(bundle):
    """Add to the bundle's faults what its statement says otherwise than its batches."""
    said, statement, stated = bundle.said, json.loads(bundle.said["statement"]), {}
    period = [utc(said["from"]), utc(said["to"]), said["cabinet"]]
    need([statement["from"], statement["to"], statement["cabinet"]] == period,
         "the statement is about another cabinet or period")
    need(statement["factors"]["sha256"] == sha256(said["factors"]).hex(),
         "the statement was made with other factors")
    for one in statement["evidence"]["journals"]:
        held = [row[3:5] for row in said["batches"] if row[1].hex() == one["journal"]]
        first, last = (held[0][0], held[-1][1]) if held else (0, 0)
        need(held and first <= one["first_seq"] and last >= one["last_seq"],
             f"journal {one['journal'][:8]}: records {one['first_seq']}..{one['last_seq']} are "
             f"accounted, but the batches hold {first}..{last}")
    for one in statement["meters"]:
        if one["energy_wh"] is not None:
            wh, bound = stated.get((one["device"], one["measurand"]), (0, 0))
            stated[one["device"], one["measurand"]] = wh + one["energy_wh"], bound + one["bound_wh"]
    ours = counted(bundle)
    for key in sorted({*stated, *ours}):
        (wh, bound), own = stated.get(key, (0, 0)), ours.get(key, 0)
        line = (f"{key[0]:16} {key[1]:28} {wh:13.3f} Wh stated {own:13.3f} counted, "
                f"bound {bound:.3f}")
        bundle.notes.append(f"energy      {line}")
        good = key in stated and key in ours and abs(wh - own) <= bound
        bundle.attempt(f"{bundle.all}: energy", need, good, " ".join(line.split()))


def sha256(data):
    """Return the digest of bytes."""
    return hashlib.sha256(data).digest()


def main():
    """Return the exit status."""
    parser = argparse.ArgumentParser(description="Check a bundle and count its energy again.")
    parser.add_argument("file", type=argparse.FileType("rb"), help="the bundle")
    parser.add_argument("--fleet-key", type=bytes.fromhex, help="as it was given to you, in hex")
    said = parser.parse_args()
    bundle = Bundle(said.file.read(), said.fleet_key)
    if not bundle.faults:
        bundle.attempt(f"{bundle.all}: statement", compare, bundle)
    print(bundle.all, *bundle.notes, *(f"WRONG       {one}" for one in bundle.faults),
          "NOT PROVEN" if bundle.faults else "everything holds", sep="\n")
    return bool(bundle.faults)


if __name__ == "__main__":
    raise SystemExit(main())
