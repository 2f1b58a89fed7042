"""What leaves the house so that the past cannot be rewritten: tree heads and requests to date them.

A head that others keep (a mail to the customer, a time stamp of a third party) fixes every
batch before it: whoever changes one later cannot prove the new tree consistent with it.
"""

import hashlib

from fleet.errors import ReportError
from fleet.transparency import proofs
from fleet.transparency.merkle import Head
from fleet.transparency.merkle_log import MerkleLog


def head_of(log: MerkleLog, day_ms: int | None) -> Head:
    """Return the head at the end of a UTC day, or of now; raises ReportError for no leaves."""
    head = log.head() if day_ms is None else log.day(day_ms)
    if head.size == 0:
        raise ReportError("the log holds no batch up to then: there is no head to sign")
    return head


def request(signed_head: bytes) -> bytes:
    """Return the RFC 3161 request whose message imprint is the hash of the signed head."""
    return proofs.timestamp_request(hashlib.sha256(signed_head).digest())
