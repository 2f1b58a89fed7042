"""What every driver is, and how one is built from a profile.

A driver has `points` (the schema of its stream: a tuple of core Point), `poll()` and
`identify()`.  Both are generators that yield one transaction at a time and do not know the
transport: send them the transaction's result, or throw the DeviceError in.

    steps = device.poll()
    question = next(steps)                        # .request, .feed(data), .result, .gap_ms, .turns
    question = steps.send(question.result)        # or steps.throw(NoReply("..."))
    ...                                           # StopIteration.value is the tuple of values

poll returns a value or an Absent for every point and never raises a DeviceError; identify
returns {"manufacturer", "model", "serial", ...} as far as the device tells and lets NoReply
and BadFrame pass.
"""

from drivers import profile as profiles
from drivers import registers
from gateway.core.errors import Bug, DeviceError
from gateway.core.types import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TypeVar

    from drivers.profile import Profile
    from drivers.types import Answer, Driver, Steps

    T = TypeVar("T")

ALONE_MIN, ALONE_MAX = 360, 23_040      # polls after a failed burst: at 10 s an hour, then longer


class Setup:
    """How one device is driven.  wire: builds transactions, one per bus (modbus.RtuReads(),
    modbus.TcpReads(), pylontech.Frames(), prometheus.Gets(host, path)).

    unit: address on the bus.  fine: False for the measurands' default resolution, True for
    their fine one.  workloads: names whose series a compute node is asked for.
    everything: all points, not only the journal's, with as many digits as the device has.
    alone_polls: how many polls a unit is asked one question at a time after a failed burst, at
    first and at most.
    floats: registers.floats; who has links/decimals.py sets that, which says the same sooner.
    """

    def __init__(self, wire: "Any", unit: int = 1, fine: bool = False,
                 workloads: "Iterable[str]" = (), everything: bool = False) -> None:
        self.wire = wire
        self.unit = unit
        self.fine = fine
        self.workloads = tuple(workloads)
        self.everything = everything
        self.alone_polls = (ALONE_MIN, ALONE_MAX)
        self.floats = registers.floats


def build(profile: "Profile", setup: Setup) -> "Driver":
    """Return the driver of one device.  Raises ConfigError if profile and setup do not fit."""
    return profiles.protocol(profile.stem, profile.protocol).build(profile, setup)


def run(steps: "Steps[T]", answer: "Answer", limit: int = 1000) -> "T":
    """Drive a poll or identify with `answer(transaction)` -> result bytes; return its value.

    For images, tests and simulators.  A DeviceError of answer is thrown in.  limit: most
    transactions; Bug above it, for every poll is bounded.
    """
    try:
        question = next(steps)
        for _ in range(limit):
            try:
                result = answer(question)
            except DeviceError as error:
                question = steps.throw(error)
            else:
                question = steps.send(result)
    except StopIteration as stop:
        value: "T" = stop.value
        return value
    raise Bug("a poll of more than %d transactions" % limit)
