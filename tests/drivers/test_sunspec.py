"""SunSpec: the walk over the chain of models, scale factors, markers."""

from drivers import driver, modbus, profile, sunspec
from drivers.register_driver import Image
from gateway.core.errors import BadFrame, NoReply
from gateway.core.reading import BAD_FRAME, NO_REPLY, NOT_IMPLEMENTED, OUT_OF_RANGE, Absent

ROW = {"group": "journal", "source": ["a"]}


def made():
    """Return a small SunSpec profile: inverter 103 and meter 203."""
    points = [
        dict(ROW, measurand="power_active_total", models=[103], offset=14, format="int16",
             scale=15),
        dict(ROW, measurand="energy_yield_total", models=[103], offset=24, format="acc32",
             scale=26),
        dict(ROW, measurand="power_active_total", models=[203], offset=18, format="int16",
             scale=22),
        dict(ROW, measurand="energy_active_import_total", models=[203], offset=46,
             format="acc32", scale=54),
    ]
    return profile.make("sun", {
        "manufacturer": "M", "model": "X", "kind": "inverter", "protocol": "sunspec",
        "maturity": "simulated", "sources": {"a": "a test"},
        "transport": {"buses": ["modbus-tcp"], "source": ["a"]},
        "reading": {"function": 3, "registers_max": 125, "source": ["a"]}, "point": points})


def image(base, models, common=65):
    """Return registers with the marker at base, then models: (id, length, {offset: word})."""
    words = {base: 0x5375, base + 1: 0x6E53}
    address = base + 2
    for number, length, cells in ((1, common, {2: 0x4142}),) + models + ((0xFFFF, 0, {}),):
        words[address], words[address + 1] = number, length
        for offset in range(2, length + 2):
            words[address + offset] = cells.get(offset, 0)
        address += length + 2
    return words


INVERTER = (103, 50, {14: 3487, 15: 0, 24: 0x0123, 25: 0x4567, 26: 0})


def polled(words, device=None):
    """Return the values of one poll over an image."""
    device = device or driver.build(made(), driver.Setup(modbus.TcpReads()))
    return driver.run(device.poll(), Image(words).answer)


def test_the_marker_is_found_at_each_base_and_behind_both_common_lengths():
    for base in sunspec.BASES:
        for common in (65, 66):
            values = polled(image(base, (INVERTER,), common))
            assert values == (3487, 0x01234567, Absent(NOT_IMPLEMENTED)), (base, common)


def test_a_scale_factor_of_the_same_request_is_used_and_a_broken_one_is_not():
    for raw, expected in ((0xFFFF, 349), (1, 34870), (0x8000, Absent(NOT_IMPLEMENTED)),
                          (11, Absent(OUT_OF_RANGE)), (0xFFF5, Absent(OUT_OF_RANGE))):
        cells = dict(INVERTER[2])
        cells[15] = raw
        assert polled(image(40000, ((103, 50, cells),)))[0] == expected, raw


def test_markers_and_accumulators_of_zero_are_not_numbers():
    cells = {14: 0x8000, 15: 0, 24: 0, 25: 0, 26: 0}
    assert polled(image(40000, ((103, 50, cells),)))[:2] == (Absent(NOT_IMPLEMENTED),) * 2


def test_unknown_models_are_stepped_over_and_the_first_that_knows_a_quantity_gives_it():
    meter = (203, 105, {18: 77, 22: 0, 46: 0, 47: 9, 54: 1})
    values = polled(image(40000, ((64001, 30, {}), INVERTER, meter)))
    assert values == (3487, 0x01234567, 90)


def test_a_device_shorter_than_its_model_has_no_values_behind_its_end():
    assert polled(image(40000, ((103, 20, INVERTER[2]),)))[:2] == (
        3487, Absent(NOT_IMPLEMENTED))


def test_a_changed_chain_gives_no_values_and_is_walked_again():
    device = driver.build(made(), driver.Setup(modbus.TcpReads()))
    polled(image(40000, (INVERTER,)), device)
    moved = image(40000, ((64001, 30, {}), INVERTER))
    assert polled(moved, device)[0] == Absent(BAD_FRAME)
    assert polled(moved, device)[0] == 3487


def test_a_chain_without_an_end_or_a_marker_is_refused_after_bounded_work():
    endless = {address: 1 for address in range(40068, 40800)}
    endless.update(image(40000, ()))
    endless[40069] = endless[40070] = 1             # where the end marker was
    for words in (endless, {}, {40000: 1, 40001: 2}, {40000: 0x5375, 40001: 0x6E53},
                  image(40000, (), 64)):
        values = polled(words)
        assert [type(value) for value in values] == [Absent] * 3


def test_silence_at_the_first_base_is_silence():
    def answer(question):
        raise NoReply("off")
    device = driver.build(made(), driver.Setup(modbus.TcpReads()))
    assert driver.run(device.poll(), answer) == (Absent(NO_REPLY),) * 3


def test_identify_tells_the_texts_and_the_chain_or_fails():
    device = driver.build(made(), driver.Setup(modbus.TcpReads()))
    found = driver.run(device.identify(), Image(image(40000, (INVERTER,))).answer)
    assert found["manufacturer"] == "AB" and found["serial"] == ""
    assert found["model_chain"] == ((1, 65), (103, 50))
    try:
        driver.run(device.identify(), Image({}).answer)
    except BadFrame:
        return
    raise AssertionError("a device without a marker was identified")
