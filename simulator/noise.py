"""Seeded randomness without memory: the same question always gets the same answer.

A value depends only on (seed, lane, index), never on how often or in which order it was
asked for, so a day is the same in every process and for every way of cutting its time.
"""

import zlib

_MASK = 0xFFFFFFFFFFFFFFFF


def lane(seed: int, name: str) -> int:
    """Return a 64-bit stream id for a name under a seed (stable across processes)."""
    return ((seed & 0xFFFFFFFF) << 32 | zlib.crc32(name.encode())) & _MASK


def uniform(stream: int, index: int) -> float:
    """Return a number in [0, 1) for an index of a stream.

    SplitMix64 (Steele, Lea, Flood 2014), used as a hash of stream and index.
    """
    z = (stream + (index + 1) * 0x9E3779B97F4A7C15) & _MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & _MASK
    return ((z ^ (z >> 31)) >> 11) * (1.0 / (1 << 53))


def smooth(stream: int, t_s: float, period_s: float) -> float:
    """Return value noise in [0, 1): random at multiples of period_s, smooth between."""
    position = t_s / period_s
    index = int(position // 1)
    part = position - index
    weight = part * part * (3.0 - 2.0 * part)
    low = uniform(stream, index)
    return low + (uniform(stream, index + 1) - low) * weight
