"""Profiles: what a device model has, where, and who says so.

People edit TOML (profiles/*.toml, key reference in docs/drivers.md); this file takes the
plain dict that TOML or a board's compiled table gives, checks every key and makes a Profile.
A mistake is a ConfigError that names the place, the value and what is allowed.
"""

from collections import namedtuple

from drivers import planner, registers
from gateway.core.errors import ConfigError
from gateway.core.measurand import BY_NAME

PROTOCOLS = ("modbus", "sunspec", "pylontech", "scrape")
MATURITIES = ("documented", "simulated", "bench", "field")
GROUPS = ("journal", "commission")
SUNSPEC_FORMATS = ("int16", "uint16", "int32", "uint32", "acc32", "uint64", "acc64", "float32",
                   "enum16", "bitfield16", "bitfield32")

# How to reach the device.  min_gap_ms: silence it wants before each request.
Transport = namedtuple("Transport", (
    "kinds", "baud", "bauds", "parity", "stopbits", "unit", "tcp_port", "min_gap_ms"))

# A value in registers: raw x 10**exponent of the measurand's unit.  absent: raw bits, as an
# unsigned number, that say "not implemented".
RegisterPoint = namedtuple("RegisterPoint", (
    "measurand", "function", "address", "format", "exponent", "absent", "group", "source"))

# A value in a SunSpec model: offset from the model id's register; scale: offset of its scale
# factor or None.  exponent: of the raw number on top of the scale factor.
SunspecPoint = namedtuple("SunspecPoint", (
    "measurand", "models", "offset", "format", "scale", "exponent", "group", "source"))

# A value the Pylontech stack gives, already named by its measurand.
StackPoint = namedtuple("StackPoint", ("measurand", "group", "source"))

# A value in a Prometheus text: the sum of the series of `metric`.  item: "host" or "workload"
# (one for each workload, whose series carry label = its name).  without: (label, values) whose
# series are left out.
ScrapePoint = namedtuple("ScrapePoint", (
    "measurand", "item", "metric", "label", "without", "group", "source"))

# Registers that say which device this is.  expected: their number, if all of a model share it.
Identity = namedtuple("Identity", ("name", "function", "address", "format", "expected", "source"))

# protocol: one of PROTOCOLS.  kind: meter, inverter, bms, environment, compute.
# limits: planner.Limits.  sources: tuple of (key, text), by key.
Profile = namedtuple("Profile", (
    "stem", "protocol", "manufacturer", "model", "kind", "maturity", "sources", "notes", "signs",
    "transport", "limits", "identity", "points"))

# table -> key -> (type, default or REQUIRED)
REQUIRED = ("required",)
TOP = {
    "manufacturer": (str, REQUIRED), "model": (str, REQUIRED), "kind": (str, REQUIRED),
    "protocol": (str, REQUIRED), "maturity": (str, REQUIRED), "sources": (dict, REQUIRED),
    "notes": (list, ()), "signs": (dict, {}), "transport": (dict, {}), "reading": (dict, {}),
    "identity": (list, ()), "point": (list, REQUIRED),
}
TRANSPORT = {
    "kinds": (list, REQUIRED), "baud": (int, 9600), "bauds": (list, ()), "parity": (str, "N"),
    "stopbits": (int, 1), "unit": (int, 1), "tcp_port": (int, 502), "min_gap_ms": (int, 0),
    "source": (list, REQUIRED),
}
READING = {
    "function": (int, REQUIRED), "registers_max": (int, REQUIRED), "gap_max": (int, 0),
    "step": (int, 1), "spans": (list, ()), "source": (list, REQUIRED),
}
IDENTITY = {
    "name": (str, REQUIRED), "function": (int, REQUIRED), "address": (int, REQUIRED),
    "format": (str, REQUIRED), "expected": (int, None), "source": (list, REQUIRED),
}
COMMON = {"measurand": (str, REQUIRED), "group": (str, "commission"), "source": (list, REQUIRED)}
POINTS = {
    "modbus": {"address": (int, REQUIRED), "format": (str, REQUIRED), "exponent": (int, 0),
               "function": (int, 0), "absent": (list, ())},
    "sunspec": {"models": (list, REQUIRED), "offset": (int, REQUIRED), "format": (str, REQUIRED),
                "scale": (int, None), "exponent": (int, 0)},
    "pylontech": {},
    "scrape": {"item": (str, REQUIRED), "metric": (str, REQUIRED), "label": (str, ""),
               "without": (dict, {})},
}


def make(stem, table):
    """Return the Profile of a plain dict.  Raises ConfigError; stem: its name in messages."""
    top = _table(stem, table, TOP)
    _one_of(stem, "protocol", top["protocol"], PROTOCOLS)
    _one_of(stem, "maturity", top["maturity"], MATURITIES)
    sources = top["sources"]
    transport = _transport("%s [transport]" % stem, top["transport"], sources)
    limits, function = _limits("%s [reading]" % stem, top, transport, sources)
    points = []
    for number, row in enumerate(top["point"]):
        where = "%s [[point]] %d" % (stem, number + 1)
        points.append(_point(where, top["protocol"], row, (sources, function)))
    identity = []
    for number, row in enumerate(top["identity"]):
        where = "%s [[identity]] %d" % (stem, number + 1)
        got = _table(where, row, IDENTITY)
        _sources(where, got["source"], sources)
        _one_of(where, "format", got["format"], registers.FORMATS)
        identity.append(Identity(got["name"], got["function"], got["address"], got["format"],
                                 got["expected"], tuple(got["source"])))
    made = Profile(
        stem, top["protocol"], top["manufacturer"], top["model"], top["kind"], top["maturity"],
        tuple(sorted(sources.items())), tuple(top["notes"]), tuple(sorted(top["signs"].items())),
        transport, limits, tuple(identity), tuple(points))
    if made.protocol == "modbus":
        planner.plan(wanted(made), limits)          # every point obeys the device's limits
    return made


def wanted(profile, groups=GROUPS):
    """Return what to read of a modbus profile: planner.Wanted, keyed by the point's place."""
    return [planner.Wanted(p.function, p.address, registers.width(p.format), place)
            for place, p in enumerate(profile.points) if p.group in groups]


def _point(where, protocol, row, context):
    sources, function = context
    shape = dict(COMMON)
    shape.update(POINTS[protocol])
    got = _table(where, row, shape)
    _sources(where, got["source"], sources)
    _one_of(where, "measurand", got["measurand"], BY_NAME)
    _one_of(where, "group", got["group"], GROUPS)
    head, tail = got["measurand"], (got["group"], tuple(got["source"]))
    if protocol == "pylontech":
        return StackPoint(head, tail[0], tail[1])
    if protocol == "scrape":
        _one_of(where, "item", got["item"], ("host", "workload"))
        without = tuple(sorted([(k, tuple(v)) for k, v in got["without"].items()]))
        return ScrapePoint(head, got["item"], got["metric"], got["label"], without,
                           tail[0], tail[1])
    if not -12 <= got["exponent"] <= 12:
        raise ConfigError("%s: exponent = %d; allowed is -12..12" % (where, got["exponent"]))
    if protocol == "sunspec":
        _one_of(where, "format", got["format"], SUNSPEC_FORMATS)
        return SunspecPoint(head, tuple(got["models"]), got["offset"], got["format"],
                            got["scale"], got["exponent"], tail[0], tail[1])
    _one_of(where, "format", got["format"], registers.FORMATS)
    asked = got["function"] or function
    _one_of(where, "function", asked, (3, 4))
    return RegisterPoint(head, asked, got["address"], got["format"], got["exponent"],
                         tuple(got["absent"]), tail[0], tail[1])


def _transport(where, row, sources):
    got = _table(where, row, TRANSPORT)
    _sources(where, got["source"], sources)
    for kind in got["kinds"]:
        _one_of(where, "kinds", kind, ("rtu", "tcp", "pylontech", "http"))
    _one_of(where, "parity", got["parity"], ("N", "E", "O"))
    _one_of(where, "stopbits", got["stopbits"], (1, 2))
    return Transport(tuple(got["kinds"]), got["baud"], tuple(got["bauds"]), got["parity"],
                     got["stopbits"], got["unit"], got["tcp_port"], got["min_gap_ms"])


def _limits(where, top, transport, sources):
    """Return (planner.Limits, default function); (None, 0) where there are no registers."""
    if top["protocol"] not in ("modbus", "sunspec"):
        return None, 0
    got = _table(where, top["reading"], READING)
    _sources(where, got["source"], sources)
    _one_of(where, "function", got["function"], (3, 4))
    if not 1 <= got["registers_max"] <= 125:
        raise ConfigError("%s: registers_max = %d; allowed is 1..125" % (
            where, got["registers_max"]))
    if not 1 <= got["step"] <= 4:
        raise ConfigError("%s: step = %d; allowed is 1..4" % (where, got["step"]))
    gap_bytes = transport.min_gap_ms * transport.baud // 10000     # 10 bits a character
    spans = tuple([tuple(span) for span in got["spans"]])
    return planner.Limits(got["registers_max"], got["gap_max"], got["step"], spans,
                          planner.REQUEST_BYTES + gap_bytes), got["function"]


def _sources(where, keys, sources):
    if not keys:
        raise ConfigError("%s: source is empty; a fact without a source is a rumour" % where)
    for key in keys:
        _one_of(where, "source", key, sources)


def _one_of(where, key, value, allowed):
    if value not in allowed:
        names = ", ".join([str(name) for name in sorted(allowed)][:40])
        raise ConfigError("%s: %s = %s is not known; allowed: %s" % (where, key, value, names))


def _table(where, row, shape):
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
