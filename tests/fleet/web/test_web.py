"""The page through its own server code: what it says in each state, and what it never does."""

import asyncio
import json
import re
from html import unescape
from types import SimpleNamespace

import pytest

from fleet import clock
from fleet.formats.registry import Registry
from fleet.ingest.live_table import LiveTable, parse
from fleet.web import app, page, panels
from fleet.web.snapshot import Snapshots
from tests.fleet.maker import PaperGateway, figures, live, packed
from tests.fleet.web.asgi import Browser


def clock_now():
    """Return the fleet's monotonic seconds (ages on the page are relative to it)."""
    return clock.monotonic_s()


@pytest.fixture
def table():
    """An empty live table."""
    return LiveTable()


@pytest.fixture
def browser(tmp_path, gateway, table):
    """A client of the web application of a fleet that knows `gateway`."""
    receiver = SimpleNamespace(connected=True, last_receipt_ms={})
    ingest = app.PageSources(tmp_path, Registry(tmp_path), table, receiver, None)
    return Browser(app.make(ingest))


def text_of(html):
    """Return what a reader sees, blanks folded."""
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", " ", html)))


def test_before_any_data_the_page_says_what_to_do(browser):
    shown = text_of(browser.get("/").text)
    assert "No data yet" in shown and "python -m gateway run --config" in shown


def test_the_live_page_shows_load_beside_power_and_where_it_comes_from(browser, table):
    table.update("shop-1", live(), clock_now(), 0)
    shown = text_of(browser.get("/").text).replace("\u202f", " ")
    for words in ("Live", "1.90 g", "67 %", "node-1 360 W", "CPU of 32 cores 50 %",
                  "Tasks running 3", "Grid 720 W", "Solar (PV) 1.44 kW", "Into the battery 720 W",
                  "Cooling 180 W", "Lighting 360 W", "Other 360 W", "131 g/kWh",
                  "1 of 9 devices gives no values",
                  "no answer: check power, address and wiring, last value 95 s ago"):
        assert words in shown, words


@pytest.mark.parametrize(("reason", "age_s", "words"), [
    ("refused", None, "refuses: check profile, address and the device's settings, no value yet"),
    ("bad-frame", 7, "damaged answers: check baud rate, cable and termination, last value 7 s ago"),
    ("not-implemented", None, "says that it has no such values: check the profile"),
    ("a-new-reason", None, "a-new-reason, no value yet")])
def test_a_device_without_values_is_named_with_what_it_does_instead(
        browser, table, reason, age_s, words):
    device = {"name": "bms", "ok": False, "reason": reason, "age_s": age_s}
    table.update("shop-1", live(devices=[device]), clock_now(), 0)
    assert words in text_of(browser.get("/").text).replace("\u202f", " ")


def test_evidence_is_told_in_words(browser, table, ingest, gateway):
    for _ in range(6):
        ingest.process_one("shop-1", gateway.seal())
    table.update("shop-1", live(), clock_now(), 0)
    shown = text_of(browser.get("/site/shop").text).replace("\u202f", " ")
    for words in ("All readings expected today are here",
                  "3 960 records in 4 signed batches checked",
                  "The gateway declared none today", "The gateway keeps 111 records on its flash",
                  "Simulated, accurate to 3.0 s",
                  "every message was a valid batch from this gateway",
                  "Today so far"):
        assert words in shown, words
    assert browser.get("/site/shop").text.count("<figure") == 4


@pytest.mark.parametrize("discharge_wh", [12.5, None])
def test_the_day_says_how_a_core_hour_counts_a_battery_where_there_is_one(
        discharge_wh, ingest, gateway, tmp_path):
    for _ in range(6):
        ingest.process_one("shop-1", gateway.seal())
    device = Registry(tmp_path).find("shop-1")
    found = Snapshots(tmp_path, None).get(device)
    found.today["energy_wh"]["battery_discharge"] = discharge_wh
    shown = text_of(page.live_part(panels.PageView(device, found, None, None, None, None, True)))
    assert "Carbon of grid and generator" in shown
    told = ("A core-hour includes energy from the battery with the carbon that charged it"
            in shown)
    assert told == (discharge_wh is not None)


def test_a_silent_gateway_is_called_silent_and_its_figures_are_marked_as_old(browser, table):
    table.update("shop-1", live(), clock_now() - 61, 1_780_272_000_000)
    html = browser.get("/").text
    assert "Gateway silent since 2026-06-01 00:00:00 UTC" in html
    assert 'class="figures old"' in html


def test_a_late_gateway_is_called_late(browser, table):
    table.update("shop-1", live(), clock_now() - 30, 0)
    assert ">Late</b>" in browser.get("/").text


def test_a_forged_batch_turns_the_evidence_red(browser, table, ingest, gateway):
    ingest.process_one("shop-1", gateway.seal())
    ingest.process_one("shop-1", PaperGateway().seal())
    table.update("shop-1", live(), clock_now(), 0)
    html = browser.get("/").text
    assert "with an invalid signature" in html and 'class="tile bad"' in html


def test_unknown_figures_are_a_dash_and_never_a_zero(browser, table):
    nothing = {"grid": None, "pv": None, "battery": None, "it": None, "cooling": None,
               "lighting": None, "other": None, "residual": None, "genset": None}
    table.update("shop-1", live(
        power_w=nothing, carbon={}, nodes=[], battery={},
        climate=[{"name": "hall", "temperature_c": None}]), clock_now(), 0)
    shown = text_of(browser.get("/").text).replace("\u202f", " ")
    assert "Grid – Solar (PV) – Battery –" in shown
    assert "Carbon per core-hour, now –" in shown
    assert "From – Grid" in shown
    assert "Power of all loads – carbon intensity not known" in shown
    assert "hall: no reading" in shown


def test_a_sum_with_an_unknown_part_is_said_to_be_at_least_that(browser, table):
    powers = figures()["power_w"] | {"cooling": None}
    table.update("shop-1", live(power_w=powers), clock_now(), 0)
    shown = text_of(browser.get("/").text).replace("\u202f", " ")
    assert "Power of all loads ≥ 1.26 kW" in shown


def test_a_service_just_started_shows_stored_evidence_and_no_old_power(browser, ingest, gateway):
    for _ in range(6):
        ingest.process_one("shop-1", gateway.seal())
    shown = text_of(browser.get("/").text)
    assert "No message from the gateway since this service started" in shown
    assert "Today so far" in shown
    assert "Power now" not in shown


def test_hostile_names_in_live_data_stay_text(browser, table):
    name = '<script>alert("x")</script>'
    table.update("shop-1", live(nodes=[{"name": name, "power_w": "1", "cpu_share": []}],
                                devices=[{"name": name}, 5], climate="x"), clock_now(), 0)
    html = browser.get("/").text
    assert name not in html and "&lt;script&gt;" in html


LIVE_REFUSED = (b"", b"\x01", b"\xff", json.dumps(figures()).encode(), b"\x02" + live()[1:],
                live()[:-1], live() + b"\x00", packed([]), packed({}), packed("[" * 20000),
                packed([[[]]] * 10), live("other-1"), live(v=2), live(pad="x" * 32_768))


@pytest.mark.parametrize("payload", LIVE_REFUSED, ids=range(len(LIVE_REFUSED)))
def test_a_live_message_that_is_none_is_ignored(payload, table):
    assert parse(payload, "shop-1") is None
    assert table.update("shop-1", payload, 0, 0) is False
    assert (table.get("shop-1"), table.refused) == (None, 1)


def test_every_answer_forbids_foreign_content(browser):
    for path in ("/", "/site/shop", "/nowhere", "/assets/page.js", "/health", "/site/x/report"):
        headers = browser.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert headers["x-content-type-options"] == "nosniff", path
        assert "set-cookie" not in headers, path


def test_the_page_itself_has_no_inline_script_or_style_and_no_foreign_address(browser, table):
    table.update("shop-1", live(), clock_now(), 0)
    html = browser.get("/").text
    assert not re.search(r"<script(?! src=\"/assets/)|style=|<style| on[a-z]+=|https?://", html)


def test_only_listed_files_are_served(browser):
    assert browser.get("/assets/page.css").status_code == 200
    for path in ("/assets/..%2Fapp.py", "/assets/%2e%2e/app.py", "/assets/fleet.db",
                 "/assets/%2e%2e/templates/site.html", "/assets//etc/passwd", "/assets/",
                 "/assets/%2Fetc%2Fpasswd", "/assets/page.css%00", "/assets/page.css/x",
                 "/assets/" + "a" * 5000):
        assert browser.get(path).status_code == 404, path


def test_a_report_of_today_is_one_click_away(browser, ingest, gateway):
    for _ in range(6):
        ingest.process_one("shop-1", gateway.seal())
    answer = browser.get("/site/shop/report")
    assert answer.status_code == 200 and "Factor set" in answer.text
    assert "script-src" not in answer.headers["content-security-policy"]


@pytest.mark.parametrize(("path", "words"), [
    ("/site/shap", "known: shop"), ("/site/shop/report", "nothing was ever received")])
def test_a_page_that_cannot_be_made_says_why(browser, path, words):
    answer = browser.get(path)
    assert answer.status_code == 404 and words in answer.text


def test_an_address_without_a_page_says_so_and_leads_back(browser):
    answer = browser.get("/nowhere")
    assert answer.status_code == 404
    assert "There is no page at this address." in answer.text and 'href="/"' in answer.text


@pytest.mark.parametrize(("query", "words"), [
    ("day=xxx", "day=today, day=yesterday"), ("day=", "day=today, day=yesterday"),
    ("days=yesterday", "day=today, day=yesterday"), ("from=2026-06-01T00:00:00Z", "both like"),
    ("day=today&from=2026-06-01T00:00:00Z", "both like"), ("from=x&to=y", "is not a time")])
def test_a_report_asked_for_in_an_unknown_way_is_refused_with_what_is_allowed(
        query, words, browser, ingest, gateway):
    for _ in range(6):
        ingest.process_one("shop-1", gateway.seal())
    answer = browser.get("/site/shop/report?" + query)
    assert answer.status_code == 400 and words in unescape(answer.text)
    assert browser.get("/site/shop/report?day=today").status_code == 200


@pytest.mark.parametrize("host", [
    "localhost", "LOCALHOST:8080", "127.0.0.1", "127.0.0.1:8080", "[::1]", "[::1]:8080"])
def test_the_page_answers_under_the_names_of_this_machine(host, browser):
    assert browser.get("/health", host).status_code == 200


@pytest.mark.parametrize("host", [
    None, "", "evil.example", "evil.example:8080", "localhost.evil.example", "127.0.0.1.evil",
    "evil.example:127.0.0.1", "192.168.0.7:8080", "localhost:x", "[::1", "[::2]:8080"])
def test_a_foreign_name_that_points_here_is_refused_on_every_path(host, browser):
    for path in ("/", "/health", "/site/shop", "/site/shop/events", "/assets/page.js"):
        answer = browser.get(path, host)
        assert answer.status_code == 400, path
        assert "localhost, 127.0.0.1, [::1]" in answer.text
        assert "default-src 'none'" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(("host", "status"), [
    ("energy.example.org", 200), ("ENERGY.example.org:443", 200), ("127.0.0.1:8080", 200),
    ("www.energy.example.org", 400), ("example.org", 400), ("energy.example.org.evil", 400),
    ("evil.example", 400), (None, 400)])
def test_a_name_that_a_proxy_asks_under_can_be_allowed(host, status, tmp_path, gateway, table):
    receiver = SimpleNamespace(connected=True, last_receipt_ms={})
    browser = Browser(app.make(app.PageSources(tmp_path, Registry(tmp_path), table, receiver, None,
                                               ("energy.example.org",))))
    answer = browser.get("/health", host, x_forwarded_host="energy.example.org")
    assert answer.status_code == status
    assert status == 200 or "[::1], energy.example.org only" in answer.text


def test_a_page_is_compressed_for_whoever_takes_it_and_says_the_same(browser, table):
    table.update("shop-1", live(), clock_now(), 0)
    for path in ("/", "/assets/page.css"):
        plain, packed_ = browser.get(path), browser.get(path, accept_encoding="gzip")
        assert "content-encoding" not in plain.headers, path
        assert packed_.headers["content-encoding"] == "gzip", path
        assert packed_.headers["vary"] == "Accept-Encoding", path
        assert packed_.text == plain.text, path
    assert "content-encoding" not in browser.get("/health", accept_encoding="gzip").headers


async def test_an_event_is_sent_as_it_is_and_at_once(tmp_path, gateway, table):
    """Neither gzip nor a middleware holds an event back until the next one."""
    receiver = SimpleNamespace(connected=True, last_receipt_ms={})
    web = app.make(app.PageSources(tmp_path, Registry(tmp_path), table, receiver, None))
    table.update("shop-1", live(), clock_now(), 0)
    sent, first_event = [], asyncio.Event()
    scope = {"type": "http", "asgi": {"version": "3.0", "spec_version": "2.4"}, "method": "GET",
             "path": "/site/shop/events", "query_string": b"", "root_path": "",
             "headers": [(b"host", b"localhost"), (b"accept-encoding", b"gzip")]}

    async def send(message):
        sent.append(message)
        if message["type"] == "http.response.body":
            first_event.set()

    watching = asyncio.create_task(web(scope, asyncio.Event().wait, send))
    async with asyncio.timeout(20):
        await first_event.wait()
    watching.cancel()
    await asyncio.gather(watching, return_exceptions=True)
    headers = dict(sent[0]["headers"])
    assert headers[b"content-type"].startswith(b"text/event-stream")
    assert b"content-encoding" not in headers
    assert headers[b"x-accel-buffering"] == b"no"
    assert sent[1]["body"].startswith(b"event: live\ndata: ") and sent[1]["more_body"]


def test_an_asset_has_a_tag_and_is_kept_by_nobody(browser):
    first = browser.get("/assets/page.css")
    assert first.headers["cache-control"] == "no-store" and first.headers["etag"]
    again = browser.get("/assets/page.css", if_none_match=first.headers["etag"])
    assert (again.status_code, again.text) == (304, "")
    assert "default-src 'none'" in again.headers["content-security-policy"]


def test_several_sites_are_listed_with_their_states(browser, tmp_path, table):
    other = PaperGateway("kiosk-1")
    other.enrol(tmp_path, "kiosk")
    table.update("shop-1", live(), clock_now(), 0)
    shown = text_of(browser.get("/").text)
    assert "No data yet" in shown and "Live" in shown
    assert browser.get("/site/kiosk").status_code == 200


async def test_live_events_carry_the_page_part_and_the_charts(tmp_path, gateway, table):
    receiver = SimpleNamespace(connected=True, last_receipt_ms={})
    registry = Registry(tmp_path)
    pages = app.Pages(app.PageSources(tmp_path, registry, table, receiver, None))
    table.update("shop-1", live(), clock_now(), 0)
    stream = (await pages.events(SimpleNamespace(path_params={"site": "shop"}))).body_iterator
    first, second = await anext(stream), await anext(stream)
    await stream.aclose()
    assert first.startswith("event: live\ndata: ") and first.endswith("\n\n")
    assert "node-1" in json.loads(first.split("data: ")[1])
    assert second.startswith("event: charts\n")


async def test_a_broker_that_is_away_is_told_in_a_sentence_of_its_own(tmp_path, gateway, table):
    receiver = SimpleNamespace(connected=False, last_receipt_ms={})
    registry = Registry(tmp_path)
    pages = app.Pages(app.PageSources(tmp_path, registry, table, receiver, None))
    table.update("shop-1", live(), clock_now(), 0)
    stream = (await pages.events(SimpleNamespace(path_params={"site": "shop"}))).body_iterator
    first = await anext(stream)
    await stream.aclose()
    assert "received just now. The broker is not connected at the moment." in first


def test_powers_that_flow_back_become_sinks():
    sources, sinks = panels.flows({"grid": -500, "battery": -300, "pv": 900, "it": 100})
    assert dict(sources) == {"grid": 0, "pv": 900, "battery": 0}
    assert (dict(sinks)["export"], dict(sinks)["charge"]) == (500, 300)


def test_a_snapshot_is_read_again_only_when_a_batch_came(tmp_path, ingest, gateway):
    snapshots, device = Snapshots(tmp_path, None), Registry(tmp_path).find("shop-1")
    ingest.process_one("shop-1", gateway.seal())
    first = snapshots.get(device)
    assert snapshots.get(device) is first
    ingest.process_one("shop-1", gateway.seal())
    assert snapshots.get(device).version > first.version
