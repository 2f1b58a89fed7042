"""What was reported is kept: no later batch changes a quarter hour without a note of it."""

import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fleet.reporting import html
from fleet.store import issued
from fleet.store.reader import open_reader
from gateway.core.reading import ClockState
from tests.fleet.maker import ORIGIN_MS, QUARTER_MS
from tests.support.rivals import NTP, Site, rtc

FROZEN_WH = 100_500
HOUR_S = 3600
UNKNOWN = ClockState(0, 0, 0, 0)
ISSUED_MS = ORIGIN_MS + 10 * 3_600_000


@pytest.fixture
def site(tmp_path):
    """A fleet with one cabinet."""
    made = Site(tmp_path)
    yield made
    made.close()


def test_a_report_of_what_nobody_reported_before_has_no_note(site):
    site.deliver(site.true, 8)
    first, again = site.report(issued_ms=ISSUED_MS), site.report(issued_ms=ISSUED_MS + 1)
    assert first == again and first["changes"] == []


def test_a_late_batch_is_noted_with_old_and_new_figures_and_why(site):
    late = [site.seal(site.true) for _ in range(8)]
    for one in (*late[:3], *late[4:]):
        assert site.receive(one) == "admit"
    site.now_ms = ISSUED_MS
    before = site.report(issued_ms=ISSUED_MS)["series"]
    site.now_ms = ISSUED_MS + 60_000
    site.receive(late[3])
    changed = {one["from"]: one for one in site.report()["changes"]}
    (row,) = [one for one in before if one["start"] == "2026-06-01T00:45:00Z"]
    note = changed["2026-06-01T00:45:00Z"]
    assert note["issued"] == "2026-06-01T10:00:00Z" and note["why"] == ["late-batch"]
    assert note["wh_before"] != note["wh"]
    for role, wh in note["wh_before"].items():
        assert wh == (None if row["energy_wh"][role] is None
                      else round(row["energy_wh"][role], 3))
    shown = html.render(site.report())
    assert "Reported otherwise before" in shown and "A batch arrived later." in shown
    assert "reported otherwise before" in " ".join(site.report()["notes"])


def test_a_clock_that_dates_readings_later_is_noted_as_that(site):
    site.deliver(site.true, 4, clock=rtc(600))
    site.now_ms = ISSUED_MS
    site.report(issued_ms=ISSUED_MS)
    site.now_ms += 60_000
    site.deliver(site.true, 1)
    changes = site.report()["changes"]
    assert changes and all("rolled-up-again" in one["why"] or "late-batch" in one["why"]
                           for one in changes)


def test_a_decision_is_noted_as_that(site):
    site.deliver(site.true, 12)
    thief = site.thief(HOUR_S)
    site.deliver(thief, 4, FROZEN_WH)
    site.report(issued_ms=ISSUED_MS)
    assert site.decide(thief, 4, 6) == 0
    changes = site.report()["changes"]
    assert changes and all("decision" in one["why"] for one in changes)


def test_another_factor_set_is_noted_as_that(site, tmp_path):
    site.deliver(site.true, 8)
    site.report(issued_ms=ISSUED_MS)
    with open_reader(tmp_path) as reader:
        kept = reader.issued("shop-1", ORIGIN_MS, ORIGIN_MS + 8 * QUARTER_MS)
    rows = [issued.Issued(at, one._replace(
        version=2, factors="ab" * 32, figures=issued.QuarterFigures(one.figures.wh, 1.0)))
            for at, (one,) in kept.items() if one.figures.g]
    issued.keep(tmp_path, "shop-1", rows)
    assert {tuple(one["why"]) for one in site.report()["changes"]} == {("factors",)}


def test_what_is_kept_of_a_quarter_hour_is_bounded_and_keeps_the_first(site, tmp_path):
    site.deliver(site.true, 4)
    site.report(issued_ms=ISSUED_MS)
    for number in range(2, 40):
        issued.keep(tmp_path, "shop-1", [issued.Issued(ORIGIN_MS, issued.Version(
            number, ISSUED_MS + number, ORIGIN_MS, "ab" * 32,
            issued.QuarterFigures({"pv": number}, 1)))])
    with open_reader(tmp_path) as reader:
        kept = reader.issued("shop-1", ORIGIN_MS, ORIGIN_MS + 1)[ORIGIN_MS]
    assert [one.version for one in kept] == [1, *range(33, 40)]


def test_a_note_stays_when_the_report_is_given_out_again_and_again(site):
    late = [site.seal(site.true) for _ in range(8)]
    for one in (*late[:3], *late[4:]):
        site.receive(one)
    site.report(issued_ms=ISSUED_MS)
    site.receive(late[3])
    said = [site.report(issued_ms=ISSUED_MS + n)["changes"] for n in range(1, 4)]
    assert said[0] and said[0] == said[1] == said[2]


def test_commands_and_bundle_keep_what_they_give_out(site, tmp_path, capsys):
    late = [site.seal(site.true) for _ in range(8)]
    for one in (*late[:3], *late[4:]):
        site.receive(one)
    period = ("--site", "shop", "--from", "2026-06-01T00:00:00Z", "--to", "2026-06-01T02:00:00Z")
    assert site.command("evidence", *period, "--out", str(tmp_path / "a.bundle")) == 0
    site.receive(late[3])
    capsys.readouterr()
    assert site.command("report", *period, "--json") == 0
    assert json.loads(capsys.readouterr().out)["changes"]


def test_bounds_are_never_negative_where_two_journals_meet(site):
    site.deliver(site.true, 8)
    for number, at_s, clock in ((5, HOUR_S, NTP), (6, 2 * HOUR_S, rtc(-90)), (7, 0, rtc(90))):
        site.deliver(site.thief(at_s, number), 4, FROZEN_WH, clock)
    bounds = [one["bound_wh"] for one in site.report()["meters"]]
    assert any(bounds) and all(one is None or one >= 0 for one in bounds)


MOVES = st.lists(st.sampled_from(["true", "late", "thief", "thief-2", "rtc", "decide", "report"]),
                 min_size=4, max_size=14)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(moves=MOVES, data=st.data())
def test_no_order_of_arrival_changes_a_reported_quarter_hour_without_a_note(moves, data,
                                                                            tmp_path_factory):
    """Batches of three journals, late, of bad clocks, and decisions, in any order: each report
    names each quarter hour that an earlier one gave otherwise, with what it was."""
    site = Site(tmp_path_factory.mktemp("fleet"))
    site.deliver(site.true, 6)
    waiting, given_out = [], {}
    journals = {"thief": site.thief(HOUR_S), "thief-2": site.thief(0, 6), "true": site.true}
    for number, move in enumerate([*moves, "report"]):
        site.now_ms += 60_000
        if move == "report":
            content = site.report(issued_ms=ORIGIN_MS + 100 * 3_600_000 + number)
            _holds(content, given_out)
        elif move == "late" and waiting:
            site.receive(waiting.pop(data.draw(st.integers(0, len(waiting) - 1))))
        elif move == "late":
            waiting += [site.seal(site.true) for _ in range(2)]
        elif move == "decide":
            first = data.draw(st.integers(0, 8))
            site.decide(data.draw(st.sampled_from([site.true])), first, first + 2)
        elif move == "rtc":
            site.deliver(site.true, 1, clock=rtc(data.draw(st.integers(-1800, 1800))))
        else:
            site.deliver(journals[move], 1, None if move == "true" else FROZEN_WH)
    site.close()


def _holds(content, given_out):
    """Hold a report to what was given out before it; given_out: {start: [energy of roles]}."""
    noted = {one["from"]: one for one in content["changes"]}
    for row in content["series"]:
        start, now = row["start"], row["energy_wh"]
        known = {role: round(wh, 3) for role, wh in now.items()
                 if wh is not None and role != "genset"}    # there is none: always 0
        for before in given_out.get(start, [])[-1:]:
            if before != known:
                note = noted[start]
                assert note["wh"] | note["wh_before"], start
        others = [one for one in given_out.get(start, []) if one != known]
        if others:
            told = noted[start]["wh_before"]
            assert {role: wh for role, wh in told.items() if wh is not None}.items() \
                <= (others[-1] | {"genset": 0.0}).items()
        given_out.setdefault(start, [])
        if given_out[start] or known:
            given_out[start].append(known)
    for meter in content["meters"]:
        assert meter["bound_wh"] is None or meter["bound_wh"] >= 0
