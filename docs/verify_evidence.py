#!/usr/bin/env python3
"""Check a Wattproof evidence bundle offline, and say what it proves.

    python verify_evidence.py FILE --fleet-key HEX --device-key HEX --factors HEX --head FILE

This and evidence_format.py, recount_energy.py, evidence_rivals.py, evidence_period.py are the
program.  It is written from docs/formats.md ("section" in comments), imports nothing of Wattproof,
needs Python 3.11 and `cryptography`.  Exit status: 0 everything is proven with keys that you
brought; 1 something contradicts; 2 wrong call; 3 consistent, but something was only assumed.
"""
import argparse
import json
import re

from evidence_format import (
    ALARM,
    GAP,
    SOURCES,
    Columns,
    cbor,
    climb,
    examine,
    extend,
    item,
    listed,
    mark,
    name,
    need,
    octets,
    opened,
    put,
    sha,
    shown,
    text,
    utc,
    whole,
)
from evidence_period import Period, facts, less, run
from recount_energy import QUARTER_MS

__all__ = ["Bundle", "Columns", "main"]
SIMULATED = 9
LOST = re.compile("([0-9]{1,10})(?:-([0-9]{1,10}))?")                           # section 7
UNCHECKED = (
    "carbon (grams), factors as numbers, and everything that is made of them",
    "workloads, nodes, compute, PUE, renewable share, battery inventory, residual and quality",
    "the statement's quarter hours (series, slots) one by one; their sums are",
    "readings that no energy depends on: their form only",
    "whether each meter hangs where its role says and measures right",
    "that the cabinet sent the fleet nothing else: keep a tree head of each day for that")


class Bundle:
    """Section 10.  faults, proven, assumed, unchecked: lines of text; parts: [about, sealed,
    receipt] of each batch; passed: (journal, number) behind each hole that the chain passes."""

    def __init__(self, data, fleet_key=None, kept=(), devices=(), factors=None):
        """fleet_key: 32 bytes; devices: keys or their SHA-256; factors: SHA-256; None, (): not
        brought.  kept: signed tree heads, or tuples of one and the fleet's former keys."""
        self.faults, self.proven, self.assumed, self.unchecked = [], [], [], list(UNCHECKED)
        self.parts, self.last, self.all, self.places = [], {}, "the whole file", {}
        self.lost, self.passed, self.found, self.simulated = {}, [], [], False
        self.brought = fleet_key, [bytes(one) for one in devices], factors
        self.said, self.newest, self.heads, self.keys = None, None, {}, {}
        self.attempt("the whole file: contents", self.lay_out, data)
        if self.parts:
            self.attempt(self.all, self.authorities)
            self.attempt(self.all, self.memory, kept)
            self.attempt(f"{self.all}: registry entry", self.handovers)
            self.attempt(self.all, self.batches)

    def attempt(self, what, work, *arguments):
        try:
            return work(*arguments)
        except Exception as error:      # whatever a hostile file brings about is a fault of it
            self.faults.append(f"{what}: {str(error) or type(error).__name__}")

    def lay_out(self, data):                                                        # section 10.1
        need(data, "empty")
        at = {24: 2, 25: 3, 26: 5}.get(data[0] & 31, 1)
        begin, (contents, at) = data[:at], item(data, at, 0)
        said = cbor(cbor(contents, 6)[1][2], 4)
        need(said["format"] == "wattproof-evidence-1", "of another version")
        need(text(said["cabinet"], 40) and text(said["site"], 200) and octets(said["key"], 32) and
             octets(said["config"], 32) and all(octets(key, 32) for key in said["keys"].values()),
             "cabinet, site or keys")
        need(all(whole(ms, 0, 1 << 53) and ms % QUARTER_MS == 0 for ms in (
            said["from"], said["to"])) and said["from"] < said["to"], "the period is none")
        self.said = said
        self.all = f"{said['cabinet']}, {utc(said['from'])} to {utc(said['to'])}"
        self.attempt(f"{self.all}: contents", opened, contents, said["key"])
        for *about, sizes, hashes in said["batches"]:
            need(len(about) == 5 and text(about[0], 40) and octets(about[1], 16) and
                 all(whole(n, 0, 1 << 54) for n in about[2:]), "a row of batches")
            self.parts.append([about])
            for size, digest in zip(sizes, hashes, strict=True):
                start, at = at, at + len(mark(2, size)) + size
                part = data[at - size:at]
                good = data[start:at] == mark(2, size) + part and sha(part) == digest
                self.parts[-1].append(part if good else None)
                self.attempt(name(about), need, good, "cut off" if at > len(data) else
                             "changed, exchanged, or moved by what was put in or taken out before")
        rows = [(*one[0][:3], -one[0][3]) for one in self.parts]
        good = begin == mark(4, 2 * len(self.parts) + 1) and at >= len(data) and self.parts
        self.attempt(self.all, need, good, "bytes were put in or taken out at its begin or end")
        self.attempt(self.all, need, rows == sorted(rows), "its batches are not in order")

    def authorities(self):                                                          # section 10.2
        said, key, times = self.said, self.said["key"], []
        need(self.brought[0] in (None, key), "signed with another fleet key than you gave: its "
             f"own is {key.hex()}")
        self.keys, self.configs = said["keys"], set(map(sha, said["descriptors"]))
        for data in said["heads"]:
            head = self.head(data)
            times.append((head[0], head[2]))
            need(self.heads.setdefault(*head[:2]) == head[1],
                 f"two different trees of {head[0]} batches were signed")
            self.newest = max(self.newest or head, head)
        need(sorted(times) == sorted(times, key=lambda one: one[::-1]), "heads: times do not rise")
        self.continued = {self.newest[0]}
        for data in said["consistency"]:
            opened(data, key, self.continues, -2)
        need(self.continued == self.heads.keys(), "no proof that the log continues an earlier head")
        self.proven += [f"fleet key {key.hex()} signed the contents and {len(self.heads)} tree "
                        f"heads, the newest of {self.newest[0]} batches at {utc(self.newest[2])}"]
        if self.brought[0] is None:
            self.assumed.append("the fleet's key is the one in the file (--fleet-key)")

    def head(self, data, former=()):
        key = next((one for one in former if sha(one)[:8] in data), self.said["key"])
        named, size, root, at = cbor(opened(data, key), 1)
        need(named == "wattproof-tree-head-1" and whole(size, 1, 1 << 53) and octets(root, 32) and
             whole(at, 0, 1 << 53), "not a tree head")
        return size, root, at

    def memory(self, kept):             # tree heads that the reader kept from earlier
        for data, *former in (one if type(one) is tuple else (one,) for one in kept):
            size, root, at = self.head(data, former)
            words = f"the head of {size} batches, {utc(at)}, that you kept"
            if size in self.heads:
                need(self.heads[size] == root, f"two different trees of {size} batches were "
                     f"signed: {words} is not in this log, it was rewritten")
                self.proven.append(f"the log continues {words}")
            elif size > self.newest[0]:
                self.assumed.append(f"this bundle is older than {words}; ask for a later one")
            else:
                self.assumed.append(f"the log continues {words}: the bundle has no proof of it; "
                                    "ask for one made with `fleet evidence --head FILE`")
        if not kept:
            self.assumed.append("the log was not rewritten before this bundle was made (--head)")

    def continues(self, old, new, path):
        roots = extend(self.heads[old], old, new, path)
        need(roots == (self.heads[old], self.newest[1]), "the log was rewritten")
        return self.continued.add(old) or roots[1]

    def handovers(self):                                                            # section 12
        cabinet, entry, closed = self.said["cabinet"], json.loads(self.said["registry"]), {}
        held = entry.get("handovers", [])
        keys = [bytes.fromhex(one["public_hex"]) for one in held]
        keys.append(bytes.fromhex(entry["evidence_key_hex"]))
        given = self.brought[1]
        trusted = {key for key in keys if key in given or sha(key) in given}

        def close(statement, old, new):
            need(len(statement) <= 1024, "too long")
            version, kind, device, journal, key, _, at, why = cbor(opened(statement, old), 1)
            need([version, kind, device, key] == [1, "handover", cabinet, new],
                 "is about another cabinet, or names another key than comes after it")
            need(octets(journal, 16) and whole(at, 0, 1 << 53) and text(why, 200), "hand-over")
            self.proven.append(f"hand-over   {utc(at)}, ends journal {journal.hex()[:8]}: {why}")
            closed[journal.hex()] = old
            trusted.update([new] if old in trusted else [])
        self.attempt(f"{cabinet}: registry entry", need, entry.get("device", cabinet) == cabinet,
                     "is another cabinet's")
        for n, one in enumerate(held, 1):
            self.attempt(f"{cabinet}, hand-over {n} of {len(held)}", close,
                         bytes.fromhex(one["statement_hex"]), *keys[n - 1:n + 1])
        for journal, key in self.said["keys"].items():
            what = f"{cabinet}, journal {journal[:8]}"
            self.attempt(what, need, key == closed.get(journal, keys[-1]),
                         "its key is not the device's, and no hand-over explains it")
            if given:
                self.attempt(what, need, key in trusted, f"signed with {key.hex()}: not a device "
                             "key that you gave, and no hand-over from one leads to it")
            self.proven.append(f"device key  {key.hex()} of journal {journal[:8]}")
        if not given:
            self.assumed.append("the cabinet's keys are those in the file (--device-key)")

    def batches(self):                                                              # section 3
        jobs = [(self.keys.get(about[1].hex()), about, sealed) for about, sealed, _ in self.parts]
        for (about, sealed, receipt), found in zip(self.parts, run(examine, jobs), strict=True):
            self.attempt(name(about), self.take, about, *found)
            if sealed and receipt is not None:
                self.attempt(name(about), opened, receipt, self.said["key"],
                             lambda *proof, sealed=sealed: self.in_tree(sealed, *proof))
        for place in sorted(self.places):
            self.attempt(self.places[place][0], self.follow, *place, *self.places[place][1:])
        ends = {one[0][1]: one[0][4] for one in self.parts}
        self.attempt(self.all, need, self.keys.keys() == {one.hex() for one in ends},
                     "keys of other journals than its batches are of")
        self.proven.append(f"{len(self.parts)} batches, each signed by its cabinet, chained, and "
                           f"in the log of {self.newest[0]} batches")

    def in_tree(self, sealed, size, index, path):
        need(climb(sha(b"\0", sealed), index, size, path) == self.heads[size], "not in the tree")
        return self.heads[size]

    def take(self, about, fault, found):        # places: what stands at each number of a journal
        prev, config, *_, events, rows = found or (None, None, [], [(*about[2:], None)])
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
        self.found.append(found)
        self.lost.setdefault(about[1], set()).update(
            (int(told[1]), int(told[2] or told[1])) for _, kind, body in events
            if kind == ALARM and body[:1] == ["batch-lost"] and type(body[1]) is str and
            (told := LOST.fullmatch(body[1])) and int(told[2] or told[1]) < about[2])
        for _, kind, body in events:
            if kind == GAP and len(body) > 3:
                self.proven.append(f"gap         {about[0]}, {utc(body[1])} to {utc(body[2])}, "
                                   f"signed by it: {body[3]}")

    def follow(self, device, journal, n, first, last, prev, link):
        begin = 0, sha(b"wattproof-chain-1", put(device, journal)), 0
        end, before, number = begin if n == 1 else self.last.get(journal, (first - 1, prev, n - 1))
        self.last[journal] = last, link, n
        hole = f": records {end + 1}..{first - 1}" if first > end + 1 else ""
        gone = n > number + 1 and not less([(number + 1, n)], [
            (a, b + 1) for a, b in sorted(self.lost.get(journal, ())) if a <= b])
        good = first > end and (gone or before == prev or None in (before, prev))
        need(good, f"does not continue the batch before{hole}")
        if hole:
            self.passed.append((journal, n))
            self.proven.append(f"gap         {device}, journal {journal.hex()[:8]}, " + (
                f"batch {number + 1}..{n - 1} lost on its flash, signed by it" if gone else
                "never sealed") + hole)

    # --- the period and its statement: only if nothing above is wrong ----------------------

    def account(self):
        """Check what the bundle says of its period."""
        if self.faults or not self.parts:
            self.unchecked.append("energy and the period, because of what is wrong")
            return
        period = self.attempt(f"{self.all}: batches", Period, self, self.found)
        statement = self.attempt(f"{self.all}: statement", facts, self)
        if period is None or statement is None:
            return
        self.simulated = any(one.own[0] == SIMULATED for one in period.batches)
        self.attempt(f"{self.all}: configuration", need, not period.spans or
                     period.spans[-1][2] == self.said["config"],
                     "the statement was made with another one than was in force at its end")
        self.attempt(f"{self.all}: receipts", self.receipts, period)
        self.attempt(f"{self.all}: factors", self.factors, statement, period)
        self.attempt(f"{self.all}: time", self.covered, period, statement)
        self.attempt(f"{self.all}: statement", period.compare, statement, lambda what, *rest:
                     self.attempt(f"{self.all}: {what}", *rest))
        self.proven += period.lines()

    def receipts(self, period):                                                     # section 7
        said, open_ones = self.said, dict.fromkeys(self.keys)
        for data in said["receipts"]:
            need(type(data) is bytes and len(data) <= 1024, "too long")
            version, device, journal, epoch, low, link, issued = cbor(opened(data, said["key"]), 1)
            need([version, device] == [1, said["cabinet"]] and octets(link, 32) and all(
                whole(n, 0, 1 << 53) for n in (epoch, low, issued)), "not one of this cabinet")
            need(open_ones.get(journal.hex(), 0) is None, "of a journal twice, or of another one")
            open_ones[journal.hex()] = low, link
            need(issued == self.newest[2], "of another time than the newest head")
        need(None not in open_ones.values(), "of a journal is missing")
        limit = 6000 * max(one["interval_s"] for one in period.sites.values())
        for journal, (low, link) in open_ones.items():
            rows = [(first, last, chain) for (_, one, _), (_, first, last, _, chain)
                    in self.places.items() if one.hex() == journal]
            first, last = min(rows)[0], max(rows)[1]
            ends = {last: chain for _, last, chain in rows}
            need(not first <= low <= last or ends.get(low) == link, f"journal {journal[:8]}: what "
                 f"it says of record {low} is not so in the batches")
            if low < last:
                self.assumed.append(f"journal {journal[:8]}: records {low + 1}..{last} count, "
                                    "although the fleet's receipt does not cover them yet")
            newest = period.last_ms(bytes.fromhex(journal))
            need(last >= low or newest is None or newest + limit >= said["to"],
                 f"journal {journal[:8]}: records {last + 1}..{low} are stored, it says, and left "
                 f"out, although the batches end at {utc(newest)}")
        self.proven.append(f"{len(open_ones)} receipts of the fleet fit the batches; no record "
                           "that they cover is left out at the end of the period")

    def factors(self, statement, period):                                           # section 18
        digest = sha(self.said["factors"])
        need(self.brought[2] in (None, digest), f"the set has SHA-256 {digest.hex()}, not the one "
             "you gave")
        self.proven.append(f"factor set {statement['factors']['id']} with SHA-256 {digest.hex()}")
        if self.brought[2] is None:
            self.assumed.append("the factor set is the one that was agreed (--factors)")
        named = {one.get("factor_sha256") or one.get("factor_set") for one in
                 (period.sites[config] for _, _, config in period.spans)}
        if not named <= {None, digest.hex(), statement["factors"]["id"]}:
            self.assumed.append(f"the cabinet's factor set is another: {sorted(named - {None})}")

    def covered(self, period, statement):                                           # section 10.3
        found, gone = period.uncovered()
        for (start, end), devices in sorted(found.items()):
            self.assumed.append(f"no data    {utc(start)} to {utc(end)}, and no declared gap: "
                                f"{', '.join(devices)}: what was metered then is not known")
        period.rivals.name(self, period)
        if statement.get("changes"):
            self.unchecked.append("what the statement says of quarter hours that were reported "
                                  "otherwise before")
        names = [SOURCES[one] for one in period.sources]
        if self.simulated:
            self.assumed.append("simulated time: the clock of the batches is a simulation's")
        said = self.said.get("simulated", self.simulated)
        need(said is self.simulated, f"the contents say simulated = {said}, the batches do not")
        self.unchecked.append(f"whether the cabinet's clock was right: source {', '.join(names)}, "
                              f"within {period.uncertainty_ms / 1000:g} s by its own word")
        self.proven.append(
            f"the period from {utc(self.said['from'])} to {utc(self.said['to'])} is covered but "
            f"for {sum(map(len, found.values()))} stretches listed as assumed; signed gaps take "
            f"{sum(gone) / 3_600_000:.3f} device-hours")

    # --- what is said of it ---------------------------------------------------------------

    def status(self):
        return 1 if self.faults else 3 if self.assumed else 0

    def sentence(self):
        """Return what an auditor may quote."""
        said = self.said
        what = ("the energy of each meter and role of cabinet {}, site {}, from {} to {} is what "
                "its signed readings say, within the bounds above".format(
                    said["cabinet"], said["site"], utc(said["from"]), utc(said["to"]))
                if said else "this file")
        time = " in simulated time" if self.simulated else ""
        energy = "this covers energy only: grams and workloads are not checked"
        if self.faults:
            return (f"NOT PROVEN: {len(self.faults)} contradictions in the evidence of {self.all}"
                    f"{time}, the first: {self.faults[0]}.")
        if self.assumed:
            return (f"CONSISTENT{time.upper()}, NOT PROVEN: {what}, if all {len(self.assumed)} "
                    f"assumptions above hold; {energy}.")
        return f"PROVEN with the keys that were brought: {what}; {energy}."

    def lines(self):
        """Return everything that is said, as lines."""
        mark = " [simulated time]" if self.simulated else ""
        lists = (("WRONG", self.faults), ("PROVEN", self.proven), ("ASSUMED", self.assumed),
                 ("NOT CHECKED", self.unchecked))
        if self.faults:                 # what was found to hold proves nothing beside a lie
            lists = (lists[0], ("HOLDS, BUT PROVES NOTHING ALONE", self.proven), *lists[2:])
        found = [one for title, rows in lists for one in listed(title, rows)]
        return [shown(row) + mark for row in (self.all, *found, self.sentence())]


def hexadecimal(value):
    """Return 32 bytes of 64 hex digits."""
    data = bytes.fromhex(value)
    need(len(data) == 32)
    return data


def main(argv=None):
    parser = argparse.ArgumentParser(
        description="Check a Wattproof evidence bundle offline.", epilog="Exit status: 0 all is "
        "proven with what you brought, 1 something contradicts, 2 wrong call, 3 consistent, but "
        "something was only assumed.")
    parser.add_argument("file", type=argparse.FileType("rb"), help="the bundle")
    parser.add_argument("--fleet-key", type=hexadecimal, help="the fleet's receipt key, in hex")
    parser.add_argument("--former-key", type=hexadecimal, action="append", default=[],
                        help="a receipt key that was the fleet's before, of heads that you kept")
    parser.add_argument("--device-key", type=hexadecimal, action="append", default=[], help="the "
                        "cabinet's evidence key or its SHA-256, in hex; the first of its boards'")
    parser.add_argument("--factors", type=hexadecimal, help="SHA-256 of the agreed factor set")
    parser.add_argument("--head", action="append", default=[], type=argparse.FileType("rb"),
                        help="a tree head that you kept: the log must continue it")
    parser.add_argument("--json", action="store_true", help="print JSON and nothing else")
    asked = parser.parse_args(argv)
    bundle = Bundle(asked.file.read(), asked.fleet_key, [
        (one.read(), *asked.former_key) for one in asked.head], asked.device_key, asked.factors)
    bundle.account()
    if asked.json:
        print(json.dumps({"status": bundle.status(), "simulated": bundle.simulated,
                          "wrong": bundle.faults, "proven": bundle.proven,
                          "assumed": bundle.assumed, "not_checked": bundle.unchecked,
                          "sentence": bundle.sentence()}, indent=1))
    else:
        print("\n".join(bundle.lines()))
    return bundle.status()


if __name__ == "__main__":
    raise SystemExit(main())
