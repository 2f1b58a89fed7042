"""Profiles: what a device model has, where, and who says so.

People edit TOML (profiles/*.toml, key reference in docs/drivers.md); this file takes the
plain dict that TOML or a board's compiled table gives, checks every key and makes a Profile.
A mistake is a ConfigError that names the place, the value and what is allowed.

`protocol` names the module that speaks it: drivers/NAME.py, with

    POINT_KEYS       keys of [[point]] beside COMMON: key -> (type, default or REQUIRED)
    HAS_REGISTERS    whether [reading] limits its reads
    point(row)       the point of a checked row (PointRow)
    location(point)  where it stands, in words, for `python -m drivers show`
    build(profile, setup)   the driver (driver.py)
"""


from drivers import planner, registers
from gateway.core.errors import ConfigError
from gateway.core.measurand import BY_NAME
from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from typing import Any, Protocol

    from drivers.types import Driver

    Row = dict[str, Any]
    # A point of the protocol that its profile names: RegisterPoint and others.
    ProtocolPoint = Any
    # key -> (type, default or REQUIRED)
    Shape = Mapping[str, tuple[type, object]]

MODULES = {"modbus": "register_driver"}         # modbus.py holds its frames
NAME_CHARACTERS = "abcdefghijklmnopqrstuvwxyz0123456789_"
MATURITIES = ("documented", "simulated", "bench", "field")
GROUPS = ("journal", "commission")

# How to reach the device.  buses: names of rows of links/registry.py.  min_gap_ms: silence it
# wants before each request.  answer_ms_max: how long it may take to answer, at most.
Transport = NamedTuple("Transport", [
    ("buses", "tuple[str, ...]"), ("baud", int), ("bauds", "tuple[int, ...]"), ("parity", str),
    ("stopbits", int), ("unit", int), ("port", int), ("min_gap_ms", int), ("answer_ms_max", int)])

# A checked [[point]].  got: its keys with defaults; function: of [reading], 0 without one.
PointRow = NamedTuple("PointRow", [
    ("where", str), ("got", "Row"), ("function", int), ("source", "tuple[str, ...]")])

# A value in registers: raw x 10**exponent of the measurand's unit.  absent: raw bits, as an
# unsigned number, that say "not implemented".
RegisterPoint = NamedTuple("RegisterPoint", [
    ("measurand", str), ("function", int), ("address", int), ("format", str), ("exponent", int),
    ("absent", "tuple[int, ...]"), ("group", str), ("source", "tuple[str, ...]")])

# Registers that say which device this is.  expected: their number, if all of a model share it.
IdentityPoint = NamedTuple("IdentityPoint", [
    ("name", str), ("function", int), ("address", int), ("format", str), ("expected", "int | None"),
    ("source", "tuple[str, ...]")])

# protocol: name of a module, see above.  kind: meter, inverter, bms, environment, compute.
# limits: planner.ReadLimits, None without registers.  sources: tuple of (key, text), by key.
Profile = NamedTuple("Profile", [
    ("stem", str), ("protocol", str), ("manufacturer", str), ("model", str), ("kind", str),
    ("maturity", str), ("sources", "tuple[tuple[str, str], ...]"), ("notes", "tuple[str, ...]"),
    ("signs", "tuple[tuple[str, str], ...]"), ("transport", Transport),
    ("limits", "Any"), ("identity", "tuple[IdentityPoint, ...]"),
    ("points", "tuple[ProtocolPoint, ...]")])

if TYPE_CHECKING:
    class Spoken(Protocol):
        """A module that speaks a protocol; see above."""

        POINT_KEYS: Shape
        HAS_REGISTERS: bool

        def point(self, row: PointRow) -> ProtocolPoint:
            """Return the point of a checked row."""

        def location(self, made: ProtocolPoint) -> str:
            """Return where a point stands, in words."""

        def build(self, profile: Profile, setup: Any) -> Driver:
            """Return the driver of a profile; setup: driver.Setup."""

# table -> key -> (type, default or REQUIRED)
REQUIRED = ("required",)
TOP: "Shape" = {
    "manufacturer": (str, REQUIRED), "model": (str, REQUIRED), "kind": (str, REQUIRED),
    "protocol": (str, REQUIRED), "maturity": (str, REQUIRED), "sources": (dict, REQUIRED),
    "notes": (list, ()), "signs": (dict, {}), "transport": (dict, {}), "reading": (dict, {}),
    "identity": (list, ()), "point": (list, REQUIRED),
}
TRANSPORT: "Shape" = {
    "buses": (list, REQUIRED), "baud": (int, 9600), "bauds": (list, ()), "parity": (str, "N"),
    "stopbits": (int, 1), "unit": (int, 1), "port": (int, 502), "min_gap_ms": (int, 0),
    "answer_ms_max": (int, 2000),
    "source": (list, REQUIRED),
}
READING: "Shape" = {
    "function": (int, REQUIRED), "registers_max": (int, REQUIRED), "gap_max": (int, 0),
    "step": (int, 1), "spans": (list, ()), "source": (list, REQUIRED),
}
IDENTITY: "Shape" = {
    "name": (str, REQUIRED), "function": (int, REQUIRED), "address": (int, REQUIRED),
    "format": (str, REQUIRED), "expected": (int, None), "source": (list, REQUIRED),
}
COMMON: "Shape" = {
    "measurand": (str, REQUIRED), "group": (str, "commission"), "source": (list, REQUIRED)}


def make(stem: str, table: object) -> Profile:
    """Return the Profile of a plain dict.  Raises ConfigError; stem: its name in messages."""
    top = _table(stem, table, TOP)
    spoken = protocol(stem, top["protocol"])
    one_of(stem, "maturity", top["maturity"], MATURITIES)
    sources = top["sources"]
    transport = _transport("%s [transport]" % stem, top["transport"], sources)
    limits: "Any"
    limits, function = None, 0
    if spoken.HAS_REGISTERS:
        limits, function = _limits("%s [reading]" % stem, top, transport, sources)
    points = []
    for number, row in enumerate(top["point"]):
        where = "%s [[point]] %d" % (stem, number + 1)
        points.append(_point(where, spoken, row, (sources, function)))
    identity = []
    for number, row in enumerate(top["identity"]):
        where = "%s [[identity]] %d" % (stem, number + 1)
        got = _table(where, row, IDENTITY)
        _sources(where, got["source"], sources)
        one_of(where, "format", got["format"], registers.FORMATS)
        identity.append(IdentityPoint(got["name"], got["function"], got["address"], got["format"],
                                      got["expected"], tuple(got["source"])))
    made = Profile(
        stem, top["protocol"], top["manufacturer"], top["model"], top["kind"], top["maturity"],
        tuple(sorted(sources.items())), tuple(top["notes"]), tuple(sorted(top["signs"].items())),
        transport, limits, tuple(identity), tuple(points))
    if made.protocol == "modbus":
        planner.plan(wanted(made), limits)          # every point obeys the device's limits
    return made


def wanted(profile: Profile, groups: "Collection[str]" = GROUPS) -> list[planner.WantedRegisters]:
    """Return what to read of a modbus profile: WantedRegisters, keyed by the point's place."""
    return [planner.WantedRegisters(p.function, p.address, registers.width(p.format), position)
            for position, p in enumerate(profile.points) if p.group in groups]


def protocol(where: str, name: str) -> "Spoken":
    """Return the module that speaks a protocol, loaded now.  Raises ConfigError."""
    module: "Any" = None
    if name and not [one for one in name if one not in NAME_CHARACTERS]:
        try:
            module = __import__("drivers." + MODULES.get(name, name), None, None, ("build",))
        except ImportError:
            pass                        # the message below is for whoever wrote the profile
    if not hasattr(module, "POINT_KEYS"):
        raise ConfigError("%s: protocol = %s is not known; allowed: modbus, or another column "
                          "protocol of `python -m drivers list`" % (where, name))
    spoken: "Spoken" = module
    return spoken


def _point(where: str, spoken: "Spoken", row: object,
           context: "tuple[Row, int]") -> "ProtocolPoint":
    sources, function = context
    shape = dict(COMMON)
    shape.update(spoken.POINT_KEYS)
    got = _table(where, row, shape)
    _sources(where, got["source"], sources)
    one_of(where, "measurand", got["measurand"], BY_NAME)
    one_of(where, "group", got["group"], GROUPS)
    if not -12 <= got.get("exponent", 0) <= 12:
        raise ConfigError("%s: exponent = %d; allowed is -12..12" % (where, got["exponent"]))
    return spoken.point(PointRow(where, got, function, tuple(got["source"])))


def _transport(where: str, row: object, sources: "Row") -> Transport:
    got = _table(where, row, TRANSPORT)
    _sources(where, got["source"], sources)
    one_of(where, "parity", got["parity"], ("N", "E", "O"))
    one_of(where, "stopbits", got["stopbits"], (1, 2))
    if not 100 <= got["answer_ms_max"] <= 10_000:
        raise ConfigError("%s: answer_ms_max = %d; allowed is 100..10000" % (
            where, got["answer_ms_max"]))
    return Transport(tuple(got["buses"]), got["baud"], tuple(got["bauds"]), got["parity"],
                     got["stopbits"], got["unit"], got["port"], got["min_gap_ms"],
                     got["answer_ms_max"])


def _limits(where: str, top: "Row", transport: Transport,
            sources: "Row") -> tuple[planner.ReadLimits, int]:
    """Return (planner.ReadLimits, default function) of [reading]."""
    got = _table(where, top["reading"], READING)
    _sources(where, got["source"], sources)
    one_of(where, "function", got["function"], (3, 4))
    if not 1 <= got["registers_max"] <= 125:
        raise ConfigError("%s: registers_max = %d; allowed is 1..125" % (
            where, got["registers_max"]))
    if not 1 <= got["step"] <= 4:
        raise ConfigError("%s: step = %d; allowed is 1..4" % (where, got["step"]))
    gap_bytes = transport.min_gap_ms * transport.baud // 10000     # 10 bits a character
    spans = tuple([tuple(span) for span in got["spans"]])
    return planner.ReadLimits(got["registers_max"], got["gap_max"], got["step"], spans,
                              planner.REQUEST_BYTES + gap_bytes), got["function"]


def _sources(where: str, keys: list[str], sources: "Row") -> None:
    if not keys:
        raise ConfigError("%s: source is empty; a fact without a source is a rumour" % where)
    for key in keys:
        one_of(where, "source", key, sources)


def one_of(where: str, key: str, value: object, allowed: "Collection[Any]") -> None:
    """Raise ConfigError if the value of a key is none of the allowed ones."""
    if value not in allowed:
        names = ", ".join([str(name) for name in sorted(allowed)][:40])
        raise ConfigError("%s: %s = %s is not known; allowed: %s" % (where, key, value, names))


def _table(where: str, row: object, shape: "Shape") -> "Row":
    """Return the row with defaults filled in.  Raises ConfigError for unknown or wrong keys."""
    if not isinstance(row, dict):
        raise ConfigError("%s: expected a table" % where)
    for key in sorted(row):
        if key not in shape:
            raise ConfigError("%s: unknown key %s; allowed: %s" % (
                where, key, ", ".join(sorted(shape))))
    out = {}
    for key in sorted(shape):
        kind, default = shape[key]
        if key in row:
            if not isinstance(row[key], kind) or isinstance(row[key], bool):
                raise ConfigError("%s: %s has the wrong type; expected %s" % (
                    where, key, kind.__name__))
            out[key] = row[key]
        elif default is REQUIRED:
            raise ConfigError("%s: %s is missing" % (where, key))
        else:
            out[key] = default
    return out
