"""Coarsening under power cuts and flash errors: what must be there at any moment.

    image, truth = filled(batches, scans)
    cases, rules = run_cuts(image, truth, seeds, DAMAGE)

A journal of some hours is downsampled rule by rule on a MemoryStore.  Before each of its
operations a snapshot is taken; each image that a cut can leave is started on and held against
the truth: every batch is stood for exactly once, events and deciding counter readings are
there, bit for bit, the chain has its values, and the journal goes on.
"""

from typing import NamedTuple

from gateway.core.codec import record
from gateway.core.errors import StoreError
from gateway.core.evidence import batch, downsampled
from gateway.core.interval import CounterRules
from gateway.core.journal.downsampled_files import DownsampledBatches, Downsampling
from gateway.core.journal.journal import Journal
from gateway.core.reading import NOT_KEPT, Absent
from tests.support.journal_world import (
    GOOD_CLOCK,
    SCHEMA,
    SEALER,
    SEGMENT_BYTES,
    hold,
    inflate,
    nothing_escapes,
    opening,
)
from tests.support.memory_store import MemoryStore
from tests.support.power_cut_images import DAMAGE, image_after_cut
from tests.support.power_cut_matrix import faults

QUARTER_MS = 900_000
COUNTER = 1                         # point of stream 0 that counts
SPANS_MS = {0: QUARTER_MS, downsampled.QUARTERS: QUARTER_MS, downsampled.COUNTERS: QUARTER_MS,
            downsampled.HOURS: 4 * QUARTER_MS, downsampled.ENDS: None}
RULES = CounterRules(1 << 62, 10**9, 60_000, 10_000)


class EagerBatches(DownsampledBatches):
    """Made coarser whether it frees a block or not: these batches are small."""

    def frees_enough(self, numbers, data_bytes):
        """Any byte is worth it."""
        return True


class Truth(NamedTuple):
    """What had been sealed: batches as (number, first seq, last seq, link, records)."""

    batches: tuple


def open_on(store):
    """Return the journal on a store."""
    return Journal.open(store, opening(clock=GOOD_CLOCK), segment_bytes=SEGMENT_BYTES,
                        batches=EagerBatches)


def filled(batches, scans):
    """Return (image, Truth) of a journal with so many sealed batches of so many scans."""
    store = MemoryStore()
    journal = open_on(store)
    at_ms, truth = 0, []
    for number in range(batches):
        for i in range(scans):
            at_ms += QUARTER_MS // scans
            journal.append_scan(at_ms, 0, (500 + i, 1000 * number + 10 * i))
            if i % 3 == 0:
                journal.append_scan(at_ms, 1, (-50 + i,))
        if number % 5 == 2:
            journal.append_event(at_ms, record.ALARM, ["test", str(number)])
        journal.commit()
        journal.seal(SEALER)
        content, link = downsampled.open_any(journal.read_batch(number + 1))[1:]
        truth.append((number + 1, content.first_seq, content.last_seq, link,
                      tuple(batch.open_body(content, inflate)[1])))
    store.sync_dir()
    return {name: bytes(store.read(name, 0, store.size(name))) for name in store.list()}, Truth(
        tuple(truth))


def make_coarser(store, journal, tries=200):
    """Make everything as coarse as it can be; a failing flash is tried again a few times."""
    work = Downsampling(journal.batches, SEALER, inflate, lambda *_: lambda stream, place: RULES)
    failures = 0
    for _ in range(tries):
        try:
            if not work.step(()):
                return
        except StoreError:
            failures += 1
            if failures > 4:
                return


def snapshots(image):
    """Return a snapshot before each operation of a whole downsampling, and after it."""
    taken = []
    store = MemoryStore(image, lambda one, _operation: taken.append(one.snapshot()))
    make_coarser(store, open_on(store))
    taken.append(store.snapshot())
    return taken


def verify(store, truth):
    """Start on what is left and hold it against the Truth; return the rules found."""
    with nothing_escapes():
        journal = open_on(store)
        rules = _held_to(journal, truth)
        seq = journal.append_scan(10**9, 0, (1, 2))
        hold(journal.commit() == seq, "writable", "a commit after the start failed")
    return rules


def _held_to(journal, truth):
    numbers, rules, found, seen = journal.batch_numbers(), set(), [], []
    for number in numbers:
        content = downsampled.open_any(journal.read_batch(number))[1]
        rule = getattr(content, "rule", 0)
        rules.add(rule)
        for one in getattr(content, "replaced", [None]):
            seen.append(one.number if one else number)
            link = one.chain_hash if one else journal.batch_info(number)[2]
            hold(link == truth.batches[seen[-1] - 1][3], "chain", f"batch {seen[-1]}")
            if one:
                hold(journal.chain_at(number, one.last_seq) == one.chain_hash, "chain", number)
        found.append((rule, content, downsampled.open_records(content, inflate)[1]))
    hold(seen == [one[0] for one in truth.batches], "covered once", seen)
    for rule, content, records in found:
        _same_where_it_counts(rule, records, [
            item for one in truth.batches for item in one[4]
            if content.first_seq <= item.seq <= content.last_seq])
    return rules


def _same_where_it_counts(rule, records, whole):
    by_seq = {item.seq: item for item in whole}
    for item in records:
        hold(_equal(rule, item, by_seq[item.seq]), "changed", item)
    for kind in (_events, lambda items: _edges(items, SPANS_MS[rule])):
        hold(kind(records) == kind(whole), "lost", f"rule {rule}: {kind(whole)}")


def _equal(rule, item, original):
    if rule in (0, downsampled.QUARTERS) or record.is_event(item):
        return item == original
    kept = tuple(value if SCHEMA[item.stream].points[place].measurand == 43 else Absent(NOT_KEPT)
                 for place, value in enumerate(original.values))
    return item == original._replace(values=kept)


def _events(items):
    return [item for item in items if record.is_event(item)]


def _edges(items, span_ms):
    """Return the first and last reading of the counter in each span."""
    spans = {}
    for item in items:
        if not record.is_event(item) and item.stream == 0:
            at_ms = GOOD_CLOCK.anchor_utc_ms + item.ticks_ms
            span = spans.setdefault(0 if span_ms is None else at_ms // span_ms, [])
            span.append((item.seq, item.ticks_ms, item.values[COUNTER]))
    return {span: (found[0], found[-1]) for span, found in spans.items()}


def play(job):
    """Run one job (size, part, of how many, with errors): its share of operations; return
    (cuts, errors, rules seen)."""
    size, part, parts, with_errors = job
    image, truth = filled(*size)
    operations = len(snapshots(image))
    cuts, rules = run_cuts(image, truth, range(1), DAMAGE, every=(part, parts))
    planned = faults(range(part, operations, parts)) if with_errors else []
    return cuts, run_faults(image, truth, planned), rules


def run_cuts(image, truth, seeds, damage, every=(0, 1)):
    """Cut at operations with every damage; return (cases, rules seen).

    every: (first operation, step).
    """
    cases, rules = 0, set()
    for snapshot in snapshots(image)[every[0]::every[1]]:
        for how in damage:
            for seed in seeds:
                left = MemoryStore(image_after_cut(snapshot, how, seed))
                rules |= verify(left, truth)
                cases += 1
    return cases, rules


def run_faults(image, truth, planned):
    """Coarsen under each planned Fault, then start again; return cases."""
    for fault in planned:
        store = MemoryStore(image, None, fault)
        make_coarser(store, open_on(store))
        store.calm()
        hold(store.resynced == 0, "resync", fault)
        verify(store, truth)
    return len(planned)
