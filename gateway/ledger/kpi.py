"""Indicators: PUE and REF (accounting reference 7.1, 7.2).  None = undefined."""

from __future__ import annotations


def pue(e_dc: float, e_it: float) -> float | None:
    """Return E_DC / E_IT (same unit), None without IT energy.  An interim value for any period
    but a year: ISO/IEC 30134-2 defines it annually."""
    return e_dc / e_it if e_it else None


def ref(onsite: float, ppa: float, guarantees: float,
        e_dc: float) -> tuple[float | None, float | None]:
    """Return renewable energy over E_DC, capped at 1 and uncapped; (None, None) without E_DC."""
    if not e_dc:
        return None, None
    share = (onsite + ppa + guarantees) / e_dc
    return min(share, 1), share
