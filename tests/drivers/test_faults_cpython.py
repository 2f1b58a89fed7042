"""Injected line faults: 50,000 damaged or foreign answers, and not one wrong value.

Faults are those of a Modbus line in the field: flipped bits, bursts, cuts, glitches, echoes, and
whole frames that answer something else.  One seed; the fault that got through is printed.
"""

import random

from drivers import modbus
from gateway.core.codec.crc import crc16_modbus
from gateway.core.errors import DeviceError

SEED = 20261123
CASES = 50_000


def frame(unit, function, cells):
    """Return a reply frame with a right CRC."""
    body = bytes([unit, function, len(cells) & 0xFF]) + cells
    return body + crc16_modbus(body).to_bytes(2, "little")


def flip(rng, good, question):
    """One to three bits."""
    bad = bytearray(good)
    for _ in range(rng.randint(1, 3)):
        bad[rng.randrange(len(bad))] ^= 1 << rng.randrange(8)
    return bytes(bad)


def burst(rng, good, question):
    """Two to four random bytes in a row."""
    start, size = rng.randrange(len(good)), rng.randint(2, 4)
    return good[:start] + rng.randbytes(size) + good[start + size:]


def cut(rng, good, question):
    """The end is missing."""
    return good[:rng.randrange(len(good))]


def glitches(rng, good, question):
    """Stray bytes around a good frame: the value may be taken, if it is the right one."""
    return rng.randbytes(rng.randint(1, 10)) + good + rng.randbytes(rng.randint(0, 10))


def other_count(rng, good, question):
    """A late answer to a question of another length."""
    counts = [n for n in range(1, 126) if n != question.count]
    return frame(question.unit, question.function, rng.randbytes(2 * rng.choice(counts)))


def other_unit(rng, good, question):
    """An answer of another unit."""
    unit = rng.choice([n for n in range(1, 248) if n != question.unit])
    return frame(unit, question.function, good[3:-2])


def other_function(rng, good, question):
    """An answer to another function."""
    function = rng.choice([n for n in range(1, 128) if n != question.function])
    return frame(question.unit, function, good[3:-2])


def wrong_byte_count(rng, good, question):
    """The right length with a byte count that lies."""
    body = good[:2] + bytes([(good[2] + rng.choice((-2, -1, 1, 2))) & 0xFF]) + good[3:-2]
    return body + crc16_modbus(body).to_bytes(2, "little")


def echo(rng, good, question):
    """The request comes back, and nothing else."""
    return question.request


FAULTS = (flip, burst, cut, glitches, other_count, other_unit, other_function, wrong_byte_count,
          echo)


def hear(question, data, split):
    """Feed an answer in two parts; what it raises is the right way to refuse it."""
    try:
        if not question.feed(data[:split]):
            question.feed(data[split:])
    except DeviceError:
        pass


def test_no_fault_of_the_line_ever_becomes_a_value():
    rng = random.Random(SEED)
    accepted = 0
    for case in range(CASES):
        count = rng.randint(1, 40)
        question = modbus.RtuRead(rng.randint(1, 247), rng.choice((3, 4)),
                                  rng.randrange(60000), count)
        cells = rng.randbytes(2 * count)
        fault = rng.choice(FAULTS)
        data = fault(rng, frame(question.unit, question.function, cells), question)
        hear(question, data, rng.randint(0, len(data)))
        told = f"seed {SEED} case {case}: {fault.__name__} {question.describe()} {data.hex()}"
        assert question.result is None or question.result == cells, told
        accepted += question.result is not None
    assert 0 < accepted < CASES // 9, "only glitches around a whole frame may be forgiven"


def test_a_wrong_transaction_id_or_header_never_becomes_a_value():
    rng = random.Random(SEED)
    for case in range(10_000):
        tid = rng.randint(1, 65535)
        question = modbus.TcpRead(1, 3, 0, 2, tid)
        pdu = b"\x03\x04" + rng.randbytes(4)
        head = bytearray(tid.to_bytes(2, "big") + b"\x00\x00\x00\x07\x01")
        place = rng.randrange(7)
        head[place] ^= rng.randint(1, 255)
        try:
            question.feed(bytes(head) + pdu)
        except DeviceError:
            pass
        assert question.result is None, f"seed {SEED} case {case}: {bytes(head).hex()}"
