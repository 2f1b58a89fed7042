"""What outlives a restart: the last good time, by way of the cursor."""

from gateway.core.reading import CLOCK_UNKNOWN
from gateway.storage.restart import known_utc_ms
from gateway.storage.store import FlashStore
from gateway.timekeeping.clock import Clock, Sources
from tests.support.writer_setup import WriterSetup

SIGNED_MS = 1_795_000_000_000       # 2026-11-18T11:06:40Z


def unset_clock(floor_ms=0):
    """Return a clock whose wall says 1970."""
    return Clock(None, Sources(lambda: 5.0, lambda: 5.0, lambda: (CLOCK_UNKNOWN, 0)), floor_ms)


def test_the_last_good_time_lies_in_the_cursor_and_is_the_floor_after_a_restart(tmp_path):
    setup = WriterSetup(tmp_path, clock=unset_clock())
    assert known_utc_ms(setup.store) == 0
    assert setup.writer.seal()
    assert setup.clock.raise_floor(SIGNED_MS)
    setup.writer.receipt(setup.journal.sealed_seq, 1)
    setup.writer.finish()
    setup.store.close()
    store = FlashStore(tmp_path / "journal")
    assert known_utc_ms(store) == SIGNED_MS
    assert unset_clock(known_utc_ms(store)).certificate_floor_ms() == SIGNED_MS
    store.close()
