"""Sealed batches as files: written once, read as often as needed, deleted by rule.

In this file: names, the check sum behind each batch, and which batch is the last whole one.
Not here: what a batch says (batch.py), when one is sealed (journal.py), and files that stand
for several batches (downsampled_files.py, which this class leaves room for).

File `b<journal>-<number>-<attempt>` = the sealed bytes, then 1A crc32: a CBOR sequence of
two items.  After a failed write the same bytes go into a new file with the next attempt.
"""

from gateway.core.codec import frame
from gateway.core.codec.crc import crc32
from gateway.core.codec.record import SEQ_MAX
from gateway.core.errors import Corrupt, FormatError, JournalError, StoreError
from gateway.core.evidence import batch, chain
from gateway.core.journal.frame_search import READ_TRIES
from gateway.core.journal.number_ranges import Runs
from gateway.core.journal.policy import REFUSED, WHOLE
from gateway.core.types import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from gateway.core.evidence.batch import Batch
    from gateway.core.evidence.downsampled import DownsampledBatch
    from gateway.core.types import FileStore
    # (first sequence, last sequence, chain value after it)
    Info = tuple[int, int, bytes]

TRAILER_BYTES = 5
INFO_MAX = 1024         # batch infos kept in RAM; others are read again
FIRST = (0,)            # one tuple for the attempts of nearly all batches


def parse_name(name: str) -> tuple[str, int, int] | None:
    """Return (journal prefix, number, attempt) of a batch file's name, or None."""
    parts = name.split("-")
    if len(parts) != 3 or len(parts[0]) != 9 or parts[0][0] != "b" or not parts[2].isdigit():
        return None
    try:
        return parts[0][1:], int(parts[1], 16), int(parts[2])
    except ValueError:
        return None


def prefix_of(journal_id: bytes) -> str:
    """Return the eight hex digits that stand for a journal in file names."""
    return journal_id[:4].hex()


def seal_file(data: bytes, journal_id: bytes, number: int) -> bytes:
    """Return the file's bytes for sealed bytes: they and their seeded check sum."""
    return data + b"\x1a" + crc32(data, frame.seed(journal_id, number)).to_bytes(4, "big")


def open_file(data: bytes, journal_id: bytes, number: int) -> bytes | None:
    """Return the sealed bytes of a file, or None if the check sum does not fit."""
    body = data[:-TRAILER_BYTES]
    if len(data) <= TRAILER_BYTES or seal_file(body, journal_id, number) != data:
        return None
    return body


class Batches:
    """The batch files of one journal.  Numbers start at 1 and have no second use."""

    block_bytes = 4096          # what a file takes on flash is counted in these

    def __init__(self, store: "FileStore", journal_id: bytes, names: "Iterable[str]") -> None:
        """names: all file names of the store; those of other journals are left alone."""
        self.store, self._journal_id = store, journal_id
        self._numbers = Runs()
        # number -> tuple of attempts, newest last, if not FIRST.
        self._odd: dict[int, tuple[int, ...]] = {}
        self._infos: "dict[int, Info]" = {}
        for name in names:
            parts = parse_name(name)
            if parts and parts[0] == prefix_of(journal_id):
                self._hold(parts[1], tuple(sorted(self._attempts(parts[1]) + (parts[2],))))
        self._held_bytes: int | None = None     # on flash, in whole blocks; None = not counted yet
        # (number, error) of batches found bad at the start.
        self.failures: list[tuple[int, JournalError]] = []
        self._scrubbed = 0          # last number read again by scrub()
        self._damaged: dict[int, bool] = {}          # number -> True: named once
        self._torn: list[str] = []             # names of files that never became whole
        self._left: list[str] = []      # ... that could not be read: who knows what is in them
        self._attempt = -1          # last attempt at the batch being written

    def numbers(self) -> "Sequence[int]":
        """Return the batch numbers that stand on flash, ascending; a range or a list."""
        return self._numbers.numbers()

    def first_number(self, number: int) -> int:
        """Return the lowest number that a batch stands for: its own."""
        return number

    def read(self, number: int) -> bytes:
        """Return the sealed bytes of a batch.  Raises Corrupt, StoreError."""
        failed = None
        for name in reversed(self._paths(number)):
            try:
                data = self.store.read(name, 0, self.store.size(name))
            except StoreError as error:
                failed = error
                continue
            body = open_file(data, self._journal_id, number)
            if body is not None:
                return body
        if failed is not None:
            raise failed
        raise Corrupt("batch %d is missing or its bytes changed" % number)

    def info(self, number: int) -> "Info":
        """Return (first_seq, last_seq, chain value after it) of a batch.

        Raises Corrupt, StoreError.
        """
        if number not in self._infos:
            content, chain_hash = self._open(number, self.read(number))
            self.remember(number, content.first_seq, content.last_seq, chain_hash)
        return self._infos[number]

    def chain_at(self, number: int, seq: int) -> bytes | None:
        """Return the chain value at seq inside a batch: a whole batch has none."""
        return None

    def remember(self, number: int, first_seq: int, last_seq: int, chain_hash: bytes) -> None:
        """Keep a batch's info in RAM, within a bound."""
        if len(self._infos) >= INFO_MAX:
            self._infos.clear()     # what is still needed comes back at the next question
        self._infos[number] = (first_seq, last_seq, chain_hash)

    def last_whole(self, known: int) -> "tuple[int, Batch | DownsampledBatch, bytes, bytes] | None":
        """Return (number, Batch, chain value after it, bytes) of the last whole batch, or None.

        known: the number that is known to have been durable.  Newer files that are torn are
        forgotten here and deleted after the next batch was written: their records still stand in
        the tail.  Those that cannot be read are forgotten, and left where they are.  If `known`
        itself is bad its file stays, so that the outbox names it, and None comes back.
        """
        for number in reversed(self.numbers()):
            if number < known:
                return None
            try:
                data = self._read_patiently(number)
                content, chain_hash = self._open(number, data)
            except JournalError as error:
                self.failures.append((number, error))
                if number > known and isinstance(error, StoreError):
                    self._left += self._paths(number)
                    self._drop(number)
                elif number > known:
                    self.doubt(number)
                continue
            self.remember(number, content.first_seq, content.last_seq, chain_hash)
            return number, content, chain_hash, data
        return None

    def doubt(self, number: int) -> None:
        """Take a batch out that may stand in the cache only; its files go after the next write."""
        self._torn += self._paths(number)
        self._drop(number)

    def write(self, number: int, data: bytes) -> None:
        """Make a batch durable in a file of its own.  Raises StoreError: call again then."""
        attempt = max([self._attempt] + [
            parts[2] for parts in map(parse_name, self._torn + self._left)
            if parts and parts[1] == number]) + 1
        self._attempt = attempt
        try:
            self._put(self._name(number, attempt), number, data)
        except StoreError as error:
            if error.errno in REFUSED and self._name(number, attempt) not in self._torn:
                self._attempt = attempt - 1         # nothing is there
            raise
        self._attempt = -1
        self._hold(number, (attempt,))
        self._count(len(data))
        self._sweep()

    def scrub(self, count: int) -> list[int]:
        """Read the next count batches again, round and round; return numbers newly found bad.

        Reading lets a controller refresh weak cells, and finds rot while the fleet may
        still hold the batch.
        """
        numbers, bad = self.numbers(), []
        at = len([number for number in numbers if number <= self._scrubbed])
        ahead = list(numbers[at:at + count]) + list(numbers[:count])
        for number in ahead[:min(count, len(numbers))]:
            self._scrubbed = number
            if number not in self._damaged and self._is_bad(number):
                self._damaged[number] = True
                bad.append(number)
        return bad

    def _is_bad(self, number: int) -> bool:
        """Return whether a batch went bad; one that is refused now is whole."""
        try:
            self._read_patiently(number)
        except StoreError as error:
            return error.errno not in WHOLE
        except JournalError:
            return True
        return False

    def held_bytes(self) -> int:
        """Return the bytes that the batches take on flash, in whole blocks."""
        if self._held_bytes is None:
            self._held_bytes = sum([self._size_or_0(number) for number in self.numbers()])
        return self._held_bytes

    def trim(self, keep_bytes: int, acknowledged_seq: int) -> list[int]:
        """Delete acknowledged batches, oldest first, down to keep_bytes; return numbers.

        The last batch always stays: it carries number, sequence and chain over a restart.
        """
        dropped = []
        while (len(self.numbers()) > 1 and self.held_bytes() > keep_bytes
               and self._oldest_end() <= acknowledged_seq):
            number = self.numbers()[0]
            size = self._size(number)
            for name in self._paths(number):
                self.store.remove(name)
            self._drop(number)
            self._held_bytes = self.held_bytes() - size
            dropped.append(number)
        if dropped:
            self.store.sync_dir()
        return dropped

    def _oldest_end(self) -> int:
        """Return the last sequence of the oldest batch; if its bytes rotted, of what must have
        come before the next that can be read.  Raises StoreError."""
        for position, number in enumerate(self.numbers()):
            try:
                first_seq, last_seq, _ = self.info(number)
            except Corrupt:
                continue
            return first_seq - 1 if position else last_seq
        return SEQ_MAX

    def _put(self, name: str, number: int, data: bytes) -> None:
        """Make a file of sealed bytes durable; raises StoreError, the file then counts as torn
        unless the store refused to make it."""
        made = False
        try:
            self.store.create(name)
            made = True
            self.store.write(name, 0, seal_file(data, self._journal_id, number))
            self.store.sync(name)
            self.store.sync_dir()
        except StoreError as error:
            if made or error.errno not in REFUSED:
                self._torn.append(name)
                self._sweep()           # on a full disk these bytes are needed
            raise

    def _read_patiently(self, number: int) -> bytes:
        for _ in range(READ_TRIES):
            try:
                return self.read(number)
            except StoreError as error:
                failed = error
        raise failed

    def _open(self, number: int, data: bytes) -> "tuple[Batch | DownsampledBatch, bytes]":
        """Return (Batch, chain value after it) of sealed bytes; raises Corrupt."""
        try:
            message, content = batch.open_sealed(data)
        except FormatError as error:
            raise Corrupt("batch %d: %s" % (number, error))
        if content.journal_id != self._journal_id or content.number != number:
            raise Corrupt("batch %d: the file holds another batch" % number)
        return content, chain.chain_hash(message.payload)

    def _drop(self, number: int) -> None:
        """Forget a batch, whatever becomes of its files."""
        self._odd.pop(number, None)
        self._infos.pop(number, None)
        self._numbers.drop(number)

    def _hold(self, number: int, attempts: tuple[int, ...]) -> None:
        """Remember the attempts at a batch that stand on flash."""
        self._numbers.add(number)
        self._odd.pop(number, None)
        if attempts != FIRST:
            self._odd[number] = attempts

    def _attempts(self, number: int) -> tuple[int, ...]:
        """Return the attempts at a batch that stand on flash, newest last."""
        return self._odd.get(number, FIRST if self._numbers.has(number) else ())

    def _sweep(self) -> None:
        """Delete files that never became whole; one that cannot be deleted is kept in mind."""
        left = []
        for name in self._torn:
            try:
                self.store.remove(name)
            except StoreError:
                left.append(name)
        self._torn = left

    def _count(self, data_bytes: int) -> None:
        if self._held_bytes is not None:
            self._held_bytes += self._blocks(data_bytes + TRAILER_BYTES)

    def _size(self, number: int) -> int:
        return sum([self._blocks(self.store.size(name)) for name in self._paths(number)])

    def _size_or_0(self, number: int) -> int:
        """Return the size of a batch; of one that cannot be reached it is not known."""
        try:
            return self._size(number)
        except StoreError:
            return 0

    def _blocks(self, count: int) -> int:
        return -(-count // self.block_bytes) * self.block_bytes

    def _paths(self, number: int) -> list[str]:
        """Return the names of a batch's files, newest last."""
        return [self._name(number, attempt) for attempt in self._attempts(number)]

    def _name(self, number: int, attempt: int) -> str:
        return "b%s-%08x-%d" % (prefix_of(self._journal_id), number, attempt)
