"""Numbers as people read them: the unit fits the size, and little is not nothing."""

import pytest

from fleet.reporting import text


@pytest.mark.parametrize(("grams", "shown"), [
    (0, "0.00 g"), (0.000359, "0.36 mg"), (0.0994, "99.40 mg"), (0.0996, "0.10 g"),
    (-0.05, "−50.00 mg"), (1.9, "1.90 g"), (12.4, "12 g"), (1234, "1.23 kg"), (None, "–"),
    (float("nan"), "–"), (True, "–"), ("1", "–")])
def test_grams_have_the_unit_that_fits_their_size(grams, shown):
    assert text.grams(grams).replace("\u202f", " ") == shown


@pytest.mark.parametrize(("seconds", "shown"), [
    (0, "just now"), (119, "119 s ago"), (120, "2 min ago"), (7200, "2 h ago"),
    (172_800, "2 days ago"), (None, "–"), ("x", "–")])
def test_an_age_is_told_in_the_unit_that_fits(seconds, shown):
    assert text.age(seconds).replace("\u202f", " ") == shown
