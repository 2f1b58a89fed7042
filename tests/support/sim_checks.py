"""What must hold when a simulated day is over and everything has come to rest.

    at_the_end(world)                       raises Violation
"""

import bisect
import itertools
from hashlib import sha256

from fleet.formats import site_descriptor
from gateway.core import interval
from gateway.core.reading import CLOCK_UNKNOWN
from gateway.ledger import counter_limits
from tests.support import sim_coarse
from tests.support.sim_gateway import NAME, STREAMS, meter
from tests.support.sim_truth import ORIGIN_S

LIVE_AGE_S = 60.0
POWER_W_MAX = 4000          # of either meter, rounded up


def at_the_end(world):
    """Hold fleet and cabinet to each other; faults are off, the gateway has stopped."""
    witness, fleet = world.machine.witness, world.fleet
    head = max(witness.ends)
    low, _ = fleet.contiguous()
    if low != head:
        world.fail("I9", f"the fleet has {low} of {head}")
    rows = fleet.rows("SELECT number, chain_hash, sealed FROM batches WHERE cabinet = ?", NAME)
    for number, link, sealed in rows:
        known = witness.batches.get(number)
        if known is None or known.chain_hash != link or (
                sealed and sha256(sealed).digest() not in witness.contents):
            world.fail("I6", f"batch {number} at the fleet is not what was sealed")
    if len(rows) != len(witness.batches):
        world.fail("I5", f"{len(rows)} batches stored, {len(witness.batches)} sealed")
    _is_counted_once(world)
    _refusals_are_counted(world)
    _gaps_are_honest(world)
    _energy_is_conserved(world)
    if witness.rules:
        _coarse_energy_is_the_same(world)
    ages = sorted(world.ages)
    if ages and ages[len(ages) * 99 // 100] > LIVE_AGE_S:
        world.fail("I10", f"live figures are {ages[-1]:.0f} s old while nothing is wrong")


def _is_counted_once(world):
    """Compare booked polls with distinct sequences; re-sent ones must not count (I5)."""
    witness, booked = world.machine.witness, dict(world.fleet.rows(
        "SELECT stream, SUM(count) FROM scan_parts WHERE cabinet = ? GROUP BY stream", NAME))
    dated = {one.content.boot for one in witness.batches.values()
             if one.content.clock.source != CLOCK_UNKNOWN}
    for index, name in enumerate(STREAMS):
        sealed = sum(scan.stream == index for one in witness.batches.values()
                     if one.content.boot in dated for scan in one.scans.values())
        if booked.get(name, 0) != sealed:
            world.fail("I5", f"{name}: {booked.get(name, 0)} polls booked, {sealed} sealed")


def _refusals_are_counted(world):
    """Everything refused stands in the fleet's own count (I12), but for what a restore lost.

    One more may stand there for each crash: committed, but nobody was told.
    """
    counted = world.fleet.rows("SELECT coalesce(SUM(count), 0) FROM refused_counts")[0][0]
    refused = world.fleet.refused
    if not refused <= counted <= refused + world.fleet.crashes and not world.restored:
        world.fail("I12", f"{refused} batches refused, the fleet counts {counted}")


def _gaps_are_honest(world):
    """Every hole between two polls of a meter is declared, or its clock was unknown (I7)."""
    batches = [one for _, one in sorted(world.machine.witness.batches.items())]
    undated = {one.content.boot for one in batches
               if one.content.clock.source == CLOCK_UNKNOWN}
    for stream in range(len(STREAMS)):
        polls = [(seq, scan.at_s, one.content.boot in undated) for one in batches
                 for seq, scan in sorted(one.scans.items()) if scan.stream == stream]
        for before, after in itertools.pairwise(polls):
            _is_declared(world, stream, before, after)


def _is_declared(world, stream, before, after):
    step_s = world.style.interval_s
    limit_s = 1.6 * step_s + 3
    if after[1] - before[1] <= limit_s:
        return
    between_s = _slack_s(world, before, after)
    if before[2] or after[2] or after[1] - before[1] <= limit_s + between_s:
        world.undated_holes += 1        # no clock that knew could tell that time has passed
        return
    left = [(before[1], after[1])]
    for one in world.machine.witness.batches.values():
        slack_s = one.content.clock.uncertainty_ms / 1000 + between_s
        for _, body in one.gaps:
            if body[0] in (stream, -1) and body[1] is not None:
                left = _without(left, body[1] / 1000 - ORIGIN_S - slack_s,
                                body[2] / 1000 - ORIGIN_S + slack_s)
    open_s = max((end - start for start, end in left), default=0.0)
    if open_s > limit_s:
        world.fail("I7", f"{STREAMS[stream]}: no poll and no declared gap for {open_s:.0f} s "
                         f"between {before[1]:.0f} s and {after[1]:.0f} s, records "
                         f"{before[0]} and {after[0]}")


def _slack_s(world, before, after):
    """Return how wrong a clock from one poll to the other may have been, in s."""
    batches, ends = world.machine.witness.batches, sorted(world.machine.witness.ends)
    first, last = bisect.bisect_left(ends, before[0]), bisect.bisect_left(ends, after[0])
    return max(batches[number].content.clock.uncertainty_ms
               for number in range(first, last + 1)) / 1000


def _without(spans, start, end):
    """Return spans of time without the part from start to end."""
    left = []
    for low, high in spans:
        if start > low:
            left.append((low, min(high, start)))
        if end < high:
            left.append((max(low, end), high))
    return [(low, high) for low, high in left if high > low]


def _energy_is_conserved(world):
    """A measured quarter hour's energy is the meter's own difference, within its bound (I8)."""
    described = site_descriptor.parse(world.machine.descriptor)
    worst_ms = dict(world.fleet.rows(
        "SELECT quarter_ms, MAX(uncertainty_ms) FROM scan_parts GROUP BY quarter_ms"))
    for channel, name, measurand, exponent in world.fleet.rows(
            "SELECT id, stream, measurand, exponent FROM channels WHERE measurand = 43"):
        parts = [interval.QuarterPart(*row) for row in world.fleet.rows(
            "SELECT quarter_ms, first_ms, first, last_ms, last, broken FROM counter_parts "
            "WHERE channel = ?", channel)]
        rules = counter_limits.rules_for(described, name, measurand, exponent)
        for delta in interval.rebuild(parts, rules):
            if delta.quality == interval.MEASURED:
                near_ms = [worst_ms.get(delta.start_ms + step * interval.QUARTER_MS, 0)
                           for step in (-1, 0, 1)]
                _is_the_meters(world, STREAMS.index(name), delta, max(near_ms))


def _coarse_energy_is_the_same(world):
    """What the fleet booked from downsampled batches is to the bit what a fleet books that gets
    every batch as it was sealed (I8); where less than quarter hours was kept, the ends are."""
    witness, fleet = world.machine.witness, world.fleet
    described = site_descriptor.parse(world.machine.descriptor)
    held = [(witness.contents[sha256(sealed).digest()], source) for sealed, source in fleet.rows(
        "SELECT sealed, source FROM batches WHERE cabinet = ? AND whole IS NULL", NAME)]
    thinned_ms = sim_coarse.thinned_ms(witness.batches, held)
    twin = fleet.twin([known.data for _, known in sorted(witness.batches.items())])
    of_twin, of_fleet = (sim_coarse.energies(link, NAME, described)
                         for link in (twin, fleet.connection))
    for key in sorted(of_twin.keys() | of_fleet.keys()):
        whole, booked = of_twin.get(key, {}), of_fleet.get(key, {})
        for place in (whole.keys() | booked.keys()) - thinned_ms:
            if whole.get(place) != booked.get(place):
                world.fail("I8", f"{key}: booked {booked.get(place)}, of whole batches "
                                 f"{whole.get(place)}")
            world.same_quarters += 1


def _is_the_meters(world, stream, delta, uncertainty_ms):
    start_s = delta.start_ms / 1000 - ORIGIN_S
    true = (meter(stream, start_s + delta.length_ms / 1000)[1] - meter(stream, start_s)[1])
    allowed = 2 + delta.bound_milli / 1000 + 2 * POWER_W_MAX * uncertainty_ms / 3_600_000
    if abs(delta.delta_milli / 1000 - true) > allowed:
        world.fail("I8", f"quarter hour at {start_s:.0f} s: {delta.delta_milli / 1000} Wh booked, "
                         f"{true} Wh true, bound {allowed:.1f}")
    world.quarters += 1
