"""Numbers and states as people read them: always with a unit, never a bare dash as zero.  Pure."""

from typing import TypeGuard

from fleet.formats import timetext
from fleet.store.incidents import Incident

NONE = "–"                  # shown where a figure is not known; never 0
LATE_S, SILENT_S = 20, 60   # age of the last live message (15 s at most)

ROLE_WORDS = {
    "grid": "Grid", "pv": "Solar (PV)", "battery": "Battery", "genset": "Generator", "it": "IT",
    "cooling": "Cooling", "lighting": "Lighting", "other": "Other", "residual": "Not metered",
    "charge": "Into the battery", "export": "To the grid",
}
# Clock sources of gateway.core.reading by the names of live messages and by number.
CLOCK_WORDS = {
    "unknown": "not set", "rtc": "battery-backed, not checked", "device": "taken from a device",
    "ntp": "network time", "gnss": "satellite time", "simulated": "simulated",
    0: "not set", 1: "battery-backed, not checked", 2: "taken from a device",
    3: "network time", 4: "satellite time", 9: "simulated",
}
REFUSED_WORDS = {
    "unknown-device": "from a gateway that is not enrolled",
    "bad-signature": "with a signature that does not fit",
    "broken-chain": "without a place among the batches around it",
    "fork": "against what is stored (copied key or restored board)",
    "bad-schema": "in no form that can be read",
}
INCIDENT_WORDS = {
    "gap": "never sealed", "batch-lost": "lost on the gateway's flash",
    "clone": "two gateways use one key", "broken-chain": "does not fit the chain",
    "journal-reset": "new journal, not explained", "handover": "board replaced, signed",
    "coarsened": "made coarser on a full gateway",
    "quarantined": "received, not booked", "restated": "figures changed later",
    "clock-ahead": "clock in the future", "placed-later": "dated later",
}
# What a person does about an incident; docs/operations.md has the same words.
INCIDENT_NEXT = {
    "gap": "look at the gateway's flash and power", "batch-lost": "replace the gateway's flash",
    "clone": "find the second board, withdraw its certificate",
    "broken-chain": "find the second board, withdraw its certificate",
    "journal-reset": "ask who wiped the journal or replaced the board",
    "quarantined": "report it, with the batch number",
    "coarsened": "see why the line was away", "clock-ahead": "set the gateway's clock",
}
# What a gateway says of its own journal when it is not well.
JOURNAL_WORDS = {
    "degraded-ram": "Its flash takes no writes: what is new is only in its memory. Next: free "
                    "space or replace the flash, soon.",
    "full": "Its flash is full: new readings are dropped and declared. Next: restore the line, or "
            "take a larger card.",
}
# What needs a person, and what is only to be known.
INCIDENTS_SEVERE = ("clone", "broken-chain", "journal-reset", "quarantined", "batch-lost")
INCIDENTS_WATCH = ("gap", "clock-ahead", "coarsened")
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
    text = f"{rounded:,.{digits}f}".replace(",", "\u202f").replace("-", "−")
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
    """Return grams as g, or as kg from 1000 g on."""
    if not is_number(value):
        return NONE
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


def age(seconds: float) -> str:
    """Return how long ago something was."""
    if seconds < 2:
        return "just now"
    for limit, size, unit in ((120, 1, "s"), (7200, 60, "min"), (172800, 3600, "h")):
        if seconds < limit:
            return f"{int(seconds // size)}\u202f{unit} ago"
    return f"{int(seconds // 86400)} days ago"


def moment(utc_ms: int | None) -> str:
    """Return a UTC time as text, or the sign for none."""
    return NONE if utc_ms is None else timetext.moment(utc_ms)


def describe_incident(incident: Incident) -> str:
    """Return an incident as a line for people; what it is, then what happened."""
    times = f" ({incident.count} times)" if incident.count > 1 else ""
    return f"{INCIDENT_WORDS.get(incident.kind, incident.kind)}: {incident.detail}{times}"


def count(number: int, one: str, many: str = "") -> str:
    """Return a count with its noun."""
    return f"{figure(number)} {one if number == 1 else many or one + 's'}"
