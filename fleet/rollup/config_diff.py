"""What differs between two site descriptors, in words for people.  Pure."""

from collections.abc import Iterable, Mapping, Sequence

from fleet.formats.site_descriptor import DescriptorMap
from gateway.ledger.counter_limits import Descriptor

TOLD_MAX = 12               # differences of one change that a note names
LISTS = ("devices", "buses", "nodes")
WIRING = ("bus", "unit", "path")    # since the version that has "buses"
SAID = {"serial": "serial number", "ct_ratio": "CT ratio", "rated_w": "rated power in W"}


def differences(before: Descriptor, after: Descriptor) -> list[str]:
    """Return what changed, each as "grid: unit 1 to 2"; of very much the begin and a count."""
    changes = list(_entries({"site": _plain(before)}, {"site": _plain(after)}, ()))
    unsaid = () if "buses" in before and "buses" in after else WIRING
    for key in LISTS:
        if key != "buses" or not unsaid:
            changes += _entries(_by_name(before.get(key)), _by_name(after.get(key)), unsaid)
    more = len(changes) - TOLD_MAX
    return [*changes[:TOLD_MAX], f"and {more} more"] if more > 0 else changes


def _plain(descriptor: Descriptor) -> DescriptorMap:
    """Return what a descriptor says of the site as a whole."""
    return {key: value for key, value in descriptor.items() if not isinstance(value, list)}


def _by_name(entries: Iterable[DescriptorMap] | None) -> dict[str, DescriptorMap]:
    return {str(entry["name"]): entry for entry in entries or ()}


def _entries(before: Mapping[str, DescriptorMap], after: Mapping[str, DescriptorMap],
             unsaid: Sequence[str]) -> Iterable[str]:
    yield from (f"{name} added" for name in after if name not in before)
    yield from (f"{name} removed" for name in before if name not in after)
    for name in (name for name in after if name in before):
        old, new = before[name], after[name]
        for key in sorted({*old, *new}.difference(unsaid)):
            if old.get(key) != new.get(key):
                yield f"{name}: {SAID.get(key, key)} {_said(old.get(key))} to {_said(new.get(key))}"


def _said(value: object) -> str:
    return "none" if value is None or value == "" else str(value)[:80]
