"""The Merkle tree of RFC 9162 2.1 over sealed batches.  Pure.

Hashes of complete subtrees never change once written, so the tree is kept as nodes: `get`
gives the hash of node (level, place), which covers the leaves place * 2**level up to the next
2**level.  Appending writes one or two nodes, a proof reads some dozens.  A tree of `size`
leaves is any prefix: old heads are computed as easily as the newest.
"""

import hashlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

HASH_BYTES = 32
# A fleet of 10,000 gateways needs 3,000 years for this; it bounds what a hostile proof costs.
SIZE_MAX = 1 << 40
EMPTY = hashlib.sha256(b"").digest()

GetNode = Callable[[int, int], bytes]


class TreeNode(NamedTuple):
    """A complete subtree: level 0 is a leaf."""

    level: int
    position: int
    hash: bytes


class Head(NamedTuple):
    """The state of a log; size: leaves, root: 32 bytes, at_ms: when the last of them arrived,
    by the fleet's clock."""

    size: int
    root: bytes
    at_ms: int


def leaf_hash(entry: bytes) -> bytes:
    """Return the hash of a leaf: SHA-256(0x00 || entry)."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """Return the hash of an inner node: SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def appended(index: int, leaf: bytes, get: GetNode) -> list[TreeNode]:
    """Return the nodes to keep when leaf number `index` (from 0) joins the leaves before it."""
    nodes = [TreeNode(0, index, leaf)]
    while nodes[-1].position % 2:
        last = nodes[-1]
        left = get(last.level, last.position - 1)
        nodes.append(TreeNode(last.level + 1, last.position // 2, node_hash(left, last.hash)))
    return nodes


def root(size: int, get: GetNode) -> bytes:
    """Return the tree hash of the first `size` leaves (RFC 9162 2.1.1)."""
    return _subtree(0, size, get) if size else EMPTY


def inclusion(index: int, size: int, get: GetNode) -> list[bytes]:
    """Return the inclusion path of a leaf, lowest sibling first (RFC 9162 2.1.3.1)."""
    if not 0 <= index < size:
        raise ValueError(f"leaf {index} is not in a tree of {size}")
    path, start, end = [], 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append(_subtree(middle, end, get))
            end = middle
        else:
            path.append(_subtree(start, middle, get))
            start = middle
    return path[::-1]


def consistency(old: int, new: int, get: GetNode) -> list[bytes]:
    """Return the proof that the first `old` leaves are a prefix of the first `new`
    (RFC 9162 2.1.4.1); empty if one of the trees says nothing."""
    if not 0 <= old <= new:
        raise ValueError(f"a tree of {old} cannot come before a tree of {new}")
    path, start, end, whole = [], 0, new, True
    while old and start + old < end:        # old: leaves of the old tree from `start` on
        middle = start + _split(end - start)
        if start + old <= middle:
            path.append(_subtree(middle, end, get))
            end = middle
        else:
            path.append(_subtree(start, middle, get))
            old, start, whole = old - (middle - start), middle, False
    if not whole:
        path.append(_subtree(start, end, get))
    return path[::-1]


def root_of_inclusion(leaf: bytes, index: int, size: int, path: Sequence[bytes]) -> bytes | None:
    """Return the root that a path leads to from a leaf's hash, or None if the path does not
    have the shape that leaf and size demand (RFC 9162 2.1.3.2)."""
    if not 0 <= index < size <= SIZE_MAX or not _are_hashes(path):
        return None
    position, last, found = index, size - 1, leaf
    for one in path:
        if last == 0:
            return None
        if position % 2 or position == last:
            found = node_hash(one, found)
            while position % 2 == 0 and position:
                position, last = position // 2, last // 2
        else:
            found = node_hash(found, one)
        position, last = position // 2, last // 2
    return found if last == 0 else None


def root_of_consistency(old_root: bytes, old: int, new: int,
                        path: Sequence[bytes]) -> bytes | None:
    """Return the root of the `new` leaves that a path proves to continue `old_root`, or None
    if it does not (RFC 9162 2.1.4.2)."""
    if not 0 < old <= new <= SIZE_MAX or not _are_hashes(path):
        return None
    if old == new:
        return None if path else old_root
    hashes = list(path) if old & (old - 1) else [old_root, *path]
    if not hashes:
        return None
    position, last = old - 1, new - 1
    while position % 2:
        position, last = position // 2, last // 2
    before = after = hashes[0]
    for one in hashes[1:]:
        if last == 0:
            return None
        if position % 2 or position == last:
            before, after = node_hash(one, before), node_hash(one, after)
            while position % 2 == 0 and position:
                position, last = position // 2, last // 2
        else:
            after = node_hash(after, one)
        position, last = position // 2, last // 2
    return after if last == 0 and before == old_root else None


def _split(count: int) -> int:
    """Return the largest power of two below count (count > 1)."""
    return 1 << (count - 1).bit_length() - 1


def _subtree(start: int, end: int, get: GetNode) -> bytes:
    """Return the hash of leaves start .. end - 1; start is a multiple of every complete
    subtree inside, as all splits of RFC 9162 are."""
    count = end - start
    if count & (count - 1) == 0:
        level = count.bit_length() - 1
        return get(level, start >> level)
    middle = start + _split(count)
    return node_hash(_subtree(start, middle, get), _subtree(middle, end, get))


def _are_hashes(path: Sequence[bytes]) -> bool:
    return all(isinstance(one, bytes) and len(one) == HASH_BYTES for one in path)
