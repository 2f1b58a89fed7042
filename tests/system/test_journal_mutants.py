"""Planted mistakes in the journal: each must be found by the power-cut harness.

A mutant that survives means that the harness cannot see that kind of mistake.
"""

import pytest

from gateway.core.codec import frame
from gateway.core.errors import StoreError
from gateway.core.evidence import batch
from gateway.core.journal import batch_files, cursor, journal, recovery, segment, tail
from tests.support.cached_decoding import cached_decoding
from tests.support.journal_world import Violated
from tests.support.memory_store import EIO, Fault, MemoryStore
from tests.support.power_cut_matrix import play
from tests.support.power_cuts import (
    big_batches,
    life,
    run,
    run_bytes,
    run_faults,
    run_kills,
    run_pairs,
    run_two,
    sealing,
    snapshots,
    two_hours,
)


def no_sync_of_commits(patch):
    """A commit returns before its frames are on the medium."""
    real = MemoryStore.sync
    patch.setattr(MemoryStore, "sync", lambda store, name: None if name[0] == "t" else
                  real(store, name))


def no_sync_of_batches(patch):
    """The tail is recycled although the batch may still be in the cache."""
    real = MemoryStore.sync
    patch.setattr(MemoryStore, "sync", lambda store, name: None if name[0] == "b" else
                  real(store, name))


def no_sync_of_the_directory(patch):
    """New files are used before their names are on the medium."""
    patch.setattr(MemoryStore, "sync_dir", lambda store: None)


def crc_not_seeded(patch):
    """Frames left from an earlier use of a slot check out."""
    patch.setattr(frame, "seed", lambda journal_id, generation: 0)
    patch.setattr(tail.Tail, "has_frames", lambda self, slot, seed: False)


def crc_not_checked(patch):
    """Any bytes behind a frame's head count as its payload."""
    def decode_at(data, offset, crc_seed):
        size = frame.claimed(data, offset) - frame.HEAD
        start = offset + frame.HEAD
        return data[start:start + size] if 0 < size <= len(data) - start else None
    patch.setattr(frame, "decode_at", decode_at)
    patch.setattr(tail.Tail, "has_frames", lambda self, slot, seed: False)


def generation_reused(patch):
    """A generation whose header was lost is used again over its own frames."""
    patch.setattr(tail.Tail, "has_frames", lambda self, slot, seed: False)


def batch_checksum_not_checked(patch):
    """A batch torn in the middle counts as whole, and its records in the tail are given up."""
    patch.setattr(batch_files, "open_file", lambda data, journal_id, number:
                  data[:-5] if len(data) > 5 else None)


def cursor_ahead(patch):
    """The cursor says what was committed, not what was acknowledged."""
    real = cursor.Cursor.write

    def write(self, *given):
        self.seq += 2
        try:
            real(self, *given)
        finally:
            self.seq -= 2
    patch.setattr(cursor.Cursor, "write", write)


def cursor_in_one_slot(patch):
    """The only good mark is overwritten in place."""
    for operation in ("write", "sync"):
        real = getattr(MemoryStore, operation)
        patch.setattr(MemoryStore, operation, lambda store, name, *more, real=real: real(
            store, "c0" if name == "c1" else name, *more))


def cursor_crc_not_checked(patch):
    """A torn mark counts."""
    patch.setattr(cursor, "crc32", lambda data: 0)


def batch_does_not_win(patch):
    """Records of a sealed batch are taken from the tail a second time."""
    real = recovery.Search.accept
    patch.setattr(recovery.Search, "accept", lambda self, slot, expected:
                  real(self, slot, 1 if not self.pieces else expected))


def recycled_before_the_batch(patch):
    """Slots are freed when a batch is written, not when it is durable."""
    tails, init, write = [], tail.Tail.__init__, batch_files.Batches.write

    def remember(self, *given):
        tails[:] = [self]
        init(self, *given)

    def release_and_write(self, number, data):
        tails[0].release(batch.open_sealed(data)[1].last_seq)
        write(self, number, data)
    patch.setattr(tail.Tail, "__init__", remember)
    patch.setattr(batch_files.Batches, "write", release_and_write)


def commit_reported_too_early(patch):
    """durable_seq is what was appended."""
    real = journal.Journal.commit

    def commit(self):
        real(self)
        return self.last_seq
    patch.setattr(journal.Journal, "commit", commit)


def sync_tried_again_on_the_same_file(patch):
    """After a failed sync the same file is synced again and believed."""
    real = MemoryStore.sync

    def sync(self, name):
        try:
            real(self, name)
        except StoreError:
            if name[0] != "t":
                raise
            real(self, name)
    patch.setattr(MemoryStore, "sync", sync)


def failed_commit_not_stated_again(patch):
    """What a failed commit held is forgotten."""
    real = tail.Tail.put

    def put(self, queue, sealed):
        try:
            return real(self, queue, sealed)
        except StoreError:
            return [("t0001", 0, 1)] * len(queue)
    patch.setattr(tail.Tail, "put", put)


def torn_commit_taken_for_a_gap(patch):
    """The rest of a commit that never became whole is booked behind a hole."""
    real = segment.decode_block
    patch.setattr(segment, "decode_block", lambda payload: real(payload)._replace(
        commit_seq=real(payload).first_seq))


def boot_not_counted(patch):
    """Two lives share a boot number."""
    real = recovery.recover
    patch.setattr(journal, "recover", lambda *given: real(*given)._replace(boot=0))


def trims_what_was_not_acknowledged(patch):
    """Batches are deleted by age alone."""
    real = batch_files.Batches.trim
    patch.setattr(batch_files.Batches, "trim", lambda self, keep, seq:
                  real(self, keep, 1 << 60))


def commits_share_a_sector(patch):
    """A commit continues in the sector of the one before, so tearing it hurts both."""
    real = MemoryStore.write

    def write(self, name, offset, data):
        if name[0] == "t" and offset and data.strip(b"\0"):
            offset -= frame.SECTOR
            data = self.read(name, offset, frame.SECTOR) + data
        real(self, name, offset, data)
    patch.setattr(MemoryStore, "write", write)


def first_header_copy_wins(patch):
    """The old first copy of a header is believed although a newer second one is there."""
    real = segment.find_header
    patch.setattr(segment, "find_header", lambda data: real(data[:512]) and (
        real(data[:512])[0], 1024) or real(data))


def read_means_durable(patch):
    """What a start can read counts as durable, though it may stand in the cache only."""
    places, recover, put = {}, recovery.recover, tail.Tail.put

    def remember(*given):
        found = recover(*given)
        places.clear()
        places.update({piece.base_seq: piece.position for piece in found.pieces})
        return found

    def put_what_is_new(self, queue, sealed):
        known = [places[entry.first_seq] for entry in queue if entry.first_seq in places]
        return known or put(self, queue, sealed)
    patch.setattr(journal, "recover", remember)
    patch.setattr(tail.Tail, "put", put_what_is_new)


MUTANTS = (
    no_sync_of_commits, no_sync_of_batches, no_sync_of_the_directory, crc_not_seeded,
    crc_not_checked, batch_checksum_not_checked, generation_reused, cursor_ahead,
    cursor_in_one_slot,
    cursor_crc_not_checked, batch_does_not_win,
    recycled_before_the_batch, commit_reported_too_early,
    sync_tried_again_on_the_same_file,
    failed_commit_not_stated_again, torn_commit_taken_for_a_gap, boot_not_counted,
    trims_what_was_not_acknowledged, commits_share_a_sector, first_header_copy_wins,
    read_means_durable,
)


def hunt():
    """Run every kind of case until something is wrong; return how many there were."""
    with cached_decoding():
        taken = snapshots(two_hours)
        operations = len(taken) - 1         # the last one stands behind them all
        errors = [Fault(first, times, EIO) for first in range(operations)
                  for times in (1, 3, 10 ** 9)]
        return sum((                        # what finds most in little time comes first
            run(snapshots(two_hours), range(2)),
            run(life(3) + life(4), range(2)),
            run(snapshots(big_batches), range(2)),
            run_two(taken, range(0, operations, 12)),
            run(snapshots(sealing), range(2), faults=True),
            run_bytes(snapshots(two_hours), 1, bytes_max=128),
            run_faults(two_hours, errors[::2]),
            run_pairs(snapshots(two_hours)[-16:], range(2)),
            run_kills(two_hours, range(operations)),
            sum(play(("error, then cut", number))[1] for number in (1, 18, 35)),
            run_pairs(snapshots(two_hours)[::3], range(1)),
            run_pairs(life(1)[::5], range(2)),
        ))


@pytest.mark.proof
@pytest.mark.timeout(120)
def test_the_hunt_finds_nothing_in_the_journal_as_it_is():
    assert hunt() > 3000


@pytest.mark.proof
@pytest.mark.timeout(120)
@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.__name__)
def test_a_planted_mistake_breaks_a_promise(mutant, monkeypatch, capsys):
    mutant(monkeypatch)
    with pytest.raises(Violated) as found:      # any other exception is a mutant that fell over
        hunt()
    with capsys.disabled():
        print(f"\nmutant {mutant.__name__}: {str(found.value)[:70]}", end="")
