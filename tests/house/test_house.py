"""The whole repository obeys the house rules; `make check` prints the same list."""

from pathlib import Path

from tests.house.rules import faults

ROOT = Path(__file__).resolve().parents[2]


def test_the_house_is_in_order():
    found = faults(ROOT)
    assert not found, "\n" + "\n".join(found)
