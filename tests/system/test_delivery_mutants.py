"""Planted mistakes in delivery: each must be found by the simulation.

A mutant that survives means that the simulation cannot see that kind of mistake.  They run
in coarse hours (60 s polling), in which nothing may be found without a mutant.
"""

import asyncio
from types import SimpleNamespace

import pytest

from fleet.formats import downsampled, envelope
from fleet.formats.values import BatchPosition
from fleet.ingest import admission
from fleet.ingest import ingest as fleet_desk
from fleet.store import writer as fleet_store
from gateway import signer
from gateway.core.errors import BrokenChain, WattproofError
from gateway.core.evidence import batch
from gateway.core.journal import batch_files, buffer, downsample, outbox
from gateway.delivery import evidence_lane, uplink
from gateway.storage import writer
from gateway.timekeeping import clock
from tests.support import sim_gateway, sim_world
from tests.support.downsampling_mutants import (
    coarse_replaces_what_it_does_not_name,
    originals_deleted_first,
)
from tests.support.fleet_rows import change

# Generous: a time-out would be taken for a mistake that was found.
pytestmark = pytest.mark.timeout(1800)
SEEDS, HOURS = range(10), 8
SMALL_SEEDS, SMALL_HOURS = range(1, 15, 2), 24  # with so little flash that batches get downsampled
OUTBOX, DESK = outbox.Outbox, fleet_desk.Ingest


def puback_counts_as_a_receipt(patch):
    """What the broker took is taken for stored."""
    made = sim_gateway.SimUplink.__init__
    sent = evidence_lane.EvidenceLane.send

    def make(self, name, settings, writer, *given):
        made(self, name, settings, writer, *given)
        self.evidence.writer = writer

    async def send(self, publisher, lane, number):
        await sent(self, publisher, lane, number)
        last_seq = self.writer.journal.batch_info(number)[1]
        self.writer.receipt(last_seq, self.outbox.epoch)
    patch.setattr(sim_gateway.SimUplink, "__init__", make)
    patch.setattr(evidence_lane.EvidenceLane, "send", send)


def cursor_ahead_of_the_receipt(patch):
    """Any receipt moves the cursor over all that is sealed."""
    real = writer.JournalWriter.receipt
    patch.setattr(writer.JournalWriter, "receipt", lambda self, seq, epoch, *sealed:
                  real(self, self.journal.sealed_seq, epoch, *sealed))


def receipt_signature_not_checked(patch):
    """Anybody may say what is stored."""
    patch.setattr(signer.Verifier, "check", lambda *given: None)


def receipt_chain_not_compared(patch):
    """A receipt for another content under our sequences counts."""
    patch.setattr(OUTBOX, "fits", lambda self, receipt: True)


def receipt_of_another_cabinet_counts(patch):
    """Device and journal of a receipt are not looked at."""
    real = OUTBOX.judge
    patch.setattr(OUTBOX, "judge", lambda self, receipt: real(self, receipt._replace(
        cabinet=self.device, journal_id=self.journal.journal_id)))


def receipt_of_an_ended_epoch_counts(patch):
    """What a store said before it was replaced is believed of the new one."""
    real = OUTBOX.receipt
    patch.setattr(OUTBOX, "receipt", lambda self, receipt: real(self, receipt._replace(
        epoch=max(receipt.epoch, self.epoch))))


def new_epoch_not_followed(patch):
    """A fleet restored from a backup is never sent what it lost."""
    real = OUTBOX.judge

    def judge(self, receipt):
        status, missing = real(self, receipt)
        return (outbox.UNCHANGED, None) if status == outbox.REWOUND else (status, missing)
    patch.setattr(OUTBOX, "judge", judge)


def mark_falls_within_an_epoch(patch):
    """An old receipt that comes late moves the mark back."""
    real = OUTBOX.judge

    def judge(self, receipt):
        status, missing = real(self, receipt)
        old = status == outbox.UNCHANGED and self.fits(receipt)
        return (outbox.ADVANCED, None) if old else (status, missing)
    patch.setattr(OUTBOX, "judge", judge)


def overdue_is_never_sent_again(patch):
    """A batch without a receipt waits for one for ever."""
    patch.setattr(OUTBOX, "expire", lambda self, now_ms: [])
    patch.setattr(OUTBOX, "session_lost", lambda self: None)


def start_forgets_what_waits(patch):
    """After a restart only new batches go out."""
    real = OUTBOX.__init__

    def init(self, *given):
        real(self, *given)
        self.acknowledged_seq = self.journal.sealed_seq
    patch.setattr(OUTBOX, "__init__", init)


def window_without_bound(patch):
    """Everything that waits goes out at once."""
    real = OUTBOX.__init__
    patch.setattr(OUTBOX, "__init__", lambda self, device, journal, window, resend_ms:
                  real(self, device, journal, 1 << 30, resend_ms))


def newest_waits_for_the_next(patch):
    """The last batch stays here until another one follows it."""
    real = OUTBOX.unacknowledged
    patch.setattr(OUTBOX, "unacknowledged", lambda self: [
        number for number in real(self) if number != self.journal.batch_numbers()[-1]])


def deleted_without_a_receipt(patch):
    """Batches are deleted by size alone."""
    real = batch_files.Batches.trim
    patch.setattr(batch_files.Batches, "trim", lambda self, keep, seq:
                  real(self, keep, 1 << 60))


def sessions_outlive_their_connection(patch):
    """The tasks of a lost connection go on beside those of the next one."""
    async def first_failure(*work):
        tasks = [asyncio.create_task(one) for one in work]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    patch.setattr(uplink, "run_until_first_failure", first_failure)


def absence_not_declared(patch):
    """The time the gateway was off is a hole without a reason."""
    patch.setattr(sim_gateway, "last_read_utc_ms", lambda journal: {})


def clock_claims_too_much(patch):
    """Every clock is declared as good as one that follows NTP."""
    patch.setattr(clock, "declared", lambda uncertainty_ms: 10)


def absent_becomes_zero(patch):
    """A silent meter's values are sealed as zero."""
    real = buffer.block_of

    def sheet_of(schema, records):
        return real(schema, [item._replace(values=tuple(
            value if isinstance(value, int) else 0 for value in item.values))
            if hasattr(item, "values") else item for item in records])
    patch.setattr(buffer, "block_of", sheet_of)


def receipt_before_the_commit(patch):
    """The fleet commits every fourth batch, and promises each."""
    class Late:
        def __init__(self, store):
            self.store = store

        def __enter__(self):
            if getattr(self.store, "under_way", None) is None:
                self.store.under_way = real(self.store)
                self.store.under_way.__enter__()

        def __exit__(self, kind, error, trace):
            self.store.late = (getattr(self.store, "late", 0) + 1) % 4
            if kind is not None or self.store.late == 0:
                under_way, self.store.under_way = self.store.under_way, None
                under_way.__exit__(kind, error, trace)
    real = fleet_store.EvidenceStore.transaction
    patch.setattr(fleet_store.EvidenceStore, "transaction", lambda self: Late(self) if hasattr(
        self, "epoch") else real(self))


def low_water_is_the_highest(patch):
    """A receipt names the newest batch that is stored, over holes."""
    real = fleet_store.EvidenceStore.advance

    def advance(self, device, journal):
        found = real(self, device, journal)
        newest = self.held(SimpleNamespace(batch=SimpleNamespace(
            cabinet=device, journal_id=journal, number=-9, first_seq=0, last_seq=1 << 53))).overlap
        return found._replace(low_water=newest.last_seq, chain_hash=newest.link)
    patch.setattr(fleet_store.EvidenceStore, "advance", advance)


def sent_twice_counts_twice(patch):
    """A duplicate is booked again."""
    init, process = DESK.__init__, DESK.process

    def remember(self, store, *given):
        self.its_store = store
        init(self, store, *given)

    def book_again(self, messages):
        outcomes = process(self, messages)
        for (_, sealed), outcome in zip(messages, outcomes, strict=True):
            if outcome.code == admission.DUPLICATE:
                change(self.its_store, "UPDATE scan_parts SET count = 2 * count WHERE batch = "
                       "(SELECT id FROM batches WHERE number = ?)",
                       batch.open_sealed(sealed)[1].number)
        return outcomes
    patch.setattr(DESK, "__init__", remember)
    patch.setattr(DESK, "process", book_again)


def fork_taken_for_a_duplicate(patch):
    """A number that is held is a duplicate, whatever its content."""
    real = admission.judge
    patch.setattr(admission, "judge", lambda opened, held: admission.DUPLICATE if held.same
                  else real(opened, held))


def evidence_signature_not_checked(patch):
    """Any key may sign for a cabinet."""
    patch.setattr(envelope, "verified", lambda *given: True)


def sender_not_compared(patch):
    """A cabinet may send in the name of another."""
    real = envelope.open_batch

    def open_batch(sealed, find, sender):
        try:
            sender = batch.open_sealed(sealed)[1].device
        except WattproofError:
            pass
        return real(sealed, find, sender)
    patch.setattr(envelope, "open_batch", open_batch)


def links_not_compared(patch):
    """A batch that names another predecessor is admitted."""
    real = admission.judge

    def judge(opened, held):
        try:
            return real(opened, held)
        except BrokenChain:
            return admission.ADMIT
    patch.setattr(admission, "judge", judge)


def nonsense_ends_the_worker(patch):
    """Bytes that are no batch raise what nobody expects."""
    patch.setattr(envelope, "read", lambda sealed: envelope.Envelope(*batch.open_sealed(sealed)))


def duplicates_get_no_receipt(patch):
    """Who lost a receipt never gets another one."""
    real = DESK.process
    patch.setattr(DESK, "process", lambda self, messages: [
        _without_receipt(one) for one in real(self, messages)])
    patch.setattr(DESK, "receipts", lambda self: [])


def _without_receipt(outcome):
    return outcome._replace(receipt=None) if outcome.code == "duplicate" else outcome


def refusals_not_counted(patch):
    """What is refused leaves no trace."""
    patch.setattr(fleet_store.EvidenceStore, "refuse", lambda *given: None)


def boundary_reading_dropped(patch):
    """Coarsening leaves out the last reading of each meter before a quarter hour ends."""
    real = downsample.thin

    def thin(content, *given):
        kept = real(content, *given)
        last = {item.stream: item for item in kept if hasattr(item, "stream")}
        return [item for item in kept if item not in last.values()]
    patch.setattr(downsample, "thin", thin)


def events_dropped_by_coarsening(patch):
    """A downsampled batch leaves out gaps, alarms and starts."""
    real = downsample.thin
    patch.setattr(downsample, "thin", lambda *given: [
        item for item in real(*given) if hasattr(item, "stream")])


def coarse_counts_beside_its_originals(patch):
    """Of a downsampled batch everything is booked, also what had come whole."""
    patch.setattr(downsampled, "only", lambda opened, numbers: opened)


def coarse_link_not_compared(patch):
    """A downsampled batch may name another content than the one that is held."""
    real = admission.judge
    patch.setattr(admission, "judge", lambda opened, held: admission.DUPLICATE
                  if held.same and isinstance(opened.batch, BatchPosition)
                  else real(opened, held))


def coarse_cells_lost(patch):
    """A downsampled batch forgets how many scans its last cell stands for."""
    real = downsample.cells_of
    patch.setattr(downsample, "cells_of", lambda *given: real(*given)[:-1])


MUTANTS = (
    puback_counts_as_a_receipt, cursor_ahead_of_the_receipt, receipt_signature_not_checked,
    receipt_chain_not_compared, receipt_of_another_cabinet_counts,
    receipt_of_an_ended_epoch_counts, new_epoch_not_followed, mark_falls_within_an_epoch,
    overdue_is_never_sent_again, start_forgets_what_waits, window_without_bound,
    newest_waits_for_the_next, deleted_without_a_receipt, sessions_outlive_their_connection,
    absence_not_declared, clock_claims_too_much, absent_becomes_zero,
    receipt_before_the_commit, low_water_is_the_highest, sent_twice_counts_twice,
    fork_taken_for_a_duplicate, evidence_signature_not_checked, sender_not_compared,
    links_not_compared, nonsense_ends_the_worker, duplicates_get_no_receipt,
    refusals_not_counted,
)
DOWNSAMPLE_MUTANTS = (
    boundary_reading_dropped, events_dropped_by_coarsening, originals_deleted_first,
    coarse_replaces_what_it_does_not_name, coarse_counts_beside_its_originals,
    coarse_link_not_compared, coarse_cells_lost,
)


def hunt(seeds=SEEDS, hours=HOURS, what="batches"):
    """Live through the hours of each seed until something is wrong; return a count."""
    return sum(sim_world.run(seed, sim_world.COARSE, hours).counts[what] for seed in seeds)


@pytest.mark.proof
def test_the_hunt_finds_nothing_in_delivery_as_it_is():
    assert hunt() > 200


@pytest.mark.proof
def test_the_hunt_finds_nothing_in_coarsening_as_it_is():
    assert hunt(SMALL_SEEDS, SMALL_HOURS, "coarse") > 50


@pytest.mark.proof
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_planted_mistake_in_delivery_is_found(mutant, monkeypatch, record_property):
    mutant(monkeypatch)
    with pytest.raises(sim_world.Violation) as found:
        hunt()
    record_property("found", str(found.value).splitlines()[0])


@pytest.mark.proof
@pytest.mark.parametrize("mutant", DOWNSAMPLE_MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_planted_mistake_in_coarsening_is_found(mutant, monkeypatch, record_property):
    mutant(monkeypatch)
    with pytest.raises(sim_world.Violation) as found:
        hunt(SMALL_SEEDS, SMALL_HOURS)
    record_property("found", str(found.value).splitlines()[0])
