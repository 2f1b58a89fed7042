"""main.mpy of a board's image: what MicroPython runs after a reset."""

import gc

gc.threshold(8192)  # type: ignore[attr-defined]  # before the first import: see docs/board.md, "Memory"

from gateway.micro.main import run  # noqa: E402

run()
