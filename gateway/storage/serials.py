"""Which serial number each device had last: kept beside the journal, so that a meter exchanged
while the gateway was off is noticed at its start.

Two files take turns: the older one is replaced, so a power cut leaves at least one whole.
Written only when a serial number changes (docs/formats.md 9).
"""

import logging
import zlib
from collections.abc import Mapping

from gateway.core.codec import cbor
from gateway.core.errors import FormatError, StoreError
from gateway.storage.store import FlashStore

LOG = logging.getLogger("wattproof.storage")
NAMES = ("serials.0", "serials.1")
BYTES_MAX = 32_768              # 128 devices
CRC_BYTES = 4


class Serials:
    """The kept serial numbers of a store's devices, by name."""

    def __init__(self, store: FlashStore) -> None:
        """Read what is kept; store: the journal's.  What cannot be read is not known."""
        self._store = store
        self._number, self.known = 0, dict[str, str]()
        self._is_read = self._load()

    def keep(self, serials: Mapping[str, str]) -> bool:
        """Keep serial numbers that are not kept yet; return False if flash does not take them."""
        self._is_read = self._is_read or self._load()
        if not self._is_read:
            return False                # the newer number may stand in what cannot be read now
        wanted = self.known | {name: serial for name, serial in serials.items() if serial}
        if wanted == self.known:
            return True
        data = cbor.encode([self._number + 1, wanted])
        name = NAMES[(self._number + 1) % 2]
        try:
            if name in self._store.list():
                self._store.remove(name)
            self._store.create(name)
            self._store.write(name, 0, data + zlib.crc32(data).to_bytes(CRC_BYTES, "big"))
            self._store.sync(name)
            self._store.sync_dir()
        except StoreError as error:
            LOG.warning("serial numbers are not kept: %s", error)
            return False
        self._number, self.known = self._number + 1, wanted
        return True


    def _load(self) -> bool:
        """Read what is kept; return False if flash does not let it be read now."""
        try:
            for name in NAMES:
                found = _read(self._store, name)
                if found is not None and found[0] > self._number:
                    self._number, self.known = found
        except StoreError:
            return False
        return True


def _read(store: FlashStore, name: str) -> tuple[int, dict[str, str]] | None:
    """Return (number, serial numbers) of a file, None if none is whole in it; raises StoreError."""
    try:
        data = store.read(name, 0, BYTES_MAX) if name in store.list() else b""
        body = data[:-CRC_BYTES]
        if not body or zlib.crc32(body).to_bytes(CRC_BYTES, "big") != data[-CRC_BYTES:]:
            return None
        number, found = cbor.decode(body)
        return number, {str(key): str(value) for key, value in found.items()}
    except (FormatError, ValueError, TypeError, AttributeError):
        return None
