"""Power cuts at every operation of a workload: cases, each an image and what it must hold.

    cases = run(snapshots(two_hours), range(3))     every cut of a workload, three seeds each
    cases = run_faults(two_hours, [Fault(7, 3, EIO)])

One case = one image that a cut can leave + a start on it, all promises held, more records
written, a second cut, and another start.  Images that are equal are run once per operation.
"""

import random

from gateway.core.codec import frame
from tests.support.journal_world import GOOD_CLOCK, World, go_on, hold, nothing_escapes, verify
from tests.support.memory_store import EIO, Fault, MemoryStore, Snapshot
from tests.support.power_cut_images import DAMAGE, image_after_cut


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


def big_batches(world):
    """A short life whose batches span many sectors, so that one may tear in the middle."""
    world.start()
    for i in range(6):
        world.noise(150, 1000 * i)
        world.commit()
        if i % 3 < 2:
            continue
        world.seal()
        world.acknowledge()
    world.trim()


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


def sealing(world):
    """A life of sealing: small segments are recycled, errors and changes come between."""
    world.start()
    for i in range(5):
        world.scans(30 + 10 * i, 100 * i)
        world.commit()
        if i % 2:
            world.journal.set_clock(GOOD_CLOCK._replace(uncertainty_ms=i))
            world.scans(2, 100 * i + 50)
            world.commit()
        world.store.fault = Fault(world.store.ops + i % 4, 1, EIO)
        world.seal()
        if i == 3:
            world.changes = {"config": b"d" * 32}
            world.start()               # another configuration between two tries to seal
        world.store.fault = None
        world.scans(2, 100 * i + 60)
        world.commit()
        world.seal()
        world.acknowledge()
    world.trim()


def snapshots(steps, payload_aim=frame.PAYLOAD_AIM, fault=None):
    """Run a workload once; return (snapshot, promise) before each of its operations.

    payload_aim: bytes from which on a commit is split into several frames.
    """
    usual, frame.PAYLOAD_AIM = frame.PAYLOAD_AIM, payload_aim
    try:
        return _snapshots(steps, fault)
    finally:
        frame.PAYLOAD_AIM = usual


def _snapshots(steps, fault):
    taken = []

    def before_op(store, _operation):
        taken.append((store.snapshot(), world.promise()))

    world = World(MemoryStore(None, before_op, fault))
    steps(world)
    taken.append((world.store.snapshot(), world.promise()))
    return taken


def life(seed, fault=None):
    """Return the snapshots of a random life; each second seed has commits of many frames."""
    return snapshots(any_life(seed), 200 if seed % 2 else frame.PAYLOAD_AIM, fault)


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


def check(image, promise, faults=False):
    """One case: start, hold the promises, write on, cut again, start again."""
    store = MemoryStore(image)
    later = go_on(verify(store, promise, faults), promise)
    verify(MemoryStore(image_after_cut(store.snapshot(), ("none", "none"), 0)), later, faults)


def run(taken, seeds, faults=False):
    """Check every image of every snapshot; return how many cases there were.

    faults: the life had flash errors, so events may declare what they did.
    """
    cases = 0
    for snapshot, promise in taken:
        for image in images(snapshot, seeds):
            check(image, promise, faults)
            cases += 1
    return cases


def run_two(taken, places, turn=0):
    """Cut at a place, live on, and cut at every operation of that second life; return cases.

    places: of operations in the first life.  Each pair has one damage pattern for the first
    cut and two for the second; another turn has others.
    """
    cases = 0
    for place in places:
        snapshot, promise = taken[place]
        pattern = place + turn
        image = image_after_cut(snapshot, DAMAGE[pattern % len(DAMAGE)], pattern)
        verify(MemoryStore(image), promise)
        for later, kept in _second_life(image, promise):
            for pattern in (place + 3 * turn, place + 3 * turn + 7):
                verify(MemoryStore(image_after_cut(
                    later, DAMAGE[pattern % len(DAMAGE)], pattern)), kept)
                cases += 1
    return cases


def _second_life(image, promise):
    taken = []
    world = World(MemoryStore(image, lambda store, _operation: taken.append(
        (store.snapshot(), world.promise()))))
    world.recall(promise)
    world.start()
    for i in range(3):
        world.scans(3, 5000 + 10 * i)
        world.commit()
    world.seal()
    world.acknowledge()
    world.start()
    world.scans(40, 6000)
    world.commit()
    world.seal()
    world.trim()
    return [*taken, (world.store.snapshot(), world.promise())]


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
        world = World(MemoryStore(None, _kill_at(number)))
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
    A fault that hits nothing would prove nothing.
    """
    cases = 0
    for fault in faults:
        world = World(MemoryStore(None, None, fault))
        with nothing_escapes():
            steps(world)
        world.store.fault = None
        promise = world.promise()
        if not world.store.hits:
            raise AssertionError(f"{fault} hit nothing: the case proves nothing")
        hold(world.store.resynced == 0, "resync", "a file was synced again after a failed sync")
        for image in images(world.store.snapshot(), range(1)):
            verify(MemoryStore(image), promise, faults=True)
            cases += 1
        world.scans(1, 5000)
        world.commit()
        hold(world.journal.state == "ok", "writable", "the store is well, the journal is not")
        hold(world.durable == world.journal.durable_seq, "writable", "nothing was committed")
        image = image_after_cut(world.store.snapshot(), ("none", "none"), 0)
        verify(MemoryStore(image), world.promise(), faults=True)
        cases += 1
    return cases


def _recovery(image, promise):
    """Return (snapshot, promise) before each operation of a start and its first commit."""
    taken = []
    store = MemoryStore(image, lambda store, _operation: taken.append(store.snapshot()))
    later = go_on(verify(store, promise), promise)
    started = later._replace(durable=promise.durable, boots=promise.boots)
    return [(snapshot, started) for snapshot in taken] + [(store.snapshot(), later)]


def run_bytes(taken, every, bytes_max=1600):
    """Tear the write in flight at every byte (of every n-th operation); return the cases."""
    cases = 0
    for snapshot, promise in taken[::every]:
        for number, (_, pending) in snapshot.files.items():
            if pending and len(pending[-1][1]) <= bytes_max and any(pending[-1][1]):
                cases += _torn_at_every_byte(snapshot, number, promise)
    return cases


def _torn_at_every_byte(snapshot, number, promise):
    durable, pending = snapshot.files[number]
    offset, data = pending[-1]
    for length in range(len(data) + 1):
        files = dict(snapshot.files)
        files[number] = (durable, pending[:-1] + ((offset, data[:length]),))
        cut = Snapshot(snapshot.names, snapshot.name_changes, files)
        check(image_after_cut(cut, ("all", "all"), 0), promise)
    return len(data) + 1


def frames_of(sizes):
    """Return a workload whose last commits have frames of about so many bytes, one each."""
    def steps(world):
        world.start()
        world.scans(3)
        world.commit()
        for i in range(len(sizes)):
            world.noise(sizes[i] // 9, 5000 * i)
            world.commit()
    return steps
