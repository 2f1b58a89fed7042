"""A power cut or a flash error at any moment of downsampling loses no energy and no event."""

import multiprocessing
import os

import pytest

from gateway.core.codec import record
from gateway.core.evidence import downsampled
from gateway.core.journal import downsample
from tests.support.downsampling_cuts import (
    filled,
    make_coarser,
    open_on,
    play,
    run_cuts,
    run_faults,
    snapshots,
    verify,
)
from tests.support.downsampling_mutants import (
    coarse_batches_not_synced,
    coarse_replaces_what_it_does_not_name,
    originals_deleted_first,
)
from tests.support.journal_world import SEALER, Violated
from tests.support.memory_store import MemoryStore
from tests.support.power_cut_images import DAMAGE
from tests.support.power_cut_matrix import faults

PARTS = 8
SIZES = ((12, 4), (30, 6), (46, 9))         # (batches, scans in each): three fillings


def test_a_power_cut_while_batches_are_made_coarser_loses_nothing_that_counts():
    image, truth = filled(*SIZES[1])
    cases, rules = run_cuts(image, truth, range(1), DAMAGE[::5], every=(0, 3))
    assert cases > 30
    assert rules == {0, downsampled.QUARTERS, downsampled.COUNTERS, downsampled.HOURS,
                     downsampled.ENDS}


def test_flash_errors_while_batches_are_made_coarser_lose_nothing_that_counts():
    image, truth = filled(*SIZES[0])
    assert run_faults(image, truth, faults(range(0, 30, 7))) > 50


@pytest.mark.proof
@pytest.mark.both_cores
@pytest.mark.timeout(600)
def test_every_operation_of_coarsening_may_be_cut_or_fail(capsys):
    jobs = [(size, part, PARTS, size != SIZES[2]) for size in SIZES for part in range(PARTS)]
    with multiprocessing.get_context("spawn").Pool(os.cpu_count() or 1) as pool:
        done = pool.map(play, jobs, 1)
    operations = sum(len(snapshots(filled(*size)[0])) for size in SIZES)
    cuts, errors = (sum(one[place] for one in done) for place in (0, 1))
    with capsys.disabled():
        print(f"\ncoarsening: {operations} operations, {cuts} cuts, {errors} errors, 0 lost")
    assert cuts == operations * len(DAMAGE)
    assert errors == 18 * sum(len(snapshots(filled(*size)[0])) for size in SIZES[:2])
    assert set().union(*(one[2] for one in done)) == {0, downsampled.QUARTERS, downsampled.COUNTERS,
                                                      downsampled.HOURS, downsampled.ENDS}


def planted_last_reading_dropped(patch):
    """Keep the first reading of a quarter hour only."""
    real = downsample.thin

    def thin(content, clock, rule, limits):
        kept = real(content, clock, rule, limits)
        scans = [item for item in kept if not downsample.is_event(item)]
        return [item for item in kept if downsample.is_event(item) or item in scans[::2]]
    patch.setattr(downsample, "thin", thin)


def planted_events_dropped(patch):
    """Keep no events."""
    real = downsample.thin
    patch.setattr(downsample, "thin", lambda *given: [
        item for item in real(*given) if not downsample.is_event(item)])


@pytest.mark.parametrize("plant", [
    originals_deleted_first, coarse_batches_not_synced, coarse_replaces_what_it_does_not_name,
    planted_last_reading_dropped, planted_events_dropped])
def test_a_planted_mistake_is_found(plant, monkeypatch):
    image, truth = filled(*SIZES[1])
    plant(monkeypatch)
    with pytest.raises(Violated):
        run_cuts(image, truth, range(1), DAMAGE, every=(0, 2))


def test_a_start_writes_nothing_and_gives_up_a_file_whose_originals_all_stand():
    image, truth = filled(*SIZES[1])
    made = MemoryStore(image)
    make_coarser(made, open_on(made), tries=26)         # the first group of 16
    (name,) = [name for name in made.list() if name.startswith("k")]
    store = MemoryStore({**image, name: made.read(name, 0, made.size(name))})
    journal = open_on(store)
    assert store.ops == 0 and len(journal.batch_numbers()) == 30
    verify(store, truth)
    journal.append_event(1, record.ALARM, ["test", ""])
    journal.commit()
    journal.seal(SEALER)
    assert name not in store.list()                     # with the next batch it is deleted
