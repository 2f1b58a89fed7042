"""Every error of the product, sorted by what the caller does about it.

Each leaf has a short `code` that never changes: it stands in records, in metrics and in
the console.  The message names the device, the place and what is allowed.
Foreign errors (OSError, ssl, sqlite3) are translated at the door that meets them.
"""


class Bug(Exception):
    """A promise between two of our own functions was broken: stop, do not handle."""


class WattproofError(Exception):
    """Base of all operating errors."""

    code = "error"


class ConfigError(WattproofError):
    """Stop at start: the configuration says something that is not allowed."""

    code = "config"


class FormatError(WattproofError):
    """Bytes are not what their format says: refuse the whole item, never repair it."""

    code = "bad-format"


class DeviceError(WattproofError):
    """One device gave no usable answer: its points get a reason, the bus goes on."""

    code = "device"


class NoReply(DeviceError):
    """Nothing arrived in time."""

    code = "no-reply"


class BadFrame(DeviceError):
    """Something arrived that is not the answer asked for: drain the line, never use it."""

    code = "bad-frame"


class OtherDevice(BadFrame):
    """The device says that it is another one than the profile's: none of its values count."""

    code = "other-device"


class Refused(DeviceError):
    """The device answered with an exception; `exception` is its Modbus code or its like."""

    code = "refused"

    def __init__(self, message: str, exception: int = 0) -> None:
        super().__init__(message)
        self.exception = exception


class JournalError(WattproofError):
    """The journal cannot do what was asked; acknowledged records stay safe."""

    code = "journal"


class StoreError(JournalError):
    """A flash operation failed; `errno` is the system's number (ENOSPC, EIO, EROFS)."""

    code = "store"

    def __init__(self, message: str, errno: int = 0) -> None:
        super().__init__(message)
        self.errno = errno


class JournalUnreadable(StoreError):
    """Files of a journal are there and cannot be read for now: wait, and begin no other journal."""

    code = "unreadable"


class Corrupt(JournalError):
    """Durable bytes changed: never repaired silently, always declared as a gap."""

    code = "corrupt"


class UplinkError(WattproofError):
    """The way to the fleet is closed; the journal grows meanwhile."""

    code = "uplink"


class Offline(UplinkError):
    """No connection: retry with back-off."""

    code = "offline"


class Rejected(UplinkError):
    """The other side refused us: a person must look (certificate, ACL, enrolment)."""

    code = "rejected"


class AdmissionError(WattproofError):
    """The fleet does not admit a batch; nothing of it is booked."""

    code = "admission"


class UnknownDevice(AdmissionError):
    """The device or its key is not enrolled."""

    code = "unknown-device"


class BadSignature(AdmissionError):
    """The signature does not fit the content and the enrolled key."""

    code = "bad-signature"


class BrokenChain(AdmissionError):
    """A batch names a predecessor that is not the one we hold."""

    code = "broken-chain"


class Replayed(AdmissionError):
    """Same key, other content: a fork or a clone, never counted."""

    code = "fork"


class BadSchema(AdmissionError):
    """The signed content does not decode as its version says."""

    code = "bad-schema"
