"""Which configuration was in force when: one batch, one configuration.  Pure.

What a gateway is configured with today says nothing about what it counted yesterday, so each
quarter hour has the descriptor that its own batches name.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise

from fleet.formats import site_descriptor, timetext
from fleet.formats.site_descriptor import DescriptorMap
from fleet.rollup import config_diff
from fleet.store.reader import StoreReader
from gateway.core.interval import QUARTER_MS
from gateway.ledger.counter_limits import Descriptor

CHANGES_TOLD_MAX = 20       # of a report's changes that a note names one by one


class ConfigHistory:
    """The descriptors of a period [from_ms, to_ms), by quarter hour."""

    def __init__(self, period: tuple[int, int], changes: list[tuple[int, bytes]],
                 stored: Mapping[bytes, bytes]) -> None:
        """changes: (quarter_ms, config hash), by time: from there on, not empty.  stored: hash
        to CBOR of every descriptor of the cabinet; only those that are asked for are read."""
        self._stored = stored
        self._read: dict[bytes, Descriptor] = {}
        first = [one for one in changes if one[0] <= period[0]][-1:] or changes[:1]
        inside = [one for one in changes if period[0] < one[0] < period[1]]
        starts = [(period[0], first[0][1])]
        starts += [one for one in inside if one[0] > starts[0][0]]
        self._starts = [one for position, one in enumerate(starts)
                        if position == 0 or one[1] != starts[position - 1][1]]
        self._to_ms = period[1]
        self.last_hash = self._starts[-1][1]

    def of(self, digest: bytes) -> Descriptor:
        """Return the descriptor with this hash; raises KeyError, and BadSchema for one that
        does not hold."""
        if digest not in self._read:
            self._read[digest] = site_descriptor.parse(self._stored[digest])
        return self._read[digest]

    def spans(self) -> Iterator[tuple[int, int, Descriptor]]:
        """Yield (from_ms, to_ms, descriptor), by time, without holes."""
        ends = [start for start, _ in self._starts[1:]] + [self._to_ms]
        for (start, digest), end in zip(self._starts, ends, strict=True):
            yield start, end, self.of(digest)

    def by_quarter(self) -> Iterator[tuple[int, Descriptor]]:
        """Yield (start_ms, descriptor) of every quarter hour."""
        for start, end, descriptor in self.spans():
            for quarter in range(start, end, QUARTER_MS):
                yield quarter, descriptor

    def whole(self) -> Descriptor:
        """Return what a statement of the period is made with: the descriptor at its end, and
        the devices, nodes and workloads that there were earlier in it."""
        found = [descriptor for _, _, descriptor in self.spans()]
        merged = found[-1]
        for earlier in reversed(found[:-1]):
            merged = merged | {
                "devices": _union(merged["devices"], earlier["devices"], ("name", "role")),
                "nodes": _union(merged.get("nodes"), earlier.get("nodes"), ("name",)),
                "workloads": _union(merged.get("workloads"), earlier.get("workloads"),
                                    ("node", "name"))}
            if merged.get("battery") is None:
                merged["battery"] = earlier.get("battery")
        return merged

    def notes(self) -> list[str]:
        """Return what a reader must know when the configuration changed in the period."""
        at = [timetext.rfc3339(start) for start, _ in self._starts[1:]]
        if not at:
            return []
        return [*self._changed()[:CHANGES_TOLD_MAX],
                "The configuration changed in the quarter hour from " + ", ".join(at) + ". Every "
                "reading counts with the configuration of its own batch; a meter whose CT ratio "
                "or role changed has no energy in the quarter hour of the change. Battery and "
                "nodes are taken as they are configured at the end of the period."]

    def _changed(self) -> list[str]:
        """Return what each change of the configuration changed."""
        found = [(start, config_diff.differences(self.of(before), self.of(after)))
                 for (_, before), (start, after) in pairwise(self._starts)]
        return [f"Changed in the quarter hour from {timetext.rfc3339(start)}: {'; '.join(changed)}."
                for start, changed in found if changed]


def of_period(reader: StoreReader, cabinet: str, from_ms: int, to_ms: int) -> ConfigHistory | None:
    """Return which configuration was in force in a period; None without any booked batch."""
    changes = reader.config_changes(cabinet, from_ms, to_ms)
    return ConfigHistory((from_ms, to_ms), changes, reader.configs(cabinet)) if changes else None


def _union(kept: list[DescriptorMap] | None, earlier: list[DescriptorMap] | None,
           keys: tuple[str, ...]) -> list[DescriptorMap]:
    held = list(kept or ())
    there = {tuple(one.get(key) for key in keys) for one in held}
    return held + [one for one in earlier or ()
                   if tuple(one.get(key) for key in keys) not in there]
