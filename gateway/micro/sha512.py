"""SHA-512 (FIPS 180-4) for MicroPython, whose hashlib stops at SHA-256.

Only Ed25519 needs it here.  `digest_steps` yields once for each block of 128 bytes, so that a
board polls on while a batch is hashed.
"""

from gateway.core.types import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gateway.micro.ed25519 import Work

BLOCK = 128
_M = (1 << 64) - 1


def _primes(count: int) -> list[int]:
    found: list[int]
    found, number = [], 2
    while len(found) < count:
        if all([number % prime for prime in found]):
            found.append(number)
        number += 1
    return found


def _root(number: int, degree: int) -> int:
    """Return the whole root of a number by bisection."""
    low, high = 0, 1 << 80
    while high - low > 1:
        middle = low + high >> 1
        if middle ** degree > number:
            high = middle
        else:
            low = middle
    return low


def _words(numbers: "Iterable[int]") -> bytes:
    return b"".join([(number & _M).to_bytes(8, "big") for number in numbers])


# The first 64 bits behind the point of square and cube roots of primes: FIPS 180-4, 4.2.3 and
# 5.3.5.  Held as bytes: integers of 64 bits would take five times the memory.
_START = _words([_root(prime << 128, 2) for prime in _primes(8)])
_ROUND = _words([_root(prime << 192, 3) for prime in _primes(80)])


def digest_steps(*parts: bytes) -> "Work[bytes]":
    """Yield while hashing the bytes of all parts one after the other; return 64 bytes."""
    state = [int.from_bytes(_START[i:i + 8], "big") for i in range(0, 64, 8)]
    rest, size = b"", 0
    for part in parts:
        size += len(part)
        at = 0
        if rest:
            at = min(BLOCK - len(rest), len(part))
            rest += bytes(part[:at])
            if len(rest) < BLOCK:
                continue
            _block(state, rest)
            rest = b""
            yield
        while len(part) - at >= BLOCK:
            _block(state, part[at:at + BLOCK])
            at += BLOCK
            yield
        rest = bytes(part[at:])
    rest += b"\x80" + bytes((BLOCK - 17 - len(rest)) % BLOCK) + (8 * size).to_bytes(16, "big")
    for at in range(0, len(rest), BLOCK):
        _block(state, rest[at:at + BLOCK])
        yield
    return _words(state)


def _turn(word: int, by: int) -> int:
    return (word >> by | word << 64 - by) & _M


def _block(state: list[int], data: bytes) -> None:
    """Mix one block into the state (list of 8 integers)."""
    words = [int.from_bytes(data[i:i + 8], "big") for i in range(0, BLOCK, 8)]
    a, b, c, d, e, f, g, h = state
    for i in range(80):
        k = i & 15
        if i >= 16:
            one, two = words[k + 1 & 15], words[k + 14 & 15]
            words[k] = (words[k] + (_turn(one, 1) ^ _turn(one, 8) ^ one >> 7)
                        + words[k + 9 & 15] + (_turn(two, 19) ^ _turn(two, 61) ^ two >> 6)) & _M
        first = (h + (_turn(e, 14) ^ _turn(e, 18) ^ _turn(e, 41)) + (e & f ^ ~e & _M & g)
                 + int.from_bytes(_ROUND[8 * i:8 * i + 8], "big") + words[k])
        second = (_turn(a, 28) ^ _turn(a, 34) ^ _turn(a, 39)) + (a & b ^ a & c ^ b & c)
        h, g, f, e, d, c, b, a = g, f, e, d + first & _M, c, b, a, first + second & _M
    for i, word in enumerate((a, b, c, d, e, f, g, h)):
        state[i] = state[i] + word & _M
