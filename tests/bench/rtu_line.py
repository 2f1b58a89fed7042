"""A serial line with the timing of a wire: `python -m tests.bench.rtu_line BAUD`.

One thread that blocks and sleeps: an answer is whole when the wire would have carried the
request (8 characters), the device's turnaround and the answer.  Prints {"path": the pty}.
"""

import json
import os
import select
import sys
import time
import tty

from gateway.core.codec.crc import crc16_modbus
from tests.bench.meter import images

BITS = 10                       # of a character: start, eight, stop
TURNAROUND_S, TURNAROUND_CHARACTERS = 0.005, 3.5
SILENCE_FAST_S, SILENCE_CHARACTERS = 0.00175, 3.5
REQUEST_BYTES, HEAD_BYTES = 8, 5


def character_s(baud: int) -> float:
    """Return the seconds of one character."""
    return BITS / baud


def turnaround_s(baud: int) -> float:
    """Return how long the meter thinks."""
    return max(TURNAROUND_S, TURNAROUND_CHARACTERS * character_s(baud))


def read_s(baud: int, count: int) -> float:
    """Return the seconds that one read of `count` registers takes, silence before it included."""
    one_s = character_s(baud)
    silence_s = SILENCE_FAST_S if baud > 19_200 else SILENCE_CHARACTERS * one_s
    size = REQUEST_BYTES + HEAD_BYTES + 2 * count
    return silence_s + size * one_s + turnaround_s(baud)


def wait_until(end_s: float) -> None:
    """Sleep, and turn in a circle for the last part of a millisecond."""
    left_s = end_s - time.monotonic()
    if left_s > 0.0005:
        select.select([], [], [], left_s - 0.0004)
    while time.monotonic() < end_s:
        pass


def answer(request: bytes, image: bytes) -> bytes:
    """Return the frame that answers a read of input registers."""
    address, count = int.from_bytes(request[2:4], "big"), int.from_bytes(request[4:6], "big")
    cells = image[2 * address:2 * (address + count)]
    body = request[:2] + bytes((len(cells),)) + cells
    return body + int(crc16_modbus(body)).to_bytes(2, "little")


def main() -> None:
    """Answer until killed."""
    baud, image = int(sys.argv[1]), images(1)[0][0]
    master, slave = os.openpty()
    tty.setraw(slave)
    print(json.dumps({"path": os.ttyname(slave)}), flush=True)
    while True:
        request = os.read(master, 256)
        asked_s = time.monotonic()
        if len(request) != REQUEST_BYTES:
            continue
        reply = answer(request, image)
        wire_s = (REQUEST_BYTES + len(reply)) * character_s(baud)
        wait_until(asked_s + wire_s + turnaround_s(baud))
        os.write(master, reply)


if __name__ == "__main__":
    main()
