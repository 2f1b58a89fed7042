"""What a value should be, judged by other values of the same scan or by the meter before.

A meter computes most of its points from a few - apparent power from active and reactive,
current from apparent power and voltage, totals from phases - and the meters of a site hang on
the same mains.  So do we compute them, in whole numbers, and a column then holds only what the
meter's own rounding adds.  The rules stand in signed batches: a new one needs a new version of
the batch (docs/formats.md, 6.7, gives each formula).
"""

SUM, PRODUCT, RATIO, ROOT, CURRENT, ANGLE, NEIGHBOUR = 1, 2, 3, 4, 5, 6, 7

_MAINS = ((NEIGHBOUR, ()),)

# measurand -> rules in order of preference: (number, measurands of the sources).  The first
# whose sources all stand in the stream, with the same item, and whose steps fit is the one.
RULES = {
    1: _MAINS, 2: _MAINS, 3: _MAINS, 4: _MAINS, 5: _MAINS, 6: _MAINS,   # voltages
    7: ((CURRENT, (11, 19, 1)), (CURRENT, (14, 22, 1))),                # current_l1 .. l3
    8: ((CURRENT, (12, 20, 2)),),
    9: ((CURRENT, (13, 21, 3)),),
    10: ((SUM, (7, 8, 9)),),                        # current_total
    14: ((SUM, (11, 12, 13)),),                     # power_active_total
    15: ((ROOT, (11, 19)), (PRODUCT, (1, 7))),      # power_apparent_l1 .. l3
    16: ((ROOT, (12, 20)), (PRODUCT, (2, 8))),
    17: ((ROOT, (13, 21)), (PRODUCT, (3, 9))),
    18: ((SUM, (15, 16, 17)), (ROOT, (14, 22)), (PRODUCT, (1, 7))),     # power_apparent_total
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

# Points are coded in order of rank, so that sources come before what they predict.
RANK = {10: 3, 14: 1, 22: 1, 7: 2, 8: 2, 9: 2, 15: 3, 16: 3, 17: 3, 18: 4, 23: 4, 24: 4, 25: 4,
        26: 5, 27: 5, 28: 2, 43: 1, 47: 1, 48: 1, 49: 1, 50: 1, 51: 2, 54: 1}

ONE = 1 << 12           # of the angle's tangent


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
    long, for NEIGHBOUR the one of the stream before.  Only for what `plan` gave out.
    """
    if number == NEIGHBOUR:
        return columns[0]
    if number == SUM:
        if len(columns) == 2:
            return [a + b for a, b in zip(columns[0], columns[1])]
        return [a + b + c for a, b, c in zip(columns[0], columns[1], columns[2])]
    exponent = target.exponent
    if number == PRODUCT:
        return _product(10 ** (exponent - points[0].exponent - points[1].exponent), columns)
    if number == RATIO:
        one = 10 ** -exponent * (100 if target.measurand == PERCENT else 1)
        return [(2 * a * one + b) // (2 * b) if b > 0 else one
                for a, b in zip(columns[0], columns[1])]
    if number == ANGLE:
        return _angles(10 ** -exponent, columns)
    roots = _roots(columns)
    if number == ROOT:
        return [root + 1 >> 1 for root in roots]
    scale = 10 ** (points[0].exponent - points[2].exponent - exponent)
    return [(root * scale + volt) // (2 * volt) if volt > 0 else 0
            for root, volt in zip(roots, columns[2])]


def _rule(points, first, target):
    """Return (number, places of sources) of the first rule that fits, or (0, ())."""
    for number, measurands in RULES.get(target.measurand, ()):
        sources = tuple([first.get((m, target.item), -1) for m in measurands])
        if not sources:
            return number, sources
        if min(sources) >= 0:
            exponents = [points[place].exponent for place in sources]
            if _fits(number, exponents, target.exponent):
                return number, sources
    return 0, ()


def _fits(number, exponents, exponent):
    """Return True if the sources' steps allow the rule in whole numbers."""
    if number == PRODUCT:
        return exponents[0] + exponents[1] <= exponent
    if number == CURRENT:
        return exponents[0] == exponents[1] and exponents[2] + exponent <= exponents[0]
    if min(exponents) != max(exponents):
        return False
    if number == RATIO or number == ANGLE:
        return exponent <= 0
    return exponents[0] == exponent


def _product(bottom, columns):
    half = bottom >> 1
    return [(a * b + half) // bottom for a, b in zip(columns[0], columns[1])]


def _angles(one, columns):
    """Return the angles whose tangent is second / |first|, in degrees, as whole numbers of 1/one.

    Within 0.09 degrees: atan x = 45 x + x (1 - x) (14.02 + 3.8 x) for x of 0 .. 1 (Rajan et al.,
    IEEE Signal Processing Magazine 23(3), 2006).
    """
    angles = []
    for a, b in zip(columns[0], columns[1]):
        low, high = (abs(b), abs(a)) if abs(b) <= abs(a) else (abs(a), abs(b))
        x = low * ONE // high if high else 0
        angle = x * (4500 * ONE * ONE + (ONE - x) * (1402 * ONE + 380 * x)) // ONE ** 3
        if abs(b) > abs(a):
            angle = 9000 - angle
        angle = (angle * one + 50) // 100
        angles.append(angle if b >= 0 else -angle)
    return angles


def _roots(columns):
    """Return the floor of twice the square roots of a*a + b*b."""
    roots, root = [], 1
    for a, b in zip(columns[0], columns[1]):
        square = 4 * (a * a + b * b)
        root = _root(square, root or 1) if square else 0
        roots.append(root)
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
