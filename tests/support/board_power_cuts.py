"""Power cuts of a board's journal on NOR flash, at every block operation; runs on MicroPython.

    micropython -X heapsize=64M board_power_cuts.py ROOT FIRST STEP

LittleFS of the interpreter's own, over flash in RAM that keeps to the rules of NOR: erasing
makes a block all ones, programming only clears bits.  One life is recorded operation by
operation; then, for the operations FIRST, FIRST + STEP ..., the flash is made as it stood
before it, and as it stands with half of it done, the board starts, everything promised is
held, and one more commit must work.  Prints one line: cuts, operations, records.
"""

import sys

import vfs

BLOCK, BLOCKS = 4096, 48
SLOT_BYTES = 4096           # of the journal's segments, as on a board
COUNT, SIZE, ERASE = 4, 5, 6                # vfs.AbstractBlockDev.ioctl of MicroPython
ERASED = b"\xff" * BLOCK


class Nor:
    """Flash as a block device.  log: None, or a list that takes every change."""

    def __init__(self, data, log=None):
        self.data, self.log = data, log

    def readblocks(self, number, data, offset=0):
        """Fill data from a place."""
        at = number * BLOCK + offset
        data[:] = self.data[at:at + len(data)]

    def writeblocks(self, number, data, offset=0):
        """Program bytes."""
        at = number * BLOCK + offset
        if self.log is not None:
            self.log.append((at, bytes(data)))
        program(self.data, at, data)

    def ioctl(self, operation, number):
        """Answer what LittleFS asks of a device."""
        if operation == COUNT:
            return BLOCKS
        if operation == SIZE:
            return BLOCK
        if operation == ERASE:
            if self.log is not None:
                self.log.append((number * BLOCK, None))
            self.data[number * BLOCK:number * BLOCK + BLOCK] = ERASED
        return 0


def program(flash, at, data):
    """Clear bits; that a bit would have to be set again is a mistake of the file system."""
    old = flash[at:at + len(data)]
    if old != ERASED[:len(data)]:
        for i in range(len(data)):
            if data[i] & ~old[i] & 255:
                raise ValueError("bits are set by programming at %d" % (at + i))
    flash[at:at + len(data)] = data


def redo(flash, change, part=1):
    """Do a recorded change, or the first 1/part of it."""
    at, data = change
    if data is None:
        flash[at:at + BLOCK // part] = ERASED[:BLOCK // part]
    else:
        flash[at:at + len(data) // part] = data[:len(data) // part]


class Life:
    """A board's journal, and what its witness was told, with the operations done by then."""

    def __init__(self, device):
        self.device, self.ticks_ms = device, 0
        self.scans = {}                     # sequence -> ticks, of every scan ever appended
        self.told = [(0, 0)]                # (operations done, durable sequence)
        self.begun = [(0, 0)]               # (operations done, highest sequence appended)
        self.dropped_to = 0
        self.boot()

    def boot(self):
        """Start on what the flash holds."""
        self.store, self.journal = start(self.device)
        self.commit()

    def poll(self, count):
        """Append and commit scans."""
        for _ in range(count):
            self.ticks_ms += 1000
            seq = self.journal.append_scan(self.ticks_ms, 0, values(self.ticks_ms))
            self.scans[seq] = self.ticks_ms
            self.commit()

    def commit(self):
        """Commit; tell the witness before and after."""
        self.begun.append((len(self.device.log), self.journal.last_seq))
        durable = self.journal.commit()
        self.told.append((len(self.device.log), durable))

    def seal(self):
        """Seal all there is, take a receipt for it, delete all but the last batch."""
        while self.journal.seal(SEALER) is not None:
            self.begun.append((len(self.device.log), self.journal.last_seq))
        self.journal.acknowledge(self.journal.sealed_seq, 0)
        self.dropped_to = self.journal.sealed_seq
        self.journal.trim(0)


def values(ticks_ms):
    """Return the readings of a moment."""
    return (2300 + ticks_ms * 7919 % 97, ticks_ms // 1000)


def start(device, fresh=False):
    """Mount the flash and open the journal on it, as a board does."""
    if fresh:
        vfs.VfsLfs2.mkfs(device)
    try:
        vfs.umount("/flash")
    except OSError:
        pass
    vfs.mount(vfs.VfsLfs2(device), "/flash")
    store = BoardStore("/flash/journal", SLOT_BYTES)
    opening = JournalOpening("board-1", SCHEMA, bytes(32), b"\xa0", "test",
                             lambda: bytes(range(16)),
                             ClockState(0, 0, 0, 0), 0)
    return store, Journal.open(store, opening, SLOT_BYTES, 16384)


def live():
    """Return (Life, flash before it): four starts, slots recycled, batches sealed and trimmed."""
    device = Nor(bytearray(BLOCK * BLOCKS))
    start(device, True)
    before, device.log = bytearray(device.data), []
    life = Life(device)
    for polls in (3, 12, 7, 20):
        life.poll(polls)
        life.seal()
        life.poll(3)
        life.boot()
    return life, before


def latest(notes, operations):
    """Return the last value noted by then."""
    found = 0
    for at, value in notes:
        if at <= operations:
            found = value
    return found


def check(flash, life, operations):
    """Hold a start on the flash as a cut before an operation left it to what was promised."""
    _, journal = start(Nor(flash))
    found = []
    for number in journal.batch_numbers():
        found += open_body(open_sealed(journal.read_batch(number))[1], None)[1]
    unconfirmed = journal.unconfirmed_batch()
    if unconfirmed is not None:
        found += open_body(open_sealed(unconfirmed)[1], None)[1]
    found += [item for _, item in journal.replay()]
    seqs = [item.seq for item in found]
    first, last = (seqs[0], seqs[-1]) if seqs else (1, 0)
    hold(seqs == list(range(first, last + 1)), "a hole or a double", seqs)
    hold(first <= life.dropped_to + 1, "the start is gone", first)
    hold(last >= latest(life.told, operations), "durable records are lost", last)
    hold(last <= max([seq for at, seq in life.begun if at <= operations + 1]), "phantom", last)
    for item in found:
        if not is_event(item):
            hold(item.ticks_ms == life.scans.get(item.seq), "another record", item)
            hold(item.values == values(item.ticks_ms), "changed", item)
    for item in uncommitted(journal):
        hold(item.kind not in (GAP, ALARM), "false alarm", item)
    seq = journal.append_scan(7, 0, values(7000))
    hold(journal.commit() == seq, "a commit after the start failed", seq)
    return len(found)


def hold(promised, what, detail):
    """Raise ValueError unless promised is true."""
    if not promised:
        raise ValueError("%s: %s" % (what, detail))


def main(first, step):
    """Check the cuts at operations first, first + step ... of the life."""
    life, flash = live()
    log, cuts, records = life.device.log, 0, 0
    for number in range(len(log)):
        if number % step == first:
            try:
                records += check(bytearray(flash), life, number)
                torn = bytearray(flash)
                redo(torn, log[number], 2)
                records += check(torn, life, number)
            except Exception as error:
                print("cut at operation", number, log[number][1] and "programming" or "erasing")
                raise error
            cuts += 2
        redo(flash, log[number])
    print(cuts, len(log), records)


sys.path[:] = [sys.argv[1], ".frozen"]

from gateway.core.codec.record import ALARM, GAP, is_event  # noqa: E402
from gateway.core.evidence.batch import CODEC_RAW, open_body, open_sealed  # noqa: E402
from gateway.core.journal.journal import Journal, JournalOpening, Sealer  # noqa: E402
from gateway.core.reading import ClockState, Point, Stream  # noqa: E402
from gateway.micro.store import BoardStore  # noqa: E402
from tests.support.uncommitted import uncommitted  # noqa: E402

SCHEMA = (Stream("grid", (Point(1, -1, ""), Point(43, 0, ""))),)
SEALER = Sealer(b"kid-0001", lambda data: bytes(64), None, CODEC_RAW)

if __name__ == "__main__":
    main(int(sys.argv[2]), int(sys.argv[3]))
