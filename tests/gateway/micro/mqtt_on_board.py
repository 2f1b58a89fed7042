"""Run by MicroPython: the client over a stream that is a list.  Prints `ok NAME` for each.

    micropython micro_mqtt_on_board.py FOLDER     with umqtt/ and gateway/ in FOLDER
"""

import asyncio
import sys

sys.path[:] = [sys.argv[1], ".frozen"]

from gateway.micro.mqtt import BoardMqttClient, Refusal  # noqa: E402


class Stream:
    """What the broker says, and every write that it hears."""

    def __init__(self, said):
        self.said, self.writes = said, []

    def write(self, data):
        self.writes.append(bytes(data))

    async def drain(self):
        pass

    async def readexactly(self, count):
        if len(self.said) < count:
            raise EOFError()
        data, self.said = self.said[:count], self.said[count:]
        return data

    def close(self):
        self.said = b""


async def client(said=b"", got=None):
    """Return (connected client, list of its later writes) of a broker that says these bytes."""
    made = BoardMqttClient(("board-1", 30), ("localhost", 8883, "localhost"), None,
                           lambda topic, data: got.append((topic, data)))
    stream = Stream(b"\x20\x02\x00\x00" + said)

    async def dial(_host, _port, **_tls):
        return stream, stream
    asyncio.open_connection = dial
    await made.open()
    assert stream.writes == [b"\x10\x13\x00\x04MQTT\x04\x02\x00\x1e\x00\x07board-1"]
    stream.writes = []
    return made, stream


async def a_message_goes_out_in_one_write():
    board, stream = await client()
    assert await board.post("wp/1/b/up", b"x" * 300) == 1
    assert stream.writes == [
        b"\x32\xb9\x02\x00\x09wp/1/b/up\x00\x01" + b"x" * 300]


async def packet_ids_wrap_and_are_never_zero():
    board, _ = await client()
    board.pid = 65534
    ids = []
    for _ in range(3):
        ids.append(await board.post("t", b""))
    assert ids == [65535, 1, 2]


async def an_acknowledgement_names_its_packet():
    board, _ = await client(b"\x40\x02\x01\x07")
    await board.take()
    assert board.acknowledged == 0x107


async def a_message_is_given_and_acknowledged():
    got = []
    board, stream = await client(b"\x32\x09\x00\x03a/b\x00\x05hi", got)
    await board.take()
    assert got == [(b"a/b", b"hi")]
    assert stream.writes == [b"\x40\x02\x00\x05"]


async def a_refused_subscription_is_told():
    board, _ = await client(b"\x90\x03\x00\x01\x80")
    await board.listen("a/b")
    try:
        await board.take()
    except Refusal:
        return
    raise AssertionError("not told")


async def a_packet_that_is_too_long_ends_the_connection():
    for said in (b"\x30\xff\xff\x7f", b"\x30\xff\xff\xff\xff\x01"):
        try:
            await (await client(said))[0].take()
        except OSError:
            continue
        raise AssertionError(said)


async def a_ping_and_its_answer_pass():
    board, stream = await client(b"\xd0\x00")
    await board.heartbeat()
    await board.take()
    assert stream.writes == [b"\xc0\x00"]


CASES = (
    a_message_goes_out_in_one_write, packet_ids_wrap_and_are_never_zero,
    an_acknowledgement_names_its_packet, a_message_is_given_and_acknowledged,
    a_refused_subscription_is_told, a_packet_that_is_too_long_ends_the_connection,
    a_ping_and_its_answer_pass,
)

for case in CASES:
    asyncio.run(case())
    print("ok", case.__name__ if hasattr(case, "__name__") else "case")
print("all", len(CASES))
