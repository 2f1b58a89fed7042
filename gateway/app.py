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
from collections.abc import Mapping
from pathlib import Path

from drivers.links import BusConfig, open_link
from gateway.aio.keep_alive import Beat, Progress, Service, keep_alive, pause
from gateway.config.build import with_serials
from gateway.config.values import CabinetSettings
from gateway.core.event import Committed, JournalBegun
from gateway.core.evidence.batch import CODEC_DEFLATE
from gateway.core.journal.downsampled_files import DownsampledBatches
from gateway.core.journal.journal import Journal, JournalOpening, Sealer
from gateway.core.journal.successor import Standby
from gateway.core.reading import CLOCK_UNKNOWN
from gateway.delivery.live_lane import LIVE_S_MIN
from gateway.delivery.uplink import SILENT_S, Uplink
from gateway.ledger.factors import factors
from gateway.live import battery_checkpoint
from gateway.live.figures import LatestFigures, LiveSite, Moment, source_name
from gateway.polling import identity
from gateway.polling.line import BusLine
from gateway.polling.poller import BusPoller
from gateway.polling.unit import PolledUnit, Timeout
from gateway.service import liveness, stopping
from gateway.service import status as statuses
from gateway.service.health import Notifier, cpu_s, rss_kib, watch, write_status
from gateway.service.receipt_age import ReceiptAge
from gateway.signer import EvidenceSigner, Verifier
from gateway.storage import cpython_fast_paths, succession
from gateway.storage.deflate import deflate
from gateway.storage.folder_check import folder_faults
from gateway.storage.restart import known_utc_ms, last_read_utc_ms
from gateway.storage.retention import CounterLimits, Retention
from gateway.storage.serials import Serials
from gateway.storage.store import BLOCK_BYTES, FlashStore
from gateway.storage.succession import Succession
from gateway.storage.writer import JournalWriter, Witness, WriteRules
from gateway.timekeeping.clock import Clock, rfc3339
from gateway.tls import tls_context

LOG = logging.getLogger("wattproof")
SOFTWARE = "wattproof 0.1.0"
STATUS_S = 10.0                 # real
BUS_STOP_S = 5.0                # real: the longest exchange, drain included
DRAIN_S = 10.0                  # real: at a stop, until the fleet has everything
MIB = 1 << 20
COLLECT = (20_000, 20, 20)      # container objects between looks for cycles, by generation


class Gateway:
    """One run of one cabinet: its parts, and how they are started and stopped."""

    def __init__(self, cabinet: CabinetSettings, witness: Path | None = None) -> None:
        """Build everything; raises ConfigError or StoreError before anything runs."""
        signer, verifier = EvidenceSigner.load(cabinet.evidence_key), Verifier.load(
            cabinet.uplink.receipt_key)
        tls_context(cabinet.uplink)                 # stop now if the files do not fit
        self.store = FlashStore(cabinet.journal.directory)
        for fault in folder_faults(cabinet.journal.directory):
            LOG.error("%s; the gateway runs all the same and keeps records in memory", fault)
        self.cabinet = cabinet = with_serials(cabinet, Serials(self.store).known)
        latest_figures = LatestFigures(cabinet)
        self.clock = Clock(cabinet.scale, floor_ms=known_utc_ms(self.store),
                           temperature_c=latest_figures.temperature_c)
        self.live = LiveSite(cabinet, factors.load(cabinet.factors), battery_checkpoint.read(
            cabinet.status_file, cabinet.configured_hash.hex(), self.clock.state(),
            self.clock.ticks_ms()), latest_figures)
        standby = Standby(self.store, self._opening(), DownsampledBatches)
        journal = standby.open()
        self.writer = self._writer(journal, standby, Sealer(
            signer.kid, signer.sign, deflate, CODEC_DEFLATE))
        self.writer.subscribe(Witness(witness).note)
        self.writer.subscribe(self._show)
        self._receipt_age = ReceiptAge(
            self.clock.seconds(cabinet.journal.batch_minutes * 60), journal.recovered_seq,
            self.clock.real_s())
        self.uplink = Uplink(cabinet.site.cabinet, cabinet.uplink, self.writer, verifier)
        last_read = last_read_utc_ms(journal)
        self.pollers = {bus.name: self._poller(bus, last_read) for bus in cabinet.buses}
        self.progress, self.notifier = Progress(self.clock.real_s), Notifier()
        self.stop, self.drain_s = asyncio.Event(), DRAIN_S

    def _opening(self) -> JournalOpening:
        cabinet = self.cabinet
        return JournalOpening(
            cabinet.site.cabinet, cabinet.schema, cabinet.config_hash, cabinet.descriptor,
            SOFTWARE, lambda: os.urandom(16), self.clock.state(), self.clock.ticks_ms())

    def _writer(self, journal: Journal, standby: Standby, sealer: Sealer) -> JournalWriter:
        settings = self.cabinet.journal

        def retention(of: Journal) -> Retention:
            known = CounterLimits(self.cabinet.config_hash, self.cabinet.descriptor)
            return Retention(of, self.store, settings.keep_mib * MIB, sealer, known)

        def successor(old: Journal, low_water: int) -> tuple[Journal, Retention]:
            new = succession.begin_successor(old, self._opening(), low_water)
            return new, retention(new)

        def go_on(waiting: Journal) -> tuple[Journal, Retention] | None:
            self.cabinet = with_serials(self.cabinet, Serials(self.store).known)
            standby.configure(self.cabinet.config_hash, self.cabinet.descriptor)
            found = standby.go_on(waiting, self._declare)
            return None if found is None else (found, retention(found))
        return JournalWriter(journal, self.clock, WriteRules(
            settings.loss_window_s, settings.batch_minutes, sealer), retention(journal),
            Succession(successor, go_on))

    def _declare(self, journal: Journal) -> None:
        """Declare in a journal that could not be read at the start what is declared there: each
        device's absence, and meters that were exchanged meanwhile."""
        self.clock.raise_floor(known_utc_ms(self.store))
        last_read, serials = last_read_utc_ms(journal), Serials(self.store).known
        for poller in self.pollers.values():
            events = poller.absences(last_read)
            for unit in poller.units:
                events += identity.found_later(unit, serials.get(unit.name, ""))
                unit.serial = unit.serial or serials.get(unit.name, "")
            for event in events:
                journal.append_event(event.ticks_ms, event.kind, event.body)

    def _poller(self, bus: BusConfig, last_read: Mapping[str, int]) -> BusPoller:
        serials = Serials(self.store).known
        units = [PolledUnit(device.name, stream, self.cabinet.drivers[stream],
                            Timeout(float(bus.timeout_s),
                                    self.cabinet.drivers[stream].answer_ms_max / 1000),
                            serial=serials.get(device.name, ""))
                 for stream, device in enumerate(self.cabinet.devices) if device.bus == bus.name]
        return BusPoller(BusLine(bus, self.clock, open_link), units, self.clock,
                         self.writer.waiting.put, last_read)

    async def run(self) -> stopping.Stopped:
        """Run until SIGTERM or SIGINT; then stop in order, nothing committed is lost.  SIGHUP lets
        the uplink read its files again."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop.set)
        loop.add_signal_handler(signal.SIGHUP, self.uplink.read_files_again)
        interval_ms = self.cabinet.journal.interval_s * 1000
        async with asyncio.TaskGroup() as group:
            # A crash of the writer ends the process: evidence has no second owner.
            writer = group.create_task(self.writer.run(self.progress.expect("writer", 30.0)))
            buses = [self._keep(group, poller.service(name, interval_ms))
                     for name, poller in self.pollers.items()]
            services = [self._keep(group, service) for service in (
                Service("uplink", lambda beat: self.uplink.run(beat, self.message), SILENT_S),
                Service("figures", self._figures, 60.0),
                Service("status", self._statuses, 60.0))]
            services.append(group.create_task(watch(self.progress, self.notifier)))
            self.notifier.send("READY=1")
            LOG.info("%s runs: %d devices on %d buses, boot %d", self.cabinet.site.cabinet,
                     len(self.cabinet.devices), len(buses), self.writer.journal.boot)
            await self.stop.wait()
            stopped = await self._stop(buses, writer)
            for service in services:
                service.cancel()
        self.store.close()
        return stopped

    async def _stop(self, buses: list[asyncio.Task[None]],
                    writer: asyncio.Task[None]) -> stopping.Stopped:
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
        Serials(self.store).keep(self._serials())
        await self.uplink.drained(self.drain_s)
        if self.writer.finish():            # the uplink raised an alarm meanwhile
            await self.uplink.drained(self.drain_s)
            self.writer.finish()
        outbox = self.uplink.outbox
        stopped = stopping.ended(self.writer.journal, outbox.acknowledged_seq, outbox.waiting())
        LOG.log(logging.ERROR if stopped.lost else logging.INFO, "%s", stopping.text(stopped))
        write_status(self.cabinet.status_file, self.status("stopped"))
        return stopped

    def _keep(self, group: asyncio.TaskGroup, service: Service) -> asyncio.Task[None]:
        """Start a task that a crash does not end; from now on it must beat."""
        beat = self.progress.expect(service.name, service.silent_s)
        return group.create_task(keep_alive(service, beat))

    async def _figures(self, beat: Beat) -> None:
        """Move the live books on, in steps of the live interval."""
        while True:
            self.live.advance(self.clock.ticks_ms(), self.clock.state())
            beat()
            left_s = max(self.clock.seconds(self.cabinet.uplink.live_s), LIVE_S_MIN)
            await pause(min(left_s, 20.0))

    async def _statuses(self, beat: Beat) -> None:
        """Replace the status file every few seconds."""
        serials = Serials(self.store)
        while True:
            write_status(self.cabinet.status_file, self.status("running"))
            serials.keep(self._serials())
            beat()
            await pause(STATUS_S)

    def _serials(self) -> dict[str, str]:
        return {unit.name: unit.serial for poller in self.pollers.values()
                for unit in poller.units}

    def _show(self, event: object) -> None:
        """Show what is durable now."""
        self._receipt_age.note(event, self.clock.real_s())
        if isinstance(event, Committed):
            self.live.add(event.scans)
        elif isinstance(event, JournalBegun):
            self._receipt_age.begin(event.recovered_seq)

    def message(self) -> dict[str, object]:
        """Return the live message of now."""
        journal = self.writer.journal
        moment = Moment(self.clock.ticks_ms(), self.clock.state(), journal.boot,
                        journal.durable_seq, self._journal_brief())
        return self.live.message(moment)

    def _journal_brief(self) -> dict[str, object]:
        journal = self.writer.journal
        return {"durable_seq": journal.durable_seq,
                "acknowledged_seq": self.uplink.outbox.acknowledged_seq,
                "batches_waiting": self.uplink.outbox.waiting(), "state": journal.state}

    def status(self, state: str) -> dict[str, object]:
        """Return the status; state: running or stopped.  docs/operations.md explains it."""
        counts, clock = self.store.counts(), self.clock.state()
        known = clock.source != CLOCK_UNKNOWN
        status: dict[str, object] = {
            "v": 1, "state": state, "pid": os.getpid(), "process_mark": liveness.mark(os.getpid()),
            "software": SOFTWARE, "written_unix_s": round(self.clock.unix_s(), 3),
            "written_up_s": round(self.clock.real_s(), 3),
            "cabinet": self.cabinet.site.cabinet, "config": self.cabinet.config_hash.hex(),
            "configured": self.cabinet.configured_hash.hex(),
            "clock": {"utc": rfc3339(self.clock.utc_ms()) if known else None,
                      "source": source_name(clock),
                      "uncertainty_s": clock.uncertainty_ms / 1000},
            "journal": self.writer.journal.stats() | self._journal_brief() | {
                "device_bytes": counts.blocks_touched * BLOCK_BYTES,
                "bytes_written": counts.bytes_written, "syncs": counts.syncs}
            | {f"writer_{key}": value for key, value in self.writer.counts.items()}
            | self.writer.retention.status(),
            "uplink": {"state": self.uplink.state, "reason": self.uplink.reason,
                       "alarms": sorted(self.uplink.alarms),
                       "receipts_word": self._receipt_age.word(
                           self.uplink.outbox.acknowledged_seq, self.clock.real_s(),
                           self.uplink.state == "online"),
                       **self.uplink.counts},
            "buses": [{"name": name, "fault": poller.fault, **poller.counts}
                      for name, poller in self.pollers.items()],
            "devices": [self._unit(unit) for poller in self.pollers.values()
                        for unit in poller.units],
            "process": {"rss_kib": rss_kib(), "cpu_s": round(cpu_s(), 3),
                        "up_s": round(self.clock.real_s() - self._receipt_age.began_s, 1)},
            "above_limit": self.live.limits.status(),
            "stalled": self.progress.stalled(), "battery": self.live.battery_checkpoint(),
        }
        status["words"] = statuses.conditions(status)
        return status

    def _unit(self, unit: PolledUnit) -> dict[str, object]:
        return {"name": unit.name, "state": unit.state, "trouble": unit.trouble,
                "serial": unit.serial, "timeout_s": round(unit.timeout.value_s, 3),
                "error": unit.last_error, "counts": unit.counts}


async def run(cabinet: CabinetSettings, witness: Path | None = None) -> stopping.Stopped:
    """Build and run a gateway until it is asked to stop; return how it ended."""
    cpython_fast_paths.install()
    gateway = Gateway(cabinet, witness)
    # What was built lives as long as the process, and scans hold no cycles: a collector that
    # looks at all of it again and again would take a fifth of the CPU.
    gc.collect()                    # what building left in circles would stay for ever
    gc.freeze()
    gc.set_threshold(*COLLECT)
    return await gateway.run()
