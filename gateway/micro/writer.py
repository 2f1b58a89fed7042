"""The task that owns a board's journal: append, commit, seal; as storage/writer.py, by the same
policy (gateway/core/journal/policy.py).

Signing takes a board up to seconds, so `seal` asks the journal twice: the first time the signer
only notes what is to be signed, then the signature is made step by step while polling goes on,
the second time it is there.  Nothing is committed in between, hence both ask for equal bytes.
"""

import asyncio
import gc

from gateway.core.codec.record import CLOCK, GAP
from gateway.core.evidence.batch import CODEC_RAW
from gateway.core.journal import policy
from gateway.core.journal.journal import Sealer
from gateway.core.types import TYPE_CHECKING
from gateway.micro.ed25519 import sign_steps

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from gateway.core.journal.journal import Journal
    from gateway.core.reading import Values
    from gateway.micro.clock import BoardClock

WAITING_MAX = 64            # scans while a batch is signed
READINGS_MAX = 128          # unsealed, then a batch is sealed early: it must fit in the heap
CHECK_MS = 20                # real: how often the writer looks
RETRY_MS = 1000             # real: after a failed flash operation


class SignatureWanted(Exception):
    """A signature is wanted that is not made yet."""


class BoardSigner:
    """The evidence key of a board.  seed, public: 32 bytes each; kid: 8 bytes."""

    def __init__(self, seed: bytes, public: bytes, kid: bytes) -> None:
        self._seed, self._public = seed, public
        self._data = b""
        self._signature: bytes | None = None
        self.sealer = Sealer(kid, self._sign, None, CODEC_RAW)  # type: ignore[arg-type]  # raw

    def _sign(self, data: bytes) -> bytes:
        """Return the signature if it was made, else note the bytes and raise SignatureWanted."""
        if data != self._data or self._signature is None:
            self._data, self._signature = data, None
            raise SignatureWanted()
        signature, self._data, self._signature = self._signature, b"", None
        return signature

    async def work(self) -> None:
        """Make the signature that was wanted last, a step at a time."""
        steps = sign_steps(self._seed, self._public, self._data)
        try:
            while True:
                next(steps)
                await asyncio.sleep_ms(0)  # type: ignore[attr-defined]
        except StopIteration as stop:
            self._signature = stop.value


class BoardWriter:
    """Owns the journal.  times: (commit ms, batch ms), scaled.  log: callable for a line."""

    def __init__(self, journal: "Journal", clock: "BoardClock", signer: BoardSigner,
                 times: "Sequence[int]",
                 log: "Callable[[str], None]") -> None:
        self.journal, self._clock, self._signer, self._log = journal, clock, signer, log
        self._schedule = policy.Schedule(times[0], times[1], READINGS_MAX)
        # (ticks_ms, stream, values, True) or (ticks_ms, kind, body, False)
        self._waiting: "list[tuple[int, int, Any, bool]]" = []
        self._gap: list[object] | None = None   # body of a GAP that found no room yet
        self.lost = 0

    def scan(self, ticks_ms: int, stream: int, values: "Values") -> None:
        """Take a scan; one that finds no room is counted and leaves a declared gap."""
        if len(self._waiting) < WAITING_MAX:
            self._waiting.append((ticks_ms, stream, values, True))
        else:
            self.lost += 1

    def event(self, ticks_ms: int, kind: int, body: list[object]) -> None:
        """Take an event; it is committed at once."""
        self._waiting.append((ticks_ms, kind, body, False))

    async def run(self) -> None:
        """Write for ever.  Flash errors do not end it; the journal knows what to do."""
        self._commit()
        await self._seal()              # what earlier boots left, and our own BOOT
        self._schedule.sealed(self._clock.ticks_ms(), self._clock.utc_ms())
        while True:
            await asyncio.sleep_ms(CHECK_MS)  # type: ignore[attr-defined]
            urgent = self.take()
            action = self._schedule.action(
                self._clock.ticks_ms(), self.journal.unsealed_readings, urgent)
            if action == policy.SEAL:
                self._commit()
                await self._seal()
                self._check_clock()
                self._schedule.sealed(self._clock.ticks_ms(), self._clock.utc_ms())
            elif action == policy.COMMIT:
                self._commit()
            if self.journal.state != "ok":
                await asyncio.sleep_ms(RETRY_MS)  # type: ignore[attr-defined]

    def take(self) -> bool:
        """Append what waits; return True if an event was among it."""
        urgent = False
        waiting, self._waiting = self._waiting, []
        for ticks_ms, what, content, is_scan in waiting:
            self._schedule.record(ticks_ms)
            if is_scan:
                self.journal.append_scan(ticks_ms, what, content)
            else:
                self._append_event(ticks_ms, what, content)
                urgent = True
        if self._gap:
            body, self._gap = self._gap, None
            self._append_event(self._clock.ticks_ms(), GAP, body)
        if self.lost:
            self.journal.append_event(self._clock.ticks_ms(), GAP, [
                -1, None, None, "no room: %d scans dropped" % self.lost])
            self.lost = 0
        return urgent

    def _append_event(self, ticks_ms: int, kind: int, body: list[object]) -> None:
        """Append an event; gaps that find no room become one that is told when there is."""
        if self.journal.append_event(ticks_ms, kind, body) or kind != GAP:
            return
        self._gap = [-1, self._gap[1], body[2], self._gap[3]] if self._gap else body

    def _commit(self) -> None:
        durable = self.journal.commit()
        if durable >= self.journal.last_seq:
            self._schedule.committed()
        self._log("durable %d" % durable)

    async def _seal(self) -> None:
        """Seal until nothing is left; polling goes on while a signature is made."""
        gc.collect()                    # sealing takes more memory than anything else
        while True:
            try:
                number = self.journal.seal(self._signer.sealer)
            except SignatureWanted:
                await self._signer.work()
                continue
            except MemoryError:             # nothing was changed: again when others use less
                gc.collect()
                self._log("no room to seal yet")
                return
            if number is None:
                return
            self._log("sealed %d up to %d" % (number, self.journal.sealed_seq))

    def _check_clock(self) -> None:
        state = self._clock.observe()
        if state is not None:
            self.journal.set_clock(state)
            self.event(state.anchor_ticks_ms, CLOCK, list(state) + ["wall and ticks parted"])
