"""The battery stack's ASCII protocol, checked against an independent reading of the standard."""

from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from simulator.pylontech import stack
from simulator.runner import Runner
from simulator.scenario import load
from simulator.servers.pylontech_pty import PylontechServer
from simulator.servers.rtu_pty import ServerClock
from simulator.world import SimulatedSite
from tests.support.serial_peer import Peer, in_pty_time

# Analog values of all modules of address 2: the frame that python-pylontech users see on the
# wire for module 2 ("~20024642E00202FD33\r"), here with INFO FF.
ALL_MODULES = "20024642E002FF"


def sum_of(text):
    """The standard's checksum, said its own way: invert the sum of the characters, add one."""
    return f"{((~(sum(ord(c) for c in text) & 0xFFFF)) + 1) & 0xFFFF:04X}"


def question(text):
    return f"~{text}{sum_of(text)}\r".encode()


def fields(reply):
    """Return (return code, information bytes) of a reply after checking all its checks."""
    text = reply.decode("ascii")
    assert text[0] == "~" and text[-1] == "\r" and text == text.upper()
    assert sum_of(text[1:-5]) == text[-5:-1]
    length = int(text[9:13], 16)
    count = length & 0xFFF
    nibbles = sum(int(c, 16) for c in f"{count:03X}")
    assert (nibbles + (length >> 12)) % 16 == 0
    assert count == len(text) - 18
    return int(text[7:9], 16), bytes.fromhex(text[13:-5])


@asynccontextmanager
async def battery(t_s=600.0, speed=60):
    scene = load("shop")
    runner = Runner(SimulatedSite(scene))
    runner.advance(t_s)
    device = next(d for d in scene.devices if d.name == "bms")
    server = PylontechServer(115200, 2, ServerClock(lambda: t_s, speed),
                             lambda: stack(runner, device))
    peer = Peer(server.line.path)
    try:
        yield peer, runner
    finally:
        peer.close()
        server.close()


def number(data, start, size=2, signed=False):
    return int.from_bytes(data[start:start + size], "big", signed=signed)


def test_the_checksum_used_here_gives_the_published_frame():
    assert question("20024642E00202") == b"~20024642E00202FD33\r"


@in_pty_time
async def test_the_stack_tells_cells_temperatures_current_and_capacity_of_every_module():
    async with battery() as (peer, runner):
        code, info = fields(await peer.ask(question(ALL_MODULES), 400, 0.5))
    assert code == 0 and info[1] == 4
    size = 1 + 15 * 2 + 1 + 5 * 2 + 2 + 2 + 2 + 1 + 2 + 2
    assert len(info) == 2 + 4 * size
    for place in range(2, len(info), size):
        module = info[place:place + size]
        assert module[0] == 15 and module[31] == 5
        cells = [number(module, 1 + 2 * i) for i in range(15)]
        assert all(3000 < mv < 3500 for mv in cells)
        assert number(module, 44) == sum(cells)
        assert number(module, 32) == pytest.approx(2731 + 250, abs=40)
        remaining, total = number(module, 46), number(module, 49)
        assert module[48] == 2 and total == 52000
        assert remaining / total == pytest.approx(runner.stored_wh() / 10000, abs=0.001)
        current_a = number(module, 42, signed=True) / 10
        inner_w = current_a * sum(cells) / 1000 * 4
        assert inner_w == pytest.approx(-runner.flow.battery_w / 0.96 - 5.0, rel=0.05)


@in_pty_time
async def test_one_module_its_maker_its_serial_number_and_its_limits_can_be_asked_for():
    async with battery() as (peer, _):
        one = fields(await peer.ask(question("20024642E00203"), 130, 0.5))
        maker = fields(await peer.ask(question("200246510000"), 80, 0.5))
        serial = fields(await peer.ask(question("20024693E00201"), 50, 0.5))
        limits = fields(await peer.ask(question("20024692E00201"), 40, 0.5))
        version = fields(await peer.ask(question("2002464F0000"), 18, 0.5))
    assert one[0] == 0 and one[1][1] == 3 and len(one[1]) == 2 + 53
    assert maker[1][:6] == b"US3000" and len(maker[1]) == 32
    assert serial[1] == b"\x01SIM0000027182818"
    assert limits[0] == 0 and len(limits[1]) == 10
    assert version == (0, b"")


@in_pty_time
async def test_mistakes_get_the_return_codes_of_the_standard():
    good = question(ALL_MODULES)
    cases = ((good[:-5] + b"0000\r", 2),                       # checksum
             (question("20024642F002FF"), 3),                  # length checksum
             (question("200246E0E00201"), 4),                  # no such command
             (question("20024742E002FF"), 4),                  # not a battery
             (question("20024642E002G1"), 6),                  # not hex
             (question("20024642E00209"), 6),                  # no such module
             (question("200246420000"), 6))                    # which module?
    async with battery() as (peer, _):
        for sent, expected in cases:
            assert fields(await peer.ask(sent, 18, 0.5)) == (expected, b""), sent


@in_pty_time
async def test_a_frame_for_another_address_is_not_answered():
    async with battery() as (peer, _):
        assert await peer.ask(question("20034642E002FF"), 1, 0.5) == b""
        assert fields(await peer.ask(question(ALL_MODULES), 400, 0.5))[0] == 0


@settings(max_examples=25)
@given(noise=st.binary(max_size=200))
def test_whatever_is_sent_the_next_question_is_answered(noise):
    @in_pty_time
    async def hostile():
        async with battery(t_s=5.0) as (peer, _):
            await peer.ask(noise, 4000, 0.05)
            assert fields(await peer.ask(b"\r" + question(ALL_MODULES), 450, 0.05))[0] == 0
    hostile()
