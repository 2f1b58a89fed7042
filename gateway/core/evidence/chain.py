"""The chain that ties each batch to the one before it, from the start of a journal.

A batch carries `prev`: the link of the batch before, or the start value.  So changing,
removing or inserting a batch changes every link after it.  SHA-256 (FIPS 180-4).
"""

import hashlib

from gateway.core.codec.cbor import encode

DOMAIN = b"wattproof-chain-1"       # no other hash of ours begins with these bytes
LINK_BYTES = 32


def start(device: str, journal_id: bytes) -> bytes:
    """Return the 32 bytes that the first batch of a journal names as its predecessor."""
    return hashlib.sha256(DOMAIN + encode([device, journal_id])).digest()


def link(payload: bytes) -> bytes:
    """Return the 32 bytes that stand for a batch: the hash of its signed payload."""
    return hashlib.sha256(payload).digest()
