"""The Merkle tree against the RFC's own words, hand-made hashes and scitt-cose as the oracle."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scitt_cose import merkle as oracle

from fleet.transparency import merkle

# The eight entries that certificate transparency's first implementation published as its test
# vectors, and the roots of the first n of them.
ENTRIES = [bytes.fromhex(text) for text in (
    "", "00", "10", "2021", "3031", "40414243", "5051525354555657",
    "606162636465666768696a6b6c6d6e6f")]
ROOTS = (
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
)


class Tree:
    """A tree in memory; `get` is what merkle.py asks."""

    def __init__(self, entries=()):
        self.nodes, self.entries = {}, []
        for entry in entries:
            self.append(entry)

    def append(self, entry):
        """Add a leaf."""
        for level, place, found in merkle.appended(
                len(self.entries), merkle.leaf_hash(entry), self.get):
            assert (level, place) not in self.nodes     # append only
            self.nodes[level, place] = found
        self.entries.append(entry)

    def get(self, level, place):
        """Return a complete subtree's hash."""
        return self.nodes[level, place]

    def hexes(self):
        """Return the entries as the oracle wants them."""
        return [entry.hex() for entry in self.entries]


def test_the_published_vectors_of_certificate_transparency_hold_for_every_size():
    tree = Tree(ENTRIES)
    assert tuple(merkle.root(size, tree.get).hex() for size in range(1, 9)) == ROOTS


def test_an_empty_tree_has_the_hash_of_nothing():
    assert merkle.root(0, Tree().get) == hashlib.sha256(b"").digest()


def test_a_tree_of_three_is_what_a_hand_computes():
    def sha(data):
        return hashlib.sha256(data).digest()
    a, b, c = (sha(b"\0" + entry) for entry in (b"a", b"b", b"c"))
    ab = sha(b"\1" + a + b)
    tree = Tree([b"a", b"b", b"c"])
    assert merkle.root(3, tree.get) == sha(b"\1" + ab + c)
    assert merkle.inclusion(0, 3, tree.get) == [b, c]
    assert merkle.inclusion(2, 3, tree.get) == [ab]
    assert merkle.consistency(2, 3, tree.get) == [c]
    assert merkle.consistency(1, 3, tree.get) == [b, c]


def test_every_proof_of_every_tree_up_to_40_is_the_oracles():
    tree = Tree(n.to_bytes(2, "big") for n in range(40))
    for size in range(1, 41):
        entries = tree.hexes()[:size]
        root = merkle.root(size, tree.get)
        assert root.hex() == oracle.merkle_root(entries)
        for index in range(size):
            path = merkle.inclusion(index, size, tree.get)
            assert [one.hex() for one in path] == oracle.inclusion_proof(entries, index)
            leaf = merkle.leaf_hash(tree.entries[index])
            assert merkle.root_of_inclusion(leaf, index, size, path) == root
        for old in range(1, size + 1):
            path = merkle.consistency(old, size, tree.get)
            assert [one.hex() for one in path] == oracle.consistency_proof(entries, old, size)
            before = merkle.root(old, tree.get)
            assert merkle.root_of_consistency(before, old, size, path) == root


@given(st.data())
def test_a_verdict_on_a_changed_proof_is_the_oracles(data):
    size = data.draw(st.integers(1, 60))
    tree = Tree(n.to_bytes(2, "big") for n in range(size))
    index, old = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, size))
    said_size = data.draw(st.sampled_from([size, size - 1, size + 1, 2 * size, 0, 1 << 41]))
    said_index = data.draw(st.sampled_from([index, index ^ 1, index + 1, index - 1]))
    path = _changed(data, merkle.inclusion(index, size, tree.get))
    found = merkle.root_of_inclusion(
        merkle.leaf_hash(tree.entries[index]), said_index, said_size, path)
    theirs = oracle.root_from_inclusion_proof(
        tree.entries[index].hex(), said_index, said_size, [one.hex() for one in path])
    if said_size <= merkle.SIZE_MAX:
        assert (found and found.hex()) == theirs
    else:
        assert found is None
    way = _changed(data, merkle.consistency(old, size, tree.get))
    before, root = merkle.root(old, tree.get), merkle.root(size, tree.get)
    assert (merkle.root_of_consistency(before, old, size, way) == root) == \
        oracle.verify_consistency(before.hex(), root.hex(), old, size, [x.hex() for x in way])


def _changed(data, path):
    kind = data.draw(st.sampled_from(["same", "short", "long", "flip", "swap"]))
    if kind == "short":
        return path[:-1]
    if kind == "long":
        return [*path, bytes(32)]
    if kind == "flip" and path:
        place = data.draw(st.integers(0, len(path) - 1))
        return [*path[:place], bytes(32), *path[place + 1:]]
    return path[::-1] if kind == "swap" else path


@pytest.mark.parametrize("path", [[b"short"], [None], [bytes(33)]])
def test_a_path_of_anything_but_hashes_is_no_proof(path):
    leaf = merkle.leaf_hash(b"a")
    assert merkle.root_of_inclusion(leaf, 0, 2, path) is None
    assert merkle.root_of_consistency(leaf, 1, 2, path) is None


def test_a_leaf_outside_the_tree_has_no_proof():
    tree = Tree([b"a", b"b"])
    with pytest.raises(ValueError, match="leaf 2 is not in a tree of 2"):
        merkle.inclusion(2, 2, tree.get)
    with pytest.raises(ValueError, match="cannot come before"):
        merkle.consistency(3, 2, tree.get)
