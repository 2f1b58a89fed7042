"""Sealed batches as files: written once, read as often as needed, deleted by rule.

In this file: names, the check sum behind each batch, and which batch is the last whole one.
Not here: what a batch says (batch.py) and when one is sealed (journal.py).

File `b<journal>-<number>-<attempt>` = the sealed bytes, then 1A crc32: a CBOR sequence of
two items.  After a failed write the same bytes go into a new file with the next attempt.
"""

from . import batch, chain, frame
from .crc import crc32
from .errors import Corrupt, FormatError, JournalError, StoreError

TRAILER_BYTES = 5
READ_TRIES = 3          # a card that was busy or cold may answer the next time
INFO_MAX = 4096         # batch infos kept in RAM, 42 days of quarter hours


def parse_name(name):
    """Return (journal prefix, number, attempt) of a batch file's name, or None."""
    parts = name.split("-")
    if len(parts) != 3 or len(parts[0]) != 9 or parts[0][0] != "b" or not parts[2].isdigit():
        return None
    try:
        return parts[0][1:], int(parts[1], 16), int(parts[2])
    except ValueError:
        return None


def prefix_of(journal_id):
    """Return the eight hex digits that stand for a journal in file names."""
    return journal_id[:4].hex()


def seal_file(data, journal_id, number):
    """Return the file's bytes for sealed bytes: they and their seeded check sum."""
    return data + b"\x1a" + crc32(data, frame.seed(journal_id, number)).to_bytes(4, "big")


def open_file(data, journal_id, number):
    """Return the sealed bytes of a file, or None if the check sum does not fit."""
    body = data[:-TRAILER_BYTES]
    if len(data) <= TRAILER_BYTES or seal_file(body, journal_id, number) != data:
        return None
    return body


class Batches:
    """The batch files of one journal.  Numbers start at 1 and have no second use."""

    def __init__(self, store, journal_id, names):
        """names: all file names of the store; those of other journals are left alone."""
        self._store, self._journal_id = store, journal_id
        self._files = {}            # number -> list of attempts, newest last
        self._infos = {}
        self._sizes = {}            # number -> bytes on flash
        for name in sorted(names):
            parts = parse_name(name)
            if parts and parts[0] == prefix_of(journal_id):
                self._files.setdefault(parts[1], []).append(parts[2])
                self._files[parts[1]].sort()
        self.failures = []          # (number, error) of batches found bad at the start
        self._scrubbed = 0          # last number read again by scrub()
        self._damaged = {}          # number -> True: named once
        self._torn = []             # (number, attempt) of files that never became whole
        self._attempt = -1          # last attempt at the batch being written

    def numbers(self):
        """Return the batch numbers that stand on flash, ascending."""
        return sorted(self._files)

    def read(self, number):
        """Return the sealed bytes of a batch.  Raises Corrupt, StoreError."""
        failed = None
        for attempt in reversed(self._files.get(number, ())):
            name = self._name(number, attempt)
            try:
                data = self._store.read(name, 0, self._store.size(name))
            except StoreError as error:
                failed = error
                continue
            data = open_file(data, self._journal_id, number)
            if data is not None:
                return data
        if failed is not None:
            raise failed
        raise Corrupt("batch %d is missing or its bytes changed" % number)

    def info(self, number):
        """Return (first_seq, last_seq, chain value after it) of a batch.

        Raises Corrupt, StoreError.
        """
        if number not in self._infos:
            content, link = self._open(number, self.read(number))
            self.remember(number, content.first_seq, content.last_seq, link)
        return self._infos[number]

    def remember(self, number, first_seq, last_seq, link):
        """Keep a batch's info in RAM, within a bound."""
        if len(self._infos) >= INFO_MAX:
            self._infos.pop(min(self._infos))
        self._infos[number] = (first_seq, last_seq, link)

    def last_whole(self, known):
        """Return (number, Batch, chain value after it, bytes) of the last whole batch, or None.

        known: the number that is known to have been durable.  Newer files that are torn or
        cannot be read are forgotten here and deleted after the next batch was written: their
        records still stand in the tail.  If `known` itself is bad its file stays, so that
        the outbox names it, and None comes back.
        """
        for number in reversed(self.numbers()):
            if number < known:
                return None
            try:
                data = self._read_patiently(number)
                content, link = self._open(number, data)
            except JournalError as error:
                self.failures.append((number, error))
                if number > known:
                    self._forget(number)
                continue
            self.remember(number, content.first_seq, content.last_seq, link)
            return number, content, link, data
        return None

    def doubt(self, number):
        """Take a batch out that may stand in the cache only; it is written again."""
        self._forget(number)
        self._infos.pop(number, None)

    def write(self, number, data):
        """Make a batch durable in a file of its own.  Raises StoreError: call again then."""
        tried = [attempt for n, attempt in self._torn if n == number]
        attempt = max(tried + [self._attempt]) + 1
        self._attempt = attempt
        name = self._name(number, attempt)
        try:
            self._store.create(name)
            self._store.write(name, 0, seal_file(data, self._journal_id, number))
            self._store.sync(name)
            self._store.sync_dir()
        except StoreError:
            self._torn.append((number, attempt))
            self._sweep()               # on a full disk these bytes are needed
            raise
        self._attempt = -1
        self._files[number] = [attempt]
        self._sweep()

    def scrub(self, count):
        """Read the next count batches again, round and round; return numbers newly found bad.

        Reading lets a controller refresh weak cells, and finds rot while the fleet may
        still hold the batch.
        """
        numbers, bad = self.numbers(), []
        after = [number for number in numbers if number > self._scrubbed]
        for number in (after + numbers)[:min(count, len(numbers))]:
            self._scrubbed = number
            try:
                self._read_patiently(number)
            except JournalError:
                if number not in self._damaged:
                    self._damaged[number] = True
                    bad.append(number)
        return bad

    def trim(self, keep_bytes, acknowledged_seq):
        """Delete acknowledged batches, oldest first, down to keep_bytes; return numbers.

        The last batch always stays: it carries number, sequence and chain over a restart.
        """
        numbers, dropped = self.numbers(), []
        sizes = [self._size(number) for number in numbers]
        total = sum(sizes)
        for i in range(len(numbers) - 1):
            if total <= keep_bytes or self.info(numbers[i])[1] > acknowledged_seq:
                break
            for attempt in self._files.pop(numbers[i]):
                self._store.remove(self._name(numbers[i], attempt))
            self._infos.pop(numbers[i], None)
            self._sizes.pop(numbers[i], None)
            total -= sizes[i]
            dropped.append(numbers[i])
        if dropped:
            self._store.sync_dir()
        return dropped

    def _read_patiently(self, number):
        for _ in range(READ_TRIES):
            try:
                return self.read(number)
            except StoreError as error:
                failed = error
        raise failed

    def _open(self, number, data):
        """Return (Batch, chain value after it) of sealed bytes; raises Corrupt."""
        try:
            message, content = batch.open_sealed(data)
        except FormatError as error:
            raise Corrupt("batch %d: %s" % (number, error))
        if content.journal_id != self._journal_id or content.number != number:
            raise Corrupt("batch %d: the file holds another batch" % number)
        return content, chain.link(message.payload)

    def _forget(self, number):
        for attempt in self._files.pop(number):
            self._torn.append((number, attempt))

    def _sweep(self):
        """Delete files that never became whole; one that cannot be deleted is kept in mind."""
        left = []
        for number, attempt in self._torn:
            try:
                self._store.remove(self._name(number, attempt))
            except StoreError:
                left.append((number, attempt))
        self._torn = left

    def _size(self, number):
        if number not in self._sizes:
            names = [self._name(number, attempt) for attempt in self._files[number]]
            self._sizes[number] = sum([self._store.size(name) for name in names])
        return self._sizes[number]

    def _name(self, number, attempt):
        return "b%s-%08x-%d" % (prefix_of(self._journal_id), number, attempt)
