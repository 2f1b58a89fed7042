"""A socket that is closed before the loop begins to watch it is never watched."""

import asyncio
import socket

import pytest

from gateway.aio.sockets_in_order import SocketsInOrder


@pytest.mark.parametrize("kind", ["reader", "writer"])
@pytest.mark.parametrize("closed", [True, False])
async def test_what_was_closed_before_its_turn_is_not_watched(kind, closed):
    loop, wrong, seen = asyncio.get_running_loop(), [], []
    loop.set_exception_handler(lambda _loop, context: wrong.append(context["message"]))
    ours, theirs = socket.socketpair()
    number, in_order = ours.fileno(), SocketsInOrder(loop)
    theirs.send(b"x")
    in_order.call_soon_threadsafe(getattr(in_order, f"add_{kind}"), number,
                                  lambda: seen.append(kind))
    if closed:
        getattr(in_order, f"remove_{kind}")(number)
        ours.close()
        ours, again = socket.socketpair()           # takes the number
        again.send(b"x")
        assert ours.fileno() == number
        again.close()
    for _ in range(3):
        await asyncio.sleep(0)
    getattr(loop, f"remove_{kind}")(number)
    ours.close()
    theirs.close()
    assert wrong == [] and bool(seen) is not closed


async def test_everything_else_is_the_loops_own():
    loop, seen = asyncio.get_running_loop(), []
    in_order = SocketsInOrder(loop)
    in_order.call_soon_threadsafe(seen.append, 5)
    await in_order.create_task(asyncio.sleep(0))
    assert seen == [5] and in_order.time() <= loop.time()
