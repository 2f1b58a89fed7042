"""The latest figures of each gateway, in memory only: shown, never stored, never evidence."""

import asyncio
import contextlib
import json
import zlib
from collections.abc import Callable
from typing import NamedTuple

from gateway.core.live_dictionary import DICTIONARY, FORMAT, MESSAGE_BYTES_MAX

CABINETS_MAX = 100_000
ROWS_MAX = 256              # nodes or devices of one cabinet

LiveValues = dict[str, object]     # a live message, decoded (docs/formats.md); nothing is believed


class LiveMessage(NamedTuple):
    """A live message; arrived_s: fleet's monotonic seconds, arrived_ms: fleet's UTC."""

    figures: LiveValues
    arrived_s: float
    arrived_ms: int


def parse(payload: bytes, sender: str) -> LiveValues | None:
    """Return a live message of a cabinet, or None if it is not a usable one."""
    try:
        figures = json.loads(unpack(payload))
    except (ValueError, RecursionError, zlib.error):
        return None
    if not isinstance(figures, dict) or figures.get("v") != 1 or figures.get("device") != sender:
        return None
    return figures


def unpack(payload: bytes) -> bytes:
    """Return the JSON of a live message.  Raises ValueError or zlib.error if there is none."""
    if payload[:1] != FORMAT or len(payload) > MESSAGE_BYTES_MAX:
        raise ValueError("not a live message")
    machine = zlib.decompressobj(-15, DICTIONARY)
    text = machine.decompress(payload[1:], MESSAGE_BYTES_MAX)
    if not machine.eof or machine.unused_data:
        raise ValueError("torn, followed by other bytes, or too long")
    return text


def section(figures: LiveValues | None, name: str) -> LiveValues:
    """Return a part of a live message that should be a map; empty if it is not."""
    found = (figures or {}).get(name)
    return found if isinstance(found, dict) else {}


def rows(figures: LiveValues | None, name: str) -> list[LiveValues]:
    """Return a part of a live message that should be a list of maps; others are left out."""
    found = (figures or {}).get(name)
    listed = found[:ROWS_MAX] if isinstance(found, list) else []
    return [row for row in listed if isinstance(row, dict)]


class LiveTable:
    """One LiveMessage per gateway, and a way to wait for the next change."""

    def __init__(self, refuses: Callable[[str], bool] = lambda _cabinet: False) -> None:
        """refuses: whether nothing is taken from a cabinet any more (it is revoked)."""
        self._refuses = refuses
        self._rows: dict[str, LiveMessage] = {}
        self._changed = asyncio.Event()
        self.refused = 0

    def update(self, sender: str, payload: bytes, arrived_s: float, arrived_ms: int) -> bool:
        """Keep a gateway's message if it is one; return whether it was."""
        figures = None if self._refuses(sender) else parse(payload, sender)
        if figures is None or (sender not in self._rows and len(self._rows) >= CABINETS_MAX):
            self.refused += 1
            return False
        self._rows[sender] = LiveMessage(figures, arrived_s, arrived_ms)
        self.notify()
        return True

    def get(self, cabinet: str) -> LiveMessage | None:
        """Return a gateway's latest message, or None before the first."""
        return self._rows.get(cabinet)

    def notify(self) -> None:
        """Wake everyone who waits: figures or evidence changed."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self, timeout_s: float) -> None:
        """Return at the next change, or after timeout_s."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._changed.wait()
