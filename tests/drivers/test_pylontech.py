"""Pylontech frames and stacks; frames are those of the maker's document and real answers."""

from drivers import driver, profile, pylontech
from drivers.pylontech import BatteryModule, Frames, analog, decode_frame, encode_frame
from gateway.core.errors import BadFrame, Bug, NoReply, Refused
from gateway.core.reading import BAD_FRAME, NO_REPLY, NOT_IMPLEMENTED, REFUSED, Absent
from tests.support.pylontech_answers import encode_analog

# python-pylontech tests/test_basic.py: the answer of an UP2500
ANSWER = (b"~20024600D05E1002080D020D020D020D030D000D010D010D03050B7D0B690B690B690B73FFFA680EFFFF04"
          b"FFFF00000174E401B198E906\r")
MODULE = BatteryModule((3330, 3331), (210, 190, 200), -6, 26638, 95460, 111000, 3)
POINTS = ("battery_voltage", "battery_current", "state_of_charge", "cell_voltage_min",
          "cell_voltage_max", "cell_temperature_max", "bms_temperature", "modules")


def stack():
    """Return a driver of POINTS on address 2."""
    made = profile.make("bms", {
        "manufacturer": "M", "model": "X", "kind": "bms", "protocol": "pylontech",
        "maturity": "simulated", "sources": {"a": "a test"},
        "transport": {"buses": ["pylontech"], "unit": 2, "source": ["a"]},
        "point": [{"measurand": n, "group": "journal", "source": ["a"]} for n in POINTS]})
    return driver.build(made, driver.Setup(Frames(), unit=2))


def refused(kind, work):
    """Return the error that work() raises; fail if it is none of that kind."""
    try:
        work()
    except kind as error:
        return error
    raise AssertionError("accepted")


def test_the_question_of_the_makers_example_is_written_as_printed():
    assert Frames().ask(2, 0x42, b"\x02").request == b"~20024642E00202FD33\r"


def test_a_real_answer_is_read_with_24_bit_capacities_and_signed_current():
    question = Frames().ask(2, 0x42, b"\xff")
    assert question.feed(ANSWER)
    count, modules = analog(question.result)
    assert count == 2 and modules == (BatteryModule(
        (3330, 3330, 3330, 3331, 3328, 3329, 3329, 3331), (210, 190, 190, 190, 200), -6, 26638,
        95460, 111000, 0),)


def test_an_answer_may_come_in_pieces_and_behind_noise():
    question = Frames().ask(2, 0x42, b"\xff")
    assert not question.feed(b"\x00\xff" + ANSWER[:20])
    assert question.feed(ANSWER[20:])


def test_a_changed_character_anywhere_is_refused():
    for place in range(len(ANSWER)):
        for new in (b"0", b"~", b"\r", b"a"):
            damaged = ANSWER[:place] + new + ANSWER[place + 1:]
            if damaged == ANSWER:
                continue
            question = Frames().ask(2, 0x42, b"\xff")
            try:
                assert not question.feed(damaged), (place, new)
            except (BadFrame, Refused):
                pass
            assert question.result is None


def test_a_length_is_checked_before_it_is_waited_for():
    refused(BadFrame, lambda: Frames().ask(2, 0x42).feed(b"~200246000FFF"))
    refused(BadFrame, lambda: Frames().ask(2, 0x42).feed(b"\x00" * 9))
    refused(BadFrame, lambda: decode_frame(b""))


def test_another_stack_and_return_codes_are_told_apart():
    other = encode_frame(0x12, 0, b"")
    refused(BadFrame, lambda: Frames().ask(2, 0x42).feed(other))
    code = encode_frame(2, 0x90, b"")
    assert refused(Refused, lambda: Frames().ask(2, 0x42).feed(code)).exception == 0x90


def test_commands_that_act_cannot_be_built():
    for command in (0x94, 0x95, 0x00):
        refused(Bug, lambda: Frames().ask(2, command))


def test_modules_are_written_as_they_are_read():
    for one in (MODULE, BatteryModule((3330,), (210,), 5, 26638, 33500, 50000, 3)):
        assert analog(encode_analog(1, (one,))) == (1, (one,))


def test_torn_info_is_refused_at_every_length():
    info = encode_analog(1, (MODULE,))
    for size in range(len(info)):
        refused(BadFrame, lambda: analog(info[:size]))


def test_a_poll_adds_up_the_stack():
    modules = (MODULE, BatteryModule((3300, 3400), (230, 220, 180), -8, 26640, 15540, 111000, 9))
    answer = encode_analog(2, modules)
    assert driver.run(stack().poll(), lambda q: answer) == (
        2664, -14, 500, 3300, 3400, 220, 230, 2)      # 26.639 V is 26.64; 111/222 Ah is 50.0 %


def test_a_count_that_does_not_fit_the_modules_is_a_bad_frame():
    values = driver.run(stack().poll(), lambda q: encode_analog(3, (MODULE,)))
    assert values == (Absent(BAD_FRAME),) * len(POINTS)


def test_unknown_capacity_gives_no_state_of_charge():
    cells = b"\x01\x0d\x02\x01\x0b\x7d\x00\x00\x68\x0e\xff\xff\x02\xff\xff\x00\x01"
    values = driver.run(stack().poll(), lambda q: b"\x11\x01" + cells)
    assert values[2] == Absent(NOT_IMPLEMENTED) and values[7] == 1


def test_after_a_failure_another_command_goes_first_so_that_a_late_answer_fits_nothing():
    device, asked, late = stack(), [], [True]

    def answer(question):
        asked.append(question.command)
        if len(asked) == 1:
            raise NoReply("late")
        if question.command == pylontech.GET_VERSION:
            return b"late answer of 0x42" if late.pop() else b""
        return encode_analog(1, (MODULE,))

    late.append(True)
    assert driver.run(device.poll(), answer) == (Absent(NO_REPLY),) * len(POINTS)
    assert driver.run(device.poll(), answer) == (Absent(BAD_FRAME),) * len(POINTS)
    late[:] = [False]
    assert driver.run(device.poll(), answer)[7] == 1
    assert asked == [0x42, 0x4F, 0x4F, 0x4F, 0x42]


def test_identify_reads_names_and_serial():
    texts = {0x51: b"US2000C\x00\x00\x00\x02\x04Pylon" + b"\x00" * 15,
             0x93: b"\x02K221027C30801234"}
    found = driver.run(stack().identify(), lambda q: texts[q.command])
    assert found == {"manufacturer": "Pylon", "model": "US2000C", "serial": "K221027C30801234"}

    def no(question):
        raise Refused("command not valid", 4)
    assert driver.run(stack().identify(), no) == {"manufacturer": "Pylontech"}
    assert driver.run(stack().poll(), no) == (Absent(REFUSED),) * len(POINTS)
