"""Power cuts at every operation of a workload: cases, each an image and what it must hold.

One case = one image that a cut can leave + a start on it, all promises held, more records
written, a second cut, and another start.  Images that are equal are run once per operation.
"""

import random

from gateway.core import frame
from tests.support.flaky_store import DAMAGE, FlakyStore, Snapshot, image_after_cut
from tests.support.journal_world import GOOD_CLOCK, World, go_on, verify


def two_hours(world):
    """A life: commits, seals, receipts, a clock that becomes known, trims, three starts."""
    world.start()
    for i in range(6):
        world.scans(3, 10 * i)
        world.commit()
    world.seal()
    world.acknowledge()
    world.scans(40, 100)
    world.commit()
    world.seal()
    world.trim()
    world.scans(4, 200)
    world.commit()
    world.start()                       # killed, no power cut: unsealed records stay
    world.scans(5, 300)
    world.commit()
    world.journal.set_clock(GOOD_CLOCK)
    world.scans(5, 350)
    world.commit()
    world.seal()
    world.acknowledge()
    world.trim()
    for i in range(4):
        world.scans(240 if i == 2 else 60, 400 + 100 * i)
        world.commit()
        world.seal()
    world.acknowledge()
    world.stop()
    world.seal()
    world.start()
    world.scans(3, 900)
    world.commit()


def any_life(seed):
    """Return a workload of 40 random steps; large commits need several frames."""
    def steps(world):
        chance = random.Random(seed)
        world.start()
        for i in range(40):
            step = chance.choice("ssslcccceeatkk" if i % 8 else "z")
            if step == "s":
                world.scans(chance.randint(1, 6), 100 * i)
            elif step == "l":
                world.scans(chance.choice((60, 150)), 100 * i)
            elif step == "z":
                world.scans(1, 100 * i)
                world.journal.set_clock(GOOD_CLOCK._replace(uncertainty_ms=i))
            elif step == "k":
                world.start()
            else:
                {"c": world.commit, "e": world.seal, "a": world.acknowledge,
                 "t": world.trim}[step]()
        world.commit()
    return steps


def snapshots(steps, payload_aim=frame.PAYLOAD_AIM):
    """Run a workload once; return (snapshot, promise) before each of its operations.

    payload_aim: bytes from which on a commit is split into several frames.
    """
    usual, frame.PAYLOAD_AIM = frame.PAYLOAD_AIM, payload_aim
    try:
        return _snapshots(steps)
    finally:
        frame.PAYLOAD_AIM = usual


def _snapshots(steps):
    taken = []

    def before_op(store, _operation):
        taken.append((store.snapshot(), world.promise()))

    world = World(FlakyStore(None, before_op))
    steps(world)
    taken.append((world.store.snapshot(), world.promise()))
    return taken


def lives(seeds):
    """Return the snapshots of random lives; each second one has commits of many frames."""
    taken = []
    for seed in seeds:
        taken += snapshots(any_life(seed), 200 if seed % 2 else frame.PAYLOAD_AIM)
    return taken


def images(snapshot, seeds):
    """Yield the distinct images that a cut at a snapshot can leave."""
    seen = set()
    for seed in seeds:
        for damage in DAMAGE:
            image = image_after_cut(snapshot, damage, seed)
            key = tuple(sorted(image.items()))
            if key not in seen:
                seen.add(key)
                yield image


def check(image, promise):
    """One case: start, hold the promises, write on, cut again, start again."""
    store = FlakyStore(image)
    later = go_on(verify(store, promise), promise)
    verify(FlakyStore(image_after_cut(store.snapshot(), ("none", "none"), 0)), later)


def run(taken, seeds):
    """Check every image of every snapshot; return how many cases there were."""
    cases = 0
    for snapshot, promise in taken:
        for image in images(snapshot, seeds):
            check(image, promise)
            cases += 1
    return cases


def run_pairs(taken, seeds):
    """As run(), and cut again at every operation of the recovery and of the commit after it."""
    cases = 0
    for snapshot, promise in taken:
        for image in images(snapshot, seeds):
            cases += run(_recovery(image, promise), seeds)
    return cases


class Killed(Exception):
    """The process ended here; what it wrote is in the cache, the machine goes on."""


def run_kills(steps, operations):
    """Kill the process before an operation, start again, go on, then cut the power."""
    cases = 0
    for number in operations:
        world = World(FlakyStore(None, _kill_at(number)))
        try:
            steps(world)
        except Killed:
            world.start()
            world.scans(3, 7000)
            world.commit()
        world.store.calm()
        cases += run([(world.store.snapshot(), world.promise())], range(1))
        world.seal()
        cases += run([(world.store.snapshot(), world.promise())], range(1))
    return cases


def _kill_at(number):
    def before_op(store, _operation):
        if store.ops == number:
            store.ops += 1
            raise Killed
    return before_op


def run_faults(steps, faults):
    """Run a workload on a store with faults, then cut; return how many cases there were.

    Nothing may escape, no file may be synced again after a failed sync, and what commits
    returned must be there afterwards; once the store is well again, commits must work.
    """
    cases = 0
    for fault in faults:
        world = World(FlakyStore(None, None, fault))
        steps(world)
        world.store.fault = None
        promise = world.promise()
        assert world.store.resynced == 0, "a file was synced again after a failed sync"
        for image in images(world.store.snapshot(), range(1)):
            verify(FlakyStore(image), promise, faults=True)
            cases += 1
        world.scans(1, 5000)
        world.commit()
        assert world.journal.state == "ok", "does not recover"
        assert world.durable == world.journal.durable_seq
        image = image_after_cut(world.store.snapshot(), ("none", "none"), 0)
        verify(FlakyStore(image), world.promise(), faults=True)
        cases += 1
    return cases


def _recovery(image, promise):
    """Return (snapshot, promise) before each operation of a start and its first commit."""
    taken = []
    store = FlakyStore(image, lambda store, _operation: taken.append(store.snapshot()))
    later = go_on(verify(store, promise), promise)
    started = later._replace(durable=promise.durable, boots=promise.boots)
    return [(snapshot, started) for snapshot in taken] + [(store.snapshot(), later)]


def run_bytes(taken, every, bytes_max=1600):
    """Tear the write in flight at every byte (of every n-th operation); return the cases."""
    cases = 0
    for snapshot, promise in taken[::every]:
        for number, (durable, pending) in snapshot.files.items():
            if not pending or len(pending[-1][1]) > bytes_max:
                continue
            offset, data = pending[-1]
            for length in range(len(data) + 1):
                torn = pending[:-1] + ((offset, data[:length]),)
                files = dict(snapshot.files)
                files[number] = (durable, torn)
                cut = Snapshot(snapshot.names, snapshot.name_changes, files)
                check(image_after_cut(cut, ("all", "all"), 0), promise)
                cases += 1
    return cases
