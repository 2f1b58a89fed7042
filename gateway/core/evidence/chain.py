"""The chain that ties each batch to the one before it, from the start of a journal.

A batch carries `prev`: the chain hash of the batch before, or the start value.  So changing,
removing or inserting a batch changes every chain hash after it.  SHA-256 (FIPS 180-4).
"""

import hashlib

from gateway.core.codec.cbor import encode

DOMAIN = b"wattproof-chain-1"       # no other hash of ours begins with these bytes
CHAIN_HASH_BYTES = 32


def start(cabinet: str, journal_id: bytes) -> bytes:
    """Return the 32 bytes that the first batch of a journal names as its predecessor."""
    return hashlib.sha256(DOMAIN + encode([cabinet, journal_id])).digest()


def chain_hash(payload: bytes) -> bytes:
    """Return the 32 bytes that stand for a batch: the hash of its signed payload."""
    return hashlib.sha256(payload).digest()
