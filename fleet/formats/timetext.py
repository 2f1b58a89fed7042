"""Times as text and back, in the forms that several stages write and read.

Stored and signed times are UTC.  A page shows one zone only, the site's, and names it.
"""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fleet.errors import ReportError
from fleet.texts import say
from gateway.core.interval import QUARTER_MS

DAY_MS = 86_400_000


def moment(utc_ms: int) -> str:
    """Return a UTC time as people read it, to the second."""
    return datetime.fromtimestamp(utc_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def zone(name: str) -> ZoneInfo:
    """Return a time zone, or UTC when this machine does not know it."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return ZoneInfo("UTC")


def local(utc_ms: int, name: str) -> str:
    """Return a time as people at a site read it, to the second and with the zone's name."""
    chosen = zone(name)
    return f"{datetime.fromtimestamp(utc_ms / 1000, chosen):%Y-%m-%d %H:%M:%S} {chosen.key}"


def rfc3339(utc_ms: int) -> str:
    """Return UTC milliseconds as RFC 3339 to the second."""
    return datetime.fromtimestamp(utc_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def utc_ms(text: str) -> int:
    """Return the UTC milliseconds of RFC 3339 text; raises ValueError for anything else."""
    return int(datetime.fromisoformat(text).astimezone(UTC).timestamp() * 1000)


def parse_quarter(text: str) -> int:
    """Return a quarter hour's RFC 3339 UTC text as milliseconds; raises ReportError for
    anything else."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise ReportError(say("refusal.no_time", text=text)) from error
    if found.tzinfo is None or found.utcoffset() != UTC.utcoffset(None):
        raise ReportError(say("refusal.no_utc", text=text))
    at_ms = int(found.timestamp() * 1000)
    if at_ms % QUARTER_MS:
        near = rfc3339(at_ms // QUARTER_MS * QUARTER_MS)
        raise ReportError(say("refusal.no_quarter", text=text, near=near))
    return at_ms


def parse_day(text: str) -> int:
    """Return the UTC milliseconds at which a day like 2026-06-01 begins."""
    try:
        return int(datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC).timestamp() * 1000)
    except ValueError as error:
        raise ReportError(say("refusal.no_day", text=text)) from error
