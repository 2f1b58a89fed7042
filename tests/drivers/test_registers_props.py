"""Prepared readers give what the plain rules give, for any bits."""

from hypothesis import given
from hypothesis import strategies as st

from drivers import point_map, registers
from drivers.profile import RegisterPoint
from gateway.core.measurand import BY_NAME

FORMATS = sorted(registers.FORMATS)
EXPONENTS = st.integers(-9, 3)


@given(st.sampled_from(FORMATS), EXPONENTS, st.binary(min_size=8, max_size=8))
def test_a_reader_gives_what_decode_gives(name, exponent, data):
    cells = data[:2 * registers.width(name)]
    assert registers.reader(name, exponent)(cells) == registers.decode(cells, name, exponent)


@given(st.sampled_from(FORMATS), EXPONENTS, st.binary(min_size=8, max_size=8))
def test_a_reader_knows_what_is_not_implemented(name, exponent, data):
    cells = data[:2 * registers.width(name)]
    raw = registers.bits(cells, name)
    assert registers.reader(name, exponent, (raw,))(cells) is None


@given(st.sampled_from(("voltage_l1_n", "power_active_total", "energy_active_import_total")),
       st.integers(-3, 3), st.binary(min_size=4, max_size=4))
def test_a_point_read_for_many_polls_is_the_point_read_once(measurand, exponent, cells):
    point = RegisterPoint(measurand, 4, 0, "float32", exponent, (), "journal", ())
    step = BY_NAME[measurand].exponent
    quick, plain = point_map.reader(point, step)(cells), point_map.read_point(point, cells, step)
    assert quick == (plain if isinstance(plain, int) else None)


@given(st.sampled_from(FORMATS), st.integers(-2, 2), st.binary(min_size=8, max_size=8))
def test_a_reader_gives_nothing_outside_its_limits(name, exponent, data):
    cells = data[:2 * registers.width(name)]
    value = registers.decode(cells, name, exponent)
    fits = value is not None and -1000 <= value < 1000
    limits = (-1000, 1000)
    assert registers.reader(name, exponent, (), limits)(cells) == (value if fits else None)


@given(st.floats(width=32, min_value=-2.0**20, max_value=2.0**20))
def test_an_ordinary_float_is_rounded_to_the_nearest_step(number):
    cells = registers.struct.pack(">f", number)
    value = registers.reader("float32", -2)(cells)
    assert abs(value - number * 100) <= 0.5
