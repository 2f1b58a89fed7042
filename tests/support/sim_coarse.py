"""Coarsened batches in the simulation: places to fail, and what a downsampled batch must say.

`check` holds one to the batches it stands for, `same_energy` holds the fleet's books to those
of a twin that got every batch as it was sealed.
"""

from gateway.core import interval
from gateway.core.codec.record import is_event
from gateway.core.evidence import downsampled
from gateway.core.journal.downsampled_files import DownsampledBatches
from gateway.core.reading import NOT_KEPT, Absent, utc_ms
from gateway.ledger import counter_limits
from gateway.storage.restart import inflate

ORIGIN_MS = 1_780_272_000_000       # 2026-06-01T00:00:00Z, virtual second 0
RULES_MAX = (downsampled.QUARTERS, downsampled.COUNTERS, downsampled.ENDS)   # of small seeds
COARSE_POINTS = ("coarsen.before", "coarsen.after", "coarsen.op", "coarsen.op")


class SimBatches(DownsampledBatches):
    """The real files of batches; as small as these are, downsampling them frees little, and
    is done whether it does or not."""

    block_bytes = 64
    life = None

    def replace(self, numbers, rule, data):
        """Let a downsampled batch stand for others, and note what stands then."""
        life, world = self.life, self.life.world
        world.point("coarsen.before", life)
        life.machine.witness.coarse(numbers[-1], data)
        life.coarsening = True
        try:
            super().replace(numbers, rule, data)
        finally:
            life.coarsening = False
        world.note("coarsen", numbers[0], numbers[-1], rule)
        world.point("coarsen.after", life)

    def frees_enough(self, numbers, data_bytes):
        """Any byte is worth it."""
        return True

    def next_group(self, busy, refused=()):
        """Some seeds stop at quarter hours: with so little flash all would end at the ends."""
        found = super().next_group(busy, refused)
        return found if found and found[1] <= self.life.world.rule_max else None

    def covered(self):
        """Return the numbers that stand on flash, as they were sealed or in a downsampled batch."""
        found = set()
        for number in self.numbers():
            span = self.span(number)
            found.update(range(span.first if span else number, number + 1))
        return found


def check(batches, data):
    """Return the Coarse in sealed bytes; batches: {number: Sealed}.  Raises ValueError if it
    says anything but what the batches said that it names."""
    content = downsampled.open_any(data)[1]
    body = downsampled.open_body(content, inflate)
    scans, events, prev = {}, {}, content.prev
    for one in content.replaced:
        known = batches.get(one.number)
        if known is None or tuple(one) != (known.content.number, known.content.first_seq,
                                           known.content.last_seq, known.chain_hash):
            raise ValueError(f"names another batch {one.number} than was sealed")
        if known.content.prev != prev or _head(known.content) != _head(content):
            raise ValueError(f"batch {one.number} has another predecessor, boot or clock")
        prev = known.chain_hash
        scans.update(known.scans)
        events.update(known.events)
    _kept_is_true(content, body, scans, events)
    _cells_are_true(content, body, batches)
    return content


def _head(content):
    return (content.cabinet, content.journal_id, content.boot, content.config_hash, content.clock)


def _kept_is_true(content, body, scans, events):
    kept = {item.seq: (item.ticks_ms, item.kind, tuple(item.body))
            for item in body.records if is_event(item)}
    if kept != events:
        raise ValueError("events are not those of the batches")
    for item in body.records:
        if is_event(item):
            continue
        known = scans.get(item.seq)
        if known is None or known[:2] != (item.ticks_ms, item.stream):
            raise ValueError(f"record {item.seq} was never sealed")
        for value, was in zip(item.values, known.values, strict=True):
            thinned = value == Absent(NOT_KEPT) and content.rule != downsampled.QUARTERS
            if value != was and not thinned:
                raise ValueError(f"record {item.seq} holds {value}, it was {was}")


def _cells_are_true(content, body, batches):
    """Cells count every scan of every batch once."""
    counted, sealed = {}, {}
    for cell in body.cells:
        key = content.replaced[cell.position].number, cell.stream
        counted[key] = counted.get(key, 0) + cell.scans
    for one in content.replaced:
        for scan in batches[one.number].scans.values():
            key = one.number, scan.stream
            sealed[key] = sealed.get(key, 0) + 1
    if counted != sealed:
        raise ValueError(f"cells count {counted} scans, sealed were {sealed}")


def energies(connection, device, described):
    """Return {(device name, measurand): {position: what is booked}} of the books behind a
    connection; places are quarter hours (ms), and "ends": the first and last reading."""
    found = {}
    for channel, name, kind, exponent in connection.execute(
            "SELECT id, stream, measurand, exponent FROM channels WHERE cabinet = ?", (device,)):
        parts = [interval.QuarterPart(*row) for row in connection.execute(
            "SELECT quarter_ms, first_ms, first, last_ms, last, broken FROM counter_parts "
            "WHERE channel = ? ORDER BY quarter_ms, first_ms", (channel,))]
        if parts:
            rules = counter_limits.rules_for(described, name, kind, exponent)
            found[name, kind] = {"ends": (parts[0].first, parts[-1].last)} | {
                delta.start_ms: delta for delta in interval.rebuild(parts, rules)}
    return found


def thinned_ms(batches, placed):
    """Return the quarter hours (ms) in or beside which only hours or ends were kept, or quarter
    hours of ticks or of a clock that the fleet replaced by a better one of the boot, which cuts
    elsewhere.  placed: (content, source of the clock that it was rolled up with)."""
    found = set()
    for content, source in placed:
        if not isinstance(content, downsampled.DownsampledBatch) or (
                content.rule < downsampled.HOURS and source == content.clock.source):
            continue
        for one in content.replaced:
            known = batches[one.number]
            for scan in known.scans.values():
                stamp = utc_ms(known.content.clock, scan.ticks_ms) or (ORIGIN_MS + 1000 * scan.at_s)
                quarter_ms = int(stamp) // interval.QUARTER_MS * interval.QUARTER_MS
                found.update(quarter_ms + step * interval.QUARTER_MS for step in (-1, 0, 1))
    return found
