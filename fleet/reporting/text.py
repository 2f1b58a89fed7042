"""Numbers and states as people read them: always with a unit, never a bare dash as zero.  Pure."""

from typing import TypeGuard

from fleet.formats import timetext
from fleet.reporting.content import Change, Overlap
from fleet.rollup import overlaps
from fleet.store.incidents import Incident
from fleet.texts import say

NONE = say("number.none")   # shown where a figure is not known; never 0
LATE_S, SILENT_S = 20, 60   # age of the last live message (15 s at most)
# Clock sources of gateway.core.reading by number; live messages have the names themselves.
CLOCK_SOURCES = {0: "unknown", 1: "rtc", 2: "device", 3: "ntp", 4: "gnss", 9: "simulated"}
# What needs a person, and what is only to be known.
INCIDENTS_SEVERE = ("clone", "broken-chain", "journal-reset", "quarantined", "batch-lost")
INCIDENTS_WATCH = ("gap", "not-held", "clock-ahead", "coarsened")
REFUSED = ("unknown-device", "bad-signature", "broken-chain", "fork", "bad-schema")
SEVERE = ("fork", "broken-chain", "bad-signature")


def is_number(value: object) -> TypeGuard[float]:
    """Return whether a value of a live message is a usable number (no bool, NaN, infinity)."""
    return (isinstance(value, (int, float)) and not isinstance(value, bool)
            and abs(value) < 1e15)


def figure(value: object, digits: int = 0, unit: str = "") -> str:
    """Return a number with a fixed count of digits and its unit, or the sign for none."""
    if not is_number(value):
        return NONE
    rounded = round(float(value), digits) + 0.0         # no minus before a zero
    text = say.grouped(f"{rounded:,.{digits}f}")
    return f"{text}\u202f{unit}" if unit else text


def power(value: object) -> str:
    """Return watts as W, or as kW from 1000 W on."""
    if not is_number(value):
        return NONE
    return figure(value / 1000, 2, "kW") if abs(value) >= 999.5 else figure(value, 0, "W")


def energy(value_wh: object) -> str:
    """Return watt-hours as Wh, or as kWh from 1000 Wh on."""
    if not is_number(value_wh):
        return NONE
    return figure(value_wh / 1000, 2, "kWh") if abs(value_wh) >= 999.5 \
        else figure(value_wh, 0, "Wh")


def grams(value: object) -> str:
    """Return grams as g, as kg from 1000 g on, or as mg below 0.1 g."""
    if not is_number(value):
        return NONE
    if 0 < abs(value) < 0.0995:
        return figure(value * 1000, 2, "mg")
    if abs(value) >= 999.5:
        return figure(value / 1000, 2, "kg")
    return figure(value, 2 if abs(value) < 10 else 0, "g")


def share(value: object, digits: int = 0) -> str:
    """Return a share 0..1 as per cent; never rounded up to a hundred it is not."""
    if not is_number(value):
        return NONE
    percent = value * 100
    if percent < 100 and round(percent, digits) >= 100:
        percent = 100 - 10 ** -digits
    return figure(percent, digits, "%")


def age(seconds: object) -> str:
    """Return how long ago something was, or the sign for none."""
    if not is_number(seconds):
        return NONE
    if seconds < 2:
        return say("age.now")
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return say(f"age.{unit}", n=int(seconds // size))
    return say("age.days", n=int(seconds // 86400))


def describe_incident(incident: Incident) -> str:
    """Return an incident as a line for people; what it is, then what happened."""
    return say.plural("verify.incident", incident.count, detail=incident.detail,
                      what=say.named("incident", incident.kind))


def overlap(found: overlaps.Overlap) -> Overlap:
    """Return readings that are not counted, as a report and JSON have them."""
    said = found.decision
    return {"journal": found.journal.hex(), "by": found.by.hex(),
            "from": timetext.rfc3339(found.from_ms), "to": timetext.rfc3339(found.to_ms),
            "decision": said and {
                "number": said.number, "journal": said.journal.hex(),
                "at": timetext.rfc3339(said.decided_ms), "author": said.author,
                "reason": said.reason}}


def describe_overlap(found: Overlap) -> str:
    """Return a sentence about readings that are not counted; with the decision, if there is one."""
    said = {"journal": found["journal"][:8], "by": found["by"][:8], "start": found["from"],
            "end": found["to"]}
    decided = found["decision"]
    return say("overlap.open", **said) if decided is None else say(
        "overlap.decided", **said, number=decided["number"], author=decided["author"],
        at=decided["at"], reason=decided["reason"])


def describe_change(change: Change) -> tuple[str, str, str, str, str]:
    """Return a row about a quarter hour that was given otherwise: when, what it was, what it is,
    when that was issued, why."""
    rows = [", ".join([*(say("report.change_wh", role=say.named("energy", role),
                             value=figure(value, 1, "Wh")) for role, value in wh.items()),
                       say("report.change_g", value=grams(g))])
            for wh, g in ((change["wh_before"], change["g_before"]), (change["wh"], change["g"]))]
    return (change["from"], rows[0], rows[1], change["issued"],
            " ".join(say.named("why", code) for code in change["why"]))
