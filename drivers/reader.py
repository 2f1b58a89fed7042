"""How one Modbus unit is asked: one read at a time, or several at once where that is allowed.

One at a time, a late answer to one request never fits the next: the next read of the unit has
another length than the failed one, or a short probe of another length goes before it, or, where
the probe was the request that failed, the read is asked twice and its first answer is dropped.

Several reads are one transaction where there are transaction ids (TCP) and the device wants no
pause between them: a burst if the far end takes several questions (the bus says so), else each in
turn.  When a burst fails nothing of it counts, for a cut answer is completed by what follows; of
reads in turn that fall silent what was answered counts.  The unit is asked one at a time for
the next polls: the far end may take one question only.  Reads in turn are asked one at a time again
until the unit has answered: a gateway to a serial line may hand out late answers with new ids.
"""

from drivers.modbus import UNIT_SILENT
from gateway.core.errors import BadFrame, NoReply, Refused
from gateway.core.types import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from drivers.driver import Setup
    from drivers.modbus import Burst, RtuRead, TcpRead
    from drivers.planner import ReadSpan
    from drivers.types import Steps


class RegisterReader:
    """Reads one unit.  Generators yield transactions; see driver.py."""

    def __init__(self, setup: "Setup", gap_ms: int,
                 probe: tuple[int, int, tuple[int, ...]] | None) -> None:
        """probe: (function, address, counts) of a harmless short read, or None."""
        self._setup = setup
        self._gap_ms = gap_ms
        self._probe = probe
        self._is_probe_silent = False
        # (function, count) of the last requests, which were sent together.
        self._last: "tuple[tuple[int, int], ...]" = ()
        self._suspect = False           # they failed: an answer may still come
        # (function, address, count) -> transaction, used again.
        self._questions: "dict[tuple[int, int, int], RtuRead | TcpRead]" = {}
        self._spans: "Sequence[ReadSpan]"
        self._bursts: "list[tuple[int, Burst]]"
        self._spans, self._bursts = [], []      # what was asked at once last, and its bursts
        self._alone = 0                 # polls left without bursts
        self._alone_next = setup.alone_polls[0]

    def read_burst(self, spans: "Sequence[ReadSpan]") -> "Steps[tuple[list[bytes | None], bool]]":
        """Yield transactions of several reads; return (cells of each span, None if not answered;
        True if silent).

        Nothing is asked where they are not allowed now.  What was refused or damaged is None, to
        be asked alone.
        """
        cells: list[bytes | None]
        cells, silent = [None] * len(spans), False
        if self._alone:
            self._alone -= 1
            return cells, silent
        if self._suspect:
            return cells, silent
        if spans != self._spans:
            self._spans, self._bursts = spans, self._bursts_of(spans)
        for start, burst in self._bursts:
            self._setup.wire.burst_again(burst)
            failed = is_good = True
            try:
                yield burst
                failed, self._alone_next = False, self._setup.alone_polls[0]
            except (NoReply, BadFrame) as error:
                self._broke_off(burst)
                silent = isinstance(error, NoReply)
                is_good = silent and burst.turns > 1 and burst.is_sound()
            except Refused as error:                # of reads in turn
                silent = error.exception in UNIT_SILENT
            if is_good:
                cells[start:start + len(burst.reads)] = burst.result or [
                    read.result for read in burst.reads]
            if failed:
                break
        return cells, silent

    def _broke_off(self, burst: "Burst") -> None:
        """Take note that an answer is missing: what is asked next must not fit it."""
        self._suspect = True
        if burst.turns > 1:
            self._last = ((burst.current.function, burst.current.count),)
        else:
            self._last = tuple([(read.function, read.count) for read in burst.reads])
            self._alone = self._alone_next
            self._alone_next = min(2 * self._alone_next, self._setup.alone_polls[1])

    def _bursts_of(self, spans: "Sequence[ReadSpan]") -> "list[tuple[int, Burst]]":
        """Return (place of its first span, burst) for each; building them costs more than asking
        them again."""
        wire = self._setup.wire
        if wire.at_once < 2 or self._gap_ms:
            return []
        return [(start, wire.burst([self._question(span.function, span.address, span.counts[0])
                                    for span in spans[start:start + wire.at_once]]))
                for start in range(0, len(spans) - 1, wire.at_once)]

    def read(self, function: int, address: int, counts: tuple[int, ...]) -> "Steps[bytes]":
        """Yield the transactions for one span; return its cells (at least counts[0] long)."""
        if self._suspect and self._count(function, counts) is None:
            is_probed = yield from self.probe()
            if not is_probed:           # its first answer may be the late one: it does not count
                yield from self._ask(function, address, counts[0])
        count = self._count(function, counts) or counts[0]
        return (yield from self._ask(function, address, count))

    def probe(self) -> "Steps[bool]":
        """Ask the probe, if there is one of another length; return whether it was answered.

        After a probe in vain the next one is left out: a device may be silent there only.
        Raises NoReply and BadFrame.
        """
        if self._probe is None or self._is_probe_silent:
            self._is_probe_silent = False
            return False
        function, address, counts = self._probe
        count = self._count(function, counts)
        if count is None:
            return False
        try:
            yield from self._ask(function, address, count)
        except NoReply:
            self._is_probe_silent = True
            raise
        except Refused as error:        # a refusal is an answer, and the line is in step again
            if error.exception in UNIT_SILENT:
                raise
        return True

    def probe_at(self, address: int) -> None:
        """Ask the probe at another address from now on."""
        if self._probe is not None:
            self._probe = self._probe[0], address, self._probe[2]

    def _count(self, function: int, counts: tuple[int, ...]) -> int | None:
        """Return the first count that none of the last requests had, or None."""
        for count in counts:
            if (function, count) not in self._last:
                return count
        return None

    def _ask(self, function: int, address: int, count: int) -> "Steps[bytes]":
        question = self._question(function, address, count)
        self._last = ((function, count),)
        self._suspect = True            # until the answer is there
        try:
            cells: bytes = yield question
        except Refused:
            self._suspect = False       # an exception is an answer
            raise
        self._suspect = False
        return cells

    def _question(self, function: int, address: int, count: int) -> "RtuRead | TcpRead":
        """Return a question without an answer; building one costs more than asking it again."""
        wanted = (function, address, count)
        question = self._questions.get(wanted)
        if question is not None:
            self._setup.wire.again(question)
            return question
        made: RtuRead | TcpRead = self._setup.wire.read(
            self._setup.unit, function, address, count)
        made.gap_ms = self._gap_ms
        self._questions[wanted] = made
        return made
