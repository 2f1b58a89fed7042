"""Receipts down: only the fleet's signed word moves the mark, and a bad one changes nothing."""

import logging

from gateway.core.codec.record import ALARM
from gateway.core.errors import BadSignature, FormatError
from gateway.core.event import Event
from gateway.core.evidence import receipt as receipts
from gateway.core.journal import outbox as box
from gateway.core.session_table import UNANSWERED
from gateway.delivery.evidence_lane import EvidenceLane
from gateway.delivery.session import Session
from gateway.signer import Verifier
from gateway.storage.writer import JournalWriter

LOG = logging.getLogger("wattproof.uplink")


class Receipts:
    """Checks receipts and acts on them.  alarms: names of those raised since the start."""

    def __init__(self, verifier: Verifier, writer: JournalWriter, evidence: EvidenceLane,
                 session: Session) -> None:
        """verifier: of the fleet's receipt key."""
        self._verifier, self._writer = verifier, writer
        self._evidence, self._session = evidence, session
        self.alarms: set[str] = set()
        self.counts = {"receipts": 0, "receipts_refused": 0}

    async def take(self, data: bytes) -> None:
        """Check one receipt and act on it; a bad one is counted."""
        clock = self._writer.clock
        try:
            message, receipt = receipts.open_sealed(data)
            self._verifier.check(message.kid, message.signed, message.signature)
        except (FormatError, BadSignature) as error:
            self.counts["receipts_refused"] += 1
            await self._alarm("receipt-refused", str(error))
            return
        if not clock.raise_floor(receipt.issued_utc_ms):
            await self._alarm("clock-differs", f"the fleet's receipt says {receipt.issued_utc_ms} "
                              f"ms, this clock {clock.utc_ms()} ms")
        await self._act(receipt, data)

    async def _act(self, receipt: receipts.Receipt, sealed: bytes) -> None:
        evidence = self._evidence
        result = evidence.outbox.receipt(receipt)
        if result.status in (box.ADVANCED, box.REWOUND):
            self.counts["receipts"] += 1
            self._answered()
            self._writer.receipt(result.seq, result.epoch, sealed)
            evidence.wake()
        if result.status == box.UNCHANGED:
            evidence.silence.responded(receipt.issued_utc_ms)
        if result.status == box.UNCHANGED and self._session.state == UNANSWERED:
            self._answered()                # the fleet is back and says where it stands
            evidence.outbox.start_over()
            evidence.wake()
        if evidence.outbox.behind(receipt):
            evidence.show_receipt()
        if result.status in (box.AHEAD, box.FORK):
            await self._alarm(f"receipt-{box.STATUSES[result.status]}",
                              f"low water {receipt.low_water}")
            if evidence.outbox.divided:
                self._writer.divided(receipt.low_water)
        if result.missing:
            await self._alarm("missing-at-fleet", "sequence {} to {}".format(*result.missing))
        deleted = evidence.outbox.deleted() if result.status == box.REWOUND else None
        if deleted:
            await evidence.declare_lost("{}-{}".format(*deleted))
        if result.status in (box.FOREIGN, box.STALE_EPOCH):
            LOG.warning("receipt ignored: %s", box.STATUSES[result.status])

    def _answered(self) -> None:
        self._evidence.silence.answered()
        self._session.answered()

    async def _alarm(self, name: str, detail: str) -> None:
        """Put an alarm event, once per name and run: a hostile broker must not fill flash."""
        if name in self.alarms:
            return
        self.alarms.add(name)
        LOG.error("%s: %s; next: ask the fleet's operator", name, detail)
        await self._put(name, detail)

    async def _put(self, name: str, detail: str) -> None:
        await self._writer.put(Event(self._writer.clock.ticks_ms(), ALARM, [name, detail[:200]]))
