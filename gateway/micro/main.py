"""A board's gateway: builds everything from the files of its image and runs it.

    /board.cbor           what provisioning compiled from cabinet.toml and the profiles
    /keys/*               DER files of TLS, raw keys of evidence and receipts
    /journal/             the journal

Standard output is the board's console: `durable N` after each commit (the witness of tests and
demo), `sealed N up to S`, `heap ...`, and what went wrong.
"""

import asyncio
import gc
import os
import sys

from drivers.modbus import TcpReads
from gateway.core.codec import cbor
from gateway.core.codec.record import GAP, is_event
from gateway.core.codec.schema import decode_schema
from gateway.core.errors import DeviceError, WattproofError
from gateway.core.evidence import batch
from gateway.core.journal import journal
from gateway.core.reading import utc_ms
from gateway.core.types import TYPE_CHECKING
from gateway.micro import mqtt
from gateway.micro.bus import TcpBus
from gateway.micro.clock import BoardClock
from gateway.micro.meter import Meter
from gateway.micro.store import BoardStore
from gateway.micro.uplink import BoardUplink
from gateway.micro.writer import BoardSigner, BoardWriter

if TYPE_CHECKING:
    from typing import Any

    BoardTable = dict[str, Any]

SOFTWARE = "wattproof-micro 0.1.0"
HEAP_MS = 5000              # real: how often the heap is told


def load(name: str) -> bytes:
    """Return the bytes of a file of the image."""
    with open("/" + name, "rb") as file:
        return file.read()


def print_line(text: str) -> None:
    """Print a line to the console."""
    print(text)


def open_journal(table: "BoardTable", clock: BoardClock) -> journal.Journal:
    """Return the Journal of this board; what only a start needs is out of memory afterwards."""
    opened = journal.Journal.open(BoardStore("/journal", table["slot_bytes"]),
                                  journal.JournalOpening(
        table["device"], decode_schema(table.pop("schema")), table["config_hash"],
        table.pop("descriptor"), SOFTWARE, lambda: os.urandom(16), clock.state(),
        clock.ticks_ms()),
        table["slot_bytes"], table["ram_bytes"])
    release_heap()
    return opened


def release_heap() -> None:
    """Drop the code that only a start needs: `provisioning image` put it into a file of its own."""
    sys.modules.pop("start", None)
    gc.collect()


class BoardGateway:
    """Everything of one run.  table: the content of board.cbor."""

    def __init__(self, table: "BoardTable") -> None:
        self._table = table
        self._clock = BoardClock(table["clock"])
        self._journal = open_journal(table, self._clock)
        host, port, timeout_ms = table["bus"]
        self._bus = TcpBus(host, port, timeout_ms, self._clock)
        wire = TcpReads()
        self._meters = [Meter(wire, meter) for meter in table.pop("meters")]
        keys = load("keys/evidence.raw")
        self._writer = BoardWriter(self._journal, self._clock, BoardSigner(
            keys[:32], keys[32:64], table["kid"]), table["times"], print_line)
        fleet = load("keys/receipt.raw")
        self._uplink = BoardUplink(table["device"], self._writer, self._clock, (fleet[:8], (
            int.from_bytes(fleet[8:40], "big"), int.from_bytes(fleet[40:72], "big"))),
            table["keep_bytes"])

    async def run(self) -> None:
        """Run for ever."""
        tls = mqtt.context(load("keys/ca.der"), load("keys/tls.der"), load("keys/tls.key.der"))
        self._absent_utc_ms = self._last_utc_ms()
        gc.collect()
        print_line("boot %d of %s" % (self._journal.boot, self._table["device"]))
        await asyncio.gather(
            self._writer.run(), self._poll(), self._tell_heap(),
            self._uplink.run(self._table["broker"], tls, print_line))

    async def _poll(self) -> None:
        """Ask all meters once an interval; a round that comes late leaves a declared gap."""
        clock, step_ms = self._clock, self._table["interval_ms"]
        due_ms = clock.ticks_ms()
        while True:
            left_ms = due_ms - clock.ticks_ms()
            if left_ms > 0:
                await asyncio.sleep_ms(left_ms // clock.speed + 1)  # type: ignore[attr-defined]
            elif -left_ms >= step_ms:
                self._gap(utc_ms(clock.state(), due_ms), due_ms - left_ms, "polling was late")
                due_ms += -left_ms // step_ms * step_ms
            for stream in range(len(self._meters)):
                await self._poll_one(stream)
            due_ms += step_ms

    async def _poll_one(self, stream: int) -> None:
        steps, taken_ms = self._meters[stream].poll(), None
        try:
            question = next(steps)
            while True:
                try:
                    began_ms = await self._bus.exchange(question)
                    taken_ms = taken_ms or began_ms
                    question = steps.send(question.result)
                except DeviceError as error:
                    question = steps.throw(error)
        except StopIteration as stop:
            taken_ms = taken_ms or self._clock.ticks_ms()
            if self._absent_utc_ms is not None:     # with the first scan: it ends the gap
                self._gap(self._absent_utc_ms, taken_ms, "the board was off")
                self._absent_utc_ms = None
            self._writer.scan(taken_ms, stream, stop.value)

    def _gap(self, from_utc_ms: int | None, to_ms: int, why: str) -> None:
        to_utc_ms = utc_ms(self._clock.state(), to_ms)
        self._writer.event(to_ms, GAP, [-1, from_utc_ms, to_utc_ms, why])

    def _last_utc_ms(self) -> int | None:
        """Return when the newest scan on flash was taken, None if that is not known."""
        newest = None
        for context, item in self._journal.replay():
            if not is_event(item):
                newest = utc_ms(context.clock, item.ticks_ms)
        for number in reversed(self._journal.batch_numbers()):
            if newest is not None:
                break
            newest = self._newest_in(number)        # a batch may hold nothing but a BOOT
        return newest

    def _newest_in(self, number: int) -> int | None:
        newest = None
        try:
            content = batch.open_sealed(self._journal.read_batch(number))[1]
            for item in batch.open_body(content, None)[1]:  # type: ignore[arg-type]  # raw
                if not is_event(item):
                    newest = utc_ms(content.clock, item.ticks_ms)
        except WattproofError as error:
            print_line("batch %d: %s" % (number, error))
        return newest

    async def _tell_heap(self) -> None:
        while True:
            gc.collect()
            print_line("heap %d used %d free" % (gc.mem_alloc(), gc.mem_free()))  # type: ignore[attr-defined]
            await asyncio.sleep_ms(HEAP_MS)  # type: ignore[attr-defined]


def run() -> None:
    """Boot: called by main.mpy."""
    gc.threshold(8192)  # type: ignore[attr-defined]  # keeps the free memory in one piece; the most valuable line here
    asyncio.run(board().run())


def board() -> BoardGateway:
    """Return the BoardGateway of this image; a function of its own, so that its rubbish goes at
    once."""
    return BoardGateway(cbor.decode(load("board.cbor"), 8))
