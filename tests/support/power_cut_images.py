"""What flash holds after a power cut: one of the images that a Snapshot allows.

    for damage in DAMAGE:
        image = image_after_cut(store.snapshot(), damage, seed)
        journal = Journal.open(MemoryStore(image), ...)
"""

import random

from tests.support.memory_store import Snapshot, patched, sectors_of

# (what happens to unsynced sectors, what happens to unsynced names)
DAMAGE = (
    ("none", "none"), ("none", "all"), ("all", "none"), ("all", "all"),
    ("prefix", "prefix"), ("prefix", "all"), ("suffix", "all"), ("subset", "subset"),
    ("subset", "all"), ("subset", "none"), ("torn", "all"), ("torn", "prefix"),
    ("zeros", "all"), ("zeros", "subset"), ("garbage", "all"), ("garbage", "subset"),
)


def image_after_cut(snapshot: Snapshot, damage: tuple[str, str], seed: int) -> dict[str, bytes]:
    """Return the files a start would find after a cut with one kind of damage."""
    chance = random.Random(seed)
    writes, names = damage
    medium = dict(snapshot.names)
    for change, name, number in _surviving(snapshot.name_changes, names, chance):
        if change == "create":
            medium[name] = number
        else:
            medium.pop(name, None)
    sectors = [(number, offset, part) for number, (_, pending) in snapshot.files.items()
               for start, data in pending for offset, part in sectors_of(start, data)]
    parts: dict[int, list[tuple[int, bytes]]] = {}
    for number, offset, part in _damaged(sectors, writes, chance):
        parts.setdefault(number, []).append((offset, part))
    return {name: patched(snapshot.files[number][0], parts[number])
            if number in parts else snapshot.files[number][0]
            for name, number in medium.items()}


def _surviving(items, how, chance):
    if how == "none":
        return ()
    if how == "prefix":
        return items[:chance.randint(0, len(items))]
    if how == "subset":
        return tuple(item for item in items if chance.random() < 0.5)
    return items


def _damaged(sectors, how, chance):
    """Return the sectors that reached the medium, in the state in which they did."""
    if how in ("none", "all", "prefix", "subset"):
        return _surviving(sectors, how, chance)
    if how == "suffix":
        return sectors[chance.randint(0, len(sectors)):]
    if not sectors:
        return sectors
    if how == "torn":
        at = chance.randrange(len(sectors))
        number, offset, part = sectors[at]
        return sectors[:at] + [(number, offset, part[:chance.randint(0, len(part))])]
    spoiled = []
    for number, offset, part in sectors:
        if chance.random() < 0.5:
            part = bytes(len(part)) if how == "zeros" else chance.randbytes(len(part))
        spoiled.append((number, offset, part))
    return spoiled
