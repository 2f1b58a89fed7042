"""The evidence bundle: one file that proves itself without us.  Pure: parts in, bytes out.

    bundle   = [title, contents, part, part, ...]
    contents = COSE_Sign1, by the fleet's receipt key, of the table of all parts

The contents determine every other byte of the file.  Format: docs/formats.md section 10.
"""

import hashlib
from collections import namedtuple
from collections.abc import Iterable, Sequence

from fleet import words
from fleet.proofs import Signer
from gateway.core import cbor, cose

CONTENTS_NAME = "wattproof-contents-1"
# Kinds of parts: numbers are never used again for something else.
(REGISTRY, STATEMENT, FACTORS, DESCRIPTOR, RECEIPT, TREE_HEAD, CONSISTENCY, BATCH,
 INCLUSION) = range(1, 10)

# about: tuple that says what the part is about, by kind.  data: bytes.
Part = namedtuple("Part", ("kind", "about", "data"))
# What a bundle is about.  site, cabinet: text.  from_ms, to_ms: the period of the statement.
# config: 32 bytes, hash of the descriptor the statement was made with.  public: 32 bytes, the
# fleet's receipt key.
Subject = namedtuple("Subject", ("site", "cabinet", "from_ms", "to_ms", "config", "public"))


def title(subject: Subject) -> str:
    """Return the line of text a bundle begins with."""
    return (f"Wattproof evidence of {subject.site}, cabinet {subject.cabinet}, "
            f"{words.rfc3339(subject.from_ms)} to {words.rfc3339(subject.to_ms)}")


def write(subject: Subject, parts: Iterable[Part], signer: Signer) -> bytes:
    """Return the bundle; parts may come in any order, the file has them by kind and about."""
    ordered = sorted(parts, key=lambda part: (part.kind, part.about))
    out = [cbor.head(cbor.ARRAY, 2 + len(ordered)), cbor.encode(title(subject)),
           cbor.encode(_contents(subject, ordered, signer))]
    for part in ordered:
        out += [cbor.head(cbor.BYTES, len(part.data)), part.data]
    return b"".join(out)


def _contents(subject: Subject, parts: Sequence[Part], signer: Signer) -> bytes:
    table = [[part.kind, len(part.data), hashlib.sha256(part.data).digest(), list(part.about)]
             for part in parts]
    payload = cbor.encode([CONTENTS_NAME, subject.site, subject.cabinet, subject.from_ms,
                           subject.to_ms, subject.config, subject.public, table])
    signed: bytes = cose.sign1(signer.kid, payload, signer.sign)
    return signed
