"""Coarsened batches as files, and which batches are downsampled next.

In this file: names, and what counts after a power cut.  Not here: what is kept of records
(downsample.py) and when there is need (the caller).

File `k<journal>-<first>-<last>-<rule>-<attempt>` stands for the batches first to last.  It is
durable before any file that it replaces is deleted.  So a file of which everything it
replaces still stands may never have become durable: it is given up, nothing is lost by that.
"""


from gateway.core.codec.cbor import encode
from gateway.core.codec.record import is_event
from gateway.core.errors import Bug, Corrupt, FormatError, JournalError
from gateway.core.evidence import batch, downsampled
from gateway.core.journal import downsample
from gateway.core.journal.batch_files import Batches, prefix_of
from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from gateway.core.codec.record import Record
    from gateway.core.evidence.batch import Batch
    from gateway.core.evidence.downsampled import Content, DownsampledBatch, Replaced
    from gateway.core.journal.downsample import CounterLimits
    from gateway.core.journal.journal import Sealer
    from gateway.core.reading import Schema
    from gateway.core.types import FileStore, Inflate
    # From (config hash, Content) to the limits of its counters.
    LimitsOf = Callable[[bytes, Content], CounterLimits]

GROUP = 16                  # batches in one downsampled one: four hours of quarter hours
NEWEST_KEPT = 8              # the newest batches always stay as they are
EVENT_BYTES_MAX = 131072    # of one downsampled batch: events are all kept, and must fit
EVENT_HEAD_BYTES = 8        # beside its body; so few bytes have fewer than EVENTS_MAX events
VALUES_MAX = 131072         # kept in one downsampled batch
SEALED_AIM = batch.SEALED_MAX - 4096

# first: number.  rule: coarse.QUARTERS ...
DownsampledSpan = NamedTuple("DownsampledSpan", [("first", int), ("rule", int), ("attempt", int)])
# What one downsampling did.  numbers: batches that are gone.  number: that stands for them.
DownsampleResult = NamedTuple("DownsampleResult", [
    ("numbers", "list[int]"), ("number", int), ("first_seq", int), ("last_seq", int), ("rule", int),
    ("chain_hash", bytes)])


def parse_name(name: str) -> tuple[str, int, int, int, int] | None:
    """Return (journal prefix, first, last, rule, attempt) of a downsampled batch's file, or
    None."""
    parts = name.split("-")
    if len(parts) != 5 or len(parts[0]) != 9 or parts[0][0] != "k":
        return None
    try:
        first, last, rule = int(parts[1], 16), int(parts[2], 16), int(parts[3])
        return parts[0][1:], first, last, rule, int(parts[4])
    except ValueError:
        return None


class DownsampledBatches(Batches):
    """Batches of which some files stand for several numbers; such a one is asked for by its
    last number."""

    def __init__(self, store: "FileStore", journal_id: bytes, names: "Iterable[str]") -> None:
        Batches.__init__(self, store, journal_id, names)
        self._spans: dict[int, DownsampledSpan] = {}            # last number -> DownsampledSpan
        found = sorted([parts[1:] for parts in map(parse_name, names)
                        if parts and parts[0] == prefix_of(journal_id)])
        for first, last, rule, attempt in found:    # the coarser of two comes later
            self._adopt(last, DownsampledSpan(first, rule, attempt))

    def span(self, number: int) -> DownsampledSpan | None:
        """Return the DownsampledSpan of a downsampled batch, None if the number stands for
        itself."""
        return self._spans.get(number)

    def first_number(self, number: int) -> int:
        """Return the lowest number that a batch stands for."""
        return self._spans[number].first if number in self._spans else number

    def chain_at(self, number: int, seq: int) -> bytes | None:
        """Return the chain value of the batch that ended at seq among those that a number
        stands for, None if none did.  Raises Corrupt, StoreError."""
        content, _ = self._open(number, self.read(number))
        if isinstance(content, downsampled.DownsampledBatch):
            for one in content.replaced:
                if one.last_seq == seq:
                    return one.chain_hash
        return None

    def replace(self, numbers: list[int], rule: int, data: bytes) -> None:
        """Let one downsampled batch stand for neighbouring numbers.  Raises StoreError: nothing
        has changed then."""
        first = self._spans[numbers[0]].first if numbers[0] in self._spans else numbers[0]
        attempts = [parts[4] for parts in map(parse_name, self._torn)
                    if parts and parts[1:4] == (first, numbers[-1], rule)]
        span = DownsampledSpan(first, rule, max(attempts + [-1]) + 1)
        held = self.held_bytes() - self.bytes_of(numbers)
        old = [name for number in numbers for name in self._paths(number)]
        self._put(self._span_name(numbers[-1], span), numbers[-1], data)
        for number in numbers:
            self._drop(number)
        self._numbers.add(numbers[-1])
        self._spans[numbers[-1]] = span
        self._held_bytes = held
        self._count(len(data))
        self._torn += old
        self._sweep()

    def bytes_of(self, numbers: "Iterable[int]") -> int:
        """Return the bytes that batches take on flash, in whole blocks.  Raises StoreError."""
        return sum([self._size(number) for number in numbers])

    def frees_enough(self, numbers: list[int], data_bytes: int) -> bool:
        """Return True if a file of so many bytes in place of batches frees a quarter of them."""
        return self._blocks(data_bytes) <= self.bytes_of(numbers) * 3 // 4

    def next_group(self, busy: "Collection[int]",
                   refused: "Collection[tuple[int, int]]" = ()) -> tuple[list[int], int] | None:
        """Return ([numbers], rule) to be downsampled next, or None.

        First the oldest whole batches; only when none is left what is coarse already, a rule
        at a time.  busy: numbers to leave alone.  refused: (number, rule) not to be tried
        again.  The newest batches stay whole: the last one carries number, sequence and
        chain over a restart.
        """
        old = [number for number in self.numbers()[:-NEWEST_KEPT] if number not in busy]
        group: list[int] = []
        for number in old:
            if number in self._spans or (number, downsampled.QUARTERS) in refused:
                if group:
                    break
            elif group and number != group[-1] + 1 or len(group) == GROUP:
                break
            else:
                group.append(number)
        if group:
            return group, downsampled.QUARTERS
        for rule in (downsampled.COUNTERS, downsampled.HOURS, downsampled.ENDS):
            for number in old:
                if (number in self._spans and self._spans[number].rule < rule
                        and (number, rule) not in refused):
                    return [number], rule
        return None

    def _adopt(self, last: int, span: DownsampledSpan) -> None:
        originals = [number for number in range(span.first, last + 1)
                     if self._numbers.has(number) and number not in self._spans]
        whole = last in self._spans and self._spans[last].first == span.first
        if whole or len(originals) == last - span.first + 1:
            self._torn.append(self._span_name(last, span))
            return
        for number in originals:
            self._torn += self._paths(number)
            Batches._drop(self, number)
        self._spans[last] = span
        self._numbers.add(last)

    def _drop(self, number: int) -> None:
        Batches._drop(self, number)
        self._spans.pop(number, None)

    def _paths(self, number: int) -> list[str]:
        if number in self._spans:
            return [self._span_name(number, self._spans[number])]
        return Batches._paths(self, number)

    def _open(self, number: int, data: bytes) -> "tuple[Batch | DownsampledBatch, bytes]":
        try:
            _, content, chain_hash = downsampled.open_any(data)
        except FormatError as error:
            raise Corrupt("batch %d: %s" % (number, error))
        if content.journal_id != self._journal_id or content.number != number:
            raise Corrupt("batch %d: the file holds another batch" % number)
        return content, chain_hash

    def _span_name(self, last: int, span: DownsampledSpan) -> str:
        return "k%s-%08x-%08x-%d-%d" % (
            prefix_of(self._journal_id), span.first, last, span.rule, span.attempt)


class Group:
    """Whole batches of one boot, configuration, schema and clock that one downsampled batch is to
    stand for, and what is kept of them."""

    def __init__(self) -> None:
        self.first: "Batch | None" = None               # the first batch taken
        self.replaced: "list[Replaced]" = []              # Replaced of each
        self._schema: Schema | None = None
        self._records: list[Record] = []
        self._cells: list[downsampled.Cell] = []
        self._sizes = [0, 0]            # bytes of events and number of values kept

    def take(self, number: int, found: "tuple[Batch, bytes]", inflate: "Inflate",
             limits: "LimitsOf") -> bool:
        """Take the batch of a number, (content, link); return False if it does not belong here."""
        content, chain_hash = found
        try:
            schema, records = batch.open_body(content, inflate)
        except FormatError:
            return False
        first = self.first or content
        if self._schema not in (None, schema) or (
                (content.boot, content.config_hash, content.clock)
                != (first.boot, first.config_hash, first.clock)):
            return False
        whole = downsampled.Content(schema, records, [])
        kept = downsample.thin(whole, content.clock, downsampled.QUARTERS,
                               limits(content.config_hash, whole))
        sizes = [self._sizes[0] + sum([EVENT_HEAD_BYTES + len(encode(item.body))
                                       for item in kept if is_event(item)]),
                 self._sizes[1] + sum([len(item.values) for item in kept if not is_event(item)])]
        if self.replaced and (sizes[0] > EVENT_BYTES_MAX or sizes[1] > VALUES_MAX):
            return False
        self._records += kept
        self._cells += downsample.cells_of(whole, content.clock, len(self.replaced))
        self.replaced.append(downsampled.Replaced(
            number, content.first_seq, content.last_seq, chain_hash))
        self.first, self._schema, self._sizes = first, schema, sizes
        return True

    def content(self) -> "Content":
        """Return the Content of the downsampled batch."""
        return downsampled.Content(self._schema or (), self._records, self._cells)


class Draft:
    """A downsampled batch whose body is made part by part."""

    def __init__(self, head: "Batch | DownsampledBatch", replaced: "Sequence[Replaced]",
                 content: "Content", rule: int) -> None:
        """head: the batch whose identity is taken over.  replaced: list of Replaced."""
        self.replaced, self.rule = replaced, rule
        self._head = head
        self._parts: list[bytes] = []
        self._making = downsampled.make_parts(content, replaced, rule)

    def more(self) -> bool:
        """Make one more part; return False when the body is complete."""
        for part in self._making:
            self._parts.append(part)
            return True
        return False

    def payload(self, last: int, sealer: "Sealer") -> bytes:
        """Return the payload bytes under the number of the last batch that it stands for."""
        head, replaced = self._head, self.replaced
        body = downsampled.make_body(self._parts, sealer.codec, sealer.compress)
        return downsampled.encode_payload(downsampled.DownsampledBatch(
            head.cabinet, head.journal_id, last, head.boot, replaced[0].first_seq,
            replaced[-1].last_seq, head.prev, head.config_hash, head.clock, sealer.codec, body,
            self.rule, replaced))


class Downsampling:
    """Makes batches coarser step by step; a step costs about as much as sealing a batch."""

    def __init__(self, batches: DownsampledBatches, sealer: "Sealer", inflate: "Inflate",
                 rules_for: "LimitsOf") -> None:
        """batches: CoarseBatches.  sealer: journal.Sealer.  inflate: as in batch.open_body.
        rules_for: callable (config hash, coarse.Content) -> callable (stream, point) ->
        interval.CounterRules; the records may hold the configuration."""
        self._batches, self._sealer = batches, sealer
        self._inflate, self._rules_for = inflate, rules_for
        # (number, rule) -> True: no space to be had there.
        self.refused: dict[tuple[int, int], bool] = {}
        self._goal: tuple[list[int], int] | None = None
        self._draft: Draft | None = None
        self._clear()

    def step(self, busy: "Collection[int]") -> DownsampleResult | bool:
        """Return DownsampleResult, True if there is more to do, or False if nothing can be
        downsampled.

        busy: numbers to leave alone (under way to the fleet).  Raises StoreError; the next
        step begins a new group.
        """
        if self._draft is not None:
            return self._draft.more() or self._finish(self._draft, busy)
        if self._goal is None:
            self._clear()
            self._goal = self._batches.next_group(busy, self.refused)
            return self._goal is not None
        numbers, rule = self._goal
        if rule != downsampled.QUARTERS:
            return self._again(numbers[0], rule)
        group = self._group
        number = numbers[len(group.replaced)]
        if number in busy or not self._add_batch(number):
            if group.replaced:
                return self._close()
            return self._clear() if number in busy else self._refuse([number], rule)
        return self._close() if len(group.replaced) == len(numbers) else True

    def _clear(self) -> bool:
        self._goal = self._draft = None     # ([numbers], rule); Draft
        self._group = Group()
        return True

    def _refuse(self, numbers: list[int], rule: int) -> bool:
        for number in numbers:
            self.refused[number, rule] = True
        return self._clear()

    def _read(self, number: int) -> "tuple[Batch | DownsampledBatch, bytes] | None":
        """Return (content, link) of a batch that can be read, None otherwise."""
        try:
            _, content, chain_hash = downsampled.open_any(self._batches.read(number))
            return content, chain_hash
        except (FormatError, JournalError):
            return None

    def _add_batch(self, number: int) -> bool:
        found = self._read(number)
        if found is None or isinstance(found[0], downsampled.DownsampledBatch):
            return False
        return self._group.take(number, (found[0], found[1]), self._inflate, self._rules_for)

    def _close(self) -> bool:
        """Begin to write what was taken."""
        group = self._group
        if group.first is None:
            raise Bug("coarse: nothing was taken")
        self._draft = Draft(group.first, group.replaced, group.content(), downsampled.QUARTERS)
        return True

    def _again(self, number: int, rule: int) -> bool:
        """Begin to make a downsampled batch coarser still."""
        found = self._read(number)
        old = found[0] if found else None
        if not isinstance(old, downsampled.DownsampledBatch):
            return self._refuse([number], rule)
        try:
            content = downsampled.open_body(old, self._inflate)
        except FormatError:
            return self._refuse([number], rule)
        content = downsample.downsample_again(content, old.clock, rule,
                                              self._rules_for(old.config_hash, content))
        self._draft = Draft(old, old.replaced, content, rule)
        return True

    def _finish(self, draft: Draft, busy: "Collection[int]") -> DownsampleResult | bool:
        """Seal the draft and let it count."""
        sealer, rule, replaced = self._sealer, draft.rule, draft.replaced
        numbers = self._goal[0] if self._goal else []
        if rule == downsampled.QUARTERS:
            numbers = [one.number for one in replaced]
        self._clear()
        if [number for number in numbers if number in busy]:
            return True                         # on its way since we began: another time
        payload = draft.payload(numbers[-1], sealer)
        if len(payload) > SEALED_AIM or not self._batches.frees_enough(numbers, len(payload) + 200):
            return self._refuse(numbers, rule)
        self._batches.replace(numbers, rule, downsampled.seal(payload, sealer.kid, sealer.sign))
        return DownsampleResult(numbers, numbers[-1], replaced[0].first_seq, replaced[-1].last_seq,
                                rule,
                                replaced[-1].chain_hash)
