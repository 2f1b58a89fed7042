"""What is decoded at once is what the plain rules give, for any bits."""

import math
import struct
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from drivers import driver, modbus, profile, register_driver, registers
from drivers.links import decimals
from gateway.core.measurand import BY_NAME, COUNTER
from gateway.core.reading import Absent

NUMBERS = st.one_of(
    st.floats(width=32, min_value=-2.0**31, max_value=2.0**31 - 128),
    st.integers(-2000, 2000).map(lambda n: n / 2),          # ties
    st.sampled_from((0.0, -0.0, 2.0**31 - 128, 2.0**31, -2.0**31, 2.0**-149, math.inf, math.nan)))
CELLS = st.one_of(NUMBERS.map(lambda number: struct.pack(">f", number)),
                  st.binary(min_size=4, max_size=4))
EXPONENTS = st.one_of(st.integers(-3, 0), st.integers(-13, 0), st.integers(-30, 0))
NAMES = ("voltage_l1_n", "power_active_total", "energy_active_import_total", "frequency",
         "power_factor_total", "energy_active_export_total")


@given(st.lists(st.tuples(st.integers(0, 3), EXPONENTS, CELLS), max_size=8))
def test_floats_at_once_are_the_floats_one_by_one(rows):
    cells, places = b"", []
    for hole, exponent, number in rows:
        cells += b"\xff\xff" * hole
        places.append((len(cells) // 2, exponent))
        cells += number
    found, lowest = registers.floats(places)(cells + b"\xff\xff")
    assert decimals.floats(tuple(places))(cells + b"\xff\xff") == (found, lowest)
    assert lowest == (min(found) if found and None not in found else None)
    assert len(found) == len(rows)
    for (_, exponent, number), value in zip(rows, found, strict=True):
        plain = registers.decode(number, "float32", exponent)
        is_plain = plain is not None and abs(plain) < 2**31 * 10**-exponent
        assert value == (plain if is_plain else None)


@given(st.floats(width=32, min_value=-2.0**20, max_value=2.0**20), st.integers(-4, 0))
def test_a_float_is_rounded_half_away_from_zero(number, exponent):
    exact = abs(Fraction(number)) / Fraction(10) ** exponent
    whole = (exact * 2 + 1) // 2
    for floats in (registers.floats, decimals.floats):
        value = -whole if number < 0 else whole
        assert floats(((0, exponent),))(struct.pack(">f", number)) == ([value], value)


def meter(rows):
    """Return a profile of six points from (format, exponent, absent, hole before it)."""
    points, address = [], 0
    for name, (form, exponent, absent, hole) in zip(NAMES, rows, strict=True):
        address += hole
        points.append({"measurand": name, "address": address, "format": form,
                       "exponent": exponent, "absent": list(absent), "group": "journal",
                       "source": ["a"]})
        address += registers.width(form)
    return profile.make("meter", {
        "manufacturer": "M", "model": "X", "kind": "meter", "protocol": "modbus",
        "maturity": "simulated", "sources": {"a": "a test"},
        "transport": {"buses": ["modbus-tcp"], "source": ["a"]},
        "reading": {"function": 4, "registers_max": 60, "gap_max": 3, "source": ["a"]},
        "point": points})


ROW = st.tuples(st.sampled_from(("float32", "float32", "float32", "int16", "uint32",
                                 "float32_low_first", "float64")),
                st.integers(-3, 8), st.sampled_from(((), (), (0xFFFF,), (0,))), st.integers(0, 3))


@given(st.lists(ROW, min_size=6, max_size=6), st.booleans(), st.binary(min_size=200, max_size=200))
def test_a_poll_gives_what_each_point_alone_gives(rows, fine, image):
    made = meter(rows)
    device = driver.build(made, driver.Setup(modbus.TcpReads(), fine=fine))
    values = driver.run(device.poll(), lambda asked: image[
        2 * asked.address:2 * (asked.address + asked.count)])
    for point, given_as, value in zip(made.points, device.points, values, strict=True):
        start, size = 2 * point.address, 2 * registers.width(point.format)
        part = image[start:start + size]
        assert value == register_driver.read_point(point, part, given_as.exponent)
        is_counter = BY_NAME[point.measurand].kind == COUNTER
        assert isinstance(value, Absent) or value >= 0 or not is_counter
