"""The web door: pages, live events, reports; listens on this machine only.

It reads, and writes nothing but the quarter hours of the reports that it gives out.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import NamedTuple

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleet import clock
from fleet.errors import ReportError, StoreDamaged
from fleet.formats.registry import EnrolledCabinet, Registry
from fleet.formats.timetext import parse_quarter
from fleet.ingest.live_table import LiveTable
from fleet.ingest.receiver import Receiver
from fleet.reporting import changes, report
from fleet.reporting import html as report_html
from fleet.store.reader import open_reader
from fleet.store.watch import Watch
from fleet.texts import say
from fleet.web import long_reports, page, panels
from fleet.web.hosts import LOOPBACK, ExplainedRefusal
from fleet.web.places import PlacedStream, Places
from fleet.web.report_worker import WorkerJob
from fleet.web.snapshot import Snapshots, day_so_far, yesterday
from gateway.core.errors import WattproofError

ASSETS = Path(__file__).with_name("assets")
GZIP_BYTES_MIN, GZIP_LEVEL = 1000, 5    # a page of 30 kB travels in 6; more costs, gains little
STREAMS_MAX = 200           # pages that watch at once; more are told to come back
SHORT_REPORTS_MAX = 4       # of at most LONG_MS, each in a thread for a part of a second
TICK_S = 5.0                # ages and silence are shown again this often without any message
PAUSE_S = 0.5               # at most two updates a second to a page
TODAY, YESTERDAY = "today", "yesterday"     # days that a report can be asked of by name
READER_GONE = 499           # nobody sees it
# Nothing from elsewhere, no inline script or style, no frames, no forms.
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
          "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
# A report carries its own style sheet and no script at all.
REPORT_POLICY = ("default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; "
                 "form-action 'none'; frame-ancestors 'none'")
HEADERS = {"X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
           "X-Frame-Options": "DENY", "Cache-Control": "no-store",
           "Cross-Origin-Opener-Policy": "same-origin"}


class PageSources(NamedTuple):
    """What the pages show.  factors: id or None, hosts: names under which a proxy asks, beside
    this machine's own."""

    data: Path
    registry: Registry
    live: LiveTable
    receiver: Receiver
    factors: str | None
    hosts: Sequence[str] = ()
    watch: Watch | None = None


class BadRequest(ReportError):
    """A page was asked for in a way that it does not know."""

    code = "question"


class SecureHeaders:
    """Puts the security headers on every answer; an answer may bring its own policy."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on and dress its answer."""
        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("Content-Security-Policy", POLICY)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, dressed)


class Pages:
    """The handlers; one per service."""

    def __init__(self, ingest: PageSources) -> None:
        self._registry, self._live = ingest.registry, ingest.live
        self._receiver, self._data, self._factors = ingest.receiver, ingest.data, ingest.factors
        self._watch = ingest.watch or Watch(ingest.data)
        self._snapshots = Snapshots(ingest.data, ingest.factors)
        self._streams = Places(STREAMS_MAX)
        self._short, self._long = Places(SHORT_REPORTS_MAX), Places(long_reports.WORKERS_MAX)

    async def home(self, request: Request) -> Response:
        """The only site, or the list of sites."""
        cabinets = [entry for entries in self._registry.sites().values() for entry in entries]
        if len(cabinets) == 1:
            return HTMLResponse(page.site_page(await self._view(cabinets[0])))
        views = [(cabinet, panels.state(await self._view(cabinet))) for cabinet in cabinets]
        return HTMLResponse(page.sites_page(views))

    async def site(self, request: Request) -> Response:
        """The live page of one site."""
        return HTMLResponse(page.site_page(await self._view(self._cabinet(request))))

    async def events(self, request: Request) -> Response:
        """The live part of a site's page, again at every change."""
        cabinet = self._cabinet(request)
        if not self._streams.take():
            return _busy("page.too_many")
        return PlacedStream(self._streams, self._stream(cabinet), {
            "Content-Type": "text/event-stream; charset=utf-8",
            "X-Accel-Buffering": "no"})                                 # for a proxy: pass on

    async def report(self, request: Request) -> Response:
        """The HTML report: ?day=yesterday, ?from=..&to=.. (RFC 3339 UTC), else today so far."""
        cabinet = self._cabinet(request)
        asked = _asked(dict(request.query_params))
        if self._watch.damaged:
            raise StoreDamaged(self._watch.damaged)
        if isinstance(asked, tuple) and asked[1] - asked[0] > long_reports.LONG_MS:
            return await self._long_report(request, cabinet, asked)
        if not self._short.take():
            return _busy("page.too_many_reports")
        try:
            content = await run_in_threadpool(self._report, cabinet, asked)
        finally:
            self._short.leave()
        return HTMLResponse(content, headers={"Content-Security-Policy": REPORT_POLICY})

    async def _long_report(self, request: Request, cabinet: EnrolledCabinet,
                           times: tuple[int, int]) -> Response:
        if not self._long.take():
            return _busy("page.too_many_reports")
        try:
            process = await long_reports.start(
                WorkerJob(str(self._data), cabinet.id, self._factors, *times))
            await long_reports.ready(process, request)
        except long_reports.ReaderGone:
            self._long.leave()
            return Response(status_code=READER_GONE)
        except BaseException:
            self._long.leave()
            raise
        return PlacedStream(self._long, long_reports.pieces(process), {
            "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": REPORT_POLICY},
            long_reports.WHOLE_S_MAX)

    async def health(self, request: Request) -> Response:
        """Whether the service runs and reaches the broker, for the demo and for monitoring."""
        return JSONResponse({"ok": True, "broker": self._receiver.connected,
                             "sites": list(self._registry.sites())})

    def _cabinet(self, request: Request) -> EnrolledCabinet:
        return report.cabinet_of(self._registry.sites(), request.path_params["site"])

    async def _view(self, cabinet: EnrolledCabinet) -> panels.PageView:
        snapshot = await run_in_threadpool(self._snapshots.get, cabinet)
        live, now_ms = self._live.get(cabinet.id), clock.utc_ms()
        sent_ms = self._receiver.last_receipt_ms.get(cabinet.id)
        return panels.PageView(
            cabinet, snapshot, live.figures if live else None,
            clock.monotonic_s() - live.arrived_s if live else None,
            live.arrived_ms if live else None,
            None if sent_ms is None else (now_ms - sent_ms) / 1000, self._receiver.connected,
            self._watch.damaged)

    async def _stream(self, cabinet: EnrolledCabinet) -> AsyncIterator[str]:
        version: int | None = None
        while True:
            try:
                view = await self._view(cabinet)
            except WattproofError as error:
                yield _event("live", page.trouble_part(str(error)))
            else:
                yield _event("live", page.live_part(view))
                if view.snapshot.version != version:
                    version = view.snapshot.version
                    yield _event("charts", page.charts_part(view.snapshot))
            await asyncio.sleep(PAUSE_S)
            await self._live.changed(TICK_S)

    def _report(self, cabinet: EnrolledCabinet, asked: str | tuple[int, int]) -> str:
        with open_reader(self._data) as reader:
            if isinstance(asked, str):
                span = reader.span_ms(cabinet.id)
                if span is None:
                    raise ReportError(say("day_error.site_no_readings", site=cabinet.site))
                times = day_so_far(span, cabinet.timezone)
                if asked == YESTERDAY:
                    times = yesterday(times[0], cabinet.timezone)
            else:
                times = asked
            content = report.build(reader, report.ReportRequest(cabinet, self._factors, *times))
            changes.keep(self._data, reader, content, clock.utc_ms())
        return report_html.render(content)


def _asked(query: dict[str, str]) -> str | tuple[int, int]:
    """Return the day or the (from_ms, to_ms) of a report's query; raises BadRequest with what
    is allowed, for an answer to another question than the one asked would be believed."""
    if set(query) == {"from", "to"}:
        try:
            return parse_quarter(query["from"]), parse_quarter(query["to"])
        except ReportError as error:
            raise BadRequest(str(error)) from error
    day = query.get("day", TODAY)
    if set(query) - {"day"} or day not in (TODAY, YESTERDAY):
        raise BadRequest(say("day_error.question"))
    return day


def _busy(text: str) -> Response:
    return Response(say(text), 503, {"Retry-After": "30"}, "text/plain")


def _event(name: str, html: str) -> str:
    return f"event: {name}\ndata: {json.dumps(html)}\n\n"


async def _error_page(request: Request, error: Exception) -> Response:
    status = (400 if isinstance(error, BadRequest) else
              404 if isinstance(error, ReportError) else 503)
    return HTMLResponse(page.message_page(str(error)), status)


async def _not_found(request: Request, error: Exception) -> Response:
    return HTMLResponse(page.message_page(say("page.not_found")), 404)


def make(ingest: PageSources) -> Starlette:
    """Return the web application over a fleet's data, live table and receiver."""
    pages, names = Pages(ingest), (*LOOPBACK, *ingest.hosts)
    page.warm_up()
    return Starlette(
        routes=[
            Route("/", pages.home), Route("/health", pages.health),
            Mount("/assets", StaticFiles(directory=ASSETS)),
            Route("/site/{site}", pages.site), Route("/site/{site}/events", pages.events),
            Route("/site/{site}/report", pages.report)],
        exception_handlers={WattproofError: _error_page, 404: _not_found},
        middleware=[                            # outermost first: a refusal is dressed as well
            Middleware(SecureHeaders), Middleware(ExplainedRefusal, names=names),
            Middleware(TrustedHostMiddleware, allowed_hosts=names, www_redirect=False),
            # Event streams pass as they are: each event is there when it was sent.
            Middleware(GZipMiddleware, minimum_size=GZIP_BYTES_MIN, compresslevel=GZIP_LEVEL)])
