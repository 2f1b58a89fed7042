"""Which share of a period's expected readings is here with a value.

Coverage (period.coverage) also counts what a gateway declared missing: a day can be covered whole
and lack a sixth of its readings.  Whoever says "complete" must say both.
"""

from collections.abc import Callable
from typing import NamedTuple

from fleet.rollup.config_history import ConfigHistory
from fleet.store.reader import StoreReader
from gateway.core import interval
from gateway.ledger import counter_limits


class ExpectedSpan(NamedTuple):
    """A time under one configuration; expected: scans of each device, one in each period_ms."""

    from_ms: int
    to_ms: int
    period_ms: int
    expected: int


def share(reader: StoreReader, cabinet: str, history: ConfigHistory) -> float:
    """Return the share of expected scans of a period that have a value."""
    def answered(span: ExpectedSpan) -> Callable[[str], int]:
        found = reader.answered(cabinet, interval.quarter(span.from_ms), span.to_ms)
        return lambda name: min(found.get(name, 0), span.expected)
    return mean_share(reader, cabinet, history, answered)


def mean_share(reader: StoreReader, cabinet: str, history: ConfigHistory,
               of_span: Callable[[ExpectedSpan], Callable[[str], int]]) -> float:
    """Return the mean share of the scans that count, over devices and time; 0 if none is expected.

    Expected: every device once in each poll interval, since the cabinet was first started.
    of_span: returns for a span which number of a device's scans counts, by its name.
    """
    since, shares, weights = reader.commissioned_ms(cabinet), 0.0, 0
    for start, to_ms, descriptor in history.spans():
        from_ms, period_ms = max(start, since), counter_limits.interval_ms(descriptor)
        span = ExpectedSpan(from_ms, to_ms, period_ms, (to_ms - from_ms) // period_ms)
        if span.expected <= 0:
            continue
        scans_of = of_span(span)
        for entry in descriptor["devices"]:
            shares += scans_of(str(entry["name"])) / span.expected * (to_ms - from_ms)
            weights += to_ms - from_ms
    return shares / weights if weights else 0.0
