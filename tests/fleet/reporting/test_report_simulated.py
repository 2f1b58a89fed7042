"""Simulated time is said in every report and on the page, and of real time nothing is said."""

import json

import pytest

from fleet.formats.registry import Registry
from fleet.reporting import html, report
from fleet.store.reader import open_reader
from fleet.web import panels, snapshot
from gateway.core.reading import CLOCK_NTP, CLOCK_SIMULATED, ClockState
from tests.fleet.maker import ORIGIN_MS, QUARTER_MS
from tests.support.evidence_world import bundle, opened_bundle

WORDS = "Simulated time: no real clock dated these readings."


@pytest.fixture(params=[CLOCK_SIMULATED, CLOCK_NTP], ids=["simulated", "real"])
def made(request, ingest, gateway, tmp_path):
    """(whether time is simulated, the report of an hour)."""
    for _ in range(5):
        clock = ClockState(request.param, 0, ORIGIN_MS, 50)
        assert ingest.process_one("shop-1", gateway.seal(clock=clock)).code == "admit"
    found = Registry(tmp_path).find("shop-1")
    with open_reader(tmp_path) as reader:
        content = report.build(reader, report.ReportRequest(found, None, ORIGIN_MS,
                                                            ORIGIN_MS + 4 * QUARTER_MS))
    return request.param == CLOCK_SIMULATED, content


def test_a_report_says_it_in_both_forms(made):
    simulated, content = made
    assert content["evidence"]["simulated"] is simulated
    assert (WORDS in content["notes"]) is simulated
    assert (WORDS in html.render(content)) is simulated
    assert (WORDS in json.dumps(content)) is simulated


def test_the_page_says_it_with_the_figures_of_the_day(made):
    simulated, content = made
    found = panels.day(snapshot.Snapshot(**{name: content if name == "today" else None
                                            for name in snapshot.Snapshot._fields}))
    assert found is not None and (WORDS in found.notes) is simulated


def test_a_bundle_says_it_in_its_contents(made, tmp_path, receipt_key):
    said, _ = opened_bundle(bundle(tmp_path, "shop", receipt_key))
    assert said["simulated"] is made[0]
