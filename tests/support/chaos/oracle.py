"""The verdict on a run: what was witnessed is there, or destroyed by the chaos and declared.

In: what the product's own commands gave at the end (`fleet verify`, `report`, `evidence`), the
ledger of what was witnessed and destroyed, the simulator's books.
"""

import json
from collections import defaultdict
from itertools import pairwise

from simulator.clock import parse_utc
from simulator.demo import checks, report
from tests.support.evidence_world import SCRIPT, verifier

LOST_KINDS = ("batch-lost", "not-held")
GAP = "gap"


def rows_of(bundle):
    """Return {journal id: [(number, first, last)]} of the batches in an evidence bundle."""
    found = defaultdict(list)
    for one in bundle.parts:
        _, journal, number, first, last = one[0]
        found[journal.hex()].append((number, first, last))
    return {journal: sorted(rows) for journal, rows in found.items()}


def holes(rows):
    """Yield (first, last, numbers between) of the sequences that batches of a journal leave out."""
    for (before, _, end), (number, first, _) in pairwise([(0, 0, 0), *rows]):
        if first > end + 1:
            yield end + 1, first - 1, range(before + 1, number)


def declared(incidents, journal, hole):
    """Return whether incidents of `fleet verify` name all of a hole."""
    first, last, numbers = hole
    mine = [one for one in incidents if one["journal"] == journal]
    if not numbers:         # the chain itself passes over it
        return any(one["kind"] == GAP and f"records {first}..{last} " in one["detail"]
                   for one in mine)
    named = set()
    for one in mine:
        if one["kind"] in LOST_KINDS and one["position"] != "more":
            ends = [int(part) for part in one["position"].split("-")]
            named.update(range(ends[0], ends[-1] + 1))
    return named.issuperset(numbers)


def with_unbooked(rows, verified):
    """Return the rows with what stands before a bundle's first batch: a batch whose configuration
    was destroyed with an earlier one is held and checked, but belongs to no period."""
    found = dict(rows)
    for one in verified["journals"]:
        mine = found.get(one["journal"], [])
        if mine and one["first_seq"] < mine[0][1]:
            mine = [(2, one["first_seq"], mine[0][1] - 1), *mine]
        if mine and one["last_seq"] > mine[-1][2]:      # it came after the period
            mine = [*mine, (mine[-1][0] + 1, mine[-1][2] + 1, one["last_seq"])]
        found[one["journal"]] = mine
    return found


def not_known(content):
    """Return [start, roles] of the quarter hours in which a metered energy is not known."""
    rows = content["series"]
    metered = {role for row in rows for role, wh in row["energy_wh"].items() if wh is not None}
    found = [(row["start"], sorted(role for role in metered - {"residual"}
                                   if row["energy_wh"][role] is None)) for row in rows]
    return [one for one in found if one[1]]


def energies_off(site, content):
    """Return (rows of energies, sentences) of the quarter hours that the report knows; others
    are there only where records were destroyed."""
    # An unknown quarter hour leaves two more edges, at which a counter was interpolated.
    more = 2 if not_known(content) else 1
    bounds = {row["role"]: more * row["bound_wh"] for row in checks.energy_rows(content, {})}
    known = {role: [0.0, 0.0] for role in bounds}
    truth = site.out / "sim" / "truth.jsonl"
    for row in content["series"]:
        start_ms = parse_utc(row["start"])
        books = report.books_between(truth, start_ms, start_ms + 1000 * row["length_s"])
        for role, wh in row["energy_wh"].items():
            if wh is not None and role in known:
                known[role] = [known[role][0] + wh, known[role][1] + books[role]]
    rows = [{"role": role, "measured_wh": wh, "truth_wh": real, "error_wh": wh - real,
             "bound_wh": bounds[role]} for role, (wh, real) in known.items()]
    return rows, checks.within_bounds(rows)


def lost_records(ledger, rows, incidents):
    """Return (how many witnessed records are not there, sentences about what must not be)."""
    count, faults = 0, []
    for journal, highest in ledger.witnessed().items():
        mine = rows.get(journal, [])
        if highest > max([last for _, _, last in mine] + [0]):
            faults.append(f"journal {journal[:8]}: {highest} was witnessed, the fleet has "
                          f"{mine[-1:]}")
        for hole in holes(mine):
            gone = {seq for seq in range(hole[0], hole[1] + 1) if seq <= highest}
            count += len(gone)
            alive = gone - ledger.destroyed[journal]
            if alive:
                faults.append(f"journal {journal[:8]}: {len(alive)} witnessed records were lost "
                              f"that nobody destroyed: {min(alive)} to {max(alive)}")
            if not declared(incidents, journal, hole):
                faults.append(f"journal {journal[:8]}: nobody declares records {hole[0]} to "
                              f"{hole[1]}")
    return count, faults


async def judge(site, start_ms, end_ms):
    """Return (what was counted, sentences about what must not be) of a healed, drained site."""
    faults, words = [], (*site.data(), *site.site_id())
    period = ("--from", report.format_utc(start_ms), "--to", report.format_utc(end_ms))
    verified = await site.ask("fleet", "verify", *words, "--json")
    if not verified.out:
        return {}, [f"fleet verify: {verified.code} {verified.error}"]
    found = json.loads(verified.out)
    faults += [f"fleet verify: {fault}" for one in found["journals"] for fault in one["faults"]]
    faults += [f"fleet verify: {one}" for one in found["store"]]
    told = await site.ask("fleet", "report", *words, *period, "--format", "json")
    path = site.out / "evidence.bundle"
    made = await site.ask("fleet", "evidence", *words, *period, "--out", str(path))
    if told.code or made.code:
        return {}, [*faults, f"no report or evidence: {told.error} {made.error}"]
    checked = await site.run_script(SCRIPT, str(path))
    if checked.code != 3:           # nothing is proven in simulated time
        faults.append(f"verify_evidence: {checked.code} {checked.error} "
                      f"{checked.out[checked.out.find('WRONG'):][:2000]}")
    rows = rows_of(verifier().Bundle(path.read_bytes()))
    gone, more = lost_records(site.ledger, with_unbooked(rows, found), found["incidents"])
    content = json.loads(told.out)
    energies, off = energies_off(site, content)
    faults += more + off
    unknown = not_known(content)
    if unknown and not gone:
        faults.append(f"no record was lost, but the energy of these is not known: {unknown}")
    seen = content["evidence"]
    if not seen["chain_ok"] or not gone and seen["coverage"] < 1:
        faults.append(f"report: chain_ok {seen['chain_ok']}, coverage {seen['coverage']}")
    destroyed = sum(map(len, site.ledger.destroyed.values()))
    return {"witnessed": sum(site.ledger.witnessed().values()), "destroyed": destroyed,
            "lost and declared": gone, "batches": sum(map(len, rows.values())),
            "energies": len(energies), "quarters not known": unknown,
            "table": checks.table(energies)}, faults
