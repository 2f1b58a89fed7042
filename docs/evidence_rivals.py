"""Journals of one cabinet that tell of the same time: what is set aside, and who decided (10.5).

Part of verify_evidence.py; written from docs/formats.md, imports nothing of Wattproof.
"""
from bisect import bisect_left, bisect_right
from itertools import pairwise

from evidence_format import BIG, cbor, need, octets, opened, text, utc, whole

SEAM_MS, JOINED_MS, ROWS_MAX, DECISIONS_MAX = 120_000, 3_600_000, 1_000_000, 1000


class Rivals:
    """rows: [journal, from ms, to ms, journal that counts, decision or None]; pieces: {(journal,
    number of a batch): [(from ms, to ms)]}; decisions: [cabinet, number, journal, from ms, to ms,
    decided ms, author, reason]; known: whether the bundle says
    anything of it, as those of earlier versions do not."""

    def __init__(self, said):
        said_of, self.known = said.get("set_aside", []), "set_aside" in said
        self.decisions = [decided(one, said) for one in said.get("decisions", [])]
        need([one[1] for one in self.decisions] == list(range(1, len(self.decisions) + 1)),
             "decisions: one is missing")
        need(type(said_of) is list and len(said_of) <= ROWS_MAX, "set aside: too much")
        self.rows, self.pieces = [], {}
        batches = {(journal, number) for _, journal, number, *_ in said["batches"]}
        for journal, number, first, end, by, decision in said_of:
            need(octets(journal, 16) and octets(by, 16) and journal != by and
                 (journal, number) in batches and whole(end, 0, 1 << 53) and whole(first, 0, end)
                 and (decision is None or whole(decision, 1, len(self.decisions))),
                 "set aside: not as it is written")
            self.fits(first, end, by, decision)
            self.rows.append([journal, first, end, by, decision])
            self.pieces.setdefault((journal, number), []).append((first, end))
        self.rows.sort(key=lambda row: row[:3])

    def fits(self, first, end, by, number):
        """Hold a row to the decisions: of those that overlap it the last counts."""
        near = [one for one in self.decisions if one[3] <= end and one[4] > first]
        if number is None:
            need(not near, "set aside: a decision is about that time")
            return
        found = self.decisions[number - 1]
        need(found in near and found[2] == by and found[3] <= first and end < found[4] and
             near[-1] is found, f"set aside: decision {number} does not say so")

    def of(self, row):
        """Return the stretches [(from, to)] of a batch that do not count, ends included."""
        return self.pieces.get((row[1], row[2]), [])

    def name(self, bundle, period):
        """Tell a Bundle what is decided, what is set aside, and what counts twice."""
        cabinet = bundle.said["cabinet"]
        bundle.proven += [
            f"decision    {number}, {utc(at)}, signed by the fleet for {author}: of {cabinet} "
            f"journal {journal.hex()[:8]} counts from {utc(start)} to {utc(end)}: {reason}"
            for _, number, journal, start, end, at, author, reason in self.decisions]
        for journal, start, end, by, number in self.joined(stretches(period)):
            bundle.assumed.append(
                f"set aside  {cabinet}, journal {journal.hex()[:8]}, {utc(start)} to {utc(end)}: "
                f"its readings do not count, because journal {by.hex()[:8]} does, " + (
                    "which covered that time; nobody has decided which is true" if number is None
                    else f"as decision {number} says: that it is right"))
        for one, two, start, end in overlaps(period):
            words = f"journals {one} and {two} both have readings of {utc(start)} to {utc(end)}"
            if self.known:
                bundle.attempt(f"{bundle.all}: journals", need, False, f"{words}, and both count")
            else:
                bundle.assumed.append(f"{words}: that both are true")

    def joined(self, spans):
        """Return the rows, those joined that lie close, without the seams of two journals.

        spans: {journal: (first, last)} of what counts.
        """
        found = []
        for row in self.rows:
            if found and [*found[-1][::3], found[-1][4]] == [*row[::3], row[4]] and (
                    row[1] - found[-1][2] <= JOINED_MS):
                found[-1][2] = max(found[-1][2], row[2])
            else:
                found.append(list(row))
        return [row for row in found if not is_seam(row, spans)]


def is_seam(row, spans):
    """Whether only the clocks of two journals differ where one follows the other."""
    journal, start, end, by, number = row
    if number is not None or not {journal, by} <= spans.keys():
        return False
    (first, last), (other_first, other_last) = spans[journal], spans[by]
    return (start >= other_last - SEAM_MS and last > other_last or
            end <= other_first + SEAM_MS and first < other_first)


def decided(data, said):
    """Return the parts of a decision that the fleet signed."""
    need(type(data) is bytes and len(data) <= 2048, "decision: too long")
    version, kind, *found = cbor(opened(data, said["key"]), 1)
    cabinet, number, journal, start, end, at, author, reason = found
    need([version, kind, cabinet] == [1, "decision", said["cabinet"]] and octets(journal, 16) and
         whole(number, 1, DECISIONS_MAX) and whole(end, 1, 1 << 53) and
         whole(start, 0, end - 1) and whole(at, 0, 1 << 53) and text(author, 80) and
         text(reason, 400), "decision: not one of this cabinet")
    return found


def pieces_of(points, swaps):
    """Return {boot: (ticks, ms)}: where it begins, and where it goes on behind readings of another
    journal that count in between."""
    boots, times = {}, {}
    for one in sorted(points, key=lambda one: (one.ms - one.offset_ms, one.value)):
        boots.setdefault(one.boot, []).append(one)
        times.setdefault(one.boot[0], []).append(one.ms)
    others = {journal: sorted(at for other, rows in times.items() if other != journal
                              for at in rows) for journal in times}
    found = {one.boot: ([-BIG], [one.ms]) for one in reversed(swaps)}
    for boot, made in boots.items():
        begins, since, rows = [-BIG], [made[0].ms], others[boot[0]]
        for before, one in pairwise(made):
            if before.ms < one.ms and bisect_left(rows, one.ms) > bisect_right(rows, before.ms):
                begins.append(one.ms - one.offset_ms)
                since.append(one.ms)
            since[-1] = min(since[-1], one.ms)
        found[boot] = begins, since
    return found


def stretches(period):
    """Return {journal: (first, last ms)} of the scans that count."""
    spans = {}
    for one in period.batches:
        for start, end in (run for rows in one.data["runs"].values() for run in rows):
            old = spans.get(one.row[1], (start, end))
            spans[one.row[1]] = min(old[0], start), max(old[1], end)
    return spans


def overlaps(period):
    """Return [(journal, journal, from, to)] of two journals with scans of the same time, for
    longer than six poll intervals."""
    limit = 6000 * max(one["interval_s"] for one in period.sites.values())
    rows = sorted((min(run[0] for run in one.all_runs()), one.end_ms(), one.row[1].hex()[:8])
                  for one in period.batches if one.all_runs())
    found, longest = {}, {}
    for start, end, journal in rows:    # of each journal the batch that reaches furthest
        for other, reach in longest.items():
            if other != journal and min(end, reach) - start > limit:
                old = found.get((other, journal), (start, min(end, reach)))
                found[other, journal] = min(old[0], start), max(old[1], min(end, reach))
        longest[journal] = max(longest.get(journal, 0), end)
    return [(*pair, *times) for pair, times in found.items()]
