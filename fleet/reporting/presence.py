"""Which share of a period's expected readings is here with a value.

Coverage (period.coverage) also counts what a gateway declared missing: a day can be covered whole
and lack a sixth of its readings.  Whoever says "complete" must say both.
"""

from fleet.rollup.config_history import ConfigHistory
from fleet.store.reader import StoreReader
from gateway.core import interval
from gateway.ledger import counter_limits


def share(reader: StoreReader, cabinet: str, history: ConfigHistory) -> float:
    """Return the share of expected scans of a period that have a value.

    Expected: every device once in each poll interval, since the cabinet was first started.
    """
    since, shares, weights = reader.commissioned_ms(cabinet), 0.0, 0
    for start, to_ms, descriptor in history.spans():
        from_ms, period_ms = max(start, since), counter_limits.interval_ms(descriptor)
        expected = (to_ms - from_ms) // period_ms
        if expected <= 0:
            continue
        answered = reader.answered(cabinet, interval.quarter(from_ms), to_ms)
        for entry in descriptor["devices"]:
            shares += min(answered.get(str(entry["name"]), 0), expected) / expected * (
                to_ms - from_ms)
            weights += to_ms - from_ms
    return shares / weights if weights else 0.0
