"""Bits that flip and blocks that cannot be read: declared, never wrong, never a refusal."""

import random
from collections import Counter

import pytest

from gateway.core.codec import record
from gateway.core.evidence import batch
from gateway.core.journal import segment
from tests.support.cached_decoding import cached_decoding
from tests.support.damaged_flash import (
    flips,
    hold_despite_loss,
    image_of,
    meaning,
    misplaced,
    run_bad_files,
    run_read_faults,
    short_life,
    subset_of,
)
from tests.support.journal_world import SEALER, World, open_journal
from tests.support.memory_store import SECTOR, Fault, MemoryStore
from tests.support.uncommitted import uncommitted

SKIPPED = 1 << 20


def events_of(journal, kind):
    return [item.body for item in uncommitted(journal)
            if record.is_event(item) and item.kind == kind]


def test_a_read_that_fails_once_loses_nothing():
    assert set(run_read_faults(1)) == {0}


def test_reads_that_fail_three_times_never_stop_a_start():
    assert len(run_read_faults(3)) > 5


def test_reads_that_fail_for_ever_never_stop_a_start():
    assert len(run_read_faults(10 ** 9)) > 5


def test_a_file_that_cannot_be_read_costs_only_what_stands_in_it():
    gone, durable = run_bad_files()
    assert [name for name in gone if name[0] == "c" and gone[name]] == []
    assert sum(gone.values()) == durable        # each record is lost with its own file only


def test_an_unreadable_last_batch_keeps_number_and_chain_and_is_named():
    world = short_life(MemoryStore())
    world.seal()
    before = world.journal.stats()["last_batch"]
    link = world.journal.batch_info(before)[2]
    store = MemoryStore(image_of(world))
    store.read_fault = Fault(name=max(n for n in store.list() if n[0] == "b"))
    journal = open_journal(store)
    assert journal.stats()["last_batch"] == before
    assert events_of(journal, record.ALARM)[0][0] == "batch-missing"
    journal.commit()
    assert journal.seal(SEALER) == before + 1
    assert batch.open_sealed(journal.read_batch(before + 1))[1].prev == link


def test_an_unreadable_segment_skips_numbers_that_may_stand_in_it():
    world = short_life(MemoryStore())
    image, last = image_of(world), world.journal.last_seq
    newest = max((n for n in image if n[0] == "t"),
                 key=lambda n: segment.find_header(image[n])[0].generation)
    store = MemoryStore(image)
    store.read_fault = Fault(name=newest)
    journal = open_journal(store)
    assert uncommitted(journal)[0].seq > SKIPPED > last
    assert "whatever stood in segment " + newest in [b[3] for b in events_of(journal, record.GAP)]
    journal.commit()
    store.calm()
    assert store.read(newest, 0, 4096) == image[newest]     # left alone


def test_scrub_goes_round_all_batches_and_names_a_rotten_one_once():
    world = short_life(MemoryStore())
    image = image_of(world)
    name = min(n for n in image if n[0] == "b")
    image[name] = image[name][:50] + bytes([image[name][50] ^ 4]) + image[name][51:]
    journal = open_journal(MemoryStore(image))
    assert [journal.scrub(2) for _ in range(4)] == [[1], [], [], []]
    assert ["batch-damaged", "batch 1"] in events_of(journal, record.ALARM)


def test_a_segment_without_headers_is_declared_and_left_alone():
    world = short_life(MemoryStore())
    image = image_of(world)
    newest = max((n for n in image if n[0] == "t"),
                 key=lambda n: segment.find_header(image[n])[0].generation)
    image[newest] = bytes(1024) + image[newest][1024:]
    store = MemoryStore(image)
    journal = open_journal(store)
    assert len(events_of(journal, record.GAP)) == 1
    assert uncommitted(journal)[0].seq > world.durable
    journal.commit()
    assert store.read(newest, 0, 4096) == image[newest]


def test_a_flipped_bit_in_the_only_commit_is_declared():
    world = World(MemoryStore()).start()
    world.scans(3)
    world.commit()
    image, promise = image_of(world), world.promise()
    name = min(n for n in image if n[0] == "t")
    start = segment.find_header(image[name])[1]
    whole = image[name]
    for _, damaged in flips(whole[start:start + 24]):
        image[name] = whole[:start] + damaged + whole[start + 24:]
        assert hold_despite_loss(MemoryStore(image), promise) == promise.durable


def test_random_flips_anywhere_are_never_wrong_and_never_silent():
    world = short_life(MemoryStore())
    image, promise, chance = image_of(world), world.promise(), random.Random(7)
    gone = []
    with cached_decoding():
        for _ in range(300):
            name = chance.choice(sorted(image))
            data = bytearray(image[name])
            data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
            gone.append(hold_despite_loss(MemoryStore({**image, name: bytes(data)}), promise))
    assert 0 in gone and max(gone) < promise.durable


def test_frames_swapped_doubled_or_moved_and_bursts_are_never_wrong_and_never_silent():
    world = short_life(MemoryStore())
    image, promise, chance = image_of(world), world.promise(), random.Random(11)
    done = Counter()
    with cached_decoding():
        for _ in range(300):
            kind, damaged = misplaced(image, chance)
            done[kind, hold_despite_loss(MemoryStore(damaged), promise) > 0] += 1
    assert {kind for kind, _ in done} == {"swapped", "doubled", "of another segment", "burst"}
    assert {lost for _, lost in done} == {True, False}


def test_a_segment_of_another_device_is_named_and_nothing_of_it_is_taken():
    stranger = World(MemoryStore(), cabinet="cabinet-2").start()
    stranger.scans(9)
    stranger.commit()
    world = short_life(MemoryStore())
    image = image_of(world)
    image["t0099"] = image_of(stranger)["t0001"]
    assert hold_despite_loss(MemoryStore(image), world.promise()) == 0
    journal = open_journal(MemoryStore(image))
    assert events_of(journal, record.ALARM) == [["foreign-journal", "1 files: t0099"]]


def test_a_torn_commit_is_told_where_it_begins_a_block_behind_a_gap():
    store = MemoryStore()
    world = World(store).start()
    world.scans(2)
    world.commit()
    image = image_of(world)
    end = len(image["t0001"].rstrip(b"\0"))
    world.noise(80)
    world.commit()
    begun = -(-end // store.block_bytes) * store.block_bytes
    whole = image_of(world)["t0001"]
    assert whole[begun:begun + 2] == b"\x82\x1a" and not any(whole[end:begun])
    assert begun - end > SECTOR                     # the gap: it could have begun earlier
    image["t0001"] = whole[:begun + SECTOR] + bytes(len(whole) - begun - SECTOR)
    torn = events_of(open_journal(MemoryStore(image)), record.TORN)
    assert [body[:2] for body in torn] == [[1, begun]]


@pytest.mark.proof
@pytest.mark.timeout(300)
def test_every_bit_of_a_journal_of_64_kib_flipped_is_detected_or_harmless(capsys):
    world = short_life(MemoryStore())
    for i in range(60):
        world.noise(200, 5000 * i)
        world.commit()
        if i % 6 == 5:
            world.seal()
    image, bits, harmless = image_of(world), 0, 0
    assert sum(len(data) for data in image.values()) >= 65536
    with cached_decoding():
        for name in sorted(image):
            truth = meaning(name, image[name])
            for _, damaged in flips(image[name]):
                said = meaning(name, damaged)
                assert subset_of(name, said, truth), f"{name}: a flipped bit was believed"
                bits, harmless = bits + 1, harmless + (said == truth)
    with capsys.disabled():
        print(f"\nbit flips: {bits} bits, 0 believed, {harmless} in spare copies or unused space")
    assert bits >= 524_288
