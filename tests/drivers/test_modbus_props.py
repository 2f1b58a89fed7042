"""Our Modbus frames against pymodbus' own codec, and hostile bytes against all our parsers."""

import struct
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymodbus.framer import FramerRTU, FramerSocket
from pymodbus.pdu import DecodePDU
from pymodbus.pdu.register_message import (
    ReadHoldingRegistersRequest,
    ReadHoldingRegistersResponse,
    ReadInputRegistersRequest,
    ReadInputRegistersResponse,
)

from drivers import driver, modbus, prometheus, pylontech
from drivers.links import profile_files
from drivers.registers import FORMATS, decode, encode, width
from gateway.core.errors import DeviceError
from gateway.core.reading import Absent
from tests.support.pylontech_answers import encode_analog

REQUESTS = {3: ReadHoldingRegistersRequest, 4: ReadInputRegistersRequest}
RESPONSES = {3: ReadHoldingRegistersResponse, 4: ReadInputRegistersResponse}
RTU, TCP = FramerRTU(DecodePDU(False)), FramerSocket(DecodePDU(False))

reads = st.tuples(st.integers(1, 247), st.sampled_from((3, 4)), st.integers(0, 65000),
                  st.integers(1, 125), st.integers(1, 65535))


@given(reads)
def test_our_requests_are_the_bytes_pymodbus_builds(read):
    unit, function, address, count, tid = read
    pdu = REQUESTS[function](address=address, count=count, dev_id=unit, transaction_id=tid)
    assert modbus.RtuRead(unit, function, address, count).request == RTU.buildFrame(pdu)
    assert modbus.TcpRead(unit, function, address, count, tid).request == TCP.buildFrame(pdu)


@given(reads, st.data())
def test_we_take_the_answers_pymodbus_builds(read, data):
    unit, function, address, count, tid = read
    words = data.draw(st.lists(st.integers(0, 65535), min_size=count, max_size=count))
    pdu = RESPONSES[function](registers=words, dev_id=unit, transaction_id=tid)
    wanted = b"".join(word.to_bytes(2, "big") for word in words)
    for question, frame in (
            (modbus.RtuRead(unit, function, address, count), RTU.buildFrame(pdu)),
            (modbus.TcpRead(unit, function, address, count, tid), TCP.buildFrame(pdu))):
        cut = data.draw(st.integers(0, len(frame)))
        assert question.feed(frame[:cut]) or question.feed(frame[cut:])
        assert question.result == wanted


def questions():
    """Return one fresh transaction of each kind."""
    return [modbus.RtuRead(1, 4, 0, 2), modbus.TcpRead(1, 3, 0, 2, 7),
            pylontech.FrameRead(2, 0x42, b"\xff"), prometheus.HttpGet("h", "/")]


@settings(max_examples=400)
@given(st.lists(st.binary(max_size=80), max_size=6), st.integers(0, 3))
def test_random_bytes_only_ever_raise_device_errors(parts, which):
    question = questions()[which]
    try:
        for part in parts:
            if question.feed(part):
                break
    except DeviceError:
        return
    assert question.result is None or which == 3


@settings(max_examples=300)
@given(st.data())
def test_damaged_answers_only_ever_raise_device_errors(data):
    which = data.draw(st.integers(0, 2))
    frames = (b"\x01\x04\x04\x01\x31\x02\x22\x2a\xce",
              b"\x00\x07\x00\x00\x00\x07\x01\x03\x04\x00\x01\x00\x02",
              pylontech.encode_frame(2, 0, encode_analog(
                  1, (pylontech.BatteryModule((3300, 3301), (210, 200), -5, 49500, 33000, 50000,
                                              9),))))
    frame = bytearray(frames[which])
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(frame) - 1))
        frame[place] = data.draw(st.integers(0, 255))
    question = questions()[which]
    try:
        if question.feed(bytes(frame)) and which == 2:
            pylontech.analog(question.result)
    except DeviceError:
        pass
    # an RTU or Pylontech frame that passed carries the right check over what it says
    if which == 0 and question.result is not None:
        assert bytes(frame[:7]) == frames[0][:7]


@settings(max_examples=300)
@given(st.binary(max_size=200))
def test_random_battery_info_only_ever_raises_device_errors(info):
    try:
        _, modules = pylontech.analog(info)
    except DeviceError:
        return
    assert pylontech.stack(modules)["modules"] == (len(modules), 1, 0)


@settings(max_examples=300)
@given(st.binary(max_size=300) | st.text(
    alphabet='ab{}="\\,.0123456789e+- \n#N', max_size=300).map(str.encode))
def test_random_metric_texts_give_values_or_reasons(body):
    made = profile_files.find("compute-prometheus")
    device = driver.build(made, driver.Setup(prometheus.Gets("h", "/"), workloads=("a",)))
    values = driver.run(device.poll(), lambda question: body)
    assert len(values) == len(device.points)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(("eastron-sdm630-v2", "eastron-sdm120", "sunspec-generic", "xy-md02")),
       st.randoms(use_true_random=False))
def test_any_register_contents_give_a_value_or_a_reason_for_every_point(stem, random):
    made = profile_files.find(stem)
    device = driver.build(made, driver.Setup(modbus.RtuReads()))

    def answer(question):
        if random.random() < 0.2:
            raise random.choice((modbus.refused(1, 4, random.randrange(256)),
                                 DeviceError("x"), modbus.BadFrame("x")))
        if random.random() < 0.3 and question.count == 2:
            return b"SunS"
        return random.randbytes(2 * question.count)

    for _ in range(3):
        values = driver.run(device.poll(), answer)
        assert len(values) == len(device.points)
        for value, point in zip(values, device.points, strict=True):
            assert isinstance(value, Absent) or abs(value) < 10 ** (15 - point.exponent)


@given(st.sampled_from(sorted(FORMATS)), st.data())
def test_every_bit_pattern_that_is_a_number_encodes_to_itself(name, data):
    size = 2 * width(name)
    cells = data.draw(st.binary(min_size=size, max_size=size))
    exponent = -1100 if "float" in name else 0      # finer than any float's last bit
    value = decode(cells, name, exponent)
    if value is None:
        return
    again = encode(value, name, exponent)
    assert decode(again, name, exponent) == value
    assert again == cells or value == 0             # minus zero comes back as zero


@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.integers(-6, 3))
def test_floats_decode_as_exact_rational_arithmetic_says(number, exponent):
    exact = Fraction(number) / Fraction(10) ** exponent
    whole = (abs(exact) * 2 + 1) // 2               # half away from zero
    wanted = -whole if exact < 0 else whole
    assert decode(struct.pack(">f", number), "float32", exponent) == wanted


@pytest.mark.parametrize("frame_count", [1, 2, 5])
def test_answers_glued_together_on_tcp_are_told_apart(frame_count):
    frames = b"".join(
        tid.to_bytes(2, "big") + b"\x00\x00\x00\x05\x01\x03\x02" + tid.to_bytes(2, "big")
        for tid in range(1, frame_count + 1))
    question = modbus.TcpRead(1, 3, 0, 1, frame_count)
    assert question.feed(frames)
    assert question.result == frame_count.to_bytes(2, "big")
