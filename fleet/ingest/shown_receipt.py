"""A cabinet shows the fleet's own receipt: was more acknowledged than is stored here?

Pure.  A store that was put back from a copy cannot know what it lacks; the receipt, signed with
the fleet's own key, proves it.
"""

from collections.abc import Iterable
from typing import NamedTuple

from fleet.formats.registry import key_id, verified
from fleet.formats.values import Chain
from gateway.core.errors import FormatError
from gateway.core.evidence import receipt


class EpochVerdict(NamedTuple):
    """What a shown receipt means.

    raises: the epoch must rise, or the cabinet would not listen, or not send again.  lost:
    (first, last) records that were acknowledged and are not stored, or None.
    """

    raises: bool
    lost: tuple[int, int] | None


def opened(message: bytes, sender: str, keys: Iterable[bytes]) -> receipt.Receipt | None:
    """Return the receipt that a message of a cabinet is; None unless this fleet signed it for
    that cabinet.  keys: the fleet's public receipt keys, 32 bytes each, former ones too."""
    if len(message) > receipt.RECEIPT_BYTES_MAX:
        return None
    try:
        signed, shown = receipt.open_sealed(message)
    except FormatError:
        return None
    if shown.cabinet != sender or not any(
            signed.kid == key_id(key) and verified(key, signed.signed, signed.signature)
            for key in keys):
        return None
    return shown


def judge(shown: receipt.Receipt, epoch: int, held: Chain) -> EpochVerdict:
    """Return what a receipt means for a store that speaks in an epoch; held: the journal."""
    lost = (held.low_water + 1, shown.low_water) if shown.low_water > held.low_water else None
    raises = shown.epoch > epoch or shown.epoch == epoch and lost is not None
    return EpochVerdict(raises, lost)
