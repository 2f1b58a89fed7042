"""Identity is a gate: another model is not recorded, another serial number is said."""

import pytest

from gateway.core.codec.record import DEVICE, METER_SWAP
from gateway.core.errors import BadFrame, NoReply, OtherDevice
from gateway.core.event import Event
from gateway.core.reading import Absent, Scan
from gateway.polling.identity import found_later
from tests.gateway.polling.test_liveness import line_of, silent
from tests.gateway.polling.test_poller import Bench
from tests.support.virtual_time import run


def meter(serial="A1", value=5):
    """Answer of a meter; serial may be an error."""
    def answer(number):
        if number != "serial":
            return value
        if isinstance(serial, Exception):
            raise serial
        return serial
    return answer


def good(made, number=0):
    """Return the scans of a unit with values."""
    return [scan for scan in made.scans(number) if not isinstance(scan.values[0], Absent)]


@pytest.mark.parametrize("error", [OtherDevice("meter_code is 112, expected 32"),
                                   BadFrame("meter_code is 112, expected 32: another device?")])
def test_another_model_than_the_profiles_is_not_recorded(error):
    made = line_of({0: meter(error), 1: meter()}, (600, {}))
    assert made.units[0].state == "wrong" and "112" in made.units[0].last_error
    assert good(made) == [] and len(made.scans(0)) == len(good(made, 1)) == 60
    assert [0, "wrong", str(error)] in made.events(DEVICE)
    assert [body[1] for body in made.events(DEVICE) if body[0] == 0] == ["wrong"]


def test_another_device_is_looked_at_once_a_minute_and_recorded_once_it_is_the_right_one():
    made = line_of({0: meter(OtherDevice("another"))}, (300, {}), (200, {0: meter()}))
    assert len([ticks for ticks, _, number in made.link.asked
                if number == "serial" and ticks < 300_000]) == 5
    assert made.units[0].state == "ok" and len(good(made)) >= 14
    assert [body[1] for body in made.events(DEVICE)] == ["wrong", "found"]


def test_a_torn_identity_answer_of_a_known_meter_costs_nothing():
    made = line_of({0: meter()}, (3595, {}), (10, {0: meter(BadFrame("torn"))}),
                   (100, {0: meter()}))
    assert len(good(made)) == len(made.scans(0)) and made.units[0].state == "ok"


@pytest.mark.parametrize("silence_s", [0, 300])
def test_an_exchanged_meter_is_said_before_its_first_values_within_an_hour(silence_s):
    steps = [(120, {})] + [(silence_s, {0: silent})] * bool(silence_s) + [(
        7200, {0: meter("B2", 9)})]
    made = line_of({0: meter("A1", 5)}, *steps)
    places = [i for i, item in enumerate(made.items)
              if isinstance(item, Event) and item.kind == METER_SWAP]
    event = made.items[places[0]]
    after = next(item for item in made.items[places[0]:] if isinstance(item, Scan))
    assert len(places) == 1 and event.ticks_ms <= 3_800_000
    assert event.body[:3] == [0, "A1", "B2"]
    assert after.values == (9, 9)
    assert [0, "exchanged", "serial A1 became B2"] in made.events(DEVICE)
    assert event.body[3] == [[0, 5, 9]]             # the end of the old one, the start of the new
    # In a silence: its last reading.  Without one: when its serial number was read last, at the
    # start, for whatever was read since may be of either.
    assert event.body[4] == (good(made)[11].ticks_ms if silence_s else good(made)[0].ticks_ms)


def test_a_meter_exchanged_while_the_gateway_was_off_is_said_at_the_start():
    async def go():
        made = Bench({0: meter("B2")})
        made.units[0].serial = "A1"                 # as it is kept over a restart
        await made.run_for(60)
        return made
    made = run(go())
    assert made.events(METER_SWAP) == [[0, "A1", "B2", [[0, None, 5]], 0]]
    assert made.units[0].serial == "B2"


def test_a_meter_exchanged_before_a_start_that_could_not_read_the_old_serial_is_said_later():
    made = line_of({0: meter("B2")}, (60, {}))          # nothing was known of it
    swap, told = found_later(made.units[0], "A1")
    assert (swap.kind, swap.body) == (METER_SWAP, [0, "A1", "B2", [[0, None, None]], 0])
    assert (told.kind, told.body) == (DEVICE, [0, "exchanged", "serial A1 became B2"])
    assert swap.ticks_ms == 0                           # before its first scan
    for before in ("", "B2"):
        assert found_later(made.units[0], before) == []


def test_the_serial_number_is_read_hourly_and_after_every_silence():
    made = line_of({0: meter()}, (3700, {}), (60, {0: silent}), (7200, {0: meter()}))
    times = [ticks // 1000 for ticks, _, number in made.link.asked if number == "serial"]
    assert len(times) == 4 and times[0] < 1
    assert 3600 <= times[1] <= 3610 and 3760 <= times[2] <= 3900


def test_a_device_that_does_not_tell_is_recorded_and_not_asked_for_ever():
    made = line_of({0: meter(NoReply("nothing"))}, (1800, {}))
    assert made.units[0].state == "ok" and len(good(made)) == 180
    assert len([1 for _, _, number in made.link.asked if number == "serial"]) == 4


def test_no_serial_number_is_no_other_one():
    made = line_of({0: meter()}, (100, {}), (100, {0: silent}), (100, {0: meter("")}))
    assert made.events(METER_SWAP) == [] and made.units[0].state == "ok"
    assert made.units[0].serial == "A1"
