"""The fleet's side of the downlink: messages that wait for a cabinet, and what became of them.

downlink/CABINET/NUMBER.cose waits until an event in the cabinet's own evidence says what became of
it, and is NUMBER.OUTCOME then; the oldest goes out first.  A number is the fleet's UTC in ms, or
one more than the one before: it rises even for a fleet that was put back from a backup.
"""

import datetime
import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fleet.authority import certificates, issue, own
from fleet.formats.registry import Registry, key_id
from gateway.aio.private_files import private_folder, replace
from gateway.core.errors import ConfigError, FormatError
from gateway.core.evidence import downlink

LOG = logging.getLogger("fleet.authority")
FAILED = f".{downlink.FAILED}"
OUTCOMES = (f".{downlink.DONE}", f".{downlink.UNKNOWN}", FAILED)
DAY_MS = 86_400_000
REPEAT_DAYS = 7         # after a certificate that a cabinet could not put in place
LIFE_DAYS = 30          # a message that nobody obeyed by then is made again, with a new number
LOOK_S = 10.0           # real: between two looks for certificates that are due and new messages
WAITING_MAX = 8         # messages of one cabinet; a newer renewal takes the place of an older one
SETTLED_MAX = 16        # messages of one cabinet that are kept after their outcome
REPLACED = (downlink.RENEW, downlink.AUTHORITY)     # actions of which only the newest counts


class Acknowledged(NamedTuple):
    """What a cabinet's event says about one message."""

    number: int
    action: str
    outcome: str
    detail: str


class Message(NamedTuple):
    """What a cabinet is to carry out; body: bytes as the action says (docs/formats.md)."""

    cabinet: str
    action: str
    body: bytes


Acknowledgements = Callable[[str], Mapping[int, Acknowledged]]


def acknowledgements(bodies: Iterable[list[object]]) -> dict[int, Acknowledged]:
    """Return by number what a cabinet's events say; bodies of another form are left out."""
    found = {}
    for body in bodies:
        if len(body) == 4 and isinstance(body[0], int):
            found[body[0]] = Acknowledged(body[0], str(body[1]), str(body[2]), str(body[3]))
    return found


def folder_of(data: Path, cabinet: str) -> Path:
    """Return the folder of the messages that wait for a cabinet."""
    return data / "downlink" / cabinet


def waiting(data: Path, cabinet: str) -> list[tuple[int, Path]]:
    """Return (number, file) of the messages that wait for a cabinet, oldest first."""
    return sorted((int(file.stem), file) for file in folder_of(data, cabinet).glob("*.cose")
                  if file.stem.isdigit())


def settled(data: Path, cabinet: str) -> list[tuple[int, Path]]:
    """Return (number, file) of the messages with an outcome, which is the file's suffix, oldest
    first."""
    return sorted((int(file.stem), file) for file in folder_of(data, cabinet).glob("*.*")
                  if file.stem.isdigit() and file.suffix in OUTCOMES)


def content_of(file: Path) -> downlink.Downlink:
    """Return the message in a file; raises FormatError."""
    return downlink.open_sealed(file.read_bytes())[1]


def post(data: Path, key: Ed25519PrivateKey, message: Message, now: datetime.datetime,
         days: int = LIFE_DAYS) -> int:
    """Leave a message for a cabinet and return its number.

    days: its life.  Raises ConfigError if too many wait already.
    """
    queue = waiting(data, message.cabinet)
    replaced = [file for _, file in queue if message.action in REPLACED
                and content_of(file).action == message.action]
    if len(queue) - len(replaced) >= WAITING_MAX:
        raise ConfigError(f"{message.cabinet}: {len(queue)} messages wait in its downlink already; "
                          "next: see that it is online; `fleet cabinets` says what waits")
    number = _write(data, key, message, now, days)
    for file in replaced:
        file.unlink(missing_ok=True)
    return number


def _write(data: Path, key: Ed25519PrivateKey, message: Message, now: datetime.datetime,
           days: int) -> int:
    """Sign a message with a number above all before it, and keep it among those that wait."""
    before = waiting(data, message.cabinet) + settled(data, message.cabinet)
    now_ms = int(now.timestamp() * 1000)
    number = max([now_ms, *(held + 1 for held, _ in before)])
    made = downlink.Downlink(message.cabinet, number, now_ms, now_ms + days * DAY_MS,
                             message.action, message.body)
    sealed = downlink.seal(made, key_id(key.public_key().public_bytes_raw()), key.sign)
    if len(sealed) > downlink.DOWNLINK_BYTES_MAX:
        raise ConfigError(f"{message.cabinet}: a message of {len(sealed)} bytes; at most "
                          f"{downlink.DOWNLINK_BYTES_MAX} are taken")
    private_folder(folder_of(data, message.cabinet))
    replace(folder_of(data, message.cabinet) / f"{number}.cose", sealed)
    return number


class Sender:
    """Says what is to be published now; one per `fleet serve`."""

    def __init__(self, data: Path, key: Ed25519PrivateKey,
                 acknowledged: Acknowledgements) -> None:
        """key: the fleet's receipt key.  acknowledged: cabinet -> its events by number."""
        self._data, self._key, self._acknowledged = data, key, acknowledged
        self._registry = Registry(data)
        self._offline_told = False
        self._own_told: set[str] = set()
        # cabinet -> when its certificates were read (mtime of their folder), when one is due
        self._due: dict[str, tuple[int, datetime.datetime]] = {}

    def current(self, now: datetime.datetime) -> dict[str, bytes]:
        """Return the message of each cabinet, empty if it has none, after renewing what is due.

        Raises no error of a single cabinet: it is logged and the others go on.
        """
        found: dict[str, bytes] = {}
        try:
            sites = self._registry.sites()
        except ConfigError as error:        # one bad entry stops no receipts
            LOG.error("%s", error)
            return found
        self._renew_own(now)
        for one in (one for cabinets in sites.values() for one in cabinets):
            try:
                found[one.id] = b"" if one.revoked else self._message(one.id, now)
            except (ConfigError, FormatError, OSError, ValueError) as error:
                LOG.error("%s: %s", one.id, error)
        return found

    def _renew_own(self, now: datetime.datetime) -> None:
        """Renew the fleet's own certificates that are due; what a person must do is logged once."""
        try:
            for name in own.due(self._data, now):
                if name not in self._own_told:
                    self._own_told.add(name)
                    own.renew_or_say(self._data, name, now)
        except (ConfigError, OSError, ValueError) as error:
            LOG.error("the fleet's own certificates: %s", error)

    def _message(self, cabinet: str, now: datetime.datetime) -> bytes:
        self._settle(cabinet, now)
        self._repeat(cabinet, now)
        self._renew(cabinet, now)
        queue = waiting(self._data, cabinet)
        return queue[0][1].read_bytes() if queue else b""

    def _settle(self, cabinet: str, now: datetime.datetime) -> None:
        """Put away what was acknowledged; make again what expired."""
        queue = waiting(self._data, cabinet)
        events = self._acknowledged(cabinet) if queue else {}
        for number, file in queue:
            if number in events:
                event = events[number]
                LOG.log(logging.INFO if event.outcome == downlink.DONE else logging.WARNING,
                        "%s: downlink %d, %s: %s, %s", cabinet, *event)
                outcome = f".{event.outcome}"
                file.replace(file.with_suffix(outcome if outcome in OUTCOMES else FAILED))
                continue
            message = content_of(file)
            if message.expires_utc_ms <= now.timestamp() * 1000:
                _write(self._data, self._key, Message(cabinet, message.action, message.body),
                       now, LIFE_DAYS)
                file.unlink()
        for _, file in settled(self._data, cabinet)[:-SETTLED_MAX] if queue else ():
            file.unlink(missing_ok=True)

    def _repeat(self, cabinet: str, now: datetime.datetime) -> None:
        """Send a certificate again, a week after the cabinet could not put it in place: nobody
        else would before it is due again, and by then the old one has ended."""
        done = settled(self._data, cabinet)
        if not any(file.suffix == FAILED for _, file in done):
            return
        newest = {content_of(file).action: (number, file)
                  for number, file in sorted(done + waiting(self._data, cabinet))}
        long_ago = now.timestamp() * 1000 - REPEAT_DAYS * DAY_MS
        for action, (number, file) in newest.items():
            if action in REPLACED and file.suffix == FAILED and number <= long_ago:
                _write(self._data, self._key, Message(cabinet, action, content_of(file).body),
                       now, LIFE_DAYS)

    def _renew(self, cabinet: str, now: datetime.datetime) -> None:
        """Issue a certificate for the same key once two thirds of its life are over."""
        if not self._is_due(cabinet, now):
            return
        if not issue.is_here(self._data):
            if not self._offline_told:
                LOG.warning("%s: its certificate is due, but the authority's key is not here; "
                            "next: bring it back for a while, or renew by file", cabinet)
            self._offline_told = True
            return
        renew(self._data, self._key, cabinet, now)

    def _is_due(self, cabinet: str, now: datetime.datetime) -> bool:
        """Return whether a cabinet's newest certificate is to be renewed; the files are read only
        when one was added."""
        try:
            stamp = issue.folder_of(self._data, cabinet).stat().st_mtime_ns
        except FileNotFoundError:
            return False
        known = self._due.get(cabinet)
        if known is None or known[0] != stamp:
            held = issue.issued(self._data, cabinet)
            if not held:
                return False
            known = self._due[cabinet] = stamp, certificates.renewal_at(held[-1])
        return now >= known[1]


def renew(data: Path, key: Ed25519PrivateKey, cabinet: str, now: datetime.datetime) -> int:
    """Issue a new certificate for a cabinet's key and leave it in the downlink; return the
    message's number.  Raises ConfigError if the cabinet never had one, or is revoked."""
    held = issue.issued(data, cabinet)
    if not held:
        raise ConfigError(f"{cabinet}: no certificate was issued here; next: enrol its request")
    entry = Registry(data).find(cabinet)
    if entry is None or entry.revoked:
        raise ConfigError(f"{cabinet} is not enrolled here, or revoked; it gets no certificate")
    made = issue.new(data, cabinet, issue.key_of(held[-1]), now)
    return post(data, key, Message(cabinet, downlink.RENEW, certificates.der(made)), now)
