"""The page in a real browser: Debian's chromium, desktop and phone, light and dark.

Without chromium this is skipped on a laptop and fails in CI.  The README's pictures are made
here, from a demo that runs beside (`make run`):

    WATTPROOF_PAGE=http://127.0.0.1:8080/ WATTPROOF_PICTURES=docs/img \
        .venv/bin/python -m pytest tests/fleet/web/test_browser.py -k fits
"""

import asyncio
import importlib
import os
import socket
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest
import uvicorn

from fleet import clock
from fleet.formats.registry import Registry
from fleet.ingest.live_table import LiveTable
from fleet.web import app
from tests.fleet.maker import live
from tests.support.parts import need, need_module

SCREENS = {"desktop": (1280, 900, "light"), "phone": (390, 844, "light"),
           "desktop-dark": (1280, 900, "dark"), "phone-dark": (390, 844, "dark")}
# Heights of the pictures: side by side in the README, a phone at 0.4 of the width is as tall.
PICTURE_PX = {1280: 2240, 390: 1704}


@pytest.fixture
def chromium():
    """A running browser."""
    path = need("chromium")
    need_module("playwright")
    sync_api = importlib.import_module("playwright.sync_api")
    with sync_api.sync_playwright() as machine:
        browser = machine.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield browser
        browser.close()


class Service:
    """The web application of a fleet in a thread of its own."""

    def __init__(self, data):
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.loop, self.table = asyncio.new_event_loop(), None
        self._ready = threading.Event()
        self._data = data
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        assert self._ready.wait(20)

    def _run(self):
        asyncio.set_event_loop(self.loop)
        self.loop.run_until_complete(self._serve())

    async def _serve(self):
        self.table = LiveTable()
        receiver = SimpleNamespace(connected=True, last_receipt_ms={"shop-1": clock.utc_ms()})
        web = app.make(
            app.PageSources(self._data, Registry(self._data), self.table, receiver, None))
        self.server = uvicorn.Server(uvicorn.Config(
            web, host="127.0.0.1", port=self.port, log_level="error", lifespan="off",
            timeout_graceful_shutdown=1))
        self.server.install_signal_handlers = lambda: None
        serving = asyncio.create_task(self.server.serve())
        while not self.server.started:
            await asyncio.wait({serving}, timeout=0.02)
        self._ready.set()
        await serving

    def say(self, **changes):
        """Let the paper gateway send a live message now."""
        arrived_s, arrived_ms = clock.monotonic_s(), clock.utc_ms()
        self.loop.call_soon_threadsafe(
            self.table.update, "shop-1", live(**changes), arrived_s, arrived_ms)

    def stop(self):
        """End the service."""
        self.server.should_exit = True
        self._thread.join(10)


@pytest.fixture
def service(tmp_path, ingest, gateway):
    """A service with a day's evidence and one live message."""
    for _ in range(72):
        ingest.process_one("shop-1", gateway.seal())
    made = Service(tmp_path)
    made.say()
    yield made
    made.stop()


def opened(chromium, service, screen, address=None):
    """Return (page, faults): the site's page at a screen size, and what the browser faulted.

    address: of a running page to look at instead of the service's.
    """
    width, height, scheme = SCREENS[screen]
    page = chromium.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
    faults = []
    page.on("console", lambda message: faults.append(message.text))
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.goto(address or f"http://127.0.0.1:{service.port}/")
    page.get_by_text("node-1", exact=False).first.wait_for()
    page.locator("figure").first.wait_for()
    return page, faults


def test_the_page_fits_every_screen_and_the_browser_finds_no_fault(chromium, service, tmp_path):
    pictures = Path(os.environ.get("WATTPROOF_PICTURES", tmp_path))
    pictures.mkdir(parents=True, exist_ok=True)
    for screen, (width, _, scheme) in SCREENS.items():
        page, faults = opened(chromium, service, screen, os.environ.get("WATTPROOF_PAGE"))
        assert page.evaluate("document.documentElement.scrollWidth") <= width, screen
        assert faults == [], screen
        page.set_viewport_size({"width": width, "height": PICTURE_PX[width]})
        folder = pictures if scheme == "light" else tmp_path
        page.screenshot(path=folder / f"page-{screen}.png")
        page.close()


def test_values_change_without_a_reload(chromium, service):
    page, faults = opened(chromium, service, "desktop")
    page.evaluate("window.sameDocument = true")
    service.say(nodes=[{"name": "node-1", "power_w": 411.0, "cpu_share": 0.87, "cores": 32,
                        "tasks_running": 9, "tasks_per_min": 2.0}])
    page.get_by_text("87\u202f%").first.wait_for(timeout=10_000)
    assert page.get_by_text("411\u202fW").count() == 1
    assert page.evaluate("window.sameDocument") is True
    assert faults == []


def test_text_is_readable_in_both_themes(chromium, service):
    for screen in ("desktop", "desktop-dark"):
        page, _ = opened(chromium, service, screen)
        ratio = page.evaluate("""() => {
          const light = (text) => { const [r, g, b] = text.match(/[0-9.]+/g).map(Number)
            .map((c) => c / 255).map((c) => c <= .03928 ? c / 12.92 : ((c + .055) / 1.055) ** 2.4);
            return .2126 * r + .7152 * g + .0722 * b; };
          const note = light(getComputedStyle(document.querySelector(".note")).color);
          const panel = light(getComputedStyle(document.querySelector(".tile")).backgroundColor);
          return (Math.max(note, panel) + .05) / (Math.min(note, panel) + .05); }""")
        assert ratio >= 4.5, screen         # WCAG 2.2, 1.4.3, level AA
        page.close()
