"""Values that several stages of the fleet share: opened batches, chain positions, reductions.

They lie below every stage that makes or uses them, so that no stage imports another one for
a type.
"""

from typing import NamedTuple

from fleet.formats.registry import Previous
from gateway.core.codec.record import EventRecord, ScanRecord
from gateway.core.evidence.batch import Batch
from gateway.core.evidence.downsampled import Cell, DownsampledBatch
from gateway.core.interval import QuarterPart
from gateway.core.reading import ClockState, Stream

Record = ScanRecord | EventRecord


class BatchPosition(NamedTuple):
    """The position of one batch in a journal, with the names that batch.Batch has for it.

    A downsampled batch takes one position for each batch that it stands for.
    """

    cabinet: str
    journal_id: bytes
    number: int
    boot: int
    first_seq: int
    last_seq: int
    prev: bytes
    config_hash: bytes
    clock: ClockState


class RecordRange(NamedTuple):
    """Records of a journal, first to last."""

    cabinet: str
    journal_id: bytes
    first_seq: int
    last_seq: int


# Alike in cabinet, journal_id, number, boot, first_seq, last_seq, prev, config_hash and clock.
AnyBatch = Batch | DownsampledBatch | BatchPosition


class OpenedBatch(NamedTuple):
    """A sealed batch as far as it was opened and checked.

    previous: the cabinet's keys that handed over.  sealed: bytes as they came.  chain_hash: the
    chain value of the batch, 32 bytes.  records: first_seq .. last_seq without a hole; of a
    downsampled batch those that were kept, and its cells (None for a whole batch).
    """

    previous: tuple[Previous, ...]
    sealed: bytes
    batch: AnyBatch
    chain_hash: bytes
    schema: tuple[Stream, ...] = ()
    records: tuple[Record, ...] = ()
    cells: tuple[Cell, ...] | None = None


CLOCK_STEP_MS = 1000        # a clock that was moved by less was slewed


class BatchClock(NamedTuple):
    """What puts the ticks of a batch into UTC.

    boot: journal id and number of the boot.  offset_ms: UTC less ticks.
    """

    boot: tuple[bytes, int]
    offset_ms: int


class CounterPart(NamedTuple):
    """A stored part of a counter, the hash of its configuration and the clock of its batch."""

    config: bytes
    clock: BatchClock
    part: QuarterPart


class MeterSwap(NamedTuple):
    """Another serial number that answered at a device's address.

    config, clock: of the batch with the event.  utc_ms: from here on the new device was read.
    old_ms: up to here the old one was; None in events of the first version, which have its last
    reading without a time.  ends: {(item, measurand, exponent) of a counter: (last reading of
    the old register, first one of the new), None where it was not read}.
    """

    device: str
    old_serial: str
    new_serial: str
    config: bytes
    clock: BatchClock
    utc_ms: int
    old_ms: int | None
    ends: dict[tuple[str, int, int], tuple[int | None, int | None]]


class Neighbour(NamedTuple):
    """A stored batch as far as the chain is concerned; prev, chain_hash: 32 bytes."""

    number: int
    first_seq: int
    last_seq: int
    prev: bytes
    chain_hash: bytes


class StoredAround(NamedTuple):
    """What the store holds around a batch.

    same, before, after: under its number and the numbers beside it.  overlap: a batch of
    another number that holds one of its sequences.
    """

    same: Neighbour | None = None
    before: Neighbour | None = None
    after: Neighbour | None = None
    overlap: Neighbour | None = None


class Chain(NamedTuple):
    """How far a journal is stored without a hole; chain_hash: chain value of the batch that ends
    at low_water."""

    cabinet: str
    journal: bytes
    low_water: int
    chain_hash: bytes


class GaugeQuarter(NamedTuple):
    """The share of one batch in a quarter hour of a gauge, in the channel's steps."""

    readings: int
    total: int
    low: int
    high: int
    last_ms: int
    last: int


class ScanCount(NamedTuple):
    """The scans of a cabinet in a quarter hour, and those of them without any value."""

    scans: int
    absent: int


class ReducedEvent(NamedTuple):
    """An event put into time; body: the list of CBOR values of the record."""

    seq: int
    kind: int
    utc_ms: int
    body: list[object]


class Reduction(NamedTuple):
    """The share of one batch in quarter hours.

    Keys of counters and gauges: (stream, point), of scans: (stream, quarter_ms); stream and
    point are indexes into the schema.
    """

    counters: dict[tuple[int, int], list[QuarterPart]]
    gauges: dict[tuple[int, int], dict[int, GaugeQuarter]]
    scans: dict[tuple[int, int], ScanCount]
    events: list[ReducedEvent]


class JournalSpan(NamedTuple):
    """A journal of a cabinet among the others.

    rank, arrived: its position among them; smaller is earlier.  explained: whether a hand-over
    names it.  first_ms, last_ms: of its readings that count by their own right, None without
    any.  real: whether any was dated by a clock that is no simulation's.
    """

    journal: bytes
    rank: int
    arrived: int
    explained: bool
    first_ms: int | None
    last_ms: int | None
    real: bool


class AsideStretch(NamedTuple):
    """Time of a journal that does not count; from_ms, to_ms: UTC ms, both included.

    by: the journal that counts instead.  decision: number of the decision that says so; None
    while nobody has decided.
    """

    journal: bytes
    from_ms: int
    to_ms: int
    by: bytes
    decision: int | None
