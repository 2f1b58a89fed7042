"""Signed words about the Merkle tree: heads, receipts, and a request to have a head dated.

Heads are our own COSE_Sign1; proofs are COSE Receipts (RFC 9942, data structure
RFC9162_SHA256): the signed payload is the root, detached, so that nobody can believe a
signature without computing the root from the proof.  Formats: docs/formats.md section 10.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from fleet.transparency import merkle
from fleet.transparency.merkle import Head
from gateway.core.codec import cbor, cose
from gateway.core.errors import FormatError

HEADER_PROOF_TYPE, RFC9162_SHA256 = 395, 1      # protected: which data structure
HEADER_PROOFS = 396                             # unprotected: {-1: inclusion, -2: consistency}
INCLUSION, CONSISTENCY = -1, -2
HEAD_NAME = "wattproof-tree-head-1"
RECEIPT_BYTES_MAX = 4096        # 40 hashes and 150 bytes

VerifySignature = Callable[[bytes, bytes], bool]         # signed bytes, signature


class ReceiptSigner(NamedTuple):
    """A key that signs; kid: 8 bytes, sign: bytes -> 64 bytes."""

    kid: bytes
    sign: Callable[[bytes], bytes]


def sign_head(head: Head, signer: ReceiptSigner) -> bytes:
    """Return the signed tree head."""
    payload = cbor.encode([HEAD_NAME, head.size, head.root, head.at_ms])
    signed: bytes = cose.sign1(signer.kid, payload, signer.sign)
    return signed


# What a receiver of heads and receipts calls; no command does yet: issue 11, F.

def open_head(data: bytes, verify: VerifySignature) -> Head:
    """Return the Head of signed bytes; raises FormatError, also for a wrong signature."""
    message = cose.open_sign1(data)
    if not verify(message.signed, message.signature):
        raise FormatError("tree head: the signature does not fit")
    parts = cbor.decode(message.payload, 1)
    if not isinstance(parts, list) or len(parts) != 4 or parts[0] != HEAD_NAME:
        raise FormatError("tree head: not a tree head of version 1")
    head = Head(*parts[1:])
    if [type(part) for part in head] != [int, bytes, int] or len(head.root) != 32:
        raise FormatError("tree head: size, root and time are expected")
    return head


class Prover:
    """Makes receipts about one tree head: all of them share its one signature."""

    def __init__(self, head: Head, signer: ReceiptSigner) -> None:
        self.head = head
        self._protected = cbor.encode({cose.HEADER_ALG: cose.ALG_ED25519,
                                       cose.HEADER_KID: signer.kid,
                                       HEADER_PROOF_TYPE: RFC9162_SHA256})
        self._signature = signer.sign(cose.to_be_signed(self._protected, head.root))

    def inclusion(self, index: int, get: merkle.GetNode) -> bytes:
        """Return the receipt that leaf `index` is in the head's tree."""
        path = merkle.inclusion(index, self.head.size, get)
        return self._receipt(INCLUSION, [self.head.size, index, path])

    def consistency(self, old: int, get: merkle.GetNode) -> bytes:
        """Return the receipt that the tree of the first `old` leaves is a prefix of it."""
        path = merkle.consistency(old, self.head.size, get)
        return self._receipt(CONSISTENCY, [old, self.head.size, path])

    def _receipt(self, kind: int, proof: list[object]) -> bytes:
        unprotected = {HEADER_PROOFS: {kind: [cbor.encode(proof)]}}
        message = [self._protected, unprotected, None, self._signature]
        found: bytes = cbor.encode(cbor.Tag(cose.TAG_SIGN1, message))
        return found


def included(receipt: bytes, leaf: bytes, verify: VerifySignature) -> tuple[int, int]:
    """Return (tree size, index) at which a receipt proves a leaf's hash; raises FormatError."""
    message, (size, index, path) = _open(receipt, INCLUSION)
    _signed(message, merkle.root_of_inclusion(leaf, index, size, path), verify)
    return size, index


def continued(receipt: bytes, old: Head, verify: VerifySignature) -> int:
    """Return the size of the newer tree that a receipt proves to continue `old`; raises
    FormatError."""
    message, (old_size, size, path) = _open(receipt, CONSISTENCY)
    if old_size != old.size:
        raise FormatError(f"receipt: is about a tree of {old_size}, not {old.size}")
    _signed(message, merkle.root_of_consistency(old.root, old_size, size, path), verify)
    return size


def _open(receipt: bytes, kind: int) -> tuple[list[bytes], tuple[int, int, Sequence[bytes]]]:
    """Return (protected header and signature, proof) of a receipt with one proof."""
    if len(receipt) > RECEIPT_BYTES_MAX:
        raise FormatError(f"receipt: {len(receipt)} bytes, at most {RECEIPT_BYTES_MAX}")
    tag = cbor.decode(receipt, 6)
    parts = tag.value if isinstance(tag, cbor.Tag) and tag.number == cose.TAG_SIGN1 else None
    if not isinstance(parts, list) or len(parts) != 4 or parts[2] is not None:
        raise FormatError("receipt: not a COSE_Sign1 with a detached payload")
    proofs = parts[1].get(HEADER_PROOFS) if isinstance(parts[1], dict) else None
    found = proofs.get(kind) if isinstance(proofs, dict) else None
    header = cbor.decode(parts[0], 1) if isinstance(parts[0], bytes) else None
    if not isinstance(header, dict) or not isinstance(found, list) or len(found) != 1:
        raise FormatError("receipt: one proof of the kind that was asked for is expected")
    if (header.get(1), header.get(HEADER_PROOF_TYPE)) != (cose.ALG_ED25519, RFC9162_SHA256):
        raise FormatError("receipt: another algorithm or data structure")
    proof = cbor.decode(found[0], 2) if isinstance(found[0], bytes) else None
    if not isinstance(proof, list) or [type(part) for part in proof] != [int, int, list]:
        raise FormatError("receipt: the proof is not [number, number, path]")
    return [parts[0], parts[3]], (proof[0], proof[1], proof[2])


def _signed(message: list[bytes], root: bytes | None, verify: VerifySignature) -> None:
    if root is None:
        raise FormatError("receipt: the path leads to no root")
    protected, signature = message
    if not isinstance(signature, bytes) or not verify(
            cose.to_be_signed(protected, root), signature):
        raise FormatError("receipt: the signature does not fit the root of the path")


# --- RFC 3161: the request file that asks a time-stamping authority to date a head ---------

OID_SHA256 = bytes.fromhex("0609608648016503040201")        # 2.16.840.1.101.3.4.2.1
NULL = bytes.fromhex("0500")
TRUE = bytes.fromhex("0101ff")


def timestamp_request(digest: bytes) -> bytes:
    """Return the DER TimeStampReq (RFC 3161 2.4.1) for a SHA-256 digest of 32 bytes: version
    1, no policy, no nonce (the same head asks the same question), certificate wanted."""
    imprint = _der(0x30, _der(0x30, OID_SHA256 + NULL) + _der(0x04, digest))
    return _der(0x30, _der(0x02, b"\x01") + imprint + TRUE)


def _der(tag: int, content: bytes) -> bytes:
    if len(content) > 127:
        raise ValueError(f"DER: {len(content)} bytes need a long length")
    return bytes((tag, len(content))) + content
