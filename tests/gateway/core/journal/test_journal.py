"""The journal over a store in memory: a day in small, on both runtimes."""

import hashlib

from gateway.core.codec import columns, record
from gateway.core.errors import Bug
from gateway.core.evidence import batch
from gateway.core.journal import segment
from gateway.core.journal.journal import Journal, JournalOpening, Sealer
from gateway.core.reading import Absent, ClockState, Point, Stream
from tests.support.memory_store import ALWAYS, ENOSPC, Fault, MemoryStore

SCHEMA = (Stream("meter", (Point(14, 0, ""), Point(43, 0, ""))),
          Stream("room", (Point(70, -1, ""),)))
NO_CLOCK = ClockState(0, 0, 0, 0)


def sign(data):
    return hashlib.sha256(data).digest() + hashlib.sha256(b"2" + data).digest()


SEALER = Sealer(b"kid-0001", sign, None, batch.CODEC_RAW)


def start(store, cabinet="cabinet-1", config=b"c" * 32, ram_bytes=100000, name=b"J"):
    return Journal.open(store, JournalOpening(
        cabinet, SCHEMA, config, b"\xa0", "1.0", lambda: name * 16, NO_CLOCK, 0),
                        4096, ram_bytes)


def tail_of(journal):
    return [item for _, item in journal.replay()]


def events_of(journal, kind):
    return [item.body for item in tail_of(journal)
            if record.is_event(item) and item.kind == kind]


def test_an_empty_directory_stays_empty_until_something_is_committed():
    calls = []
    store = MemoryStore(None, lambda _store, operation: calls.append(operation))
    journal = start(store)
    assert store.list() == [] and calls == []
    assert journal.durable_seq == 0 and journal.boot == 1
    assert journal.commit() == 2                    # CONFIG and BOOT


def test_what_was_committed_is_there_after_a_start_with_reasons_for_what_was_absent():
    store = MemoryStore()
    journal = start(store)
    journal.append_scan(5, 0, (230, Absent(1)))
    seq = journal.commit()
    again = start(store)
    assert tail_of(again)[-1] == record.ScanRecord(seq, 5, 0, (230, Absent(1)))
    assert again.recovered_seq == seq and again.boot == 2
    assert again.durable_seq == 0                   # reading it does not prove it durable
    assert again.commit() == seq + 1


def test_a_steady_commit_costs_one_write_and_one_sync():
    calls = []
    journal = start(MemoryStore(None, lambda _store, operation: calls.append(operation)))
    journal.commit()
    del calls[:]
    journal.append_scan(5, 1, (215,))
    journal.commit()
    assert calls == ["write", "sync"]


def test_batches_hold_all_records_and_chain_to_each_other():
    store = MemoryStore()
    journal = start(store)
    seqs, chain_hashes = [], []
    for hour in range(3):
        for i in range(5):
            journal.append_scan(10 * i, 0, (hour, i))
        journal.commit()
        number = journal.seal(SEALER)
        content = batch.open_sealed(journal.read_batch(number))[1]
        seqs += [item.seq for item in batch.open_body(content, None)[1]]
        assert hour == 0 or content.prev == chain_hashes[-1]
        chain_hashes.append(journal.batch_info(number)[2])
    assert journal.seal(SEALER) is None
    assert seqs == list(range(1, journal.sealed_seq + 1))
    assert journal.unsealed_readings == 0


def test_a_seal_that_broke_off_is_made_anew_with_all_its_records():
    store = MemoryStore()
    journal = start(store)
    for i in range(6):
        journal.append_scan(10 * i, 0, (7, i))
        journal.commit()

    def broken(_data):
        raise ValueError("no key today")
    try:
        journal.seal(Sealer(b"kid-0001", broken, None, batch.CODEC_RAW))
    except ValueError:
        pass
    content = batch.open_sealed(journal.read_batch(journal.seal(SEALER)))[1]
    found = [item.values for item in batch.open_body(content, None)[1] if isinstance(
        item, record.ScanRecord)]
    assert found == [(7, i) for i in range(6)]


def test_a_change_of_clock_begins_another_batch():
    store = MemoryStore()
    journal = start(store)
    journal.append_scan(5, 1, (1,))
    clock = ClockState(3, 0, 1760000000000, 20)
    journal.set_clock(clock)
    journal.append_scan(6, 1, (2,))
    journal.commit()
    numbers = [journal.seal(SEALER), journal.seal(SEALER)]
    clocks = [batch.open_sealed(journal.read_batch(n))[1].clock for n in numbers]
    assert clocks == [NO_CLOCK, clock]


def test_records_of_an_earlier_boot_are_sealed_under_that_boot():
    store = MemoryStore()
    start(store).commit()
    journal = start(store)
    journal.commit()
    boots = [batch.open_sealed(journal.read_batch(journal.seal(SEALER)))[1].boot
             for _ in range(2)]
    assert boots == [1, 2]


def test_a_clean_stop_is_told_from_a_power_cut():
    store = MemoryStore()
    journal = start(store)
    journal.append_event(1, record.STOP, ["test"])
    journal.commit()
    journal = start(store)
    journal.commit()
    journal = start(store)
    journal.commit()
    assert [body[2] for body in events_of(journal, record.BOOT)] == [0, 0, 1]


def test_a_config_is_recorded_once_per_change():
    store = MemoryStore()
    for config in (b"c" * 32, b"c" * 32, b"d" * 32):
        journal = start(store, config=config)
        journal.commit()
    assert [body[0] for body in events_of(journal, record.CONFIG)] == [b"c" * 32, b"d" * 32]


def test_a_config_is_recorded_again_where_the_record_of_it_may_be_lost():
    store = MemoryStore()
    journal = start(store)
    journal.commit()
    journal.append_scan(5, 0, (230, 7))
    journal.commit()
    name = [one for one in store.list() if one[0] == "t"][0]
    data = store.read(name, 0, store.size(name))
    at = data.index(journal.config_body[0], data.index(b"start") - 200)
    store.write(name, at, b"x")                     # a bit that flipped in the first commit
    store.sync(name)
    again = start(store)
    again.commit()
    assert events_of(again, record.CONFIG) == [[b"c" * 32, b"\xa0"]]
    assert "unreadable" in events_of(again, record.GAP)[0][3]


def test_segments_are_recycled_and_their_old_frames_never_come_back():
    store = MemoryStore()
    journal = start(store)
    for i in range(200):
        journal.append_scan(i, 0, (i, i))
        journal.commit()
        if i % 5 == 4:
            journal.seal(SEALER)
    slots = [name for name in store.list() if name[0] == "t"]
    assert len(slots) <= 3
    again = start(store)
    assert again.last_seq == journal.last_seq + 1 and tail_of(again) == []


def test_a_full_disk_keeps_records_in_bounded_ram_and_declares_what_did_not_fit():
    store = MemoryStore()
    journal = start(store, ram_bytes=2000)
    durable = journal.commit()
    full = store.fault = Fault(store.ops, ALWAYS, ENOSPC)
    kept = [journal.append_scan(i, 0, (i, i)) for i in range(100)]
    assert journal.commit() == durable and journal.state == "full"
    assert 0 in kept and journal.stats()["dropped_scans"] == kept.count(0)
    store.fault = None
    journal.commit()
    journal.commit()
    assert journal.state == "ok" and journal.durable_seq == journal.last_seq
    assert events_of(journal, record.GAP) == [
        [0, None, None, "no room: %d scans dropped" % kept.count(0)]]
    assert events_of(journal, record.IO_ERROR) == [
        ["commit", 28, "injected at write %d" % full.first]]


def test_the_gap_of_refused_scans_stands_before_the_scan_that_ends_it_in_one_commit():
    store = MemoryStore()
    journal = start(store)
    journal.append_scan(1, 0, (1, 1))
    journal.refuse_scans(True)
    assert [journal.append_scan(2, 0, (2, 2)), journal.append_scan(2, 1, (2,))] == [0, 0]
    journal.refuse_scans(False)
    journal.append_scan(3, 0, (3, 3))
    journal.commit()
    again = start(store)                    # the power went: the next commit never came
    told = [(one.body[0] if record.is_event(one) else one.values) for one in tail_of(again)
            if not record.is_event(one) or one.kind == record.GAP]
    assert told == [(1, 1), 0, (3, 3)]


def test_another_devices_journal_is_left_alone_and_named():
    store = MemoryStore()
    other = start(store, cabinet="other", name=b"K")
    other.commit()
    other.seal(SEALER)
    before = store.image()
    journal = start(store)
    journal.append_scan(1, 1, (1,))
    journal.commit()
    journal.seal(SEALER)
    for name in before:
        assert store.image()[name] == before[name]
    assert journal.boot == 1 and journal.journal_id == b"J" * 16
    content = batch.open_sealed(journal.read_batch(1))[1]
    alarms = [item.body[0] for item in batch.open_body(content, None)[1]
              if record.is_event(item) and item.kind == record.ALARM]
    assert alarms == ["foreign-journal"]


def test_files_of_nonsense_do_not_stop_a_start():
    nonsense = b"\x82\x1anonsense" * 60
    journal = start(MemoryStore(dict([(name, nonsense) for name in (
        "t0001", "b4a4a4a4a-00000001-0", "c0", "readme", "b-x-0", "tx", "c")])))
    journal.append_scan(1, 1, (1,))
    assert journal.commit() == journal.last_seq
    assert journal.seal(SEALER) == 1


def test_only_acknowledged_batches_are_trimmed_and_the_last_one_stays():
    store = MemoryStore()
    journal = start(store)
    for i in range(4):
        journal.append_scan(i, 1, (i,))
        journal.commit()
        journal.seal(SEALER)
    assert journal.trim(0) == []
    journal.acknowledge(journal.batch_info(2)[1], 0, 1)
    assert journal.trim(0) == [1, 2]
    journal.acknowledge(journal.sealed_seq, 0, 1)
    assert journal.trim(0) == [3]
    assert list(journal.batch_numbers()) == [4]
    again = start(store)
    assert again.acknowledged_seq == journal.sealed_seq and again.epoch == 1
    again.commit()
    assert again.seal(SEALER) == 5


def test_the_cursor_is_never_allowed_to_lead():
    journal = start(MemoryStore())
    journal.commit()
    try:
        journal.acknowledge(1, 0)
    except Bug:
        return
    raise AssertionError("acknowledged what was never sealed")


def test_a_scan_that_does_not_fit_the_schema_is_a_bug():
    journal = start(MemoryStore())
    for stream, values in ((0, (1,)), (2, (1,)), (-1, (1,))):
        try:
            journal.append_scan(0, stream, values)
        except Bug:
            continue
        raise AssertionError((stream, values))


def test_a_header_is_read_from_its_second_copy_when_the_first_is_damaged():
    context = segment.RecordContext(1, b"c" * 32, columns.encode_schema(SCHEMA), NO_CLOCK, "1.0")
    header = segment.Header("cabinet-1", b"J" * 16, 5, context, segment.SealedMark(0, 0, b"p" * 32))
    data = bytearray(segment.encode_header(header) + bytes(1024))
    assert segment.find_header(data) == (header, len(data) - 1024)
    data[20] ^= 1
    assert segment.find_header(data) == (header, len(data) - 1024)


def test_of_two_headers_that_differ_the_higher_generation_counts():
    context = segment.RecordContext(1, b"c" * 32, columns.encode_schema(SCHEMA), NO_CLOCK, "1.0")
    old, new = [segment.encode_header(segment.Header(
        "cabinet-1", b"J" * 16, number, context, segment.SealedMark(0, 0, b"p" * 32)))
        for number in (5, 6)]
    half = len(old) // 2                # recycling, cut between its two copies
    found, _ = segment.find_header(old[:half] + new[half:] + bytes(1024))
    assert found.generation == 6


def test_what_may_be_trimmed_is_what_the_cursor_says_durably():
    store = MemoryStore()
    journal = start(store)
    for i in range(4):
        journal.append_scan(i, 1, (i,))
        journal.commit()
        journal.seal(SEALER)
    journal.acknowledge(journal.batch_info(1)[1], 0, 1)
    store.fault = Fault(operation="sync")
    assert not journal.acknowledge(journal.batch_info(3)[1], 0, 1)
    store.fault = None
    assert journal.trim(0) == [1] and list(journal.batch_numbers()) == [2, 3, 4]


def test_a_new_epoch_with_a_lower_mark_keeps_what_it_asks_for_again():
    store = MemoryStore()
    journal = start(store)
    for i in range(4):
        journal.append_scan(i, 1, (i,))
        journal.commit()
        journal.seal(SEALER)
    journal.acknowledge(journal.sealed_seq, 0, 1)
    store.fault = Fault(operation="sync")
    assert not journal.acknowledge(journal.batch_info(1)[1], 0, 2, b"the fleet's word")
    store.fault = None
    assert journal.trim(0) == [1]
    journal.acknowledge(journal.batch_info(2)[1], 0, 2, b"the fleet's word")
    assert start(store).receipt == b"the fleet's word"


def test_a_flood_of_events_is_sealed_in_batches_that_a_fleet_takes():
    store = MemoryStore()
    journal = start(store, ram_bytes=4000000)
    for _ in range(7):                              # more than 16,384 in all
        for _ in range(2500):
            journal.append_event(5, record.ALARM, ["x", ""])
        journal.commit()
    while journal.seal(SEALER):
        pass
    counts = []
    for number in journal.batch_numbers():
        _, content = batch.open_sealed(journal.read_batch(number))
        found = batch.open_body(content, None)[1]   # raises for more than it may hold
        counts.append(len([item for item in found if record.is_event(item)]))
    assert sum(counts) == 7 * 2500 + 2 and len(counts) > 1 and max(counts) <= 16384
