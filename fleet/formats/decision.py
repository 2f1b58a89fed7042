"""Decision: which journal of a cabinet counts for a time that two of them tell, said by a person.

A COSE_Sign1 made with the fleet's receipt key over the payload below (docs/formats.md 10.5).
Decisions of a cabinet are numbered from 1 without a hole; of two that overlap the later counts.
"""

from collections.abc import Callable
from typing import NamedTuple

from gateway.core.codec.cbor import decode, encode
from gateway.core.codec.cose import Sign1, open_sign1, sign1
from gateway.core.errors import FormatError
from gateway.core.evidence.receipt import JOURNAL_ID_BYTES, check_bytes, check_int, check_text

VERSION = 1
MARK = "decision"
DECISION_BYTES_MAX = 2048
AUTHOR_CHARS_MAX = 80
REASON_CHARS_MAX = 400
DECISIONS_MAX = 1000        # of one cabinet


class Decision(NamedTuple):
    """journal (16 bytes) counts for cabinet from from_ms to to_ms (UTC ms, excluded).

    decided_ms: when, by the fleet's clock.  author, reason: text for people.
    """

    cabinet: str
    number: int
    journal: bytes
    from_ms: int
    to_ms: int
    decided_ms: int
    author: str
    reason: str


def _check(found: Decision) -> Decision:
    check_text("decision: cabinet", found.cabinet)
    check_int("decision: number", found.number, 1, DECISIONS_MAX)
    check_bytes("decision: journal", found.journal, JOURNAL_ID_BYTES)
    check_int("decision: from", found.from_ms)
    check_int("decision: to", found.to_ms, found.from_ms + 1)
    check_int("decision: time", found.decided_ms)
    check_text("decision: author", found.author, AUTHOR_CHARS_MAX)
    check_text("decision: reason", found.reason, REASON_CHARS_MAX)
    return found


def seal(decision: Decision, kid: bytes, sign: Callable[[bytes], bytes]) -> bytes:
    """Return the signed decision; raises FormatError for one that is none."""
    return bytes(sign1(kid, encode([VERSION, MARK, *_check(decision)]), sign))


def open_sealed(data: bytes) -> tuple[Sign1, Decision]:
    """Return (Sign1, Decision), the signature NOT checked.  Raises FormatError."""
    if len(data) > DECISION_BYTES_MAX:
        raise FormatError(f"decision: {len(data)} bytes, at most {DECISION_BYTES_MAX}")
    message = open_sign1(data)
    parts = decode(message.payload, 1)
    if not isinstance(parts, list) or len(parts) != 10 or parts[:2] != [VERSION, MARK]:
        raise FormatError("decision: not a decision of version 1")
    return message, _check(Decision(*parts[2:]))
