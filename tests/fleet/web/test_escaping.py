"""Names from outside stay text on every page, in reports and in charts; only SVG is drawn in code.

Markup stands in templates: a string of the product that holds some is a way past autoescape.
"""

import ast
import json
import re
from datetime import UTC
from types import SimpleNamespace

import pytest

from fleet import clock
from fleet.formats.registry import Registry
from fleet.ingest.live_table import LiveTable
from fleet.reporting import charts, html, report
from fleet.store import incidents
from fleet.store.reader import open_reader
from fleet.web import app, page, panels
from fleet.web.snapshot import EMPTY
from tests.fleet.maker import ORIGIN_MS, figures, live
from tests.fleet.web.asgi import Browser
from tests.house.source import ROOMS, sources

HOSTILE = (
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "' onmouseover='x",
    "</svg></style></title>", "{{ 7 * 7 }}", "`x` <b>", "\x00\x07\x1b[31m\x85", "\u202egpj.exe",
    "\u2066a\u2069\u200f\ufeff", "\ud800", "&lt;i&gt;&amp;",
)
UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
TAG = re.compile(r"</?[a-zA-Z][a-zA-Z0-9]*(?=[\s/>])|<!doctype|&(?:lt|gt|amp|quot|nbsp|#\d+);",
                 re.IGNORECASE)
DRAWING = "fleet/reporting/charts.py"


def tags_of(text):
    """Return the tags of a page with their attributes' names, in order."""
    return re.findall(r"<(/?[a-z0-9]+|!doctype)((?: [a-z-]+(?==|>))*)", text, re.IGNORECASE)


def check_harmless(text, plain):
    """Check that a page has the tags of the same page with a plain name, and nothing unseen."""
    assert tags_of(text) == tags_of(plain)
    assert not UNSEEN.search(text)
    assert "49" not in text or "49" in plain
    text.encode("utf-8")


def site_view(name, snapshot=EMPTY):
    """Return the view of a site in which everything that has a name has this one."""
    device = SimpleNamespace(name=name, id=name, site="shop", timezone=name, revoked="")
    told = figures(
        utc=name, nodes=[{"name": name, "power_w": 1.0, "cpu_share": 0.5, "cores": name}],
        devices=[{"name": name, "ok": False, "reason": name, "age_s": 3}],
        climate=[{"name": name, "temperature_c": name}], clock={"source": name},
        journal={"durable_seq": 2, "acknowledged_seq": 1, "state": name})
    row = incidents.Incident("shop-1", bytes(16), incidents.CLONE, "", 1, 2, name, 1, 5, 6)
    return panels.PageView(device, snapshot._replace(why=name, incidents=[row], refused={name: 1}),
                           told, 3.0, ORIGIN_MS, 5.0, True)


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_name_is_text_on_every_page(name):
    for make in (lambda name: page.site_page(site_view(name)),
                 lambda name: page.live_part(site_view(name)._replace(figures=None)),
                 lambda name: page.sites_page([(site_view(name).cabinet, "live")]),
                 lambda name: page.charts_part(EMPTY._replace(why=name)), page.message_page):
        check_harmless(make(name), make("plain"))


@pytest.fixture
def content(tmp_path, ingest, gateway):
    """A report of half an hour."""
    for _ in range(4):
        ingest.process_one("shop-1", gateway.seal())
    device = Registry(tmp_path).find("shop-1")
    with open_reader(tmp_path) as reader:
        return report.build(reader, report.ReportRequest(
            device, None, ORIGIN_MS, ORIGIN_MS + 2 * 900_000))


def renamed(content, name):
    """Return a report in which everything that comes from outside has one name."""
    gap = {"device": name, "from": name, "to": name, "reason": name}
    evidence = content["evidence"] | {"gap_list": [gap], "faults": [name], "chain_ok": False,
                                      "journals": [dict.fromkeys(
                                          ("journal", "first_seq", "last_seq", "low_water"), name)]}
    return content | {
        "name": name, "site": name, "timezone": name, "evidence": evidence, "notes": [name],
        "meters": [row | {"device": name, "role": name, "measurand": name}
                   for row in content["meters"]],
        "workloads": [row | {"node": name, "name": name} for row in content["workloads"]],
        "methods": {name: name}, "quality_by_role": {name: content["quality"]},
        "factors": content["factors"] | {"id": name, "scope": name, "zone": name}}


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_name_is_text_in_a_report(name, content):
    check_harmless(html.render(renamed(content, name)), html.render(renamed(content, "plain")))


@pytest.mark.parametrize("name", HOSTILE, ids=range(len(HOSTILE)))
def test_a_hostile_name_is_text_in_a_drawing(name):
    axis = charts.Axis(ORIGIN_MS, 900_000, 2, UTC)

    def drawn(name):
        layers = [charts.Layer(name, name, [1.0, 2.0])]
        return "".join((charts.stacked(name, axis, layers), charts.lines(name, axis, layers),
                        charts.meter([(name, 0.5)])))

    check_harmless(drawn(name), drawn("plain"))


def test_a_lone_surrogate_in_a_live_message_does_not_break_the_page(tmp_path, gateway):
    table = LiveTable()
    receiver = SimpleNamespace(connected=True, last_receipt_ms={})
    browser = Browser(
        app.make(app.PageSources(tmp_path, Registry(tmp_path), table, receiver, None)))
    name = json.loads('"\\ud800"')
    table.update("shop-1", live(devices=[{"name": name, "ok": True, "age_s": 1}]),
                 clock.monotonic_s(), 0)
    answer = browser.get("/")
    assert answer.status_code == 200 and "\\ud800" in answer.text


def markup_in(tree):
    """Return the strings of a file that hold markup, docstrings left out."""
    spoken = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    return [node.value for node in ast.walk(tree)
            if isinstance(node, ast.Constant) and isinstance(node.value, str)
            and id(node) not in spoken and TAG.search(node.value)]


@pytest.mark.parametrize(("text", "found"), [
    ("A = '<p>'", 1), ("A = f'<li class=\"{1}\">'", 1), ("A = '</b>'", 1), ("A = '&lt;'", 1),
    ("'''A page with <p>.'''", 0), ("A = '<4sH'", 0), ("A = 'a < b'", 0), ("A = '<NAME>'", 1)])
def test_markup_in_a_string_is_found(text, found):
    assert len(markup_in(ast.parse(text))) == found


def test_markup_stands_in_templates_and_in_the_drawing_of_charts_only():
    from_code = {source.path: markup_in(source.tree)
                 for source in sources(page.__file__.rpartition("/fleet/")[0])
                 if source.path.split("/")[0] in ROOMS}
    assert from_code.pop(DRAWING)
    assert {path: found for path, found in from_code.items() if found} == {}


def test_nothing_is_declared_safe_outside_rendering_and_drawing():
    unsafe = re.compile(r"\bMarkup\([^)]|\|\s*safe\b|autoescape\s*(=\s*)?False|tojson")
    for source in sources(page.__file__.rpartition("/fleet/")[0]):
        if source.room and source.path not in (DRAWING, "fleet/reporting/rendering.py"):
            assert not unsafe.search(source.text), source.path
    assert len(page.TEMPLATES.list_templates(["html"])) >= 11
    for name in page.TEMPLATES.list_templates():
        assert not unsafe.search(page.TEMPLATES.loader.get_source(page.TEMPLATES, name)[0]), name
