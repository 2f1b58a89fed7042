"""Silence is information: spans that stay silent are split, and every probe has an exit."""

from drivers import driver, modbus, pylontech, sunspec
from drivers.links import profile_files
from drivers.register_driver import POLLS_UNTIL_RETRY, Image
from gateway.core.errors import DeviceError, NoReply
from gateway.core.reading import NO_REPLY, REFUSED, Absent
from tests.support.paper_meter import meter
from tests.support.pylontech_answers import encode_analog

ROWS = (("voltage_l1_n", 0), ("voltage_l2_n", 1), ("voltage_l3_n", 2), ("current_l1", 3),
        ("frequency", 10), ("power_active_total", 11), ("energy_active_import_total", 20))
WORDS = {0: 230, 1: 231, 2: 232, 3: 4, 10: 50, 11: 2, 20: 7}
LIMITS = {"registers_max": 12, "gap_max": 6}


def built(rows=ROWS, limits=LIMITS):
    """Return a driver of a meter on a serial line."""
    return driver.build(meter(rows, limits), driver.Setup(modbus.RtuReads(), unit=5))


def whole():
    """Return what a device without faults gives."""
    return driver.run(built().poll(), Image({a: WORDS.get(a, 0) for a in range(30)}).answer)


class Device:
    """A device that is silent where is_silent(question) says so.  As the poller does, nothing is
    asked behind a silence."""

    def __init__(self, is_silent, words=None):
        self.is_silent, self.asked, self.silences = is_silent, 0, 0
        self.image = Image(words or {a: WORDS.get(a, 0) for a in range(30)})

    def poll(self, steps):
        """Return the value of a poll."""
        gone = [None]

        def answer(question):
            if gone[0]:
                raise gone[0]
            self.asked += 1
            if self.is_silent(question):
                self.silences += 1
                gone[0] = NoReply("silent")
                raise gone[0]
            return self.image.answer(question)
        return driver.run(steps, answer)

    def polls(self, device, count):
        """Return the values of the last of some polls."""
        for _ in range(count):
            values = self.poll(device.poll())
        return values


def test_a_device_that_is_silent_above_some_length_is_read_in_shorter_spans():
    for longest in range(1, 5):
        device, far = built(), Device(lambda q, longest=longest: q.count > longest)
        assert far.polls(device, 20) == whole(), longest
        before = far.silences
        far.polls(device, 2 * POLLS_UNTIL_RETRY)
        assert far.silences == before       # what was learned stays


def test_a_hole_that_is_met_by_silence_costs_its_own_points_only():
    device, far = built(), Device(lambda q: q.address <= 11 < q.address + q.count)
    values = far.polls(device, 20)
    assert values == tuple(
        Absent(REFUSED) if address == 11 else value
        for value, (_, address) in zip(whole(), ROWS))


def test_a_unit_that_is_off_costs_one_question_a_poll_and_its_plan_stays():
    device, far = built(), Device(lambda q: False)
    assert far.polls(device, 2) == whole()
    far.is_silent = lambda q: True
    far.asked = 0
    assert far.polls(device, 50) == (Absent(NO_REPLY),) * len(ROWS)
    assert far.asked == 50
    far.is_silent = lambda q: False
    assert far.polls(device, 3) == whole()
    far.asked = 0
    far.polls(device, 1)
    planned = far.asked
    fresh = Device(lambda q: False)
    fresh.polls(built(), 1)
    assert planned == fresh.asked


def test_one_lost_answer_splits_nothing():
    device, lost = built(), (3, 5, 9)
    far = Device(lambda q: False)
    for number in range(12):
        far.is_silent = lambda q, is_lost=number in lost: is_lost
        far.poll(device.poll())
    far.asked = 0
    assert far.polls(device, 1) == whole() and far.asked == 2


def test_a_device_failure_on_a_hole_is_treated_as_an_address_that_is_not_there():
    def refuse(question):
        span = range(question.address, question.address + question.count)
        if 5 in span:
            raise modbus.refused(5, 4, 4)
        return Image({a: WORDS.get(a, 0) for a in range(30)}).answer(question)
    device = built()
    assert driver.run(device.poll(), refuse) == whole()


def test_a_device_that_fails_as_a_whole_is_asked_as_planned_when_it_is_well_again():
    device, asked = built(), []

    def failing(code):
        def fail(_question):
            raise modbus.refused(5, 4, code)
        return fail

    def well(question):
        asked.append(question)
        return Image({a: WORDS.get(a, 0) for a in range(30)}).answer(question)
    for fault in (2, 4):
        assert driver.run(device.poll(), failing(fault)) == (Absent(REFUSED),) * len(ROWS)
        asked.clear()
        assert driver.run(device.poll(), well) == whole() and len(asked) == 2


GOOD = encode_analog(1, (pylontech.BatteryModule(
    (3300,) * 15, (250,) * 5, -11, 49800, 42500, 50000, 1),))


def stack():
    """Return a driver of a stack and an answer that knows 0x42 only."""
    made = driver.build(profile_files.find("pylontech-rs485"),
                        driver.Setup(pylontech.Frames(), unit=2))

    def answer(question):
        if question.command != pylontech.GET_ANALOG:
            raise NoReply("silent")
        return GOOD
    return made, answer




def nothing(_question):
    """Answer of nobody."""
    raise NoReply("silent")


def as_polled(steps, answer):
    """Run a poll as the poller does: nothing is asked behind a silence."""
    gone = []

    def once(question):
        if gone:
            raise gone[0]
        try:
            return answer(question)
        except NoReply as error:
            gone.append(error)
            raise
    return driver.run(steps, once)


def test_a_battery_stack_that_answers_analog_values_only_is_read_on_after_a_lost_answer():
    device, answer = stack()
    right = driver.run(device.poll(), answer)
    driver.run(device.poll(), nothing)
    assert [driver.run(device.poll(), answer) for _ in range(10)] == [right] * 10
    device, answer = stack()
    right = as_polled(device.poll(), answer)
    as_polled(device.poll(), nothing)
    later = [as_polled(device.poll(), answer) for _ in range(10)]
    assert later[1:] == [right] * 9


def test_a_battery_stack_that_tells_nothing_of_itself_is_read_on():
    device, answer = stack()
    right = as_polled(device.poll(), answer)
    try:
        as_polled(device.identify(), answer)
    except DeviceError:
        pass
    later = [as_polled(device.poll(), answer) for _ in range(10)]
    assert later[1:] == [right] * 9 and isinstance(right[0], int)


def test_sunspec_is_found_behind_a_silent_40000():
    for base in (50000, 0):
        words = {base: 0x5375, base + 1: 0x6E53, base + 2: 1, base + 3: 65}
        words.update({base + 4 + i: 0 for i in range(65)})
        words.update({base + 69: 0xFFFF, base + 70: 0})
        device = driver.build(profile_files.find("sunspec-generic"),
                              driver.Setup(modbus.RtuReads(), unit=5))
        far = Device(lambda q, base=base: q.address not in words, words)
        for _ in range(6):
            far.poll(device.poll())
        assert device.chain == ((sunspec.COMMON, base + 2, 65),), base
