"""What a statement says about itself: methods, policies, limits of its claim, notes.

See docs/accounting.md section 1 (scope of the claim) and section 17 (keys of the report).
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.ledger.books import BookEntry, Options
from gateway.ledger.factors.factors import FactorSet
from gateway.ledger.site import DEVICE_ROLE, AccountedSite

ATTRIBUTION = {
    "proportional": "perfect mixing at the AC bus: every sink gets the mix of the interval",
    "pv_first": "sources pv, battery, grid, genset fill loads, battery, export, residual in turn",
}
RESIDUAL = {"report": "reported as its own line, signed",
            "spread": "carbon moved onto the loads by energy; energy reported signed"}
CLAIM = ("Evidence of electricity, fuel and compute at this site, CBAM-aligned in its records. "
         "Not a CBAM declaration; a computing service is no good under Regulation (EU) 2023/956.")


def methods(factors: FactorSet, options: Options) -> dict[str, str]:
    """Return the methods and policies of a statement, for people."""
    return {
        "claim": CLAIM,
        "attribution": options.attribution,
        "attribution_text": ATTRIBUTION[options.attribution],
        "residual": options.residual, "residual_text": RESIDUAL[options.residual],
        "battery": "weighted average; losses are carried by energy delivered later; carbon "
                   "counts at discharge",
        "idle": "spread over reservations" if options.spread_idle else "unreserved idle is the "
                "operator's",
        "compute": "dynamic energy by CPU seconds, idle by reservation; CPU seconds are not "
                   "energy",
        "core_hour": "carbon of all workloads, overhead included, per reserved core-hour",
        "renewable_share": "on-site PV, direct or through the battery; the grid's own renewable "
                           "share is not counted",
        "direct": "scope 1: carbon of fuel burned on site",
        "indirect": "scope 2, location based: gross grid import x grid factor",
        "scope": f"{factors.scope} emissions only; scopes are never mixed in one total",
        "pue": "interim value of this period: E_DC / E_IT with E_DC = import + PV + genset - "
               "export - stored",
        "interval": "quarter hours from UTC multiples of 900 s",
    }


def notes(site: AccountedSite, entries: Sequence[BookEntry], factors: FactorSet) -> list[str]:
    """Return what a reader must know about this period, one sentence each."""
    found = []
    bare = sorted(set(DEVICE_ROLE.values()) - site.metered)
    if bare:
        found.append(f"not metered at this site, absent from its balance: {', '.join(bare)}")
    if not site.has_supply:
        found.append("no supply is metered: carbon, PUE and what the meters do not explain are "
                     "undefined")
    if factors.estimated:
        found.append("the factor series is estimated: an annual figure with a synthetic shape")
    known = [entry.opening for entry in entries if entry.opening is not None]
    if known and known[0].assumed:
        found.append("the battery's opening content is assumed: state of charge x grid factor")
    count = sum(bool(entry.unread) for entry in entries)
    if count:
        found.append(f"{count} of {len(entries)} intervals lack a meter's energy: sums leave "
                     "them out, an unread load stands in the residual")
    if any(entry.soc_anchor_wh for entry in entries):
        found.append("the battery's content was set to its management system's at full or empty")
    if len(known) < len(entries):
        found.append(f"{len(entries) - len(known)} of {len(entries)} intervals lie before the "
                     "first state of charge: what the battery held is not known, the carbon of "
                     "those in which it moved is undefined")
    elif site.battery is not None and not any(e.interval.soc is not None for e in entries):
        found.append("no state of charge was read: the battery's content is a sum of flows")
    if "genset" in site.metered and not factors.fuel_g_per_litre:
        found.append("no fuel factor: the genset's carbon is undefined")
    return found
