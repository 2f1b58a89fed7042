"""What a value should be, judged by other values of the same scan.

A meter computes apparent power from voltage and current, totals from phases, the power factor
from powers; so do we, in whole numbers, and a column then holds only what the meter's own
rounding adds.  The rules stand in signed batches: a number is never given a second meaning.

    1 sum        of the sources
    2 product    of two sources
    3 leg        square root of (first squared minus second squared), 0 if that is negative
    4 ratio      first / second; 1 if the second is not positive
    5 minus leg  3 with the sign turned
"""

SUM, PRODUCT, LEG, RATIO, MINUS_LEG = 1, 2, 3, 4, 5

# measurand -> rules in order of preference: (number, measurands of the sources).  The first
# whose sources all stand in the stream, with the same item, is the one.
RULES = {
    10: ((SUM, (7, 8, 9)),),                        # current_total
    14: ((SUM, (11, 12, 13)),),                     # power_active_total
    15: ((PRODUCT, (1, 7)),),                       # power_apparent_l1 .. l3
    16: ((PRODUCT, (2, 8)),),
    17: ((PRODUCT, (3, 9)),),
    18: ((SUM, (15, 16, 17)), (PRODUCT, (1, 7))),   # power_apparent_total
    19: ((LEG, (15, 11)),),                         # power_reactive_l1 .. l3
    20: ((LEG, (16, 12)),),
    21: ((LEG, (17, 13)),),
    22: ((SUM, (19, 20, 21)), (LEG, (18, 14))),     # power_reactive_total
    23: ((RATIO, (11, 15)),),                       # power_factor_l1 .. l3
    24: ((RATIO, (12, 16)),),
    25: ((RATIO, (13, 17)),),
    26: ((RATIO, (14, 18)),),                       # power_factor_total
    27: ((RATIO, (14, 18)),),                       # power_factor_raw_percent
    43: ((SUM, (40, 41, 42)),),                     # energy_active_import_total
    47: ((SUM, (44, 45, 46)),),                     # energy_active_export_total
    51: ((SUM, (43, 47)), (SUM, (48, 49, 50))),     # energy_active_sum_total
}
PERCENT = 27            # the one ratio that counts in hundredths

# Points are coded in order of rank, so that sources come before what they predict.
RANK = {10: 1, 14: 1, 15: 1, 16: 1, 17: 1, 18: 2, 19: 2, 20: 2, 21: 2, 22: 3, 23: 2, 24: 2,
        25: 2, 26: 3, 27: 3, 43: 1, 47: 1, 51: 2}


def plan(points):
    """Return ((place, number, places of sources), ...) in the order of coding.

    points: tuple of reading.Point.  number: 0 = no prediction fits the point.
    """
    first = {}
    for place, point in enumerate(points):
        key = (point.measurand, point.item)
        if key not in first:
            first[key] = place
    steps = []
    for place, point in enumerate(points):
        number, sources = _rule(points, first, point)
        steps.append((RANK.get(point.measurand, 0), place, number, sources))
    return tuple([step[1:] for step in sorted(steps)])


def predict(number, points, target, columns):
    """Return the list of predicted whole numbers of a point.

    points: of the sources; target: the Point predicted; columns: those of the sources, equally
    long.  Only for what `plan` gave out (or MINUS_LEG for LEG).
    """
    if number == SUM:
        if len(columns) == 2:
            return [a + b for a, b in zip(columns[0], columns[1])]
        return [a + b + c for a, b, c in zip(columns[0], columns[1], columns[2])]
    if number == PRODUCT:
        return _product(points[0].exponent + points[1].exponent - target.exponent, columns)
    if number == RATIO:
        one = 10 ** -target.exponent * (100 if target.measurand == PERCENT else 1)
        return [(2 * a * one + b) // (2 * b) if b > 0 else one
                for a, b in zip(columns[0], columns[1])]
    legs = _legs(columns)
    return legs if number == LEG else [-leg for leg in legs]


def _rule(points, first, target):
    """Return (number, places of sources) of the first rule that fits, or (0, ())."""
    for number, measurands in RULES.get(target.measurand, ()):
        sources = tuple([first.get((m, target.item), -1) for m in measurands])
        if min(sources) >= 0 and first[(target.measurand, target.item)] >= 0:
            exponents = [points[place].exponent for place in sources]
            if _fits(number, exponents, target.exponent):
                return number, sources
    return 0, ()


def _fits(number, exponents, exponent):
    """Return True if the sources' steps allow the rule in whole numbers."""
    if number == PRODUCT:
        return exponents[0] + exponents[1] <= exponent
    if min(exponents) != max(exponents):
        return False
    return exponent <= 0 if number == RATIO else exponents[0] == exponent


def _product(shift, columns):
    bottom = 10 ** -shift
    half = bottom >> 1
    return [(a * b + half) // bottom for a, b in zip(columns[0], columns[1])]


def _legs(columns):
    """Return sqrt(a*a - b*b) rounded to the nearest whole number, half up; 0 for none."""
    roots, root = [], 1
    for a, b in zip(columns[0], columns[1]):
        square = 4 * (a * a - b * b)        # the root of four times it, halved, can be rounded
        if square <= 0:
            roots.append(0)
            continue
        root = _root(square, root)
        roots.append(root + 1 >> 1)
    return roots


def _root(square, guess):
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
