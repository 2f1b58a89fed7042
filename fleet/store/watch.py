"""Looks at the whole store now and then, so that damage is named before somebody meets it."""

import asyncio
import logging
from pathlib import Path

from fleet.store import damage
from fleet.store.connection import FILE

CHECK_S = 86_400            # rot is slow, and the check reads all of it

log = logging.getLogger("fleet.store")


class Watch:
    """Checks one store; damaged: what is wrong and what to do next, "" if nothing is."""

    def __init__(self, data: Path) -> None:
        self._data = data
        self.damaged = ""

    def check(self) -> None:
        """Check the store now; takes as long as reading it."""
        found = damage.first_fault(self._data / FILE)
        self.damaged = str(damage.error_of(self._data, found)) if found else ""
        if found:
            log.error("%s", self.damaged)

    async def run(self) -> None:
        """Check at the start and every day."""
        while True:
            await asyncio.to_thread(self.check)
            await asyncio.sleep(CHECK_S)
