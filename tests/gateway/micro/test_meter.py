"""A board reads a meter by a compiled table exactly as the driver of a gateway does."""

import struct

import pytest

from drivers import driver, modbus, register_driver
from drivers.links.profile_files import find
from gateway.core.codec import cbor
from gateway.core.errors import BadFrame, NoReply
from gateway.core.reading import BAD_FRAME, NO_REPLY, REFUSED, Absent, Stream
from gateway.micro.meter import Meter
from provisioning.board_image.device_table import _meter

STEMS = ("eastron-sdm120", "eastron-sdm630-v2", "xy-md02")


class Device:
    """What the configuration says of a device."""

    def __init__(self, stem):
        self.name, self.unit, self.profile = "meter", 1, stem


def both(stem):
    """Return (a board's meter, a gateway's driver) of one profile."""
    whole = driver.build(find(stem), driver.Setup(modbus.RtuReads(), 1))
    stream = Stream("meter", whole.points)
    table = cbor.decode(cbor.encode(_meter(Device(stem), stream)))
    return Meter(modbus.TcpReads(), table), whole


def image(value):
    """Return registers in which every pair is the float32 of a value."""
    high, low = struct.unpack(">HH", struct.pack(">f", value))
    return register_driver.Image({at: low if at % 2 else high for at in range(400)})


@pytest.mark.parametrize("stem", STEMS)
@pytest.mark.parametrize("value", [0.0, 1.0, -7.25, 231.4, 4182.733, 1e20, -3e-7])
def test_every_value_is_that_of_the_driver(stem, value):
    board, whole = both(stem)
    answer = image(value).answer
    assert driver.run(board.poll(), answer) == driver.run(whole.poll(), answer)


@pytest.mark.parametrize("bits", [0x7F800000, 0xFF800000, 0x7FC00000])
def test_what_is_no_number_is_absent_with_the_same_reason(bits):
    board, whole = both("eastron-sdm120")
    words = register_driver.Image(
        {at: bits & 0xFFFF if at % 2 else bits >> 16 for at in range(400)})
    assert driver.run(board.poll(), words.answer) == driver.run(whole.poll(), words.answer)


@pytest.mark.parametrize(("error", "reason"), [
    (NoReply("silent"), NO_REPLY), (BadFrame("torn"), BAD_FRAME),
    (modbus.refused(1, 4, 4), REFUSED), (modbus.refused(1, 4, 11), NO_REPLY)])
def test_a_failed_read_makes_its_points_absent_with_the_reason(error, reason):
    board, whole = both("eastron-sdm120")

    def answer(question):
        raise error
    assert driver.run(board.poll(), answer) == (Absent(reason),) * len(whole.points)
