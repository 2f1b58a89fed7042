"""When was each device last read: found over lives that were too short for a poll."""

import hashlib

from gateway.core.codec import record
from gateway.core.errors import Corrupt
from gateway.core.evidence import batch
from gateway.core.reading import CLOCK_NTP, ClockState, Point, Stream
from gateway.storage.deflate import deflate
from gateway.storage.restart import last_read_utc_ms
from tests.fleet.maker import SCHEMA as PAPER_SCHEMA
from tests.fleet.maker import PaperGateway

SCHEMA = (Stream("grid", (Point(43, 0, ""),)), Stream("node", (Point(43, 0, ""),)))
ORIGIN_MS = 1_780_272_000_000
CLOCK = ClockState(CLOCK_NTP, 0, ORIGIN_MS, 10)


def sealed(number, records):
    """Return a sealed batch; nobody here looks at its signature."""
    payload = batch.encode_payload(batch.Batch(
        "cab-1", bytes(16), number, number, records[0].seq, records[-1].seq, bytes(32), bytes(32),
        CLOCK, batch.CODEC_DEFLATE, batch.make_body(SCHEMA, records, batch.CODEC_DEFLATE, deflate)))
    return batch.seal(payload, b"k" * 8, lambda data: hashlib.sha512(data).digest())


def polls(seq, seconds):
    """Return one scan of each device."""
    return [record.ScanRecord(seq + stream, 1000 * seconds, stream, (seconds,))
            for stream in range(2)]


def start(seq):
    """Return what a life too short for a poll leaves."""
    return [record.EventRecord(seq, 0, record.BOOT, ["start", "test", 1, seq - 1])]


class Kept:
    """As much of a journal as a start asks."""

    def __init__(self, *batches):
        self.batches = batches

    def batch_numbers(self):
        return list(range(1, len(self.batches) + 1))

    def read_batch(self, number):
        if not self.batches[number - 1]:
            raise Corrupt("its bytes changed")
        return self.batches[number - 1]

    def unconfirmed_batch(self):
        return None

    def replay(self):
        return []


def test_the_newest_poll_counts():
    assert last_read_utc_ms(Kept(sealed(1, polls(1, 60)), sealed(2, polls(3, 120)))) == {
        "grid": ORIGIN_MS + 120_000, "node": ORIGIN_MS + 120_000}


def test_lives_without_a_poll_do_not_hide_when_the_last_one_was():
    kept = Kept(sealed(1, polls(1, 60)), sealed(2, start(3)), sealed(3, start(4)))
    assert last_read_utc_ms(kept) == {"grid": ORIGIN_MS + 60_000, "node": ORIGIN_MS + 60_000}


def test_a_batch_that_cannot_be_read_does_not_hide_what_an_older_one_says():
    kept = Kept(sealed(1, polls(1, 60)), b"", sealed(3, start(4)))
    assert last_read_utc_ms(kept) == {"grid": ORIGIN_MS + 60_000, "node": ORIGIN_MS + 60_000}


def test_when_the_newest_batch_rotted_all_devices_are_found_in_the_next_older_one():
    """Case rel-absence: batches 1, 2, 3; 3 is unreadable; the right answer is batch 2's, of all."""
    gateway = PaperGateway()
    batches = [gateway.seal() for _ in (1, 2, 3)]
    with_all = last_read_utc_ms(Kept(batches[0], batches[1]))
    assert sorted(with_all) == sorted({stream.device for stream in PAPER_SCHEMA})
    assert last_read_utc_ms(Kept(batches[0], batches[1], b"")) == with_all
    assert last_read_utc_ms(Kept(batches[0], b"", b"")) == last_read_utc_ms(Kept(batches[0]))


def test_many_rotten_batches_do_not_hide_the_last_whole_one():
    kept = Kept(sealed(1, polls(1, 60)), *[b""] * 40)
    assert set(last_read_utc_ms(kept)) == {"grid", "node"}
