"""Planted mistakes in the replacement of batches by coarser ones: `mistake(monkeypatch)`.

They act at the store and at a start, whatever the journal's own functions are called.
"""

from gateway.core.journal import batch_files, downsampled_files
from tests.support.memory_store import MemoryStore


def originals_deleted_first(patch):
    """The batches that a downsampled one is to stand for are deleted before it is durable."""
    real = MemoryStore.create

    def create(self, name):
        if downsampled_files.parse_name(name):
            for original in originals([*self.list(), name]):
                self.remove(original)
            self.sync_dir()
        real(self, name)
    patch.setattr(MemoryStore, "create", create)


def originals(names):
    """Return the files of batches that a downsampled one among the names stands for."""
    spans = [parts[:3] for parts in map(downsampled_files.parse_name, names) if parts]
    whole = [(name, *parts) for name in names if (parts := batch_files.parse_name(name))]
    return [name for name, journal, number, _ in whole
            if any(journal == its and first <= number <= last for its, first, last in spans)]


def coarse_replaces_what_it_does_not_name(patch):
    """At a start a downsampled batch is believed although all that it stands for is there, too: it
    may never have become durable."""
    real = downsampled_files.DownsampledBatches.__init__

    def init(self, store, journal_id, names):
        gone = originals(names)
        for name in gone:
            store.remove(name)
        real(self, store, journal_id, [name for name in names if name not in gone])
    patch.setattr(downsampled_files.DownsampledBatches, "__init__", init)


def coarse_batches_not_synced(patch):
    """A downsampled batch counts as durable as soon as it is written."""
    real = MemoryStore.sync
    patch.setattr(MemoryStore, "sync", lambda store, name: None
                  if downsampled_files.parse_name(name) else real(store, name))
