"""What a site descriptor says of one counter: its limits, its worth, its place.  Pure.

The fleet counts energy by these limits, and a gateway that must downsample old batches
keeps by the same limits what shows a jump or a reset (gateway/core/journal/downsample.py).
"""

from decimal import Decimal, InvalidOperation
from typing import Any

from gateway.core import counter, interval
from gateway.core.measurand import BY_ID, BY_NAME
from gateway.core.reading import Stream

# The map of the signed CONFIG event, or an entry of it (docs/formats.md).
Descriptor = dict[str, Any]

# A counter whose width is not known never rolls over: a fall is then a reset, no energy is
# invented.  SunSpec inverter models count in 32 bits (acc32).
MODULUS_UNKNOWN = 1 << 62
MODULUS_BY_KIND = {"pv": 1 << 32}
RATED_W_UNKNOWN = 1_000_000         # above what a cabinet's feeder carries
COUNTS_PER_HOUR_MAX = 10**12        # for counters without a physical limit (tasks)
# Neighbours of a boundary further apart than this many polls make an estimate.
CLOSE_POLLS = 6
CPU_TIME = BY_NAME["cpu_time"].id
CPU_STEP_PER_S = 1000               # cpu_time counts milliseconds
MWH_PER_WH = 1000


def device(descriptor: Descriptor, name: str) -> Descriptor:
    """Return the descriptor's entry of a device, or an empty one."""
    found = [entry for entry in descriptor["devices"] if entry["name"] == name]
    return found[0] if found else {}


def interval_ms(descriptor: Descriptor) -> int:
    """Return how often each device is polled for the journal."""
    return int(descriptor["interval_s"]) * 1000


def number(value: str | int | None, default: Decimal) -> Decimal:
    """Return a whole number or decimal text of a descriptor as Decimal."""
    try:
        return default if value is None else Decimal(value)
    except (InvalidOperation, TypeError, ValueError):
        return default


def wh_per_count(entry: Descriptor, exponent: int) -> float:
    """Return the Wh of one count of a device's energy counter, CT ratio included."""
    return float(Decimal(1).scaleb(exponent) * number(entry.get("ct_ratio"), Decimal(1)))


def rules(descriptor: Descriptor, stream: Stream, position: int) -> interval.CounterRules:
    """Return the interval.Rules of a counter: point number `position` of a stream."""
    point = stream.points[position]
    return rules_for(descriptor, stream.device, point.measurand, point.exponent)


def rules_for(descriptor: Descriptor, name: str, measurand: int,
              exponent: int) -> interval.CounterRules:
    """Return the interval.Rules of a device's counter of this measurand and exponent."""
    entry, period_ms = device(descriptor, name), interval_ms(descriptor)
    known = BY_ID.get(measurand)
    modulus, rate = MODULUS_UNKNOWN, COUNTS_PER_HOUR_MAX
    if known is not None and known.unit in ("Wh", "varh", "VAh"):
        modulus = MODULUS_BY_KIND.get(str(entry.get("kind")), MODULUS_UNKNOWN)
        step_mwh = max(int(wh_per_count(entry, exponent) * MWH_PER_WH), 1)
        rate = counter.counts_per_hour(int(entry.get("rated_w") or RATED_W_UNKNOWN), step_mwh)
    elif measurand == CPU_TIME:
        rate = _cores(descriptor, name) * CPU_STEP_PER_S * 3600
    # Slack: a register may have been latched one poll before it was read.
    return interval.CounterRules(modulus, rate, CLOSE_POLLS * period_ms, period_ms)


def _cores(descriptor: Descriptor, name: str) -> int:
    for node in descriptor.get("nodes") or ():
        if isinstance(node, dict) and node.get("name") == name:
            return int(number(node.get("cores"), Decimal(1024)).to_integral_value()) or 1024
    return 1024
