"""Errors of the receiving side that a person meets at a command."""

from gateway.core.errors import WattproofError


class ReportError(WattproofError):
    """A question that has no answer here: unknown site, no data, impossible times."""

    code = "report"


class StoreDamaged(WattproofError):
    """The fleet's database cannot be used as it is."""

    code = "fleet-store"


class StoreUnavailable(WattproofError):
    """The fleet's database cannot be used just now: no space, no right to write, held by another
    process."""

    code = "fleet-store-unavailable"


class StoreInUse(WattproofError):
    """Another process works on the fleet's data folder."""

    code = "fleet-store-in-use"
