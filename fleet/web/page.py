"""The pages as HTML text.  Pure: what is known goes in, a rendered template comes out.

The part inside <main id="live"> is sent again at every change; the script puts only what
differs into the page.  No inline style or script: the security header forbids both.
"""

from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from fleet.formats.registry import EnrolledCabinet
from fleet.reporting import rendering
from fleet.texts import say
from fleet.web import panels, proof
from fleet.web.panels import PageView, state
from fleet.web.snapshot import Snapshot

TEMPLATES = rendering.environment(Path(__file__).with_name("templates"))


def warm_up() -> None:
    """Compile all templates, so that the first reader does not wait for it."""
    for made in (TEMPLATES, rendering.shared()):
        for name in made.list_templates(extensions=["html"]):
            made.get_template(name)


def site_page(view: PageView) -> Markup:
    """Return the live page of a site."""
    return _render("site.html", cabinet=view.cabinet, live=live_part(view),
                   charts=charts_part(view.snapshot))


def charts_part(snapshot: Snapshot) -> Markup:
    """Return the charts of the day, or why there are none."""
    return snapshot.charts or _render("no_charts.html", why=snapshot.why)


def live_part(view: PageView) -> Markup:
    """Return everything that changes from moment to moment."""
    found = state(view)
    if found == "none":
        return _render("no_data.html", cabinet=view.cabinet, connected=view.connected)
    lines = proof.lines(view.snapshot, view.figures, view.receipt_age_s, view.damaged)
    return _render(
        "live.html", state=found, status=panels.status(view, found),
        tiles=panels.tiles(view, lines), power=panels.power(view), compute=panels.compute(view),
        proof=lines, day=panels.day(view.snapshot), why=view.snapshot.why,
        devices=panels.devices(view))


def trouble_part(text: str) -> Markup:
    """Return what stands in place of the live part while it cannot be made."""
    return _render("no_charts.html", why=text)


def sites_page(sites: Sequence[tuple[EnrolledCabinet, str]]) -> Markup:
    """Return the list of sites with the state of each."""
    return _render("sites.html", sites=sites)


def message_page(text: str) -> Markup:
    """Return a page that says one thing and the way back."""
    return _render("message.html", title=say("page.not_available"), text=text)


def _render(template: str, **values: object) -> Markup:
    return rendering.render(TEMPLATES, template, values)
