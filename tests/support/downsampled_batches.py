"""Batches of a paper gateway in a store in memory, downsampled by the gateway's own code.

    _, batches = stored_batches(gateway, sealed)
    until_rule(gateway, batches, downsampled.QUARTERS)
"""

from gateway.core.evidence import batch, downsampled
from gateway.core.journal.downsampled_files import DownsampledBatches, Downsampling
from gateway.core.journal.journal import Sealer
from gateway.storage.restart import inflate
from gateway.storage.retention import CounterLimits
from tests.fleet.maker import CONFIG_BYTES, CONFIG_HASH, deflate
from tests.support.memory_store import MemoryStore


class EagerBatches(DownsampledBatches):
    """Made coarser whether it frees a block or not: batches of paper are small."""

    def frees_enough(self, numbers, data_bytes):
        """Any byte is worth it."""
        return True


def stored_batches(gateway, sealed, kind=EagerBatches):
    """Return (MemoryStore, DownsampledBatches) that hold sealed batches, numbered from 1."""
    store = MemoryStore()
    batches = kind(store, gateway.journal_id, [])
    for number, data in enumerate(sealed, 1):
        batches.write(number, data)
    return store, batches


def coarsening(gateway, batches):
    """Return the Downsampling of a paper gateway's batches."""
    return Downsampling(batches,
                        Sealer(gateway.kid, gateway.key.sign, deflate, batch.CODEC_DEFLATE),
                        inflate, CounterLimits(CONFIG_HASH, CONFIG_BYTES))


def until_rule(gateway, batches, rule):
    """Make everything coarser that can be, up to a rule; return what was done."""
    work, done = coarsening(gateway, batches), []
    while True:
        goal = batches.next_group([], work.refused)
        if goal is None or goal[1] > rule:
            return done
        step = work.step([])
        if not isinstance(step, bool):
            done.append(step)


def coarse_of(batches):
    """Return {last number: Coarse} of what is coarse."""
    found = {}
    for number in batches.numbers():
        content = downsampled.open_any(batches.read(number))[1]
        if isinstance(content, downsampled.DownsampledBatch):
            found[number] = content
    return found
