"""A device that answers without values is named as what it does, everywhere, with a next step."""

import asyncio
import logging
from contextlib import asynccontextmanager

import pytest

from drivers import driver
from drivers.links import profile_files
from drivers.links.base import BusConfig
from drivers.links.registry import open_link, wire_for
from gateway.core.codec.record import DEVICE
from gateway.core.errors import BadFrame, Refused
from gateway.core.reading import CLOCK_NTP, NOT_IMPLEMENTED, Absent
from gateway.polling import trouble
from gateway.polling.line import BusLine
from gateway.polling.poller import BusPoller
from gateway.polling.unit import PolledUnit, Timeout
from gateway.timekeeping.clock import Clock, Sources
from tests.gateway.polling.test_liveness import line_of, well


def refusing(number, text="the device refuses"):
    """Return the answer of a device that refuses with a code."""
    def answer(_number):
        raise Refused(f"{text} {number}", number)
    return answer


def torn(_number):
    """Answer whose check sum is wrong."""
    raise BadFrame("checksum 0x4A1F, expected 0x4B1F")


def empty(_number):
    """Answer in which the device marks each value as not there."""
    return Absent(NOT_IMPLEMENTED)


@pytest.mark.parametrize(("answer", "word", "detail", "step"), [
    (refusing(1, "exception"), "refuses", "refuses: exception 1", "profile"),
    (refusing(6, "exception"), "refuses", "refuses: exception 6", "profile"),
    (refusing(4, "return code"), "refuses", "refuses: return code 4", "profile"),
    (refusing(11, "exception"), "silent", "exception 11", "power"),
    (torn, "garbled", "damaged answers: checksum", "baud rate"),
    (empty, "empty", "no values", "the profile"),
])
def test_status_event_and_log_name_what_a_device_does_instead(caplog, answer, word, detail, step):
    caplog.set_level(logging.WARNING)
    made = line_of({0: answer, 1: well}, (300, {}))
    unit = made.units[0]
    assert (unit.state, unit.trouble) == ("lost", word)
    events = [body for body in made.events(DEVICE) if body[0] == 0]
    assert events and all(body[1] == "lost" and detail in body[2] for body in events)
    warned = [record.getMessage() for record in caplog.records if "u0" in record.getMessage()]
    assert any(detail in one and "next: " in one and step in one for one in warned), warned


def test_a_bus_whose_devices_refuse_has_no_fault_of_port_or_cable():
    assert line_of({0: refusing(2)}, (300, {})).poller.fault == ""
    assert trouble.BEHIND_A_GATEWAY == (10, 11)


def test_a_device_that_gives_values_again_has_no_trouble():
    made = line_of({0: refusing(2)}, (60, {}), (200, {0: well}))
    assert (made.units[0].state, made.units[0].trouble) == ("ok", "")


@asynccontextmanager
async def page_with_status(status):
    """Serve one HTTP status; give the port."""
    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 %d X\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n" % status)
        await writer.drain()
        writer.close()
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(("status", "hint"), [
    (302, "redirect"), (401, "login"), (404, "no such page"), (500, "exporter"), (503, "exporter")])
def test_a_page_that_only_gives_another_status_is_a_refusal_by_name(status, hint):
    async def ask():
        now_s, items = [1000.0], []
        clock = Clock(None, Sources(lambda: 1.78e9 + now_s[0], lambda: now_s[0],
                                    lambda: (CLOCK_NTP, 5)))

        async def put(item):
            items.append(item)
        async with page_with_status(status) as port:
            bus = BusConfig("node", "http", "prometheus", url=f"http://127.0.0.1:{port}")
            made = driver.build(profile_files.find("compute-prometheus"),
                                driver.Setup(wire_for(bus)))
            unit = PolledUnit("node-1", 0, made, Timeout(1.0))
            poller = BusPoller(BusLine(bus, clock, open_link), [unit], clock, put)
            for _ in range(3):
                await poller.poll(unit, 0)
                now_s[0] += 10
        return unit, poller, items
    unit, poller, items = asyncio.run(ask())
    assert (unit.state, unit.trouble, poller.fault) == ("lost", "refuses", "")
    assert f"HTTP status {status}" in unit.last_error and hint in unit.last_error
    assert [item.body[1] for item in items if hasattr(item, "body")] == ["lost"]
