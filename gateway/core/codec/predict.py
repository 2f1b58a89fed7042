"""What a value should be, judged by other values of the same scan or by the meter before.

A meter computes most of its points from a few - apparent power from active and reactive,
current from apparent power and voltage, totals from phases - and the meters of a site hang on
the same mains.  So do we compute them, in whole numbers, and a column then holds only what the
meter's own rounding adds.  The rules stand in signed batches: a new one needs a new version of
the batch (docs/formats.md, 6.9, gives each formula).
"""

from gateway.core.types import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gateway.core.reading import Point

    # (place of the point, number of the rule, places of its sources)
    Step = tuple[int, int, tuple[int, ...]]
    Roots = Callable[[Sequence[Sequence[int]]], list[int]]

SUM, ROOT, RATIO, ANGLE, NEIGHBOUR = 1, 2, 3, 4, 5

_MAINS = ((NEIGHBOUR, ()),)

# measurand -> rules in order of preference: (number, measurands of the sources).  The first
# whose sources all stand in the stream, with the same item, and whose steps fit is the one.
RULES = {
    1: _MAINS, 2: _MAINS, 3: _MAINS, 4: _MAINS, 5: _MAINS, 6: _MAINS,   # voltages
    7: ((RATIO, (15, 1)), (RATIO, (18, 1))),        # current_l1 .. l3
    8: ((RATIO, (16, 2)), (RATIO, (18, 2))),
    9: ((RATIO, (17, 3)), (RATIO, (18, 3))),
    10: ((SUM, (7, 8, 9)),),                        # current_total
    14: ((SUM, (11, 12, 13)),),                     # power_active_total
    15: ((ROOT, (11, 19)),),                        # power_apparent_l1 .. l3
    16: ((ROOT, (12, 20)),),
    17: ((ROOT, (13, 21)),),
    18: ((SUM, (15, 16, 17)), (ROOT, (14, 22))),    # power_apparent_total
    22: ((SUM, (19, 20, 21)),),                     # power_reactive_total
    23: ((RATIO, (11, 15)),),                       # power_factor_l1 .. l3
    24: ((RATIO, (12, 16)),),
    25: ((RATIO, (13, 17)),),
    26: ((RATIO, (14, 18)),),                       # power_factor_total
    27: ((RATIO, (14, 18)),),                       # power_factor_raw_percent
    28: ((ANGLE, (14, 22)),),                       # phase_angle_total
    29: _MAINS,                                     # frequency
    43: ((SUM, (40, 41, 42)),),                     # energy_active_import_total
    47: ((SUM, (44, 45, 46)),),                     # energy_active_export_total
    48: ((SUM, (40, 44)),),                         # energy_active_sum_l1 .. l3
    49: ((SUM, (41, 45)),),
    50: ((SUM, (42, 46)),),
    51: ((SUM, (43, 47)), (SUM, (48, 49, 50))),     # energy_active_sum_total
    54: ((SUM, (52, 53)),),                         # energy_reactive_sum_total
}
PERCENT = 27            # the one ratio that counts in hundredths

# points -> what `plan` says of them: a schema has few kinds of device.
_plans: "dict[tuple[Point, ...], tuple[Step, ...]]" = {}
PLANS_MAX = 8

# Points are coded in order of rank, so that sources come before what they predict.
RANK = {7: 3, 8: 3, 9: 3, 10: 4, 14: 1, 15: 1, 16: 1, 17: 1, 18: 2, 22: 1, 23: 2, 24: 2, 25: 2,
        26: 3, 27: 3, 28: 2, 43: 1, 47: 1, 48: 1, 49: 1, 50: 1, 51: 2, 54: 1}


def plan(points: "tuple[Point, ...]") -> "tuple[Step, ...]":
    """Return ((place, number, places of sources), ...) in the order of coding.

    points: tuple of reading.Point.  number: 0 = no prediction fits the point.
    """
    found = _plans.get(points)
    if found is None:
        if len(_plans) >= PLANS_MAX:
            _plans.clear()
        found = _plans[points] = _plan(points)
    return found


def _plan(points: "tuple[Point, ...]") -> "tuple[Step, ...]":
    first = {}
    for position, point in enumerate(points):
        key = (point.measurand, point.item)
        if key not in first:
            first[key] = position
    steps = []
    for position, point in enumerate(points):
        number, sources = _rule(points, first, point)
        steps.append((RANK.get(point.measurand, 0), position, number, sources))
    return tuple([step[1:] for step in sorted(steps)])


def predict(number: int, points: "Sequence[Point]", target: "Point",
            columns: "Sequence[Sequence[int]]") -> "Sequence[int]":
    """Return the list of predicted whole numbers of a point.

    points: of the sources; target: the Point predicted; columns: those of the sources, equally
    long, for NEIGHBOUR the one of the stream before.  Only for what `plan` gave out.
    """
    if number == NEIGHBOUR:
        return columns[0]
    if number == SUM:
        if len(columns) == 2:
            return [a + b for a, b in zip(columns[0], columns[1])]
        return [a + b + c for a, b, c in zip(columns[0], columns[1], columns[2])]
    if number == ROOT:
        return (_fast_path[0] or roots)(columns)
    if number == ANGLE:
        return _angles(10 ** -target.exponent, columns)
    one = 10 ** (points[0].exponent - points[1].exponent - target.exponent)
    if target.measurand == PERCENT:
        one *= 100
    return [(2 * a * one + b) // (2 * b) if b > 0 else one
            for a, b in zip(columns[0], columns[1])]


def _rule(points: "tuple[Point, ...]", first: dict[tuple[int, str], int],
          target: "Point") -> tuple[int, tuple[int, ...]]:
    """Return (number, places of sources) of the first rule that fits, or (0, ())."""
    for number, measurands in RULES.get(target.measurand, ()):
        sources = tuple([first.get((m, target.item), -1) for m in measurands])
        if not sources:
            return number, sources
        if min(sources) >= 0:
            exponents = [points[position].exponent for position in sources]
            if _fits(number, exponents, target.exponent):
                return number, sources
    return 0, ()


def _fits(number: int, exponents: list[int], exponent: int) -> bool:
    """Return True if the sources' steps allow the rule in whole numbers."""
    if number == RATIO:
        return exponents[0] - exponents[1] >= exponent
    if min(exponents) != max(exponents):
        return False
    return exponent <= 0 if number == ANGLE else exponents[0] == exponent


def _angles(one: int, columns: "Sequence[Sequence[int]]") -> list[int]:
    """Return the angles whose tangent is second / |first|, in whole numbers of 1/one degree.

    atan(b / a) = 90 b (11 b + 7 a) / (11 a a + 14 a b + 11 b b) degrees for a, b >= 0, within 0.6:
    right at both ends and in the middle, and it moves as the true one does, which is enough.
    """
    angles = []
    for a, b in zip(columns[0], columns[1]):
        a, c = abs(a), abs(b)
        bottom = 11 * (a * a + c * c) + 14 * a * c
        angles.append(90 * one * b * (11 * c + 7 * a) // bottom if bottom else 0)
    return angles


_fast_path: "list[Roots | None]" = [None]


def install(way: "Roots | None") -> None:
    """Let a platform's way find roots (storage/cpython_fast_paths.py), None = ours again."""
    _fast_path[0] = way


def roots(columns: "Sequence[Sequence[int]]") -> list[int]:
    """Return sqrt(a*a + b*b), rounded to the nearest whole number."""
    roots, root = [], 1
    for a, b in zip(columns[0], columns[1]):
        square = 4 * (a * a + b * b)        # the root of four times it, halved, can be rounded
        if square == 0:
            roots.append(0)
            continue
        root = _root(square, root)
        roots.append(root + 1 >> 1)
    return roots


def _root(square: int, guess: int) -> int:
    """Return floor(sqrt(square)) of a whole number > 0, by Newton from a guess > 0.

    Neighbouring values have near roots; a far guess is replaced, so that hostile columns
    cannot make a root take more than about ten steps.
    """
    other = square // guess
    if other > 4 * guess or guess > 4 * other:
        guess = 1 << 2 * len("%x" % square)
        other = square // guess
    root = guess + other + 1 >> 1           # never below the root, whatever the guess
    while True:
        better = root + square // root >> 1
        if better >= root:
            return root
        root = better
