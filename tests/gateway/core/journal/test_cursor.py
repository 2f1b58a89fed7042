"""The cursor's slots: golden bytes, the newest valid mark wins, damage only sets it back."""

import binascii

from gateway.core.codec import record
from gateway.core.errors import StoreError
from gateway.core.evidence import receipt
from gateway.core.journal import cursor
from tests.support.memory_store import Fault, MemoryStore

ID, OTHER = b"J" * 16, b"K" * 16
CHAIN = b"h" * 32
SEALED = (7, 8, CHAIN)


def write(marks, seq, journal_id=ID):
    """Acknowledge a sequence and make that durable."""
    marks.move(seq, 0, 0)
    marks.write(journal_id, 1, SEALED)


def marks_of(store):
    return cursor.Cursor(store, store.list()).best(ID)


def test_a_mark_has_128_bytes_that_docs_formats_describes():
    data = cursor.encode(cursor.Mark(2, ID, 3, 4, 5, 6, 7, 8, CHAIN))
    body = (b"WPC2" + (2).to_bytes(8, "big") + ID + (3).to_bytes(4, "big")
            + (4).to_bytes(8, "big") + (5).to_bytes(8, "big") + (6).to_bytes(8, "big")
            + (7).to_bytes(4, "big") + (8).to_bytes(8, "big") + CHAIN)
    crc = binascii.crc32(body) & 0xFFFFFFFF
    assert data == body + crc.to_bytes(4, "big") + bytes(24)
    assert cursor.decode(data) == cursor.Mark(2, ID, 3, 4, 5, 6, 7, 8, CHAIN)


def test_the_newest_mark_wins_and_slots_take_turns():
    store = MemoryStore()
    marks = cursor.Cursor(store, [])
    for seq in (10, 20, 30, 40):
        write(marks, seq)
        assert marks_of(store).seq == seq
    assert store.list() == ["c0", "c1"]


def test_a_damaged_slot_sets_the_cursor_back_to_the_other():
    store = MemoryStore()
    marks = cursor.Cursor(store, [])
    for seq in (10, 20):
        write(marks, seq)
    store.rot("c1", 30)
    assert marks_of(store).seq == 10
    store.rot("c0", 30)
    assert marks_of(store) is None


def test_a_slot_that_failed_to_sync_is_never_written_again():
    store = MemoryStore()
    marks = cursor.Cursor(store, [])
    for seq in (10, 20):
        write(marks, seq)
    store.fault = Fault(name="c0", operation="sync")
    try:
        write(marks, 30)
    except StoreError:
        pass
    before = store.image()["c0"]
    for seq in (40, 50, 60):
        write(marks, seq)
    assert store.image()["c0"] == before
    assert marks_of(store).seq == 60


def test_a_mark_of_another_journal_is_not_ours():
    store = MemoryStore()
    write(cursor.Cursor(store, []), 99, OTHER)
    assert marks_of(store) is None


def test_only_what_is_durable_may_be_trimmed_and_a_new_epoch_lowers_it_at_once():
    store = MemoryStore()
    marks = cursor.Cursor(store, [])
    write(marks, 40)
    write(marks, 50)
    assert marks.move(80, 0, 0) and (marks.seq, marks.marked_seq) == (80, 50)
    assert not marks.move(79, 0, 0) and marks.seq == 80         # within an epoch it only rises
    assert marks.move(20, 1, 0) and (marks.seq, marks.epoch, marks.marked_seq) == (20, 1, 20)
    assert not marks.move(90, 0, 0)                             # an epoch that has ended
    marks.move(40, 1, 0)
    store.fault = Fault(operation="sync")
    try:
        marks.write(ID, 1, SEALED)
    except StoreError:
        pass
    assert marks.marked_seq == 20


def test_the_newest_receipt_stands_behind_the_mark_and_an_older_gateway_reads_the_mark():
    store, sealed = MemoryStore(), b"r" * 200
    marks = cursor.Cursor(store, [])
    marks.move(10, 1, 0, sealed)
    marks.write(ID, 1, SEALED)
    data = bytes(store.image()["c0"])
    body = (200).to_bytes(2, "big") + sealed
    crc = binascii.crc32(body) & 0xFFFFFFFF
    assert data == data[:128] + body + crc.to_bytes(4, "big") + bytes(512 - 128 - 206)
    assert cursor.decode(data[:128]).seq == 10
    assert started(store).receipt == sealed


def started(store):
    """Return the cursor of ID after a start."""
    found = cursor.Cursor(store, store.list())
    found.start(found.best(ID))
    return found


def test_a_slot_of_an_older_gateway_has_a_mark_and_no_receipt():
    store = MemoryStore({"c0": cursor.encode(cursor.Mark(2, ID, 3, 4, 5, 6, 7, 8, CHAIN))})
    found = started(store)
    assert (found.seq, found.epoch, found.receipt) == (4, 5, b"")
    found.move(9, 5, 0, b"new")
    found.write(ID, 3, SEALED)
    assert (started(store).seq, started(store).receipt) == (9, b"new")


def test_a_torn_receipt_leaves_the_mark_and_the_receipt_before_it():
    store = MemoryStore()
    marks = cursor.Cursor(store, [])
    for seq, sealed in ((10, b"older"), (20, b"newer")):
        marks.move(seq, 1, 0, sealed)
        marks.write(ID, 1, SEALED)
    assert started(store).receipt == b"newer"
    store.rot("c1", 131)
    assert (started(store).seq, started(store).receipt) == (20, b"older")


def test_a_mark_without_a_new_receipt_keeps_the_one_there_is():
    store = MemoryStore()
    marks = cursor.Cursor(store, [])
    marks.move(10, 1, 0, b"first")
    for _ in range(3):
        marks.write(ID, 1, SEALED)
    assert started(store).receipt == b"first"


def test_every_length_up_to_the_limit_comes_back_and_a_longer_one_is_none():
    for length in (1, 2, cursor.RECEIPT_MAX):
        data = cursor.encode_receipt(b"x" * length)
        assert len(data) == length + 6 <= cursor.FILE_BYTES - cursor.MARK_BYTES
        assert cursor.decode_receipt(data + bytes(9)) == b"x" * length
    assert cursor.decode_receipt(cursor.encode_receipt(b"x" * (cursor.RECEIPT_MAX + 1))) == b""
    for data in (b"", b"\xff\xff", bytes(384), b"\x00\x05abc", b"\xff" * 384):
        assert cursor.decode_receipt(data) == b""


def test_the_longest_receipt_fits_behind_a_mark():
    widest = receipt.Receipt("\u00fc" * 40, bytes(16), record.SEQ_MAX, record.SEQ_MAX, bytes(32),
                             record.SEQ_MAX)
    assert len(receipt.seal(widest, bytes(8), lambda _: bytes(64))) <= cursor.RECEIPT_MAX


def test_a_lower_mark_of_a_new_epoch_lowers_at_once_what_may_be_trimmed():
    marks = cursor.Cursor(MemoryStore(), [])
    marks.move(50, 1, 0)
    marks.write(ID, 1, SEALED)
    assert marks.marked_seq == 50
    assert marks.move(20, 2, 0) and marks.marked_seq == 20     # before anything is written
    assert marks.move(40, 2, 0) and marks.marked_seq == 20     # and no receipt alone raises it
    marks.write(ID, 1, SEALED)
    assert marks.marked_seq == 40
