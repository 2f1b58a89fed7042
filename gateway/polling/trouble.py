"""How a device gives no values: silent, refusing, damaged or empty; and what to do.  Pure."""

from typing import TYPE_CHECKING

from gateway.core.errors import BadFrame, DeviceError, Refused
from gateway.core.reading import BAD_FRAME, NO_REPLY, REFUSED, Absent

if TYPE_CHECKING:
    from gateway.core.reading import Values

SILENT, REFUSES, GARBLED, EMPTY = "silent", "refuses", "garbled", "empty"
BEHIND_A_GATEWAY = (10, 11)     # Modbus: by these a gateway says that its unit does not answer
OF_REASON = {NO_REPLY: SILENT, REFUSED: REFUSES, BAD_FRAME: GARBLED}
# trouble -> what to do next; gateway/service/status.py has a word for each
NEXT = {
    SILENT: "check its power, address and wiring",
    REFUSES: "check profile, address (unit, path) and the device's own settings",
    GARBLED: "check baud rate, parity, cable and termination, and that no address is used twice",
    EMPTY: "check the profile: the device marks every value as not there",
}


def trouble_of(error: DeviceError | None, is_silent: bool, values: "Values") -> str:
    """Return how a scan without any value failed.

    error: the last one of the scan.  is_silent: a question of it was not answered.
    """
    if is_silent or isinstance(error, Refused) and error.exception in BEHIND_A_GATEWAY:
        return SILENT
    if isinstance(error, BadFrame):
        return GARBLED
    if isinstance(error, Refused):
        return REFUSES
    reasons = [value.reason for value in values if isinstance(value, Absent)]
    return next((OF_REASON[one] for one in reasons if one in OF_REASON), EMPTY)


def describe(trouble: str, error: DeviceError | None) -> str:
    """Return a trouble as text for people: what it is, then the last error."""
    if trouble == SILENT:
        return str(error or "no answer")
    what = {REFUSES: "refuses", GARBLED: "damaged answers", EMPTY: "no values"}[trouble]
    return f"{what}: {error or 'every point'}"
