"""Flash that lies or does not answer: bits that flipped, blocks that cannot be read.

    gone = run_read_faults(3)               records lost, for each read of a start that failed
    gone = hold_despite_loss(MemoryStore(damaged_image), world.promise())

Unlike after a power cut, records may be lost here.  What is held: no wrong record, nothing
twice, no sequence used a second time, every loss declared, and the journal runs.
"""

from gateway.core.codec import frame, record
from gateway.core.errors import Corrupt, StoreError
from gateway.core.evidence import batch
from gateway.core.journal import batch_files, cursor, segment, tail
from gateway.core.journal.batch_files import Batches
from gateway.core.journal.successor import Standby
from tests.support.journal_world import (
    JOURNAL_ID,
    SEGMENT_BYTES,
    World,
    hold,
    nothing_escapes,
    opening,
    records_of_batch,
)
from tests.support.memory_store import Fault, MemoryStore
from tests.support.uncommitted import uncommitted

DECLARING = (record.GAP, record.ALARM, record.IO_ERROR, record.TORN)


def short_life(store):
    """Return the World after a life with batches, an old segment and an unsealed tail."""
    world = World(store).start()
    for i in range(3):
        world.scans(6, 100 * i)
        world.commit()
        world.seal()
    world.acknowledge()
    world.start()
    for i in range(5):
        world.scans(4, 1000 + 100 * i)
        world.commit()
    return world


def image_of(world):
    """Return the files of a world whose every byte was synced."""
    return {name: world.store.read(name, 0, world.store.size(name))
            for name in world.store.list()}


def readable(journal):
    """Return (records that can be read, numbers of the batches that cannot)."""
    found, bad = [], []
    for number in journal.batch_numbers():
        try:
            found += records_of_batch(journal.read_batch(number))
        except (Corrupt, StoreError):
            bad.append(number)
    if journal.unconfirmed_batch() is not None:
        found += records_of_batch(journal.unconfirmed_batch())
    return found + [item for _, item in journal.replay()], bad


def hold_despite_loss(store, promise):
    """Start on damaged flash; return how many promised records are gone, all declared."""
    with nothing_escapes():
        standby = Standby(store, opening(), Batches, SEGMENT_BYTES)
        journal, waited = standby.open(), False
        if journal.is_waiting:              # nothing at all could be read: it waits for the card
            journal.append_scan(8, 1, (8,))
            hold(journal.commit() == 0, "reused", "a journal that waits gave out a number")
            store.calm()
            journal, waited = standby.go_on(journal), True
        own = list(uncommitted(journal))
        seq = journal.append_scan(9, 1, (9,))
        hold(journal.commit() == seq, "writable", "a commit after the start failed")
        if store.read_fault is not None and not store.read_fault.name:
            store.calm()                    # it was to hit the start, not this look at it
        found, bad = readable(journal)
    sealed_seq = max([batch.open_sealed(data)[1].last_seq for _, data in promise.sealed] + [0])
    hold(seq > sealed_seq, "reused", f"{seq} was sealed before")
    first_seq = own[0].seq if own else journal.recovered_seq + 1       # of this boot
    old = [item for item in found if item.seq < first_seq]
    seqs = [item.seq for item in old]
    hold(seqs == sorted(set(seqs)), "double", seqs)
    for item in old:
        hold(item.seq <= len(promise.appended) and item == promise.appended[item.seq - 1],
             "changed", item)
    gone = promise.durable - len([seq for seq in seqs if seq <= promise.durable])
    told = bad or [item for item in own + found if record.is_event(item)
                   and item.kind in DECLARING]
    hold(not gone or told, "silent", f"{gone} records are gone and nothing says so")
    hold(not gone or not waited, "lost", f"{gone} records are gone after the card came back")
    return gone


def run_read_faults(times):
    """Let every read of a start fail `times` times; return [records gone] per read."""
    world = short_life(MemoryStore())
    image, promise, gone = image_of(world), world.promise(), []
    store = MemoryStore(image)
    hold_despite_loss(store, promise)
    for number in range(store.reads):
        store = MemoryStore(image)
        store.read_fault = Fault(number, times)
        gone.append(hold_despite_loss(store, promise))
    return gone


def run_bad_files():
    """Let each file be unreadable for ever; return {name: records gone}, all."""
    world = short_life(MemoryStore())
    image, gone = image_of(world), {}
    for name in image:
        store = MemoryStore(image)
        store.read_fault = Fault(name=name)
        gone[name] = hold_despite_loss(store, world.promise())
    return gone, world.durable


def flips(data):
    """Yield (bit number, data with that bit flipped)."""
    for at in range(len(data)):
        for bit in range(8):
            yield 8 * at + bit, data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1:]


def meaning(name, data):
    """Return all that a file says to the journal: equal meaning, no harm done."""
    if cursor.is_cursor_file(name):
        return cursor.decode(data)
    if tail.is_segment_file(name):
        header, start = segment.find_header(data) or (None, 0)
        return header and (header, segment.scan(data, start, header).blocks)
    number = batch_files.parse_name(name)[1]
    return batch_files.open_file(data, JOURNAL_ID, number)


def subset_of(name, said, truth):
    """Return True if damaged meaning says nothing that the truth does not say."""
    if said is None or said == truth:
        return True
    return (tail.is_segment_file(name) and said[0] == truth[0]
            and all(block in truth[1] for block in said[1])
            and len(said[1]) == len(truth[1]) - 1)


def misplaced(image, chance):
    """Return (what was done, image) with whole frames where they do not belong, or a burst.

    The newest commit is left alone: with it gone without a trace, a journal looks as before it.
    """
    names = sorted(name for name in image if tail.is_segment_file(name))
    name, other = chance.choice(names), chance.choice(names)
    newest = max(names, key=lambda one: segment.find_header(image[one])[0].generation)
    frames, others = _frames(image[name]), _frames(image[other])
    end = len(image[name])
    if name == newest:
        end = frames.pop()[0]
    kind = chance.choice(("swapped", "doubled", "of another segment", "burst"))
    data = bytearray(image[name])
    if kind == "burst" or len(frames) < 2 or not others:
        first = chance.randrange(8 * end - 64)
        for bit in range(first, first + chance.randint(2, 64)):
            data[bit // 8] ^= 1 << bit % 8
        return "burst", {**image, name: bytes(data)}
    (one, size), (two, _) = chance.sample(frames, 2)
    if kind == "of another segment":
        start, size = chance.choice(others)
        data[one:one + size] = image[other][start:start + size]
    else:
        first, second = data[one:one + size], data[two:two + size]
        data[two:two + size] = first
        if kind == "swapped":
            data[one:one + size] = second
    return kind, {**image, name: bytes(data)}


def _frames(data):
    """Return (offset, padded size) of the frames of records in a segment that is whole."""
    header, start = segment.find_header(data) or (None, 0)
    if header is None:
        return []
    found = [offset for offset, _ in segment.scan(data, start, header).blocks]
    return [(offset, frame.padded(frame.claimed(data, offset))) for offset in found]
