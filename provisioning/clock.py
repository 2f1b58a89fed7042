"""The room's only door to time; everything else is handed a `now`."""

import datetime


def now() -> datetime.datetime:
    """Return the machine's time, aware, in UTC."""
    return datetime.datetime.now(datetime.UTC)
