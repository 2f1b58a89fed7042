"""Named faults at named times: what goes wrong on a line, seeded and repeatable.

Times are simulated seconds since the origin.  Kinds: dead (no answer), late (the answer
comes delay_s of real time after it should: time-outs are real), crc (one bit flipped),
garbage (other bytes instead of the answer), truncate (the answer stops half way).
"""

from typing import NamedTuple

from simulator.noise import lane, uniform


class InjectedFault(NamedTuple):
    """One scripted fault of one unit, from `from_s` up to but not including `to_s`."""

    name: str
    bus: str
    unit: int
    kind: str
    from_s: float
    to_s: float
    delay_s: float = 0.0


class FaultedReply(NamedTuple):
    """An answer after its fault.  data None: silence; delay_s: real seconds to wait more."""

    data: bytes | None
    delay_s: float


def apply(faults: tuple[InjectedFault, ...], address: tuple[str, int], t_s: float,
          reply: bytes) -> FaultedReply:
    """Return what really goes out instead of a reply.  address: (bus, unit)."""
    for fault in faults:
        if (fault.bus, fault.unit) == address and fault.from_s <= t_s < fault.to_s:
            return _spoil(fault, reply, int(t_s * 1000))
    return FaultedReply(reply, 0.0)


def _spoil(fault: InjectedFault, reply: bytes, index: int) -> FaultedReply:
    if fault.kind == "dead":
        return FaultedReply(None, 0.0)
    if fault.kind == "late":
        return FaultedReply(reply, fault.delay_s)
    if fault.kind == "truncate":
        return FaultedReply(reply[: len(reply) // 2], 0.0)
    stream = lane(fault.unit, fault.name)
    if fault.kind == "garbage":
        noise = bytes(int(uniform(stream, index + i) * 256) for i in range(len(reply)))
        return FaultedReply(noise, 0.0)
    bit = int(uniform(stream, index) * len(reply) * 8)
    spoilt = bytearray(reply)
    spoilt[bit // 8] ^= 1 << bit % 8
    return FaultedReply(bytes(spoilt), 0.0)
