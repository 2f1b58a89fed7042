"""The pages as HTML text.  Pure: what is known goes in, escaped HTML comes out.

The part inside <main id="live"> is sent again at every change; the script puts only what
differs into the page.  No inline style or script: the security header forbids both.
"""

from collections import namedtuple
from collections.abc import Sequence
from html import escape
from typing import Any

from fleet.formats.registry import Device
from fleet.ingest.live_table import rows, section
from fleet.reporting import text as words
from fleet.reporting.charts import meter
from fleet.web import proof
from fleet.web.snapshot import Snapshot, figures_of_day

# device: registry entry.  snapshot: stored evidence.  figures: latest live message or None.
# age_s: of that message.  arrived_ms: when it came.  receipt_age_s: since the last receipt.
# connected: whether the broker is reached.
View = namedtuple("View", ("device", "snapshot", "figures", "age_s", "arrived_ms",
                           "receipt_age_s", "connected"))

STATE_WORDS = {"live": "Live", "late": "Late", "silent": "Silent", "none": "No data yet"}
LOAD_ROLES = ("it", "cooling", "lighting", "other")


def state(view: View) -> str:
    """Return live, late, silent or none."""
    if view.figures is None:
        return "silent" if view.snapshot.span else "none"
    if view.age_s > words.SILENT_S:
        return "silent"
    return "late" if view.age_s > words.LATE_S else "live"


def document(title: str, body: str, script: bool = False) -> str:
    """Return a whole HTML document."""
    tag = '<script src="/assets/page.js" defer></script>' if script else ""
    return ('<!doctype html><html lang="en"><head><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width,initial-scale=1">'
            '<meta name="color-scheme" content="light dark">'
            f'<title>{escape(title)}</title>'
            '<link rel="icon" href="/assets/icon.svg">'
            '<link rel="stylesheet" href="/assets/charts.css">'
            f'<link rel="stylesheet" href="/assets/page.css">{tag}</head>'
            f'<body>{body}</body></html>')


def site_page(view: View) -> str:
    """Return the live page of a site."""
    name, site = escape(view.device.name), escape(view.device.site)
    body = (f'<header class="top"><a class="brand" href="/">Wattproof</a><h1>{name}</h1></header>'
            f'<div id="page" data-events="/site/{site}/events">'
            f'<main id="live">{live_part(view)}</main>'
            f'<section class="panel" id="today"><h2>Today by quarter hour</h2>'
            f'<div id="charts">{charts_part(view.snapshot)}</div></section></div>'
            f'<footer><a href="/site/{site}/report">Report of today</a> '
            f'<a href="/site/{site}/report?day=yesterday">Report of yesterday</a>'
            f'<span>Check it yourself: <code>python -m fleet verify --data DIR --site {site}'
            '</code></span></footer>')
    return document(f"{view.device.name} – Wattproof", body, script=True)


def charts_part(snapshot: Snapshot) -> str:
    """Return the charts of the day, or why there are none."""
    return snapshot.charts or f'<p class="empty">{escape(snapshot.why)}</p>'


def live_part(view: View) -> str:
    """Return everything that changes from moment to moment."""
    found = state(view)
    if found == "none":
        return _no_data(view)
    dim = " old" if found == "silent" else ""
    now = f'<div class="columns">{_power(view)}{_compute(view)}</div>' if view.figures else ""
    return (f'{_status(view, found)}<div class="figures{dim}">{_headline(view)}{now}</div>'
            f'<div class="columns">{_proof(view)}{_day(view)}</div>{_devices(view)}')


def _no_data(view: View) -> str:
    broker = ("The broker is reached; nothing has come from the gateway so far."
              if view.connected else "The broker is not reached: check that it runs.")
    return ('<section class="panel empty-state"><h2>No data yet</h2>'
            f'<p>{broker}</p><ol><li>Start the gateway: <code>python -m gateway run --config '
            'cabinet.toml</code></li><li>Ask it how it is: <code>python -m gateway status --config'
            f' cabinet.toml</code></li></ol><p>The first figures of {escape(view.device.device)} '
            'appear here within seconds of its start, the first signed batch after a quarter '
            'hour.</p></section>')


def _status(view: View, found: str) -> str:
    if found == "silent" and view.figures is None:
        text = "The gateway has not been heard since this service started; stored data is below."
    elif found == "silent":
        text = (f"Gateway silent since {words.moment(view.arrived_ms)}. The figures are its last "
                "ones; its journal keeps what it measures.")
    else:
        stamp = str(view.figures.get("utc") or "")[:19].replace("T", " ")
        text = f"Measured at {stamp} UTC, heard {words.age(view.age_s)}."
    if not view.connected:
        text += " The broker is not reached at the moment."
    return (f'<p class="status {found}" role="status"><span class="dot"></span>'
            f'<b>{STATE_WORDS[found]}</b> <span>{escape(text)}</span></p>')


def _headline(view: View) -> str:
    carbon, power = section(view.figures, "carbon"), section(view.figures, "power_w")
    loads = [(role, power.get(role)) for role in LOAD_ROLES]
    lines = proof.lines(view.snapshot, view.figures, view.receipt_age_s)
    found = proof.worst(lines)
    covered = view.snapshot.today["evidence"]["coverage"] if view.snapshot.today else None
    proving = [line for line in lines if line.title in proof.PROVING]
    sound = proof.worst(proving)
    proven = {"good": "proven", "watch": "not yet proven", "bad": "NOT proven"}[sound]
    see = proof.first(proving if sound == found else lines, found)
    proven += f", see {see}" if found != proof.GOOD else ""
    return ('<div class="headline">'
            + _tile("Carbon of a core-hour, now", words.grams(carbon.get("core_hour_g")),
                    "reserved core-hour, cooling and light included")
            + _tile("Compute on renewable energy", words.share(carbon.get("renewable_share_it")),
                    "own solar, direct or through the battery")
            + _tile("Power of all loads", _sum(loads),
                    f"at {words.figure(carbon.get('bus_g_per_kwh'), 0, 'g/kWh')}")
            + _tile("Evidence of today", words.share(covered, 1), f"complete · {proven}",
                    f" {found}") + '</div>')


def _tile(label: str, value: str, note: str, css: str = "") -> str:
    number, _, unit = value.rpartition("\u202f")
    shown = (f'{escape(number)}<span class="unit">\u202f{escape(unit)}</span>' if number
             else escape(unit))
    return (f'<div class="tile{css}"><h3>{escape(label)}</h3><p class="big">{shown}</p>'
            f'<p class="note">{escape(note)}</p></div>')


def flows(power: dict[str, Any]) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
    """Return (sources, sinks) as (role, W or None), from the signed powers of a live message.

    Import, discharge and generation are positive; what flows the other way is a sink.
    """
    grid, battery = power.get("grid"), power.get("battery")
    sources = [("grid", _part(grid, 1)), ("pv", power.get("pv")), ("battery", _part(battery, 1))]
    if words.is_number(power.get("genset")):
        sources.append(("genset", power["genset"]))
    sinks = [(role, power.get(role)) for role in LOAD_ROLES]
    sinks += [("charge", _part(battery, -1)), ("export", _part(grid, -1))]
    return sources, sinks


def _part(value: Any, sign: int) -> float | None:
    return max(sign * value, 0.0) if words.is_number(value) else None


def _power(view: View) -> str:
    sources, sinks = flows(section(view.figures, "power_w"))
    top = max(_total(sources), _total(sinks), 1.0)
    residual = section(view.figures, "power_w").get("residual")
    note = (f'<p class="note">Not metered: {words.power(residual)} (sources less loads).</p>'
            if words.is_number(residual) else "")
    return ('<section class="panel"><h2>Power now</h2>'
            f'<h3>From <span class="sum">{_sum(sources)}</span></h3>'
            f'{_flow_rows(sources, top)}'
            f'<h3>To <span class="sum">{_sum(sinks)}</span></h3>'
            f'{_flow_rows(sinks, top)}{note}</section>')


def _bar(css: str, part: Any) -> str:
    return meter([(css, float(part))] if words.is_number(part) else [])


def _total(flow: Sequence[tuple[str, Any]]) -> float:
    return float(sum(max(watts, 0) for _, watts in flow if words.is_number(watts)))


def _sum(flow: Sequence[tuple[str, Any]]) -> str:
    """A part is not the whole: with a power unknown the sum is said to be at least that."""
    known = sum(words.is_number(watts) for _, watts in flow)
    if not known:
        return words.NONE
    return ("" if known == len(flow) else "≥\u00a0") + words.power(_total(flow))


def _flow_rows(flow: Sequence[tuple[str, Any]], top: float) -> str:
    items = "".join(
        f'<li><span class="name">{words.ROLE_WORDS[role]}</span>'
        f'{_bar(role, watts / top if words.is_number(watts) else None)}'
        f'<span class="value">{words.power(watts)}</span></li>' for role, watts in flow)
    return f'<ul class="flow">{items}</ul>'


def _compute(view: View) -> str:
    cards = "".join(_node(node) for node in rows(view.figures, "nodes"))
    battery, carbon = section(view.figures, "battery"), section(view.figures, "carbon")
    soc = battery.get("soc")
    level = _bar("battery", soc)
    climate = "".join(
        f'<p class="note">{escape(str(one.get("name")))}: '
        f'{words.figure(one.get("temperature_c"), 1, "°C")}, '
        f'{words.figure(one.get("humidity"), 0, "% humidity")}</p>'
        for one in rows(view.figures, "climate"))
    return ('<section class="panel"><h2>Compute</h2>'
            f'{cards or "<p class=empty>No node has reported yet.</p>"}'
            '<h2>Battery</h2><div class="node">'
            f'<p class="row"><span>Charge</span>{level}<b>{words.share(soc)}</b></p>'
            f'<p class="row"><span>Stored</span><b>{words.energy(battery.get("stored_wh"))}</b></p>'
            '<p class="row"><span>Carbon in what it holds</span><b>'
            f'{words.figure(carbon.get("battery_g_per_kwh"), 0, "g/kWh")}</b></p></div>'
            f'{climate}</section>')


def _node(node: dict[str, Any]) -> str:
    busy = node.get("cpu_share")
    bar = _bar("it", busy)
    return (f'<div class="node"><h3>{escape(str(node.get("name")))} <span class="sum">'
            f'{words.power(node.get("power_w"))}</span></h3>'
            f'<p class="row"><span>CPU of {words.figure(node.get("cores"))} cores</span>{bar}'
            f'<b>{words.share(busy)}</b></p>'
            f'<p class="row"><span>Tasks running</span><b>'
            f'{words.figure(node.get("tasks_running"))}</b></p>'
            f'<p class="row"><span>Tasks finished</span><b>'
            f'{words.figure(node.get("tasks_per_min"), 1, "/min")}</b></p></div>')


def _proof(view: View) -> str:
    items = "".join(
        f'<li class="{line.state}"><span class="mark" aria-hidden="true"></span><div>'
        f'<h3>{escape(line.title)}</h3><p>{escape(line.text)}</p></div></li>'
        for line in proof.lines(view.snapshot, view.figures, view.receipt_age_s))
    return ('<section class="panel"><h2>How well proven</h2>'
            f'<ul class="proof">{items}</ul></section>')


def _day(view: View) -> str:
    if view.snapshot.today is None:
        return ('<section class="panel"><h2>Today so far</h2>'
                f'<p class="empty">{escape(view.snapshot.why)}</p></section>')
    today, held = view.snapshot.today, figures_of_day(view.snapshot.today)
    lines = (("Energy of the loads", words.energy(held["loads_wh"])),
             ("Carbon of grid and genset", words.grams(held["carbon_g"])),
             ("Core-hours reserved", words.figure(held["core_hours"], 1)),
             ("Carbon of a core-hour", words.grams(held["g_per_core_hour"])),
             ("Tasks finished", words.figure(held["tasks"])),
             ("Compute on renewable energy", words.share(held["renewable"])),
             ("All energy / IT energy (PUE)", words.figure(held["pue"], 2)))
    items = "".join(f'<p class="row"><span>{name}</span><b>{value}</b></p>'
                    for name, value in lines)
    traced = ('<p class="note">Grid and genset: caused today. A core-hour counts energy of the '
              'battery with the carbon that charged it, which may be older.</p>'
              if today["energy_wh"].get("battery_discharge") is not None else "")
    factors = today["factors"]
    kind = "estimated" if factors["estimated"] else "published"
    return ('<section class="panel"><h2>Today so far</h2>'
            f'<p class="note">{today["from"][:16].replace("T", " ")} to '
            f'{today["to"][11:16]} UTC, from signed batches</p>{items}{traced}'
            f'<p class="note">Grid factors: {escape(factors["id"])} ({kind})</p></section>')


def _devices(view: View) -> str:
    found = rows(view.figures, "devices")
    if not found:
        return ""
    items = "".join(
        f'<li class="{"good" if row.get("ok") is True else "bad"}"><span class="mark" '
        f'aria-hidden="true"></span><span>{escape(str(row.get("name")))}</span><span class="note">'
        f'{_device_words(row)}</span></li>' for row in found)
    silent = sum(row.get("ok") is not True for row in found)
    verb = "does" if silent == 1 else "do"
    heading = (f"{silent} of {len(found)} devices {verb} not answer" if silent
               else f"All {len(found)} devices answer")
    return (f'<section class="panel"><h2>Devices</h2><p class="note">{heading}</p>'
            f'<ul class="devices">{items}</ul></section>')


def _device_words(row: dict[str, Any]) -> str:
    age = words.figure(row.get("age_s"), 0, "s ago")
    if row.get("ok") is True:
        return age
    return f"{escape(str(row.get('reason') or 'no answer'))}, last {age}"


def sites_page(rows_: Sequence[tuple[Device, str]]) -> str:
    """Return the list of sites with the state of each."""
    items = "".join(
        f'<li><a href="/site/{escape(device.site)}"><b>{escape(device.name)}</b></a>'
        f'<span class="status {found}"><span class="dot"></span>{STATE_WORDS[found]}</span></li>'
        for device, found in rows_)
    inner = f'<ul class="sites">{items}</ul>' if items else (
        '<p>No site is enrolled yet. Next: <code>python -m provisioning enrol --site SITE --data '
        'DATA</code></p>')
    return document("Wattproof", '<header class="top"><span class="brand">Wattproof</span>'
                    f'<h1>Sites</h1></header><main><section class="panel">{inner}</section></main>')


def message_page(title: str, text: str) -> str:
    """Return a page that says one thing and the way back."""
    return document(title, '<header class="top"><a class="brand" href="/">Wattproof</a>'
                    f'<h1>{escape(title)}</h1></header><main><section class="panel"><p>'
                    f'{escape(text)}</p><p><a href="/">All sites</a></p></section></main>')
