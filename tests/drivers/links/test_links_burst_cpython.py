"""Bursts over a real socket: one write, answers in any order, late ones for nobody."""

import asyncio

import pytest

from drivers.links import BusConfig, open_link, wire_for
from gateway.core.errors import NoReply, Refused
from tests.drivers.links.test_links_cpython import FakeClock, server, tcp_answer


async def opened(handle, work, at_once=4, clock=None):
    """Run work(link, wire) against a server."""
    async with server(handle) as port:
        bus = BusConfig("pv", "tcp", "modbus", host="127.0.0.1", port=port, at_once=at_once)
        link = open_link(bus, clock or FakeClock())
        try:
            await work(link, wire_for(bus))
        finally:
            await link.close()


def burst(wire, *addresses):
    """Return one transaction of reads of two registers."""
    return wire.burst([wire.read(1, 3, address, 2) for address in addresses])


def cells(*addresses):
    """Return the registers of each address: each holds its address."""
    return tuple(a.to_bytes(2, "big") + (a + 1).to_bytes(2, "big") for a in addresses)


async def test_a_burst_goes_out_in_one_piece_and_its_answers_may_come_in_any_order():
    async def handle(reader, writer):
        requests = await reader.readexactly(36)
        pieces = [tcp_answer(requests[i:i + 12]) for i in (24, 0, 12)]
        writer.write(pieces[0] + pieces[1][:7])
        await asyncio.sleep(0)
        writer.write(pieces[1][7:] + pieces[2])
        await reader.read()
        writer.close()

    async def work(link, wire):
        made = burst(wire, 100, 200, 300)
        assert await link.exchange(made, 2) == 1000
        assert made.result == cells(100, 200, 300)
        assert link.counts.asked == link.counts.answered == 1

    await opened(handle, work)


async def test_a_burst_longer_than_one_reading_of_the_socket_comes_whole():
    async def handle(reader, writer):
        requests = await reader.readexactly(12 * 16)
        writer.write(b"".join(tcp_answer(requests[i:i + 12]) for i in range(0, 12 * 16, 12)))
        await reader.read()
        writer.close()

    async def work(link, wire):
        made = wire.burst([wire.read(1, 3, address, 125) for address in range(0, 2000, 125)])
        assert await link.exchange(made, 2) == 1000
        assert made.result == tuple(
            b"".join(a.to_bytes(2, "big") for a in range(address, address + 125))
            for address in range(0, 2000, 125))

    await opened(handle, work)


async def test_answers_of_a_burst_that_timed_out_fit_neither_the_next_burst_nor_a_read():
    async def handle(reader, writer):
        first = await reader.readexactly(24)
        late = [tcp_answer(first[i:i + 12]) for i in (0, 12)]
        writer.write(late[0])
        second = await reader.readexactly(24)
        answers = [tcp_answer(second[i:i + 12]) for i in (12, 0)]
        writer.write(late[1] + late[0] + answers[0] + late[1] + answers[1])
        third = await reader.readexactly(12)
        writer.write(late[1] + tcp_answer(third))
        await reader.read()
        writer.close()

    async def work(link, wire):
        first = burst(wire, 100, 200)
        with pytest.raises(NoReply):
            await link.exchange(first, 0.1)
        assert [read.result for read in first.reads] == [*cells(100), None]
        second = burst(wire, 300, 400)
        await link.exchange(second, 2)
        assert second.result == cells(300, 400)
        third = wire.read(1, 3, 500, 2)
        await link.exchange(third, 2)
        assert (third.result,) == cells(500) and link.counts.opened == 1

    await opened(handle, work)


async def test_a_far_end_that_refuses_a_question_of_a_burst_keeps_the_connection():
    async def handle(reader, writer):
        requests = await reader.readexactly(24)
        writer.write(requests[:5] + b"\x03\x01\x83\x06" + tcp_answer(requests[12:]))
        alone = await reader.readexactly(12)
        writer.write(alone[:5] + b"\x03\x01\x83\x06")
        await reader.read()
        writer.close()

    async def work(link, wire):
        made = burst(wire, 100, 200)
        await link.exchange(made, 2)
        assert made.result == (None, *cells(200))
        with pytest.raises(Refused):
            await link.exchange(wire.read(1, 3, 100, 2), 2)
        assert link.counts.opened == 1

    await opened(handle, work)
