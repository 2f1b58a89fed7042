"""The chain against hashes made by other software; both interpreters."""

from gateway.core.evidence.chain import chain_hash, start

# SHA-256(b"wattproof-chain-1" + 82 6e "shop-7-cabinet" 50 000102..0f), made with cbor2 6.3.0
# and hashlib; SHA-256("abc") is the example of FIPS 180-4.
START = "95e969b0d99d470d31f1297bc691ff38ce3a508476481254c6fc397ead05107b"
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_the_start_binds_device_and_journal():
    journal_id = bytes(range(16))
    assert start("shop-7-cabinet", journal_id) == bytes.fromhex(START)
    assert start("shop-8-cabinet", journal_id) != bytes.fromhex(START)
    assert start("shop-7-cabinet", bytes(16)) != bytes.fromhex(START)


def test_a_link_is_the_hash_of_the_payload():
    assert chain_hash(b"abc") == bytes.fromhex(ABC)
