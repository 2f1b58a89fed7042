"""The writer over a real journal: commits in time, seals on time, survives its end."""

import asyncio

import pytest

from gateway.core.codec.record import ALARM, BOOT, CLOCK, DEVICE, STOP, ScanRecord
from gateway.core.event import Committed, Event
from gateway.core.evidence import batch
from gateway.core.journal.cursor import Cursor
from gateway.core.reading import CLOCK_GNSS, CLOCK_NTP, CLOCK_RTC, CLOCK_UNKNOWN, Scan
from tests.support.fake_bus import virtual_clock
from tests.support.virtual_time import run
from tests.support.writer_setup import WriterSetup


def with_writer(folder, script, clock=virtual_clock, **options):
    """Run a script beside a running writer, then stop it; return the setup, store open."""
    async def go():
        setup = WriterSetup(folder, clock=clock(), **options)
        task = asyncio.create_task(setup.writer.run())
        await asyncio.sleep(0)
        await script(setup)
        setup.writer.stop()
        await task
        return setup
    return run(go())


def test_a_scan_is_durable_within_the_loss_window_and_then_witnessed(tmp_path):
    seen = []

    async def script(setup):
        await asyncio.sleep(1)              # the quarter hour that just began has its batch
        before, shown = setup.witness()[-1], []
        setup.writer.subscribe(lambda event: shown.extend(
            event.scans if isinstance(event, Committed) else ()))
        await setup.writer.put(Scan(0, setup.clock.ticks_ms(), (1, 2)))
        await asyncio.sleep(8.9)
        assert setup.journal.durable_seq == before and shown == []
        await asyncio.sleep(1.1)
        assert setup.journal.durable_seq == setup.witness()[-1] == before + 1
        seen.extend(shown)
    with_writer(tmp_path, script)
    assert [scan.values for scan in seen] == [(1, 2)]


@pytest.mark.parametrize("window_s", [1, 4, 5, 6])
def test_a_short_loss_window_is_kept_too(tmp_path, window_s):
    async def script(setup):
        await asyncio.sleep(1)
        for _ in range(4):
            before = setup.journal.durable_seq
            await setup.writer.put(Scan(0, setup.clock.ticks_ms(), (1, 2)))
            await asyncio.sleep(window_s)
            assert setup.journal.durable_seq == before + 1
            await asyncio.sleep(3.3)
    with_writer(tmp_path, script, loss_window_s=window_s)


def test_an_event_is_durable_at_once(tmp_path):
    async def script(setup):
        before = setup.journal.durable_seq
        await setup.writer.put(Event(setup.clock.ticks_ms(), DEVICE, [0, "lost", "x"]))
        await asyncio.sleep(0.01)
        assert setup.journal.durable_seq == before + 1 == setup.witness()[-1]
    with_writer(tmp_path, script)


def test_the_commit_count_follows_the_window_not_the_scans(tmp_path):
    async def script(setup):
        await setup.feed(300, step_s=1)
    setup = with_writer(tmp_path, script)
    assert setup.journal.stats()["commits"] == 32, "29 of ten slots each; start, quarter, stop"


def test_a_batch_ends_with_the_slot_that_ends_its_span(tmp_path):
    async def script(setup):
        await asyncio.sleep(10.02)          # an answer takes a while
        await setup.feed(900)
    setup = with_writer(tmp_path, script)
    scans = [record for number in setup.journal.batch_numbers() for record in setup.records(number)
             if isinstance(record, ScanRecord)]
    ends = [setup.records(number)[-1] for number in setup.journal.batch_numbers()]
    assert [end.ticks_ms for end in ends if isinstance(end, ScanRecord)] == [900_020]
    assert len(scans) == 90


def test_batches_end_on_the_quarter_hour_and_at_the_stop(tmp_path):
    async def script(setup):
        await setup.feed(3600)
    setup = with_writer(tmp_path, script)
    numbers = setup.journal.batch_numbers()
    assert len(numbers) in (4, 5)           # four quarters, and what the stop left
    assert setup.journal.sealed_seq == setup.journal.last_seq == setup.journal.durable_seq
    assert setup.records(numbers[-1])[-1].kind == STOP
    assert any(getattr(record, "kind", None) == BOOT for record in setup.records(numbers[0]))


def test_in_a_fast_simulation_too_a_batch_waits_for_the_answers_of_its_last_slot(tmp_path):
    async def go():
        setup = WriterSetup(tmp_path, clock=virtual_clock(60))
        sealed_ms = setup.writer.seal_ms + setup.clock.offset_ms()
        setup.store.close()
        return sealed_ms % 900_000
    assert run(go()) == 50 * 60


def test_an_alarm_is_sealed_at_once_but_not_more_than_once_a_minute(tmp_path):
    sealed = []

    async def script(setup):
        for _ in range(30):
            await setup.writer.put(Event(setup.clock.ticks_ms(), ALARM, ["x", ""]))
            await asyncio.sleep(1.5)
            sealed.append(setup.journal.sealed_seq)
    with_writer(tmp_path, script)
    assert len(set(sealed)) == 1 and sealed[0] > 0


def test_a_clock_step_ends_the_batch_and_is_an_event_of_the_next(tmp_path):
    knowledge = [(CLOCK_NTP, 5)]
    jump_s = [0.0]

    async def script(setup):
        sources = setup.clock.sources
        setup.clock.sources = type(sources)(lambda: sources.wall() + jump_s[0],
                                           sources.monotonic, lambda: knowledge[0])
        await setup.feed(60)
        sealed = setup.journal.sealed_seq
        jump_s[0], knowledge[0] = 3600.0, (CLOCK_GNSS, 1_000)
        await setup.feed(60)
        assert setup.journal.sealed_seq > sealed
    setup = with_writer(tmp_path, script)
    last = setup.journal.batch_numbers()[-1]
    _, after = batch.open_sealed(setup.journal.read_batch(last))
    _, before = batch.open_sealed(setup.journal.read_batch(last - 1))
    assert (before.clock.source, after.clock.source) == (CLOCK_NTP, CLOCK_GNSS)
    assert abs(after.clock.anchor_utc_ms - before.clock.anchor_utc_ms) > 3_000_000
    assert any(getattr(record, "kind", None) == CLOCK for record in setup.records(last))


@pytest.mark.parametrize("unset_s", [-2.0e9, 2.3e9], ids=["before 1970", "2099"])
def test_a_clock_that_becomes_known_later_loses_nothing_and_says_since_when(tmp_path, unset_s):
    knowledge, jump_s = [(CLOCK_RTC, 20)], [unset_s]

    async def script(setup):
        await setup.feed(60)
        jump_s[0], knowledge[0] = 0.0, (CLOCK_GNSS, 20)
        await setup.feed(60)
    setup = with_writer(tmp_path, script, lambda: virtual_clock(
        offset_s=lambda: jump_s[0], knowledge=lambda: knowledge[0]))
    found = [batch.open_sealed(setup.journal.read_batch(number))[1]
             for number in setup.journal.batch_numbers()]
    sources = [one.clock.source for one in found]
    assert sources.index(CLOCK_UNKNOWN) < sources.index(CLOCK_GNSS) == len(sources) - 1
    assert {one.boot for one in found} == {1}
    assert [one.first_seq for one in found[1:]] == [one.last_seq + 1 for one in found[:-1]]
    assert sum(not hasattr(record, "kind") for number in setup.journal.batch_numbers()
               for record in setup.records(number)) == 12
    known = [record.body[:2] for record in setup.records(setup.journal.batch_numbers()[-1])
             if getattr(record, "kind", None) == CLOCK]
    assert known == [[CLOCK_GNSS, found[-1].clock.anchor_ticks_ms]]


def test_after_a_restart_the_records_of_the_boot_before_are_sealed_first(tmp_path):
    async def crash():
        setup = WriterSetup(tmp_path)
        for count in range(3):
            setup.journal.append_scan(count, 0, (count, 0))
        setup.journal.commit()
        setup.store.close()              # as SIGKILL leaves it: committed, not sealed
        return setup.journal.durable_seq
    durable = run(crash())

    async def script(setup):
        assert setup.journal.sealed_seq >= durable and setup.journal.boot == 2
    with_writer(tmp_path, script)


def test_an_alarm_after_the_stop_is_durable_and_the_next_start_is_a_clean_one(tmp_path):
    """The uplink drains after the writer's STOP, and what it finds may be an alarm."""
    async def script(setup):
        await setup.feed(20)
    setup = with_writer(tmp_path, script)
    assert setup.writer.finish() is False

    async def late():
        await setup.writer.put(Event(setup.clock.ticks_ms(), ALARM, ["clone", "late"]))
        assert setup.writer.finish() is True
        assert setup.writer.finish() is False
    run(late())
    assert setup.journal.durable_seq == setup.journal.sealed_seq == setup.journal.last_seq
    newest = setup.records(setup.journal.batch_numbers()[-1])
    assert [item.kind for item in newest] == [ALARM, STOP]
    setup.store.close()

    async def again():
        return WriterSetup(tmp_path, clock=setup.clock)
    setup = run(again())
    assert setup.writer.seal()
    boots = [item.body for number in setup.journal.batch_numbers() for item in setup.records(number)
             if getattr(item, "kind", None) == BOOT]
    assert [body[2] for body in boots] == [0, 0]        # none came after an unclean end
    setup.store.close()


def test_input_queue_is_bounded_and_makes_the_poller_wait(tmp_path):
    async def go():
        setup = WriterSetup(tmp_path)

        async def flood():
            for _ in range(5000):
                await setup.writer.put(Scan(0, 0, (1, 2)))
        task = asyncio.create_task(flood())
        await asyncio.sleep(1)
        assert not task.done()
        writing = asyncio.create_task(setup.writer.run())
        await task
        setup.writer.stop()
        await writing
        assert setup.journal.durable_seq >= 5000
        setup.store.close()
    run(go())


def test_failing_flash_does_not_end_the_writer_and_heals(tmp_path):
    async def script(setup):
        from gateway.core.errors import StoreError

        def refuse(*_):
            raise StoreError("input/output error", 5)
        good, setup.store.write = setup.store.write, refuse
        await setup.feed(60)
        assert setup.journal.state == "degraded-ram"
        assert setup.writer.counts["failures"] < 100         # it does not spin
        setup.store.write = good
        await setup.feed(60)
        assert setup.journal.state == "ok"
        assert setup.journal.durable_seq >= setup.journal.last_seq - 1
    with_writer(tmp_path, script)


def test_what_was_receipted_while_the_uplink_drained_is_in_the_cursor_after_a_stop(tmp_path):
    async def script(setup):
        await setup.feed(1000)
    setup = with_writer(tmp_path, script)
    sealed_seq = setup.journal.sealed_seq
    assert (setup.journal.acknowledged_seq, sealed_seq > 100) == (0, True)
    setup.writer.receipt(sealed_seq, 1, b"the fleet's word")
    assert setup.writer.finish() is False
    again = Cursor(setup.store, setup.store.list()).best(setup.journal.journal_id)
    assert (again.seq, again.epoch) == (sealed_seq, 1)
