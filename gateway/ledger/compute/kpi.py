"""Indicators: PUE and REF (docs/accounting.md sections 15.2 and 15.3).  None = undefined."""

from __future__ import annotations

from math import isfinite


def ratio(top: float, bottom: float) -> float | None:
    """Return top / bottom; None without bottom, or with one so small that no number is left."""
    found = top / bottom if bottom else None
    return found if found is not None and isfinite(found) else None


def pue(e_dc: float, e_it: float) -> float | None:
    """Return E_DC / E_IT (same unit), None without IT energy.  An interim value for any period
    but a year: ISO/IEC 30134-2 defines it annually."""
    return ratio(e_dc, e_it)


def ref(onsite: float, ppa: float, guarantees: float,
        e_dc: float) -> tuple[float | None, float | None]:
    """Return renewable energy over E_DC, capped at 1 and uncapped; (None, None) without E_DC.

    For the statement: issue 14."""
    share = ratio(onsite + ppa + guarantees, e_dc)
    return (None, None) if share is None else (min(share, 1), share)
