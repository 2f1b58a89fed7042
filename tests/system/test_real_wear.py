"""What the journal costs a real block device, by the device's own counters; needs root.

The store counts blocks of 4 KiB (`device_bytes` in `status`).  Here its count is held against
/sys/block/loopN/stat, file system included.
"""

import time

import pytest

from gateway.core.evidence.batch import CODEC_DEFLATE
from gateway.core.journal.journal import Sealer
from gateway.storage.deflate import deflate
from gateway.storage.store import BLOCK_BYTES, FlashStore
from tests.bench import bench_journal
from tests.support import loop_disk
from tests.support.journal_world import World, opening

L2 = next(case for case in bench_journal.CASES if case.name == "L2")
HOURS_A_DAY = 24
MB_A_DAY_MOST = 60
FILE_SYSTEM_MOST = 1.25     # device's count over the store's: names, inodes, ext4's own journal
COMMITS, BETWEEN_S = 4, 2.2     # longer than one round of ext4's journal at commit=1


def sign(data):
    """Return 64 bytes; nobody here looks at them."""
    return bytes(64)


def hours(place, store, count):
    """Yield (bytes by the device, bytes by the store) of each of so many hours of L2."""
    journal = bench_journal.open_journal(store)
    sealer = Sealer(bytes(8), sign, deflate, CODEC_DEFLATE)
    for _ in range(count):
        before = loop_disk.written(place).bytes, store.counts().blocks_touched
        bench_journal.write(journal, L2.plan, sealer)
        journal.acknowledge(journal.sealed_seq, 0)
        yield (loop_disk.written(place).bytes - before[0],
               (store.counts().blocks_touched - before[1]) * BLOCK_BYTES)


@pytest.mark.proof
@pytest.mark.timeout(300)
def test_a_day_of_the_standard_load_costs_a_device_at_most_60_mb(tmp_path, capsys):
    loop_disk.make_image(tmp_path / "image", 65_536)
    with loop_disk.mounted(tmp_path / "image", tmp_path / "disk") as place:
        store = FlashStore(place / "journal")
        found = list(hours(place, store, 2))
        store.close()
    a_day = [[size * HOURS_A_DAY / 1e6 for size in hour] for hour in found]
    with capsys.disabled():
        print("\nflash wear, L2, MB a day by the device and by the store: first hour "
              "{:.1f}, {:.1f}; later {:.1f}, {:.1f}".format(*a_day[0], *a_day[1]))
    for device, counted in a_day:
        assert counted <= device <= FILE_SYSTEM_MOST * counted
        assert device <= MB_A_DAY_MOST
    assert a_day[1][0] < a_day[0][0]        # the first hour fills its segments with zeros


def device_bytes_of_commits(tmp_path, options):
    """Return the bytes the device took for a few commits, a while between them."""
    loop_disk.make_image(tmp_path / "image", 16_384)
    with loop_disk.mounted(tmp_path / "image", tmp_path / "disk", options) as place:
        store = FlashStore(place / "journal")
        world = World(store)
        world.journal = bench_journal.Journal.open(store, opening())
        world.scans(3)
        world.commit()
        time.sleep(2 * BETWEEN_S)
        before = loop_disk.written(place).bytes
        for _ in range(COMMITS):
            world.scans(3)
            world.commit()
            time.sleep(BETWEEN_S)
        device = loop_disk.counted(place).bytes - before
        store.close()
    return device


@pytest.mark.proof
def test_with_rare_rounds_of_ext4s_journal_a_commit_costs_one_block(tmp_path):
    device = device_bytes_of_commits(tmp_path, ",commit=600")
    assert COMMITS * BLOCK_BYTES <= device < 2 * COMMITS * BLOCK_BYTES  # somebody's sync: 3 more


@pytest.mark.proof
def test_a_round_after_each_commit_costs_three_blocks_for_a_time_stamp(tmp_path):
    device = device_bytes_of_commits(tmp_path, ",commit=1")
    assert device >= 3 * COMMITS * BLOCK_BYTES      # of four each, should one round come late
