"""The reads of a poll as one transaction of Modbus TCP, each sent when the one before is answered.

The far end sees one question at a time, as without it; the poller asks and hears once a poll, not
once a read.
"""

from collections.abc import Sequence

from drivers import modbus
from gateway.core.errors import BadFrame, Bug

READS_MAX = 64                  # of one transaction; a poll has fewer


class InTurn:
    """Reads of one unit, one under way at a time.

    When a refusal or a silence ends it, the reads that have a result have a good one; after a
    damaged frame none has.
    """

    gap_ms = 0

    def __init__(self, reads: Sequence[modbus.TcpRead]) -> None:
        """reads: of one connection, with different ids."""
        self.reads = tuple(reads)
        self.turns = len(self.reads)
        self.again()

    def again(self) -> None:
        """Ask again, the reads having new ids."""
        self._at = 0
        self.rest = b""                 # behind the last answer, or of a frame not yet whole
        self.request: bytes = self.reads[0].request
        self.result: tuple[bytes | None, ...] | None = None        # the registers of each read

    @property
    def current(self) -> modbus.TcpRead:
        """The read under way, the last one in the end."""
        return self.reads[self._at]

    def describe(self) -> str:
        """Return the question under way in words, for messages."""
        return str(self.reads[self._at].describe())

    def is_sound(self) -> bool:
        """Return whether the results are good after a silence: no part of an answer came."""
        return not self.rest

    def feed(self, data: bytes) -> bool | bytes:
        """Take bytes of the stream; return True when each read was answered, or the next
        request, to be sent now.  Raises BadFrame and Refused as TcpRead.feed does."""
        if self.result is not None:
            raise Bug("fed after the answer")
        read = self.reads[self._at]
        if not self.rest and len(data) == read.size and data.startswith(read.head):
            read.result = data[modbus.TCP_HEAD:]        # nearly always
        elif not self._take(read, data):
            return False
        if self._at + 1 == self.turns:
            self.result = tuple([read.result for read in self.reads])
            return True
        self._at += 1
        following = self.reads[self._at]
        if self.rest and self._take(following, self.rest):
            raise BadFrame(f"{following.describe()}: answered before it was asked")
        request: bytes = following.request
        return request

    def _take(self, read: modbus.TcpRead, data: bytes) -> bool:
        try:
            return bool(read.feed(data))
        finally:
            self.rest = read.rest


class ReadsInTurn(modbus.TcpReads):
    """Builds the reads of a connection whose far end takes one question at a time."""

    def burst(self, reads: Sequence[modbus.TcpRead]) -> InTurn:
        """Return the transaction that asks several reads in turn."""
        return InTurn(reads)
