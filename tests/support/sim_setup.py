"""What is global around a simulated day: log, jitter, and constants turned into knobs.

    with knobs(seed, style): ...            around a day of sim_world
"""

import contextlib
import logging
import random
from unittest import mock

from gateway.delivery import evidence_lane
from gateway.polling import poller
from gateway.storage import retention, writer
from tests.support import sim_gateway

SMALL_FLASH = {"fine": 5 << 10, "coarse": 4 << 10}     # room for some ten batches


class Crashes(logging.Handler):
    """A task that ended with an exception nobody expected is a failure, restart or not."""

    world = None

    def emit(self, entry):
        """Fail on anything logged with a traceback."""
        if entry.exc_info and self.world is not None:
            self.world.fail("crash", f"{entry.getMessage()}: {entry.exc_info[1]!r}")


@contextlib.contextmanager
def quiet(crashes):
    """Silence the product's log but for tracebacks, which end the run."""
    loggers = [logging.getLogger("wattproof"), logging.getLogger("fleet")]
    before = [(logger.level, logger.propagate) for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
        logger.propagate = False
        logger.addHandler(crashes)
    try:
        yield
    finally:
        for logger, (level, propagate) in zip(loggers, before, strict=True):
            logger.setLevel(level)
            logger.propagate = propagate
            logger.removeHandler(crashes)


def trims(seed):
    """Every second seed has a flash so small that acknowledged batches are deleted, and
    others downsampled."""
    return seed % 2 == 1


@contextlib.contextmanager
def knobs(seed, style):
    """Seed what is global and let idle tasks look up less often."""
    state = random.getstate()
    random.seed(f"{seed}/jitter")
    changes = [
        mock.patch.object(writer, "SETTLE_S", style.look_s),
        mock.patch.object(evidence_lane, "IDLE_S", style.look_s),
        mock.patch.object(poller, "WAIT_S_MAX", 60.0),
        mock.patch.object(retention, "RESERVE_BYTES", 8 << 10),
        mock.patch.object(sim_gateway, "KEEP_BYTES",
                          SMALL_FLASH[style.name] if trims(seed) else 1 << 30),
    ]
    try:
        with contextlib.ExitStack() as stack:
            for change in changes:
                stack.enter_context(change)
            yield
    finally:
        random.setstate(state)
