"""What must hold when a simulated day is over and everything has come to rest."""

from hashlib import sha256

from tests.support.sim_gateway import NAME


def at_the_end(world):
    """Hold fleet and cabinet to each other; faults are off, the gateway has stopped."""
    witness, fleet = world.machine.witness, world.fleet
    head = max(witness.ends)
    low, _ = fleet.contiguous()
    if low != head:
        world.fail("I9", f"the fleet has {low} of {head}")
    rows = fleet.rows("SELECT number, sealed FROM batches WHERE device = ?", NAME)
    for number, sealed in rows:
        known = witness.batches.get(number)
        if known is None or known.digest != sha256(sealed).digest():
            world.fail("I6", f"batch {number} at the fleet is not what was sealed")
    if len(rows) != len(witness.batches):
        world.fail("I5", f"{len(rows)} batches stored, {len(witness.batches)} sealed")
    _is_counted_once(world)
    ages = sorted(world.ages)
    if ages and ages[len(ages) * 99 // 100] > 60.0:
        world.fail("I10", f"live figures are {ages[-1]:.0f} s old while nothing is wrong")


def _is_counted_once(world):
    """Compare booked polls with distinct sequences; re-sent ones must not count (I5)."""
    witness, booked = world.machine.witness, dict(world.fleet.rows(
        "SELECT stream, SUM(count) FROM scan_parts WHERE device = ? GROUP BY stream", NAME))
    dated = {one.content.boot for one in witness.batches.values() if one.content.clock.source}
    for index, name in enumerate(("grid", "node")):
        sealed = sum(scan.stream == index for one in witness.batches.values()
                     if one.content.boot in dated for scan in one.scans.values())
        if booked.get(name, 0) != sealed:
            world.fail("I5", f"{name}: {booked.get(name, 0)} polls booked, {sealed} sealed")
