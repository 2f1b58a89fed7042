"""What every server gets, and how one is opened: `serve(BusToServe)` of its module."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple, Protocol

from simulator.runner import Runner
from simulator.scenario import ScenarioBus, ScenarioDevice


class ServerClock(NamedTuple):
    """How a server learns simulated time.  advance: moves the world to now, returns seconds."""

    advance: Callable[[], float]
    speed: int


class BusToServe(NamedTuple):
    """One bus of a scenario with the cabinets on it, in the world as it runs."""

    bus: ScenarioBus
    devices: list[ScenarioDevice]
    runner: Runner
    now: ServerClock


class Server(Protocol):
    """Something that answers on a bus until it is closed."""

    def close(self) -> Awaitable[None] | None:
        """Take the bus down."""


class Opened(NamedTuple):
    """A server that answers, and where: pty path or TCP port."""

    server: Server
    position: str | int
