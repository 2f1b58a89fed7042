"""Energy roles: what a metered device is for its site.  The one table; everybody else reads it.

Texts and colours stand with the page: `mark` is their key (fleet/web/assets/charts.css, the
catalogue of texts).
"""

from gateway.core.errors import Bug
from gateway.core.types import NamedTuple

# How a role's active power counts: as its meter signs it (import positive), turned round (a
# battery's meter counts charging as import), or without its sign (a generator's meter is wired
# either way round).
AS_METERED, TURNED, UNSIGNED = "as-metered", "turned", "unsigned"

# Where an energy stands on the site's bus.
SUPPLY, DISCHARGE, LOAD, CHARGE, EXPORT = "supply", "discharge", "load", "charge", "export"

IMPORTED, EXPORTED = "energy_active_import_total", "energy_active_export_total"
YIELD, SUM = "energy_yield_total", "energy_active_sum_total"

# name: `role` of a device in cabinet.toml and in the site descriptor.
Role = NamedTuple("Role", [("name", str), ("power", str)])

ROLES = (
    Role("grid", AS_METERED),
    Role("pv", UNSIGNED),
    Role("battery", TURNED),
    Role("genset", UNSIGNED),
    Role("it", AS_METERED),
    Role("cooling", AS_METERED),
    Role("lighting", AS_METERED),
    Role("other", AS_METERED),
)

# name: of the energy in intervals, statements and reports.  flow: its name among the bus's
# supplies or sinks.  counters: measurands that can give it, best first; the first one a device has
# is used.  A generator's yield may sit in either register, by how its meter is wired.
Energy = NamedTuple("Energy", [
    ("name", str), ("role", str), ("side", str), ("flow", str), ("mark", str),
    ("counters", "tuple[str, ...]")])

ENERGIES = (
    Energy("grid_import", "grid", SUPPLY, "grid", "grid", (IMPORTED,)),
    Energy("grid_export", "grid", EXPORT, "export", "export", (EXPORTED,)),
    Energy("pv", "pv", SUPPLY, "pv", "pv", (YIELD, EXPORTED, IMPORTED, SUM)),
    Energy("battery_charge", "battery", CHARGE, "battery", "charge", (IMPORTED,)),
    Energy("battery_discharge", "battery", DISCHARGE, "battery", "battery", (EXPORTED,)),
    Energy("genset", "genset", SUPPLY, "genset", "genset", (YIELD, EXPORTED, IMPORTED, SUM)),
    Energy("it", "it", LOAD, "it", "it", (IMPORTED, SUM)),
    Energy("cooling", "cooling", LOAD, "cooling", "cooling", (IMPORTED, SUM)),
    Energy("lighting", "lighting", LOAD, "lighting", "lighting", (IMPORTED, SUM)),
    Energy("other", "other", LOAD, "other", "other", (IMPORTED, SUM)),
)


def on(*sides: str) -> "tuple[Energy, ...]":
    """Return the energies of these sides, side by side, each in the order of the table."""
    return tuple([energy for side in sides for energy in ENERGIES if energy.side == side])


ROLE_NAMES = tuple([role.name for role in ROLES])
ENERGY_NAMES = tuple([energy.name for energy in ENERGIES])
SUPPLIES = on(SUPPLY, DISCHARGE)
SINKS = on(LOAD, CHARGE, EXPORT)
LOAD_NAMES = tuple([energy.name for energy in on(LOAD)])
NOT_LOADS = tuple([energy.flow for energy in on(CHARGE, EXPORT)])


def energy_of(name: str) -> Energy:
    """Return the Energy of a name."""
    for energy in ENERGIES:
        if energy.name == name:
            return energy
    raise Bug("no energy is named %s" % name)


def power_of(name: str, metered: "float") -> "float":
    """Return the power of a role, positive as figures mean it, from what its meter shows."""
    for role in ROLES:
        if role.name == name:
            if role.power == TURNED:
                return -metered
            return abs(metered) if role.power == UNSIGNED else metered
    raise Bug("no role is named %s" % name)
