"""Replace a board: the old key signs who comes after it.

From then on the new key signs for this cabinet, in a journal of its own; the old key may only
finish the journal it had.  `fleet enrol NEW.request --handover FILE` puts the statement into the
fleet's registry.  Without the old key a board is replaced by `fleet enrol` after its entry was
moved away: the fleet then shows a journal-reset, for nobody has signed for it.
"""

import datetime
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ed25519

from gateway.core.errors import ConfigError, FormatError
from gateway.core.evidence import enrolment, handover
from gateway.core.evidence.receipt import JOURNAL_ID_BYTES
from provisioning import create, identity
from provisioning.site import EVIDENCE_KEY

WHY = "board replaced"


class Journals(NamedTuple):
    """Ids of the old board's journal (journal_id in its `status --json`) and of the new
    board's, None while it has not begun one."""

    old: bytes
    new: bytes | None = None


def hand_over(old: Path, request: bytes, journals: Journals, now: datetime.datetime,
              why: str = WHY) -> bytes:
    """Return the statement of the board in `old` for the board that made `request`.

    Raises ConfigError when they are not of one cabinet or have the same key.
    """
    cabinet = create.cabinet_of(old)["site"]["cabinet"]
    _, new = enrolment.open_request(request)
    if new.cabinet != cabinet:
        raise ConfigError(f"the request is for {new.cabinet}, {old} is {cabinet}; a new board "
                          "has the cabinet's name ([site] cabinet)")
    key = create.private_key(old / EVIDENCE_KEY)
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise ConfigError(f"{old / EVIDENCE_KEY}: an Ed25519 key is expected")
    public = identity.raw_public(key)
    if public == new.public:
        raise ConfigError("the request has the same evidence key; a new board needs its own: "
                          "python -m provisioning request --parts")
    made = handover.Handover(cabinet, journals.old, new.public, journals.new,
                             int(now.timestamp() * 1000), why)
    try:
        handover.decode_payload(handover.encode_payload(made))
    except FormatError as error:
        raise ConfigError(str(error)) from error
    return handover.seal(made, identity.key_id(public), key.sign)


def journal_id(text: str) -> bytes:
    """Return the 16 bytes of a journal id in hex; raises ValueError."""
    found = bytes.fromhex(text)
    if len(found) != JOURNAL_ID_BYTES:
        raise ValueError("a journal id has 32 hex digits")
    return found
