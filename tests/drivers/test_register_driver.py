"""The driver of fixed addresses: what failures do to a poll and to the next one."""

from drivers import driver, modbus
from drivers.register_driver import Image, read_point
from gateway.core.errors import BadFrame, NoReply
from gateway.core.reading import BAD_FRAME, NO_REPLY, NOT_IMPLEMENTED, OUT_OF_RANGE, REFUSED, Absent
from tests.support.paper_meter import cells_of, meter

ROWS = (("frequency", 0), ("power_active_total", 1), ("energy_active_import_total", 2))


def built(made, fine=False):
    """Return the driver of a profile on unit 5 of a serial line."""
    return driver.build(made, driver.Setup(modbus.RtuReads(), unit=5, fine=fine))


class Line:
    """Answers from an image after scripted failures; notes what was asked."""

    def __init__(self, words, script=()):
        self._image = Image(words)
        self._script = list(script)
        self.asked = []

    def answer(self, question):
        """Return the answer, or raise what the script says next (None: answer)."""
        self.asked.append((question.address, question.count))
        assert question.unit == 5 and question.gap_ms == 60
        error = self._script.pop(0) if self._script else None
        if error:
            raise error
        return self._image.answer(question)


def test_a_poll_gives_whole_numbers_of_the_measurands_exponent_by_position():
    device = built(meter(ROWS))
    assert driver.run(device.poll(), Line({0: 50, 1: 0xFFFE, 2: 7}).answer) == (5000, -2, 7)
    assert [(p.measurand, p.exponent, p.item) for p in device.points] == [
        (29, -2, ""), (14, 0, ""), (43, 0, "")]
    assert [p.exponent for p in built(meter(ROWS), fine=True).points] == [-3, -1, 0]


def test_markers_and_impossible_counters_become_reasons():
    words = {0: 0x8000, 1: 0, 2: 0xFFFF}
    assert driver.run(built(meter(ROWS)).poll(), Line(words).answer) == (
        Absent(NOT_IMPLEMENTED), 0, Absent(OUT_OF_RANGE))


def test_floats_that_are_none_or_impossible_are_found_among_those_decoded_at_once():
    rows = (("power_active_total", 0), ("energy_active_import_total", 2), ("frequency", 4))
    device = built(meter(rows, kind="float32"))
    plain = {0: 0xC2C8, 1: 0, 2: 0x42C8, 3: 0, 4: 0x4248, 5: 0}         # -100, 100, 50
    values = (-100, 100, 5000)
    assert driver.run(device.poll(), Line(plain).answer) == values
    for place, words, reason in ((1, {2: 0xC2C8}, OUT_OF_RANGE), (0, {0: 0x7FC0}, NOT_IMPLEMENTED),
                                 (2, {4: 0x7F80}, NOT_IMPLEMENTED)):
        image = dict(plain)
        image.update(words)
        expected = list(values)
        expected[place] = Absent(reason)
        assert driver.run(device.poll(), Line(image).answer) == tuple(expected)


def test_floats_go_to_their_own_places_whatever_their_addresses():
    rows = (("power_active_total", 4), ("energy_active_import_total", 0), ("frequency", 2))
    words = {4: 0xC2C8, 5: 0, 0: 0x42C8, 1: 0, 2: 0x4248, 3: 0}
    device = built(meter(rows, kind="float32"))
    assert driver.run(device.poll(), Line(words).answer) == (-100, 100, 5000)


def test_silence_ends_the_poll_after_one_question():
    line = Line({0: 1, 1: 2, 2: 3}, (NoReply("silent"),))
    device = built(meter((("frequency", 0), ("power_active_total", 15))))
    assert driver.run(device.poll(), line.answer) == (Absent(NO_REPLY),) * 2
    assert len(line.asked) == 1


def test_a_damaged_frame_is_asked_once_more():
    words = {0: 50, 1: 2, 2: 3}
    once, twice = Line(words, (BadFrame("crc"),)), Line(words, (BadFrame("crc"),) * 9)
    assert driver.run(built(meter(ROWS)).poll(), once.answer) == (5000, 2, 3)
    assert driver.run(built(meter(ROWS)).poll(), twice.answer) == (Absent(BAD_FRAME),) * 3
    assert len(twice.asked) == 2


def test_after_a_failure_the_next_question_has_another_length():
    words = {0: 50, 1: 2, 2: 3, 3: 4}
    for failure in (NoReply("silent"), BadFrame("crc")):
        line = Line(words, (None, failure))
        device = built(meter(ROWS + (("power_active_l1", 3),), {"registers_max": 3}))
        for _ in range(4):
            driver.run(device.poll(), line.answer)
        assert line.asked[1][1] != line.asked[2][1], line.asked


def test_a_device_with_one_length_only_is_probed_with_another():
    device = built(meter((("temperature", 1), ("humidity", 2)),
                         {"registers_max": 2, "gap_max": 0}))
    line = Line({1: 242, 2: 536}, (NoReply("silent"),))
    driver.run(device.poll(), line.answer)
    assert driver.run(device.poll(), line.answer) == (2420, 5360)
    assert line.asked == [(1, 2), (1, 1), (1, 2)]


def test_a_read_that_would_take_the_late_answer_of_a_silent_probe_is_asked_twice():
    rows = (("temperature", 10), ("humidity", 11), ("power_active_l1", 20),
            ("power_active_l2", 21), ("frequency", 30))
    device = built(meter(rows, {"registers_max": 2, "gap_max": 0}))
    line = Line({10: 242, 11: 536, 20: 1, 21: 2, 30: 50}, (NoReply("silent"), NoReply("silent")))
    driver.run(device.poll(), line.answer)
    driver.run(device.poll(), line.answer)
    assert line.asked == [(10, 2), (10, 1)]         # the probe's answer may still come
    line.asked[:] = []
    assert driver.run(device.poll(), line.answer)[4] == 5000
    assert line.asked == [(30, 1), (30, 1), (20, 2), (10, 2)]


def test_a_refused_probe_is_an_answer_and_changes_no_plan():
    device = built(meter((("temperature", 1), ("humidity", 2)),
                         {"registers_max": 2, "gap_max": 0}))
    line = Line({1: 242, 2: 536}, (NoReply("silent"), modbus.refused(5, 4, 2)))
    driver.run(device.poll(), line.answer)
    assert driver.run(device.poll(), line.answer) == (2420, 5360)
    assert line.asked == [(1, 2), (1, 1), (1, 2)]


def test_a_refused_span_is_split_until_the_missing_register_stands_alone():
    line = Line({0: 50, 2: 3})
    device = built(meter(ROWS))
    assert driver.run(device.poll(), line.answer) == (5000, Absent(REFUSED), 3)
    line.asked[:] = []
    assert driver.run(device.poll(), line.answer) == (5000, Absent(REFUSED), 3)
    assert len(line.asked) == 2          # the split is remembered, the point stays off


def test_a_refused_point_is_tried_again_after_an_hour_of_polls():
    device = built(meter(ROWS))
    driver.run(device.poll(), Line({0: 50, 2: 3}).answer)
    whole = Line({0: 50, 1: 2, 2: 3})
    for _ in range(400):
        values = driver.run(device.poll(), whole.answer)
    assert values == (5000, 2, 3)


def test_an_exception_from_the_gateway_about_a_silent_unit_counts_as_silence():
    for code in (10, 11):
        line = Line({}, (modbus.refused(5, 4, code),))
        assert driver.run(built(meter(ROWS)).poll(), line.answer) == (Absent(NO_REPLY),) * 3
    line = Line({}, (modbus.refused(5, 4, 6),))
    assert driver.run(built(meter(ROWS)).poll(), line.answer) == (Absent(REFUSED),) * 3


def test_identify_reads_the_serial_number_and_lives_without_it():
    device = built(meter(ROWS))
    assert driver.run(device.identify(), Line({900: 1, 901: 2}).answer)["serial"] == "65538"
    assert "serial" not in driver.run(device.identify(), Line({}).answer)


def test_a_point_writes_the_cells_it_reads():
    point = meter(ROWS).points[2]
    assert read_point(point, cells_of(point, 12345, 0), 0) == 12345
