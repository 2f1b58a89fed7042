"""A bundle's period: time of its batches, what is covered, energy against the statement.

Part of verify_evidence.py; written from docs/formats.md 10.3 - 11, imports nothing of Wattproof.
Nothing that the statement says is a yardstick here: it is only compared.
"""
import json
import re
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from math import isfinite

from evidence_format import CLOCK, GAP, UTC_MS_MAX, cbor, name, need, sha, text, utc, whole
from evidence_rivals import Rivals
from recount_energy import ENERGY, QUARTER_MS, Counter, read, rule_of, runs

DAY_MS, PROCESSES_FROM = 86_400_000, 500
IMPORT, EXPORT, SUM, YIELD = 43, 47, 51, 56
ENERGIES = (                                # name of the statement, role, counters: best first
    ("grid_import", "grid", (IMPORT,)), ("grid_export", "grid", (EXPORT,)),
    ("pv", "pv", (YIELD, EXPORT, IMPORT, SUM)), ("battery_charge", "battery", (IMPORT,)),
    ("battery_discharge", "battery", (EXPORT,)), ("genset", "genset", (YIELD, EXPORT, IMPORT, SUM)),
    *((role, role, (IMPORT, SUM)) for role in ("it", "cooling", "lighting", "other")))
TEXTS = (("role", 200), ("kind", 200), ("bus", 200), ("path", 200), ("serial", 64))
DECIMAL = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")


def run(work, jobs):
    """Map work over jobs, of many in two processes."""
    if len(jobs) <= PROCESSES_FROM:
        return list(map(work, jobs))
    with ProcessPoolExecutor(2) as pool:
        return list(pool.map(work, jobs, chunksize=50))


def site_of(data):
    """Return a site descriptor within the limits of section 16."""
    site = cbor(data)
    need(len(data) <= 8000 and type(site) is dict and text(site.get("site"), 200) and
         whole(site.get("interval_s"), 1, 86_400), "site descriptor: site or interval_s")
    devices = site.get("devices")
    need(type(devices) is list and len(devices) <= 1024 and
         all(type(one) is dict and text(one.get("name"), 200) for one in devices) and
         len({one["name"] for one in devices}) == len(devices), "site descriptor: devices")
    for one in devices:
        ratio = one.get("ct_ratio")
        need(ratio is None or (whole(ratio, 0, 10**6) or type(ratio) is str and
             DECIMAL.fullmatch(ratio)) and 1e-6 <= float(ratio) <= 1e6, "descriptor: ct_ratio")
        need(one.get("rated_w") is None or whole(one["rated_w"], 0, 10**9), "descriptor: rated_w")
        need(all(one.get(key) is None or type(one[key]) is str and len(one[key]) <= most
                 for key, most in TEXTS), f"site descriptor: {', '.join(dict(TEXTS))}")
        need(one.get("unit") is None or whole(one["unit"], 0, 65_535), "site descriptor: unit")
    buses = [] if site.get("buses") is None else site["buses"]
    need(type(buses) is list and len(buses) <= 1024 and all(type(one) is dict and all(
        type(value) is str and len(value) <= 200 for value in (
            one.get("name"), one.get("address", ""))) for one in buses), "site descriptor: buses")
    return site


def where(device, buses):
    """Return where a device of a descriptor hangs, "" if the descriptor does not say."""
    bus, unit, serial = (device.get(key) for key in ("bus", "unit", "serial"))
    at = buses.get(bus, {}).get("address") or ""
    told = [f"bus {bus}" + (f" ({at})" if at else "")] if bus else []
    told += [f"unit {unit}"] * (unit is not None) + [f"serial number {serial}"] * bool(serial)
    return f"{device['name']}: {', '.join(told)}" if told else ""


def less(pieces, covered):
    """Return the pieces [(from, to)] without what others cover; both in order."""
    found, i, covered = [], 0, joined(covered, 0)
    for start, end in pieces:
        while i < len(covered) and covered[i][1] <= start:
            i += 1
        for first, last in covered[i:]:
            if first >= end:
                break
            found += [(start, first)] if start < first else []
            start = max(start, last)
        found += [(start, end)] if start < end else []
    return found


def joined(pieces, limit):
    """Return pieces in order, those joined that lie within a limit of each other."""
    found = []
    for first, last in sorted(pieces):
        if found and first - found[-1][1] <= limit:
            found[-1][1] = max(found[-1][1], last)
        else:
            found.append([first, last])
    return found


def add(held, shares, worth, swapped):
    """Put the shares of a run into {quarter: Wh}; on both sides of a swap they add up."""
    for q, share in shares.items():
        before, wh = held.get(q, 0) if swapped else 0, None if share is None else share * worth
        held[q] = None if wh is None or before is None else before + wh


class Read:
    """One batch: row, what `examine` found, and under its clock what `readings` gives."""

    def __init__(self, row, sealed, found):
        self.row, self.sealed = row, sealed
        self.prev, self.config, self.boot, self.own, self.events, _ = found
        self.clock, self.data, self.key = None, None, (row[1], found[2])

    def believed(self, clock, now_ms):
        """Whether a clock says a time, and none that is more than a day to come (section 11)."""
        last = self.data["ticks"][1] if self.data["ticks"] else clock[1]
        return clock[0] == 9 or clock[0] > 0 and (
            clock[2] + last - clock[1] - now_ms <= DAY_MS + min(clock[3], DAY_MS))

    def all_runs(self):
        return [run for rows in self.data["runs"].values() for run in rows]

    def end_ms(self):
        return max((run[1] for run in self.all_runs()), default=0)

    def carried(self, clock):
        """Return a clock of the boot's, less certain the further these records lie from it."""
        reach = max(abs(at - clock[1]) for at in self.data["ticks"] or (clock[1],))
        return [*clock[:3], clock[3] - (-reach * 500 // 1_000_000)]


class Period:
    """What a bundle's batches say of its period.  meters: {(device, measurand, role): (Wh, bound
    in Wh, tolerance in Wh)}, roles: {name: (Wh or None, tolerance)}."""

    def __init__(self, bundle, found):
        """found: what `examine` gave of each batch of the bundle."""
        said, self.bundle = bundle.said, bundle
        self.from_ms, self.to_ms = said["from"], said["to"]
        self.sites = {sha(one): site_of(one) for one in said["descriptors"]}
        self.batches = [Read(about, sealed, one) for (about, sealed, _), one in zip(
            bundle.parts, found, strict=True)]
        self.rivals = Rivals(said)
        self.place(bundle.newest[2])
        self.count()

    def place(self, now_ms):
        """Give each batch its clock (section 11) and read it under that clock."""
        mine = [one.own if one.own[0] > 1 else None for one in self.batches]
        self.read(self.batches, mine)
        clocks, after = {}, []
        for one in self.batches:
            told = [one.own] if one.believed(one.own, now_ms) else []
            told += [body[:4] for _, kind, body in one.events if kind == CLOCK and not one.own[0]
                     and len(body) > 3 and all(whole(n, 0, UTC_MS_MAX) for n in body[:4])
                     and one.believed(body, now_ms)]
            for clock in told:              # the earliest of the better source
                best = clock[0] <= 1, clock[1], one.row[2], clock
                clocks[one.key] = min(best, clocks.get(one.key, best))
        for one, own in zip(self.batches, mine, strict=True):
            if own and one.believed(own, now_ms):
                one.clock = own
                continue
            weak, _, number, clock = clocks.get(one.key, (True, 0, 0, None))
            plain = one.believed(one.own, now_ms) and (weak or one.row[2] >= number)
            one.clock = one.own if plain else clock and one.carried(clock)
            after.append(one)
        self.read(after, [one.clock for one in after])

    def read(self, batches, clocks):
        jobs = [(one.sealed, self.sites, clock, self.rivals.of(one.row))
                for one, clock in zip(batches, clocks, strict=True)]
        for one, data in zip(batches, run(read, jobs), strict=True):
            need(type(data) is dict, f"{name(one.row)}: {data}")
            one.data = data

    def inside(self, ms):
        return self.from_ms <= ms < self.to_ms

    def count(self):
        """Count each meter's energy, and that of each role quarter hour by quarter hour."""
        first, end = self.from_ms // QUARTER_MS, self.to_ms // QUARTER_MS
        used = [one for one in self.batches if one.clock]
        here = [one for one in used if any(first <= q < end for q in one.data["quarters"])]
        self.sources = sorted({one.clock[0] for one in here})
        self.uncertainty_ms = max((one.clock[3] for one in here), default=0)
        parts = defaultdict(list)
        for one in used:
            for key, more in one.data["parts"].items():
                parts[key] += more
        # One that a whole batch and a downsampled one both hold is one.
        told = {one[:8]: one for batch in used for one in batch.data["swaps"]}
        self.swaps = sorted(told.values(), key=lambda one: (one.ms, one.device))
        self.meters, shares, self.slack = {}, defaultdict(dict), defaultdict(float)
        for (device, measurand, exponent), mine in parts.items():
            swaps = [one._replace(ends=(*one.ends.get((measurand, exponent), (None, None)), rule_of(
                self.sites[one.config], device, exponent)))
                     for one in self.swaps if one.device == device]
            for part in runs(mine, swaps):
                rule, counter = part.points[0].rule, Counter(part)
                add(shares[device, measurand], counter.shares, rule.worth, part.old_ms is not None)
                found = counter.energy(first, end, self.uncertainty_ms)
                if found:
                    row = [n * rule.worth for n in (*found[:2], 1 + found[2] / 1000)]
                    key = device, ENERGY[measurand], rule.role
                    self.meters[key] = [a + b for a, b in zip(
                        self.meters.get(key, (0, 0, 0)), row, strict=True)]
                    self.slack[device] += row[2]
        self.roles = self.by_role(self.in_force(first, end), shares)

    def in_force(self, first, end):
        """Return [(first quarter, quarter behind, config hash)] of the period, by time."""
        newest, named = {}, {}              # of each journal, of them all
        for one in self.batches:
            for q in one.data["quarters"] if one.clock else ():
                key = q, one.row[1]
                newest[key] = max(newest.get(key, (0,)), (one.row[2], one.end_ms(), one.config))
        for (q, _), (_, end_ms, config) in newest.items():
            named[q] = max(named.get(q, (0, b"")), (end_ms, config))
        before = [q for q in named if q <= first]
        starts = [(first, named[max(before)][1])] if before else []
        starts += [(q, named[q][1]) for q in sorted(named) if first < q < end]
        if starts:
            starts[0] = first, starts[0][1]
        starts = [one for i, one in enumerate(starts) if i == 0 or one[1] != starts[i - 1][1]]
        self.spans = [(start, after, config) for (start, config), (after, _) in zip(
            starts, [*starts[1:], (end, None)], strict=True)]
        return self.spans

    def by_role(self, spans, shares):
        held = {one.get("role") for _, _, config in spans for one in self.sites[config]["devices"]}
        roles = {}
        for energy, role, counters in ENERGIES:
            known, slack = [], 0
            for start, end, config in spans:
                devices = [one["name"] for one in self.sites[config]["devices"]
                           if one.get("role") == role]
                sums = (self.at(q, devices, counters, shares) for q in range(start, end))
                known += [wh for wh in sums if wh is not None]
                slack += sum(self.slack[one] for one in devices)
            roles[energy] = (sum(known) if known and role in held else None), slack
        return roles

    def at(self, q, devices, counters, shares):
        """Return the Wh of devices in a quarter hour, each by its best counter; None if one is
        not known."""
        found = [next((shares[one, counter][q] for counter in counters
                       if q in shares.get((one, counter), ())), None) for one in devices]
        return None if None in found else sum(found)

    def lines(self):
        """Return what is proven of devices, their swaps and their energy, as lines."""
        found = [f"energy      {device}, {measurand}, role {role}: {wh:.3f} Wh, bound "
                 f"{bound:.3f} Wh" for (device, measurand, role), (wh, bound, _)
                 in sorted(self.meters.items(), key=str)]
        found += [f"energy      of all, {role}: {wh:.3f} Wh"
                  for role, (wh, _) in self.roles.items() if wh is not None]
        for swap in self.swaps:
            if (swap.ms if swap.old_ms is None else swap.old_ms) < self.to_ms and (
                    swap.ms >= self.from_ms):
                ends = [f", {ENERGY[key[0]]} {'?' if end is None else end} to "
                        f"{'?' if start is None else start} (10^{key[1]} Wh)"
                        for key, (end, start) in sorted(swap.ends.items())]
                found.append(f"meter swap  {swap.device}, serial number {swap.old} to {swap.new}, "
                             f"{utc(swap.old_ms)} to {utc(swap.ms)}{''.join(ends)}")
        buses = ({one["name"]: one for one in self.sites[config].get("buses") or ()}
                 for _, _, config in self.spans)
        rows = [where(one, known) for (_, _, config), known in zip(self.spans, buses, strict=True)
                for one in self.sites[config]["devices"]]
        return found + [f"device      {row}, as its cabinet says"
                        for row in dict.fromkeys(filter(None, rows))]

    # --- what is covered ------------------------------------------------------------------

    def declared(self):
        """Return [(device or None for all, from, to)] of the gaps that the cabinet signed."""
        found = []
        for one in self.batches:
            devices = [entry["name"] for entry in self.sites[one.config]["devices"]]
            for at, kind, body in one.data["events"]:
                if kind != GAP or len(body) < 3 or not whole(body[0], -1, 255):
                    continue
                start, end = (at if ms is None else ms for ms in body[1:3])
                device = devices[body[0]] if 0 <= body[0] < len(devices) else None
                if whole(start, 0, UTC_MS_MAX) and whole(end, start + 1, UTC_MS_MAX) and (
                        body[0] < 0 or device):
                    found.append((device, start, end))
        return found + self.holes()

    def holes(self):
        """Return the same of sequences and lost batches that the signed chain passes over."""
        found = []
        for journal, number in self.bundle.passed:
            mine = [one for one in self.batches if one.row[1] == journal and one.data["runs"]]
            before = [run[1] for one in mine if one.row[2] < number
                      for rows in one.data["runs"].values() for run in rows]
            after = [run[0] for one in mine if one.row[2] >= number
                     for rows in one.data["runs"].values() for run in rows]
            if before and after:
                found.append((None, max(before), min(after)))
        return found

    def uncovered(self):
        """Return {(from, to): [devices]} of what has neither scans nor a declared gap, longer
        than six poll intervals; and [ms] that declared gaps take of each device."""
        declared, scans, found, gone = self.declared(), defaultdict(list), defaultdict(list), []
        for one in self.batches:
            for device, stretches in one.data["runs"].items():
                scans[device] += stretches
        for device, (limit, expected) in self.expected().items():
            left = [(a, b) for a, b in less(expected, joined(scans[device], limit))
                    if b - a > limit]
            open_ms = less(left, [one[1:] for one in declared if one[0] in (None, device)])
            gone.append(sum(b - a for a, b in left) - sum(b - a for a, b in open_ms))
            for one in open_ms:
                if one[1] - one[0] > limit:
                    found[one].append(device)
        if not gone:
            found[self.from_ms, self.to_ms].append("every device")
        return found, gone

    def expected(self):
        """Return {device: (six poll intervals in ms, [(from, to)])}: when which is to be read."""
        starts = sorted((min(run[0] for rows in one.data["runs"].values() for run in rows),
                         one.row[2], one.config) for one in self.batches if one.data["runs"])
        changes = [one for i, one in enumerate(starts) if i == 0 or one[2] != starts[i - 1][2]]
        found = {}
        for i, (at, _, config) in enumerate(changes):
            start = max(at, self.from_ms) if i else self.from_ms
            end = min(changes[i + 1][0] if i + 1 < len(changes) else self.to_ms, self.to_ms)
            site = self.sites[config]
            for device in (one["name"] for one in site["devices"] if start < end):
                limit, pieces = found.get(device, (0, []))
                found[device] = max(limit, 6000 * site["interval_s"]), [*pieces, (start, end)]
        return found

    def last_ms(self, journal):
        """Return when a journal's newest scan in the bundle was taken, None without a time."""
        return max((run[1] for one in self.batches if one.row[1] == journal
                    for rows in one.data["runs"].values() for run in rows), default=None)

    # --- what the statement says ----------------------------------------------------------

    def compare(self, statement, attempt):
        """Hold a statement's energy to what was counted; attempt(what, need, truth, text)."""
        stated = {}
        for one in statement["meters"]:
            key = one["device"], one["measurand"], one["role"]
            need(key not in stated, f"statement: meter {key[0]} stands there twice")
            if one["energy_wh"] is not None:
                stated[key] = number(one["energy_wh"]), number(one["bound_wh"])
        for key in sorted({*stated, *self.meters}, key=str):
            (wh, bound), own = stated.get(key, (0, 0)), self.meters.get(key, (0, 0, 0))
            what = f"energy of {key[0]} ({key[1]}, role {key[2]})"
            attempt(what, need, key in stated and key in self.meters and abs(wh - own[0]) <= own[2],
                    f"{wh:.3f} Wh stated, {own[0]:.3f} counted" + (
                        "" if key in self.meters else ": no batch has such a meter and role"))
            attempt(f"bound of {what}", need, abs(bound - own[1]) <= own[2] + own[1] / 100,
                    f"{bound:.3f} Wh stated, {own[1]:.3f} counted")
        energy = statement["energy_wh"]
        for role, (wh, slack) in self.roles.items():
            said = energy[role]
            good = said in (None, 0) if wh is None else (
                said is not None and abs(number(said) - wh) <= slack + 1e-6)
            attempt(f"energy of {role}", need, good, f"{said} Wh stated, "
                    f"{'none' if wh is None else format(wh, '.3f')} counted")


def number(value):
    """Return a number of JSON that is one."""
    need(type(value) in (int, float) and isfinite(value), "statement: a number is expected")
    return value


def facts(bundle):
    """Return the statement of a bundle if it is about this cabinet, period and factor set."""
    said, statement = bundle.said, json.loads(bundle.said["statement"])
    about = [utc(said["from"]), utc(said["to"]), said["cabinet"], said["site"]]
    need([statement["from"], statement["to"], statement["cabinet"], statement["site"]] == about,
         "the statement is about another cabinet or period")
    need(statement["factors"]["sha256"] == sha(said["factors"]).hex(),
         "the statement was made with other factors")
    factors = json.loads(said["factors"])
    need(all(statement["factors"].get(key) == factors.get(key) for key in ("id", "version",
         "scope", "zone")), "the statement names another factor set than it was made with")
    for one in statement["evidence"]["journals"]:
        held = [row[3:5] for row in said["batches"] if row[1].hex() == one["journal"]]
        first, last = (held[0][0], held[-1][1]) if held else (0, 0)
        need(held and first <= one["first_seq"] and last >= one["last_seq"],
             f"journal {one['journal'][:8]}: records {one['first_seq']}..{one['last_seq']} are "
             f"accounted, but the batches hold {first}..{last}")
    return statement
