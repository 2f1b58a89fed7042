"""Composition: the only file that builds everything; no logic of its own.

The way of a value: bus -> poller -> writer (journal) -> outbox -> broker.  Beside it: live
figures and the status file.  A crash of a bus or of the uplink restarts that task; a crash of
the writer ends the process, for evidence has no second owner: the service manager restarts it.
"""

import asyncio
import gc
import logging
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from drivers.links import open_link
from gateway.config.values import Cabinet
from gateway.core.evidence.batch import CODEC_DEFLATE
from gateway.core.journal.downsampled_files import CoarseBatches
from gateway.core.journal.journal import Journal, Opening, Sealer
from gateway.core.reading import CLOCK_UNKNOWN, Scan
from gateway.delivery.uplink import LIVE_S_MIN, Uplink
from gateway.ledger.factors import factors
from gateway.live import battery_checkpoint
from gateway.live.figures import Live, Moment, source_name
from gateway.polling.poller import BusPoller, Line, supervise
from gateway.polling.unit import Timeout, Unit
from gateway.service import status as statuses
from gateway.service.health import Notifier, Progress, cpu_s, pause, rss_kib, watch, write_status
from gateway.signer import Signer, Verifier
from gateway.storage import cpython_fast_paths, succession
from gateway.storage.deflate import deflate
from gateway.storage.restart import known_utc_ms, last_read_utc_ms
from gateway.storage.retention import Limits, Room
from gateway.storage.store import BLOCK_BYTES, FlashStore
from gateway.storage.writer import Rules, Writer
from gateway.timekeeping.clock import Clock, rfc3339
from gateway.tls import tls_context

LOG = logging.getLogger("wattproof")
SOFTWARE = "wattproof 0.1.0"
STATUS_S = 10.0                 # real
BUS_STOP_S = 5.0                # real: the longest exchange, drain included
DRAIN_S = 10.0                  # real: at a stop, until the fleet has everything
RESTART_S_MAX = 60.0
MIB = 1 << 20
COLLECT = (20_000, 20, 20)      # container objects between looks for cycles, by generation


class Gateway:
    """One run of one cabinet: its parts, and how they are started and stopped."""

    def __init__(self, cabinet: Cabinet, witness: Path | None = None) -> None:
        """Build everything; raises ConfigError or StoreError before anything runs."""
        signer, verifier = Signer.load(cabinet.evidence_key), Verifier.load(
            cabinet.uplink.receipt_key)
        tls_context(cabinet.uplink)                 # stop now if the files do not fit
        self.cabinet, self.store = cabinet, FlashStore(cabinet.journal.directory)
        self.clock = Clock(cabinet.scale, floor_ms=known_utc_ms(self.store))
        self.live = Live(cabinet, factors.load(cabinet.factors), battery_checkpoint.read(
            cabinet.status_file, cabinet.config_hash.hex(), self.clock.state(),
            self.clock.ticks_ms()))
        self.clock.temperature_c = lambda: self.live.temperature_c(self.clock.ticks_ms())
        sealer = Sealer(signer.kid, signer.sign, deflate, CODEC_DEFLATE)
        journal = Journal.open(self.store, self._opening(), batches=CoarseBatches)
        self.writer = Writer(journal, self.clock, Rules(
            cabinet.journal.loss_window_s, cabinet.journal.batch_minutes, sealer, witness),
            self._room(journal, sealer))
        self.uplink = Uplink(cabinet.site.cabinet, cabinet.uplink, self.writer, verifier)
        self._last_read = last_read_utc_ms(journal)
        self.pollers = {bus.name: self._poller(bus) for bus in cabinet.buses}
        self.progress, self.notifier = Progress(self.clock.real_s), Notifier()
        self.stop, self.drain_s = asyncio.Event(), DRAIN_S
        self._started_s = self.clock.real_s()
        self.writer.on_commit = self._committed
        self.writer.on_sealed = self.uplink.wake
        self.writer.renew = self._renew
        self.writer.on_renewed = self.uplink.begin_anew
        self.uplink.live = self._message

    def _opening(self) -> Opening:
        cabinet = self.cabinet
        return Opening(
            cabinet.site.cabinet, cabinet.schema, cabinet.config_hash, cabinet.descriptor,
            SOFTWARE, lambda: os.urandom(16), self.clock.state(), self.clock.ticks_ms())

    def _room(self, journal: Journal, sealer: Sealer) -> Room:
        cabinet = self.cabinet
        room = Room(journal, self.store, cabinet.journal.keep_mib * MIB, sealer,
                    Limits(cabinet.config_hash, cabinet.descriptor))
        room.busy = lambda: self.uplink.outbox.under_way()
        return room

    def _renew(self, old: Journal, low_water: int) -> tuple[Journal, Room]:
        journal = succession.begin(old, self._opening(), low_water)
        return journal, self._room(journal, self.writer.rules.sealer)

    def _poller(self, bus: Any) -> BusPoller:
        units = [Unit(device.name, stream, self.cabinet.drivers[stream],
                      Timeout(float(bus.timeout_s)))
                 for stream, device in enumerate(self.cabinet.devices) if device.bus == bus.name]
        poller = BusPoller(Line(bus, self.clock, open_link), units, self.clock, self.writer.put)
        poller.last_read_utc_ms = self._last_read
        return poller

    async def run(self) -> None:
        """Run until SIGTERM or SIGINT; then stop in order, nothing committed is lost."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        interval_ms = self.cabinet.journal.interval_s * 1000
        async with asyncio.TaskGroup() as group:
            writer = group.create_task(self._watched("writer", 30.0))
            buses = [group.create_task(supervise(poller, name, interval_ms, self.progress))
                     for name, poller in self.pollers.items()]
            services = [
                group.create_task(self._keep("uplink", 150.0, self.uplink.run)),
                group.create_task(self._keep("figures", 60.0, self._figures)),
                group.create_task(self._keep("status", 60.0, self._statuses)),
                group.create_task(watch(self.progress, self.notifier))]
            self.notifier.send("READY=1")
            LOG.info("%s runs: %d devices on %d buses, boot %d", self.cabinet.site.cabinet,
                     len(self.cabinet.devices), len(buses), self.writer.journal.boot)
            await self.stop.wait()
            await self._stop(buses, writer)
            for service in services:
                service.cancel()
        self.store.close()

    async def _stop(self, buses: list[asyncio.Task[None]], writer: asyncio.Task[None]) -> None:
        """Stop polling, commit and seal, then give the uplink a while to hand it over."""
        LOG.info("stopping: polling ends, then commit, seal and drain")
        self.notifier.send("STOPPING=1")
        for poller in self.pollers.values():
            poller.stop.set()
        _, late = await asyncio.wait(buses, timeout=BUS_STOP_S)
        for bus in late:
            bus.cancel()
        self.writer.stop()
        await writer
        drained = await self.uplink.drained(self.drain_s)
        self.writer.finish()
        LOG.info("stopped; %s", "the fleet has everything" if drained else
                 f"{self.uplink.outbox.waiting()} batches wait on flash for the next start")
        write_status(self.cabinet.status_file, self.status("stopped"))

    async def _watched(self, name: str, limit_s: float) -> None:
        self.progress.expect(name, limit_s)
        self.writer.beat = lambda: self.progress.beat(name)
        await self.writer.run()

    async def _keep(self, name: str, limit_s: float,
                    service: Callable[[], Awaitable[None]]) -> None:
        """Run a service for ever; a crash of it is logged and does not reach the others."""
        self.progress.expect(name, limit_s)
        if name == "uplink":
            self.uplink.beat = lambda: self.progress.beat(name)
        wait_s = 1.0
        while True:
            try:
                await service()
            except Exception:
                LOG.exception("%s crashed; next: report this; again in %g s", name, wait_s)
            self.progress.beat(name)
            await asyncio.sleep(min(wait_s, limit_s / 2))
            wait_s = min(2 * wait_s, RESTART_S_MAX)

    async def _figures(self) -> None:
        """Move the live books on, in steps of the live interval."""
        while True:
            self.live.advance(self.clock.ticks_ms(), self.clock.state())
            self.progress.beat("figures")
            left_s = max(self.clock.seconds(self.cabinet.uplink.live_s), LIVE_S_MIN)
            await pause(min(left_s, 20.0))

    async def _statuses(self) -> None:
        """Replace the status file every few seconds."""
        while True:
            write_status(self.cabinet.status_file, self.status("running"))
            self.progress.beat("status")
            await pause(STATUS_S)

    def _committed(self, scans: list[Scan]) -> None:
        """Show what is durable now."""
        self.live.board.take(scans)
        self.uplink.refresh()

    def _message(self) -> dict[str, Any]:
        journal = self.writer.journal
        moment = Moment(self.clock.ticks_ms(), self.clock.state(), journal.boot,
                        journal.durable_seq, self._journal_brief())
        return self.live.message(moment)

    def _journal_brief(self) -> dict[str, Any]:
        journal = self.writer.journal
        return {"durable_seq": journal.durable_seq,
                "acknowledged_seq": self.uplink.outbox.acknowledged_seq,
                "batches_waiting": self.uplink.outbox.waiting(), "state": journal.state}

    def status(self, state: str) -> dict[str, Any]:
        """Return the status; state: running or stopped.  docs/operations.md explains it."""
        counts, clock = self.store.counts(), self.clock.state()
        known = clock.source != CLOCK_UNKNOWN
        status: dict[str, Any] = {
            "v": 1, "state": state, "pid": os.getpid(), "software": SOFTWARE,
            "written_unix_s": round(self.clock.unix_s(), 3),
            "cabinet": self.cabinet.site.cabinet, "config": self.cabinet.config_hash.hex(),
            "clock": {"utc": rfc3339(self.clock.utc_ms()) if known else None,
                      "source": source_name(clock),
                      "uncertainty_s": clock.uncertainty_ms / 1000},
            "journal": self.writer.journal.stats() | self._journal_brief() | {
                "device_bytes": counts.blocks_touched * BLOCK_BYTES,
                "bytes_written": counts.bytes_written, "syncs": counts.syncs}
            | {f"writer_{key}": value for key, value in self.writer.counts.items()}
            | self.writer.room.status(),
            "uplink": {"state": self.uplink.state, "reason": self.uplink.reason,
                       "alarms": sorted(self.uplink.alarms), **self.uplink.counts},
            "buses": [{"name": name, "fault": poller.fault, **poller.counts}
                      for name, poller in self.pollers.items()],
            "devices": [self._unit(unit) for poller in self.pollers.values()
                        for unit in poller.units],
            "process": {"rss_kib": rss_kib(), "cpu_s": round(cpu_s(), 3),
                        "up_s": round(self.clock.real_s() - self._started_s, 1)},
            "stalled": self.progress.stalled(), "battery": self.live.carried(),
        }
        status["words"] = statuses.words(status)
        return status

    def _unit(self, unit: Unit) -> dict[str, Any]:
        return {"name": unit.name, "state": unit.state, "serial": unit.serial,
                "timeout_s": round(unit.timeout.value_s, 3), "error": unit.last_error,
                "counts": unit.counts}


async def run(cabinet: Cabinet, witness: Path | None = None) -> None:
    """Build and run a gateway until it is asked to stop."""
    cpython_fast_paths.use()
    gateway = Gateway(cabinet, witness)
    # What was built lives as long as the process, and scans hold no cycles: a collector that
    # looks at all of it again and again would take a fifth of the CPU.
    gc.collect()                    # what building left in circles would stay for ever
    gc.freeze()
    gc.set_threshold(*COLLECT)
    await gateway.run()
