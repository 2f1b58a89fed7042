"""Replace a board: the old key signs who comes after it, and the fleet's entry follows.

From then on the new key signs for this device, in a journal of its own; the old key may only
finish the journal it had.  Without the old key a board is replaced by `enrol` after its entry
was moved away: the fleet then shows a journal-reset, for nobody has signed for it.
"""

import datetime
import json
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519

from gateway.core.errors import ConfigError, FormatError
from gateway.core.evidence import handover
from gateway.core.evidence.receipt import JOURNAL_ID_BYTES
from provisioning import enrol, identity
from provisioning.toml_text import Table

WHY = "board replaced"


class Boards(NamedTuple):
    """Folders of the old and the new board, as `init` made them, and the journals' ids:
    old_journal is in the old gateway's `status --json`; new_journal may be None."""

    old: Path
    new: Path
    old_journal: bytes
    new_journal: bytes | None = None


def hand_over(boards: Boards, data: Path, now: datetime.datetime, why: str = WHY) -> Path:
    """Make the statement, put it into the fleet's registry and return the entry's path.

    Raises ConfigError when the boards are not of one device, when the old key is not the
    enrolled one, or when the fleet's receipts would not be believed by the new board.
    """
    entry = enrol.entry_of(boards.new, now)
    path = data / "registry" / f"{entry['device']}.json"
    held = _held(path)
    enrol.check_receipt_key(boards.new, data)
    key = _private(boards.old / "keys/evidence.key")
    public = identity.raw_public(key)
    if public.hex() != held["evidence_key_hex"]:
        raise ConfigError(f"{boards.old}: its key {identity.key_id(public).hex()} is not the one "
                          f"that is enrolled in {path}; only that one can hand over")
    if entry["evidence_key_hex"] == held["evidence_key_hex"]:
        raise ConfigError(f"{boards.new}: has the same evidence key; a new board needs its own: "
                          "python -m provisioning init")
    statement = handover.seal(_statement(boards, entry, now, why), identity.key_id(public),
                              key.sign)
    handover.open_sealed(statement)
    handovers = [*held.get("handovers", []), {"public_hex": public.hex(),
                                              "statement_hex": statement.hex()}]
    enrol.replace(path, json.dumps(entry | {"handovers": handovers}, indent=2,
                                   ensure_ascii=False).encode() + b"\n")
    return path


def journal_id(text: str) -> bytes:
    """Return the 16 bytes of a journal id in hex; raises ValueError."""
    found = bytes.fromhex(text)
    if len(found) != JOURNAL_ID_BYTES:
        raise ValueError("a journal id has 32 hex digits")
    return found


def _statement(boards: Boards, entry: dict[str, str], now: datetime.datetime,
               why: str) -> handover.Handover:
    made = handover.Handover(
        entry["device"], boards.old_journal, bytes.fromhex(entry["evidence_key_hex"]),
        boards.new_journal, int(now.timestamp() * 1000), why)
    try:
        handover.decode_payload(handover.encode_payload(made))
    except FormatError as error:
        raise ConfigError(str(error)) from error
    return made


def _held(path: Path) -> Table:
    try:
        held: Table = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; the new board must have the name of an "
                          "enrolled one ([site] cabinet)") from error
    return held


def _private(path: Path) -> ed25519.Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; without the old key nobody can hand over: "
                          "move the registry entry away and enrol the new board") from error
    if not isinstance(key, ed25519.Ed25519PrivateKey):
        raise ConfigError(f"{path}: an Ed25519 key is expected")
    return key
