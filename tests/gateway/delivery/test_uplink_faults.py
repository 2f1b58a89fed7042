"""Brokers that freeze, lie, refuse silently or throw us out: each has its defined outcome.

Real mosquitto, mutual TLS, patience of some hundred milliseconds.
"""

import asyncio
import contextlib
import datetime
import json
import signal
import ssl

import aiomqtt
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.reasoncodes import ReasonCode

from fleet.ingest.live_table import unpack
from gateway.core.codec.record import ALARM
from gateway.core.errors import Rejected
from gateway.core.reading import CLOCK_UNKNOWN
from gateway.delivery.broker_errors import check_granted
from gateway.delivery.session import SHORT_SESSIONS_REPORTED
from gateway.delivery.uplink import Uplink
from gateway.signer import Verifier
from gateway.timekeeping.clock import Clock, Sources
from gateway.tls import date_ms, tls_context
from tests.gateway.delivery.test_uplink import (
    CABINET,
    QUICK,
    Broker,
    Fleet,
    bench,
    feed_and_seal,
    free_port,
    make_site,
    settings_of,
    until,
)
from tests.support.writer_setup import WriterSetup


def restrict(broker, old, new):
    """Change the broker's access list and start it again."""
    acl = broker.folder / "acl"
    text = acl.read_text()
    assert old in text
    broker.stop()
    acl.write_text(text.replace(old, new, 1))
    broker.start()


async def test_a_killed_broker_costs_nothing_that_was_sealed(tmp_path):
    async with bench(tmp_path, "mosquitto") as (setup, uplink, fleet, broker):
        for _ in range(3):
            await until(lambda: uplink.state in ("online", "unanswered"))
            await feed_and_seal(setup)
            broker.process.kill()
            broker.process.wait(10)
            await until(lambda: uplink.state == "offline")
            broker.start()
        assert await uplink.drained(30)
        assert {setup.journal.read_batch(n) for n in setup.journal.batch_numbers()} <= set(
            fleet.batches)


async def test_a_frozen_broker_ends_the_session_in_bounded_time_and_nothing_is_lost(tmp_path):
    async with bench(tmp_path, "mosquitto") as (setup, uplink, fleet, broker):
        await until(lambda: uplink.state == "online" and uplink.outbox.waiting() == 0)
        broker.process.send_signal(signal.SIGSTOP)
        try:
            await feed_and_seal(setup)
            await until(lambda: uplink.state == "offline", QUICK.publish_s + 8)
            assert uplink.outbox.waiting() == 1
        finally:
            broker.process.send_signal(signal.SIGCONT)
        assert await uplink.drained(15)
        assert uplink.outbox.acknowledged_seq == setup.journal.sealed_seq
        assert fleet.batches[-1] == setup.journal.read_batch(setup.journal.batch_numbers()[-1])


async def test_a_port_that_accepts_and_never_answers_is_offline_not_a_hang(tmp_path):
    async def mute(_reader, writer):
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        writer.close()
    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    home = make_site(tmp_path, port)
    setup = WriterSetup(tmp_path)
    settings = settings_of(home, port)
    uplink = Uplink(CABINET, settings, setup.writer, Verifier.load(settings.receipt_key), QUICK)
    task = asyncio.create_task(uplink.run())
    try:
        await until(lambda: uplink.state == "offline", 10)
        assert uplink.counts["connects"] == 0
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        server.close()
        setup.store.close()


async def test_an_access_list_that_drops_silently_is_told_and_the_cursor_stays(tmp_path):
    async with bench(tmp_path, "mosquitto") as (setup, uplink, fleet, broker):
        await until(lambda: uplink.state == "online")
        restrict(broker, "pattern write wp/1/%u/up\n", "")
        acknowledged = uplink.outbox.acknowledged_seq
        await feed_and_seal(setup)                   # PUBACK comes, the batch goes nowhere
        await until(lambda: uplink.state == "unanswered", 20)
        assert "the fleet acknowledges none; next:" in uplink.reason
        assert uplink.outbox.acknowledged_seq == acknowledged
        sent = uplink.counts["batches_sent"]
        await asyncio.sleep(1.0)                    # ever rarer: no flood of repeats
        assert uplink.counts["batches_sent"] - sent <= 1
        restrict(broker, "pattern write wp/1/%u/live\n",
                 "pattern write wp/1/%u/up\npattern write wp/1/%u/live\n")
        assert await uplink.drained(20)
        assert uplink.state == "online" and len(fleet.batches) >= 1


async def test_a_fleet_that_says_nothing_is_told_and_its_first_receipt_ends_that(tmp_path):
    async with bench(tmp_path, "mosquitto") as (setup, uplink, fleet, _broker):
        fleet.giving = False                        # broker or fleet lies: PUBACK, no receipt
        await feed_and_seal(setup)
        await until(lambda: uplink.state == "unanswered", 20)
        assert uplink.outbox.waiting() == len(setup.journal.batch_numbers())
        fleet.giving = True
        assert await uplink.drained(20)
        assert uplink.state == "online" and not uplink.evidence.silence.unanswered


async def test_receipts_that_the_broker_keeps_from_us_are_missed_and_told(tmp_path):
    async with bench(tmp_path, "mosquitto") as (setup, uplink, fleet, broker):
        await until(lambda: uplink.outbox.waiting() == 0)
        restrict(broker, "pattern read wp/1/%u/receipt\n", "")
        await feed_and_seal(setup)
        await until(lambda: uplink.state == "unanswered", 20)
        assert setup.journal.read_batch(setup.journal.batch_numbers()[-1]) in fleet.batches
        assert uplink.outbox.waiting() == 1         # it arrived, but nobody could say so


def test_a_subscription_the_broker_refuses_openly_needs_a_person():
    check_granted((1,), "wp/1/cab-1/receipt")
    check_granted([ReasonCode(PacketTypes.SUBACK, "Granted QoS 1")], "wp/1/cab-1/receipt")
    for refused in ((128,), [ReasonCode(PacketTypes.SUBACK, "Not authorized")]):
        with pytest.raises(Rejected, match="next: check its access list"):
            check_granted(refused, "wp/1/cab-1/receipt")


async def test_a_broker_with_no_room_for_a_batch_is_not_taken_for_a_fleet(tmp_path):
    async with bench(tmp_path, "mosquitto") as (setup, uplink, _fleet, broker):
        await until(lambda: uplink.state == "online" and uplink.outbox.waiting() == 0)
        conf = broker.folder / "mosquitto.conf"
        broker.stop()
        conf.write_text(conf.read_text() + "message_size_limit 100\n")
        broker.start()
        before = uplink.outbox.acknowledged_seq
        await feed_and_seal(setup)
        await until(lambda: uplink.state in ("unanswered", "offline", "rejected")
                    and uplink.counts["connects"] >= 2, 20)
        await asyncio.sleep(1)
        assert uplink.outbox.acknowledged_seq == before and uplink.outbox.waiting() == 1


async def clone(settings):
    """Connect again and again under the gateway's name."""
    while True:
        other = aiomqtt.Client(settings.host, settings.port, identifier=CABINET,
                               tls_context=tls_context(settings))
        with contextlib.suppress(aiomqtt.MqttError):
            async with other:
                await anext(other.messages)
        await asyncio.sleep(0.1)


async def test_two_gateways_of_one_name_do_not_throw_each_other_out_in_a_storm(tmp_path):
    async with bench(tmp_path, "mosquitto", retry_s_max=1.0) as (_d, uplink, fleet, _b):
        await until(lambda: uplink.state == "online")

        task = asyncio.create_task(clone(uplink.settings))
        try:
            session = uplink.session
            await until(lambda: session.short >= SHORT_SESSIONS_REPORTED
                        and "another gateway uses this name"
                        in uplink.reason, 25)
            assert session.backoff.wait_s >= 8 * uplink.settings.retry_s_min    # more patient
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        await until(lambda: uplink.state == "online")
        assert fleet is not None


async def test_a_batch_that_rots_on_flash_is_declared_lost_once_and_the_rest_goes_out(tmp_path):
    async with bench(tmp_path, "mosquitto") as (setup, uplink, fleet, broker):
        await until(lambda: uplink.state == "online" and uplink.outbox.waiting() == 0)
        broker.stop()
        await until(lambda: uplink.state == "offline")
        await feed_and_seal(setup)
        await feed_and_seal(setup)
        bad, good = setup.journal.batch_numbers()[-2:]
        (file,) = (tmp_path / "journal").glob(f"b*-{bad:08x}-*")
        data = bytearray(file.read_bytes())
        data[len(data) // 2] ^= 1
        file.write_bytes(data)
        broker.start()
        whole = setup.journal.read_batch(good)
        await until(lambda: whole in fleet.batches)
        await until(lambda: uplink.evidence.lost == {bad})
        await feed_and_seal(setup)
        after = [number for number in setup.journal.batch_numbers() if number > good]
        told = [record.body for number in after for record in setup.records(number)
                if getattr(record, "kind", None) == ALARM and record.body[0] == "batch-lost"]
        assert told == [["batch-lost", str(bad)]]


async def test_live_messages_stay_young_while_a_backlog_drains_under_the_cap(tmp_path):
    async with bench(tmp_path, "mosquitto", cap_kbit_s=16, live_s=12) as (setup, uplink, fleet, b):
        await until(lambda: uplink.state == "online" and uplink.outbox.waiting() == 0)
        b.stop()
        await until(lambda: uplink.state == "offline")
        for _ in range(12):
            await feed_and_seal(setup, 2)
        fleet.live.clear()
        began_s, ages_s = uplink.clock.real_s(), []
        sent = sum(uplink.counts[key] for key in ("evidence_bytes", "live_bytes"))
        setup.figures = lambda: {"at": uplink.clock.real_s(), "pad": "x" * 200}
        b.start()

        async def watch():
            while True:
                uplink.live.refresh()
                while fleet.live:
                    figures = json.loads(unpack(fleet.live.pop(0)))
                    ages_s.append(uplink.clock.real_s() - figures["at"])
                await asyncio.sleep(0.01)
        task = asyncio.create_task(watch())
        assert await uplink.drained(30)
        elapsed_s = uplink.clock.real_s() - began_s
        await asyncio.sleep(0.3)
        task.cancel()
        sent = sum(uplink.counts[key] for key in ("evidence_bytes", "live_bytes")) - sent
        assert sent <= 2_000 * (elapsed_s + 1) + 2_000      # 16 kbit/s, a second of burst, a batch
        assert len(ages_s) >= 5 and max(ages_s) <= 2.0


def unset_clock(wall_s, floor_ms=0):
    """Return a clock nobody set, with a wall that says anything."""
    loop = asyncio.get_running_loop()
    return Clock(None, Sources(lambda: wall_s, loop.time, lambda: (CLOCK_UNKNOWN, 0)), floor_ms)


@contextlib.asynccontextmanager
async def dated(tmp_path, made, clock):
    """Run broker and uplink with a site whose certificates begin at `made`."""
    port = free_port()
    home = make_site(tmp_path, port, made)
    with (tmp_path / "broker.log").open("wb") as log:
        broker = Broker("mosquitto", home, log)
        broker.start()
        setup = WriterSetup(tmp_path, clock=clock)
        settings = settings_of(home, port)
        uplink = Uplink(CABINET, settings, setup.writer, Verifier.load(settings.receipt_key), QUICK)
        task = asyncio.create_task(uplink.run())
        try:
            yield setup, uplink, Fleet(home, port)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            broker.stop()
            setup.store.close()


NOW = datetime.datetime.now(datetime.UTC)
LONG_AGO = NOW - datetime.timedelta(days=40 * 365)


@pytest.mark.parametrize("wall_s", [0.0, 4_070_908_800.0], ids=["1970", "2099"])
async def test_without_a_clock_the_broker_is_reached_and_its_name_still_checked(tmp_path, wall_s):
    async with dated(tmp_path, NOW, unset_clock(wall_s)) as (_desk, uplink, _fleet):
        await until(lambda: uplink.state == "online")
        assert uplink.clock.state().source == CLOCK_UNKNOWN


async def test_what_expired_before_the_last_good_time_is_refused_without_a_clock(tmp_path):
    clock = unset_clock(0.0, floor_ms=int(NOW.timestamp() * 1000))
    async with dated(tmp_path, LONG_AGO, clock) as (setup, uplink, _fleet):
        await until(lambda: uplink.state == "rejected")
        assert "expired" in uplink.reason and uplink.counts["connects"] == 0
        await feed_and_seal(setup)                   # and meanwhile everything is kept
        assert setup.journal.sealed_seq == setup.journal.last_seq


def test_dates_are_judged_by_the_wall_with_a_clock_and_by_the_floor_without(tmp_path):
    home = make_site(tmp_path, 1)
    settings = settings_of(home, 1)
    end = {"notAfter": "Jun  1 00:00:00 2026 GMT"}
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        tls_context(settings, 1_780_272_000_001).judge(end)
    tls_context(settings, 1_780_272_000_000).judge(end)
    tls_context(settings).judge(end)                # OpenSSL has done it
    assert not tls_context(settings).verify_flags & 0x200000
    assert tls_context(settings, 1).verify_flags & 0x200000
    assert tls_context(settings, 1).verify_mode == ssl.CERT_REQUIRED
    assert tls_context(settings, 1).check_hostname


@pytest.mark.parametrize("day", range(0, 27_000, 617))
def test_a_certificates_date_is_what_the_standard_library_takes_it_for(day):
    date = datetime.datetime(1970, 1, 1) + datetime.timedelta(days=day, seconds=day * 7)
    text = f"{date:%b} {date.day:2} {date:%H:%M:%S %Y} GMT"
    assert date_ms(text) == ssl.cert_time_to_seconds(text) * 1000
