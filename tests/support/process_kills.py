"""A journal on a real disk, in a process that is killed: what it was told, what is there.

The process lives through random steps of `journal_world.World` on the product's own store and
tells every return value into a pipe, the witness: what it is about to write before it writes,
what counts as durable after the call has returned.  The killer reads along, kills it after a
random note, copies the disk at that moment and holds both, the disk of the machine that goes
on and the copy, to every word.
"""

import multiprocessing
import os
import pickle
import random
import time
from pathlib import Path

from gateway.core.evidence import batch
from gateway.storage.store import FlashStore
from tests.support import loop_disk
from tests.support.journal_world import (
    GOOD_CLOCK,
    Promise,
    World,
    go_on,
    hold,
    open_journal,
    start_on,
    verify,
)
from tests.support.uncommitted import uncommitted

DISK_KIB = 16384
NOTES = (3, 160)            # killed after so many notes at least, at most
LATER_S = 0.012             # and up to so much later: some commits take that long
LIFE_S_MAX = 60             # a writer that says nothing for so long hangs
STEPS = "ssssslcccccceeatzk"
NOTHING = Promise(0, (), (), 0, (0,), ())


class Telling(World):
    """A World on the real store that tells its witness."""

    def __init__(self, store, promise, pipe):
        """promise: what was known of this journal before.  pipe: a Connection to send to."""
        super().__init__(store)
        self.recall(promise)
        self._pipe, self._told = pipe, [len(promise.appended), len(promise.sealed)]

    def start(self):
        """Start (again) on the same directory."""
        self.journal = open_journal(self.store)
        self.appended = self.appended[:uncommitted(self.journal)[0].seq - 1]
        self._told[0] = min(self._told[0], len(self.appended))
        self._note_own_events()
        return self

    def tell(self):
        """Tell what is new since the last time."""
        kept, sealed = self._told
        self._told = [len(self.appended), len(self.sealed)]
        self._pipe.send_bytes(pickle.dumps((
            kept, self.appended[kept:], self.sealed[sealed:],
            (self.durable, self.dropped_to, self.marks[-2:], self.boots))))

    def step(self, chance, number):
        """Do one thing, told before and after."""
        what = chance.choice(STEPS)
        if what == "s":
            self.scans(chance.randint(1, 6), 100 * number)
        elif what == "l":
            self.noise(chance.choice((40, 300)), 1000 * number)
        elif what == "z":
            self._note_own_events()
            self.journal.set_clock(GOOD_CLOCK._replace(uncertainty_ms=number))
        else:
            self._flash(what)

    def _flash(self, what):
        self._note_own_events()
        if what == "a":
            self.marks += (self.journal.sealed_seq,)
        if what == "t":
            self.dropped_to = max(self.dropped_to, self.marks[-1])
        self.tell()
        {"c": self.commit, "e": self.seal, "a": self.acknowledge, "t": self.trim,
         "k": self.start}[what]()
        self.tell()


class Forgetful(FlashStore):
    """The planted mistake: what counts as synced lies in the cache only."""

    def sync(self, name):
        """Do nothing."""

    def sync_dir(self):
        """Do nothing."""


def live(store, directory, promise, pipe, seed):
    """Write for ever; the way out is SIGKILL.  store: the class of the door to flash."""
    chance, number = random.Random(seed), 0
    world = Telling(store(directory), promise, pipe).start()
    while True:
        number += 1
        world.step(chance, number)


class Killer:
    """One disk and the promises of all the processes that died on it."""

    def __init__(self, folder: Path, seed: int, store: type[FlashStore] = FlashStore) -> None:
        """folder: for the image and the mount.  seed: of kill moments and workloads."""
        self.promise, self.seen = NOTHING, {"kills": 0, "notes": 0, "open commit kept": 0}
        self._store = store
        self._image, self._copy = folder / "disk.img", folder / "copy.img"
        self._place, self._chance = folder / "disk", random.Random(seed)
        self._context = multiprocessing.get_context("forkserver")
        self._context.set_forkserver_preload([__name__])
        loop_disk.make_image(self._image, DISK_KIB)

    def kill_once(self):
        """Let a process live and kill it; hold what is left to what it was told."""
        with loop_disk.mounted(self._image, self._place):
            self._live_and_die()
            self._check()
        with loop_disk.mounted(self._copy, self._place):
            later = self._check()
        self.seen["kills"] += 1
        gone = [item for item in later.sealed
                if batch.open_sealed(item[1])[1].last_seq <= later.dropped_to]
        self.promise = later._replace(sealed=later.sealed[len(gone):], marks=later.marks[-2:])
        os.replace(self._copy, self._image)

    def _live_and_die(self):
        hear, tell = self._context.Pipe(duplex=False)
        process = self._context.Process(target=live, args=(
            self._store, self._place / "journal", self.promise, tell, self._chance.random()))
        process.start()
        tell.close()
        try:
            for _ in range(self._chance.randint(*NOTES)):
                hold(hear.poll(LIFE_S_MAX), "writer", "says nothing any more")
                self._note(hear)
            time.sleep(self._chance.uniform(0, LATER_S))
        finally:
            process.kill()
        loop_disk.copy_at_once(self._image, self._copy)
        while self._note(hear):
            pass
        process.join()
        hold(process.exitcode == -9, "writer", f"ended by itself: {process.exitcode}")

    def _note(self, hear):
        """Take one note; return False when there is none, or only the torn half of one."""
        try:
            note = pickle.loads(hear.recv_bytes())
        except (EOFError, OSError):
            return False
        kept, records, sealed, (durable, dropped_to, marks, boots) = note
        old = self.promise
        self.promise = Promise(durable, old.appended[:kept] + records, old.sealed + sealed,
                               dropped_to, old.marks[-2:] + marks, boots)
        self.seen["notes"] += 1
        return True

    def _check(self):
        """Start on what is there, all promises held, and write on; return the new promise."""
        store = FlashStore(self._place / "journal")
        try:
            found = start_on(store)[1]
            kept = bool(found) and found[-1].seq > self.promise.durable
            self.seen["open commit kept"] += kept
            return go_on(verify(store, self.promise), self.promise)
        finally:
            store.close()
