"""The books of any site close over any run of intervals, read or not, anchored or not."""

from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.ledger.books import Books, Options
from gateway.ledger.factors import factors
from gateway.ledger.site import ENERGY_ROLES, AccountedSite, BatteryRating, SiteInterval
from gateway.ledger.statement import keep_books

FACTORS = factors.load("de-2024-direct-duck-1")
T0 = factors.utc_ms("2026-06-01T00:00:00Z")
SITE = AccountedSite("s", "UTC", frozenset(("grid", "pv", "battery", "it", "cooling", "lighting")),
                     BatteryRating(1000.0, 0.96, 0.93, 7.0))

energies = st.none() | st.floats(0, 700) | st.sampled_from([0.0, 1.0, 500.0])
socs = st.none() | st.floats(0, 1) | st.sampled_from([0.0, 1.0])


@st.composite
def runs(draw):
    """Any quarter hours; a meter may be silent in any of them."""
    count = draw(st.integers(1, 12))
    return [SiteInterval(T0 + n * 900_000, 900_000,
                         {role: draw(energies) for role in ENERGY_ROLES}, soc=draw(socs))
            for n in range(count)]


@settings(max_examples=200, deadline=None)
@given(runs(), st.sampled_from(["proportional", "pv_first"]))
def test_no_run_of_intervals_breaks_the_books(intervals, attribution):
    period = keep_books(SITE, intervals, FACTORS, Options(attribution=attribution))
    held = period.closing
    assert (held is None) == all(interval.soc is None for interval in intervals)
    if held is None:
        return
    assert 0 <= held.energy_wh
    assert held.carbon_g is not None and held.carbon_g >= -1e-9
    assert abs(sum(held.origins_wh.values()) - held.energy_wh) <= 1e-9 * max(held.energy_wh, 1)


@settings(max_examples=100, deadline=None)
@given(runs(), st.integers(0, 12))
def test_books_carried_on_from_an_inventory_equal_books_never_closed(intervals, cut):
    whole = [entry.closing for entry in map(Books(SITE, FACTORS).advance, intervals)]
    first = Books(SITE, FACTORS)
    for interval in intervals[:cut]:
        first.advance(interval)
    second = Books(SITE, FACTORS, Options(opening=first.inventory))
    for interval in intervals[cut:]:
        second.advance(interval)
    assert second.inventory == whole[-1]
