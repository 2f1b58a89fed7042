"""Several meters of one role: all of them or nothing, and as good as the worst."""

import pytest

from gateway.core.interval import ESTIMATED, MEASURED, MISSING
from gateway.ledger.assemble import Amount, site_interval

IMPORT = "energy_active_import_total"
SITE = {"devices": [{"name": "one", "role": "it"}, {"name": "two", "role": "it"}]}


def it_of(one, two):
    """Return (Wh, quality) of the role of two meters; None: one was not read."""
    amounts = {(name, "", IMPORT): amount for name, amount in (("one", one), ("two", two))
               if amount is not None}
    found = site_interval(SITE, 0, 900_000, amounts)
    return found.energy_wh["it"], found.quality["it"]


@pytest.mark.parametrize(("one", "two", "both"), [
    (MEASURED, MEASURED, MEASURED), (MEASURED, ESTIMATED, ESTIMATED),
    (ESTIMATED, MEASURED, ESTIMATED), (ESTIMATED, ESTIMATED, ESTIMATED)])
def test_a_sum_is_as_good_as_the_worst_of_its_meters(one, two, both):
    assert it_of(Amount(3.0, one), Amount(4.0, two)) == (7.0, both)


@pytest.mark.parametrize("lacking", [None, Amount(None, MISSING)])
def test_a_part_is_not_the_whole(lacking):
    assert it_of(Amount(3.0), lacking) == it_of(lacking, Amount(3.0)) == (None, MISSING)
