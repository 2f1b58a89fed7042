"""The enrolled gateways: found without a restart, withdrawn at once, each on its own."""

import hashlib

from fleet.formats.registry import EnrolledCabinet, Previous, Registry, key_for, key_id
from tests.fleet.maker import PaperGateway


def test_a_key_is_named_by_the_start_of_its_hash():
    assert key_id(b"k" * 32) == hashlib.sha256(b"k" * 32).digest()[:8]


def test_a_journal_belongs_to_the_present_key_and_to_no_other(tmp_path):
    gateway, other = PaperGateway(), PaperGateway("shop-2")
    gateway.enrol(tmp_path)
    entry = Registry(tmp_path).find("shop-1")
    assert key_for(entry, gateway.kid, bytes(16)) == gateway.public
    assert key_for(entry, other.kid, bytes(16)) is None


def test_a_key_that_handed_over_signs_its_own_journal_and_nothing_else():
    old, new, journal = b"o" * 32, b"n" * 32, b"J" * 16
    entry = EnrolledCabinet("shop-1", "shop", "Shop", "UTC", key_id(new), new,
                            (Previous(key_id(old), old, journal, b""),))
    assert key_for(entry, key_id(old), journal) == old
    assert key_for(entry, key_id(new), journal) is None
    assert key_for(entry, key_id(new), bytes(16)) == new
    assert key_for(entry, key_id(old), bytes(16)) is None


def test_an_entry_that_became_unreadable_is_nobodys_and_the_others_stay(tmp_path):
    for name in ("shop-1", "shop-2"):
        PaperGateway(name).enrol(tmp_path)
    registry = Registry(tmp_path)
    (tmp_path / "registry/shop-1.json").write_text("{")
    assert registry.find("shop-1") is None
    assert registry.find("shop-2").id == "shop-2"
    PaperGateway("shop-1").enrol(tmp_path)
    assert registry.find("shop-1").id == "shop-1"
