"""Ed25519 (RFC 8032, 5.1) in whole numbers, for boards.

Signing takes about 12 ms on a PC's MicroPython and up to a second on a small board, so both
directions are generators that yield while they work.  Not constant in time: the key of a board
is protected by its case, not against who can time its signatures.
"""

from gateway.core.types import TYPE_CHECKING
from gateway.micro.sha512 import digest_steps

if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import TypeVar
    T = TypeVar("T")
    # A generator that yields while it works and returns a T; a point in extended coordinates.
    Work = Generator[None, None, T]
    Extended = tuple[int, int, int, int]

P = (1 << 255) - 19
L = (1 << 252) + 27742317777372353535851937790883648493
D = 37095705934669439343138083508754565189542113879843219016388785533085940283555
BASE = (15112221349535400772501151409588531511454012693041857206046113283949847762202,
        46316835694926478169428394003475163141307993866256225615783033603165251855960)
STEPS = 16                      # bits of a scalar between two yields


def run(steps: "Work[T]") -> "T":
    """Run a generator of this file to its end at once; return its value."""
    try:
        while True:
            next(steps)
    except StopIteration as stop:
        value: "T" = stop.value
        return value


def sign_steps(seed: bytes, public: bytes, message: bytes) -> "Work[bytes]":
    """Yield while signing; return the 64 bytes.  seed, public: 32 bytes each (RFC 8032, 5.1.6)."""
    secret = yield from digest_steps(seed)
    scalar = int.from_bytes(_reversed(secret[:32]), "big") & (1 << 254) - 8 | 1 << 254
    number = _number((yield from digest_steps(secret[32:], message)))
    point = yield from _times(number, BASE)
    commitment = _encode(point)
    challenge = _number((yield from digest_steps(commitment, public, message)))
    answer = (number + challenge * scalar) % L
    return commitment + _reversed(answer.to_bytes(32, "big"))


def verify_steps(key: tuple[int, int], message: bytes, signature: bytes) -> "Work[bool]":
    """Yield while checking; return True if the key made the signature (RFC 8032, 5.1.7).

    key: (x, y) of the public point; provisioning unpacks it, which saves a board the root.
    """
    answer = int.from_bytes(_reversed(signature[32:]), "big")
    if len(signature) != 64 or answer >= L:
        return False
    x, y = key
    digest = yield from digest_steps(signature[:32], _pack(x, y), message)
    left = yield from _times(answer, BASE)
    right = yield from _times(_number(digest), (P - x, y))
    return _encode(_add(left, right)) == signature[:32]


def _reversed(data: bytes) -> bytes:
    return bytes([data[i] for i in range(len(data) - 1, -1, -1)])


def _number(digest: bytes) -> int:
    return int.from_bytes(_reversed(digest), "big") % L


def _times(scalar: int, point: tuple[int, int]) -> "Work[Extended]":
    """Yield while computing scalar x point; return extended coordinates (X, Y, Z, T)."""
    x, y = point
    base, result = (x, y, 1, x * y % P), (0, 1, 1, 0)
    for bit in range(255, -1, -1):
        result = _double(result)
        if scalar >> bit & 1:
            result = _add(result, base)
        if bit % STEPS == 0:
            yield
    return result


def _add(one: "Extended", two: "Extended") -> "Extended":
    """Return the sum of two points: RFC 8032, 5.1.4."""
    a = (one[1] - one[0]) * (two[1] - two[0]) % P
    b = (one[1] + one[0]) * (two[1] + two[0]) % P
    c = 2 * one[3] * two[3] % P * D % P
    d = 2 * one[2] * two[2] % P
    return _close(b - a, d - c, d + c, b + a)


def _double(point: "Extended") -> "Extended":
    a, b = point[0] * point[0] % P, point[1] * point[1] % P
    c = 2 * point[2] * point[2] % P
    h = a + b
    e = h - (point[0] + point[1]) * (point[0] + point[1]) % P
    g = a - b
    return _close(e, c + g, g, h)


def _close(e: int, f: int, g: int, h: int) -> "Extended":
    return e * f % P, g * h % P, f * g % P, e * h % P


def _encode(point: "Extended") -> bytes:
    x, y, z, _ = point
    inverse = pow(z, P - 2, P)
    return _pack(x * inverse % P, y * inverse % P)


def _pack(x: int, y: int) -> bytes:
    return _reversed((y | (x & 1) << 255).to_bytes(32, "big"))
