"""The writer over a real journal: commits in time, seals on time, survives its end."""

import asyncio

import pytest

from gateway.core.event import Committed, Event
from gateway.core.evidence import batch
from gateway.core.reading import CLOCK_GNSS, CLOCK_NTP, CLOCK_RTC, CLOCK_UNKNOWN, Scan
from gateway.core.record import ALARM, BOOT, CLOCK, DEVICE, STOP, ScanRecord
from tests.support.gateway_fakes import virtual_clock
from tests.support.virtual_time import run
from tests.support.writer_desk import Desk


def with_desk(folder, script, clock=virtual_clock, **options):
    """Run a script beside a running writer, then stop it; return the desk, store open."""
    async def go():
        desk = Desk(folder, clock=clock(), **options)
        task = asyncio.create_task(desk.writer.run())
        await asyncio.sleep(0)
        await script(desk)
        desk.writer.stop()
        await task
        return desk
    return run(go())


def test_a_scan_is_durable_within_the_loss_window_and_then_witnessed(tmp_path):
    seen = []

    async def script(desk):
        await asyncio.sleep(1)              # the quarter hour that just began has its batch
        before, shown = desk.witness()[-1], []
        desk.writer.subscribe(lambda event: shown.extend(
            event.scans if isinstance(event, Committed) else ()))
        await desk.writer.put(Scan(0, desk.clock.ticks_ms(), (1, 2)))
        await asyncio.sleep(8.9)
        assert desk.journal.durable_seq == before and shown == []
        await asyncio.sleep(1.1)
        assert desk.journal.durable_seq == desk.witness()[-1] == before + 1
        seen.extend(shown)
    with_desk(tmp_path, script)
    assert [scan.values for scan in seen] == [(1, 2)]


@pytest.mark.parametrize("window_s", [1, 4, 5, 6])
def test_a_short_loss_window_is_kept_too(tmp_path, window_s):
    async def script(desk):
        await asyncio.sleep(1)
        for _ in range(4):
            before = desk.journal.durable_seq
            await desk.writer.put(Scan(0, desk.clock.ticks_ms(), (1, 2)))
            await asyncio.sleep(window_s)
            assert desk.journal.durable_seq == before + 1
            await asyncio.sleep(3.3)
    with_desk(tmp_path, script, loss_window_s=window_s)


def test_an_event_is_durable_at_once(tmp_path):
    async def script(desk):
        before = desk.journal.durable_seq
        await desk.writer.put(Event(desk.clock.ticks_ms(), DEVICE, [0, "lost", "x"]))
        await asyncio.sleep(0.01)
        assert desk.journal.durable_seq == before + 1 == desk.witness()[-1]
    with_desk(tmp_path, script)


def test_the_commit_count_follows_the_window_not_the_scans(tmp_path):
    async def script(desk):
        await desk.feed(300, step_s=1)
    desk = with_desk(tmp_path, script)
    assert desk.journal.stats()["commits"] == 32, "29 of ten slots each; start, quarter, stop"


def test_a_batch_ends_with_the_slot_that_ends_its_span(tmp_path):
    async def script(desk):
        await asyncio.sleep(10.02)          # an answer takes a while
        await desk.feed(900)
    desk = with_desk(tmp_path, script)
    scans = [record for number in desk.journal.batch_numbers() for record in desk.records(number)
             if isinstance(record, ScanRecord)]
    ends = [desk.records(number)[-1] for number in desk.journal.batch_numbers()]
    assert [end.ticks_ms for end in ends if isinstance(end, ScanRecord)] == [900_020]
    assert len(scans) == 90


def test_batches_end_on_the_quarter_hour_and_at_the_stop(tmp_path):
    async def script(desk):
        await desk.feed(3600)
    desk = with_desk(tmp_path, script)
    numbers = desk.journal.batch_numbers()
    assert len(numbers) in (4, 5)           # four quarters, and what the stop left
    assert desk.journal.sealed_seq == desk.journal.last_seq == desk.journal.durable_seq
    assert desk.records(numbers[-1])[-1].kind == STOP
    assert any(getattr(record, "kind", None) == BOOT for record in desk.records(numbers[0]))


def test_in_a_fast_simulation_too_a_batch_waits_for_the_answers_of_its_last_slot(tmp_path):
    async def go():
        desk = Desk(tmp_path, clock=virtual_clock(60))
        sealed_ms = desk.writer.seal_ms + desk.clock.offset_ms()
        desk.store.close()
        return sealed_ms % 900_000
    assert run(go()) == 50 * 60


def test_an_alarm_is_sealed_at_once_but_not_more_than_once_a_minute(tmp_path):
    sealed = []

    async def script(desk):
        for _ in range(30):
            await desk.writer.put(Event(desk.clock.ticks_ms(), ALARM, ["x", ""]))
            await asyncio.sleep(1.5)
            sealed.append(desk.journal.sealed_seq)
    with_desk(tmp_path, script)
    assert len(set(sealed)) == 1 and sealed[0] > 0


def test_a_clock_step_ends_the_batch_and_is_an_event_of_the_next(tmp_path):
    knowledge = [(CLOCK_NTP, 5)]
    jump_s = [0.0]

    async def script(desk):
        sources = desk.clock.sources
        desk.clock.sources = type(sources)(lambda: sources.wall() + jump_s[0],
                                           sources.monotonic, lambda: knowledge[0])
        await desk.feed(60)
        sealed = desk.journal.sealed_seq
        jump_s[0], knowledge[0] = 3600.0, (CLOCK_GNSS, 1_000)
        await desk.feed(60)
        assert desk.journal.sealed_seq > sealed
    desk = with_desk(tmp_path, script)
    last = desk.journal.batch_numbers()[-1]
    _, after = batch.open_sealed(desk.journal.read_batch(last))
    _, before = batch.open_sealed(desk.journal.read_batch(last - 1))
    assert (before.clock.source, after.clock.source) == (CLOCK_NTP, CLOCK_GNSS)
    assert abs(after.clock.anchor_utc_ms - before.clock.anchor_utc_ms) > 3_000_000
    assert any(getattr(record, "kind", None) == CLOCK for record in desk.records(last))


@pytest.mark.parametrize("unset_s", [-2.0e9, 2.3e9], ids=["before 1970", "2099"])
def test_a_clock_that_becomes_known_later_loses_nothing_and_says_since_when(tmp_path, unset_s):
    knowledge, jump_s = [(CLOCK_RTC, 20)], [unset_s]

    async def script(desk):
        await desk.feed(60)
        jump_s[0], knowledge[0] = 0.0, (CLOCK_GNSS, 20)
        await desk.feed(60)
    desk = with_desk(tmp_path, script, lambda: virtual_clock(
        offset_s=lambda: jump_s[0], knowledge=lambda: knowledge[0]))
    found = [batch.open_sealed(desk.journal.read_batch(number))[1]
             for number in desk.journal.batch_numbers()]
    sources = [one.clock.source for one in found]
    assert sources.index(CLOCK_UNKNOWN) < sources.index(CLOCK_GNSS) == len(sources) - 1
    assert {one.boot for one in found} == {1}
    assert [one.first_seq for one in found[1:]] == [one.last_seq + 1 for one in found[:-1]]
    assert sum(not hasattr(record, "kind") for number in desk.journal.batch_numbers()
               for record in desk.records(number)) == 12
    known = [record.body[:2] for record in desk.records(desk.journal.batch_numbers()[-1])
             if getattr(record, "kind", None) == CLOCK]
    assert known == [[CLOCK_GNSS, found[-1].clock.anchor_ticks_ms]]


def test_after_a_restart_the_records_of_the_boot_before_are_sealed_first(tmp_path):
    async def crash():
        desk = Desk(tmp_path)
        for count in range(3):
            desk.journal.append_scan(count, 0, (count, 0))
        desk.journal.commit()
        desk.store.close()              # as SIGKILL leaves it: committed, not sealed
        return desk.journal.durable_seq
    durable = run(crash())

    async def script(desk):
        assert desk.journal.sealed_seq >= durable and desk.journal.boot == 2
    with_desk(tmp_path, script)


def test_input_queue_is_bounded_and_makes_the_poller_wait(tmp_path):
    async def go():
        desk = Desk(tmp_path)

        async def flood():
            for _ in range(5000):
                await desk.writer.put(Scan(0, 0, (1, 2)))
        task = asyncio.create_task(flood())
        await asyncio.sleep(1)
        assert not task.done()
        writing = asyncio.create_task(desk.writer.run())
        await task
        desk.writer.stop()
        await writing
        assert desk.journal.durable_seq >= 5000
        desk.store.close()
    run(go())


def test_failing_flash_does_not_end_the_writer_and_heals(tmp_path):
    async def script(desk):
        from gateway.core.errors import StoreError

        def refuse(*_):
            raise StoreError("input/output error", 5)
        good, desk.store.write = desk.store.write, refuse
        await desk.feed(60)
        assert desk.journal.state == "degraded-ram"
        assert desk.writer.counts["failures"] < 100         # it does not spin
        desk.store.write = good
        await desk.feed(60)
        assert desk.journal.state == "ok"
        assert desk.journal.durable_seq >= desk.journal.last_seq - 1
    with_desk(tmp_path, script)
