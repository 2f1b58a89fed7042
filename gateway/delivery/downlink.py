"""The downlink: what the fleet changes in this cabinet, each message obeyed at most once.

Everything but receipts comes this way.  A message counts if the fleet's key signed it, if it is for
this cabinet, newer than the last one obeyed and not expired; what became of it is an event in the
journal, so the fleet learns it from signed evidence.  The number of the last message obeyed is
kept in a file beside the certificate.
"""

import logging
from datetime import UTC, datetime
from pathlib import Path

from gateway.config.values import UplinkSettings
from gateway.core.codec.record import ALARM, DOWNLINK
from gateway.core.errors import BadSignature, ConfigError, FormatError
from gateway.core.event import Event
from gateway.core.evidence import downlink as messages
from gateway.delivery.downlink_actions import Order, actions
from gateway.signer import Verifier
from gateway.storage.store import replace_synced
from gateway.storage.writer import JournalWriter

LOG = logging.getLogger("wattproof.uplink")
NUMBER_FILE = "downlink.number"         # beside the certificate: NUMBER OUTCOME
DETAIL_CHARS_MAX = 200
NO_NUMBER = "no-number"                 # refused, since the file above says no number


class DownlinkReceiver:
    """Checks messages and obeys them."""

    def __init__(self, cabinet: str, settings: UplinkSettings, verifier: Verifier,
                 writer: JournalWriter, alarms: set[str]) -> None:
        """verifier: of the fleet's receipt key.  alarms: names of those of this run, to add to."""
        self._cabinet, self._verifier, self._writer = cabinet, verifier, writer
        self._file: Path = settings.certificate.parent / NUMBER_FILE
        self._actions = actions(cabinet, settings, verifier)
        self._reported: set[int] = set()            # numbers with an event of this run
        self._refused: set[str] = set()         # words of refusals with an alarm of this run
        self.alarms = alarms
        self.counts = {"downlinks": 0, "downlinks_refused": 0}

    async def take(self, data: bytes) -> None:
        """Check one message and obey it; a bad one changes nothing and is counted."""
        if not data:
            return                              # the broker's retained message was withdrawn
        try:
            sign1, message = messages.open_sealed(data)
            self._verifier.check(sign1.kid, sign1.signed, sign1.signature)
            floor, outcome = self._last()
        except FormatError as error:
            await self._refuse(f"{messages.UNREADABLE}: {error}")
            return
        except BadSignature as error:
            await self._refuse(f"{messages.FORGED}: {error}")
            return
        except (OSError, ValueError) as error:
            await self._refuse(f"{NO_NUMBER}: {error}")
            return
        if message.number == floor and message.cabinet == self._cabinet:
            await self._tell(message, outcome, "obeyed before")     # the event may have been lost
            return
        now_ms = self._utc_ms()
        reason = messages.refusal(message, self._cabinet, floor, now_ms)
        if reason:
            await self._refuse(reason)
            return
        await self._obey(message, Order(
            message.body, datetime.fromtimestamp(now_ms / 1000, UTC), sign1.kid))

    async def _obey(self, message: messages.Downlink, order: Order) -> None:
        """Carry out a message, keep its number, then say so: a cut in between repeats it, and
        an action done twice is done once."""
        action = self._actions.get(message.action)
        outcome, detail = messages.UNKNOWN, "this software has no such action"
        try:
            if action is not None:
                outcome, detail = messages.DONE, action(order)
            replace_synced(self._file, f"{message.number} {outcome}\n".encode())
        except (ConfigError, OSError, ValueError) as error:
            outcome, detail = messages.FAILED, str(error)
        self.counts["downlinks"] += 1
        LOG.log(logging.INFO if outcome == messages.DONE else logging.ERROR,
                "downlink %d, %s: %s, %s", message.number, message.action, outcome, detail)
        await self._tell(message, outcome, detail)

    def _last(self) -> tuple[int, str]:
        """Return number and outcome of the last message obeyed; raises OSError or ValueError if
        the file is there and says neither: then none is obeyed, for it might be an old one."""
        try:
            text = self._file.read_text(encoding="ascii")
        except FileNotFoundError:
            return 0, ""
        number, _, outcome = text.strip().partition(" ")
        if not number.isdigit() or outcome not in (messages.DONE, messages.UNKNOWN):
            raise ValueError(f"{self._file} does not say which message was the last; next: move "
                             "it away if nobody else could have replayed an old one")
        return int(number), outcome

    def _utc_ms(self) -> int:
        """Return real UTC as far as it is known, as certificates are judged by it."""
        clock = self._writer.clock
        floor_ms = clock.certificate_floor_ms()
        return int(clock.unix_s() * 1000) if floor_ms is None else floor_ms

    async def _tell(self, message: messages.Downlink, outcome: str, detail: str) -> None:
        """Put the event that the fleet waits for, once per message and run."""
        if message.number not in self._reported:
            self._reported.add(message.number)
            await self._put(DOWNLINK, [message.number, message.action, outcome,
                                       detail[:DETAIL_CHARS_MAX]])

    async def _refuse(self, why: str) -> None:
        """Count a message; alarm once per run and word: a hostile broker must not fill flash."""
        self.counts["downlinks_refused"] += 1
        word = why.partition(":")[0]
        if word not in self._refused:
            self._refused.add(word)
            self.alarms.add("downlink-refused")
            LOG.error("downlink refused, %s; next: ask the fleet's operator", why)
            await self._put(ALARM, ["downlink-refused", why[:DETAIL_CHARS_MAX]])

    async def _put(self, kind: int, body: list[object]) -> None:
        await self._writer.put(Event(self._writer.clock.ticks_ms(), kind, body))
