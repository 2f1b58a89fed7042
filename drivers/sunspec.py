"""SunSpec devices: find the marker, walk the chain of models, read the known ones.

Marker "SunS" at 40000, 50000 or 0; behind it models: id, length L, L registers; the end is id
0xFFFF (SunSpec Information Model Specification 1.9).  A model is read in one request from its
id on: its scale factors come from the same instant as its values, and id and length are a
sentinel in every poll; if they changed, the chain is walked again.
"""


from drivers import modbus, profile, registers
from drivers.reader import RegisterReader
from drivers.register_driver import checked, exponent_of, reason_of
from gateway.core.errors import BadFrame, DeviceError, NoReply, Refused
from gateway.core.measurand import BY_NAME
from gateway.core.reading import BAD_FRAME, NOT_ASKED, NOT_IMPLEMENTED, OUT_OF_RANGE, Absent, Point
from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from drivers.driver import Setup
    from drivers.types import Identification, Steps
    from gateway.core.reading import Value, Values
    # (model id, address of the id, length) of each model.
    Chain = tuple[tuple[int, int, int], ...]

# For profile.py: what a [[point]] of protocol "sunspec" says, beside what every point says.
HAS_REGISTERS = True
POINT_KEYS: "profile.Shape" = {
    "models": (list, profile.REQUIRED), "offset": (int, profile.REQUIRED),
    "format": (str, profile.REQUIRED), "scale": (int, None), "exponent": (int, 0),
}

# A value in a SunSpec model: offset from the model id's register; scale: offset of its scale
# factor or None.  exponent: of the raw number on top of the scale factor.
SunspecPoint = NamedTuple("SunspecPoint", [
    ("measurand", str), ("models", "tuple[int, ...]"), ("offset", int), ("format", str),
    ("scale", "int | None"), ("exponent", int), ("group", str), ("source", "tuple[str, ...]")])

BASES = (40000, 50000, 0)
MARKER = b"SunS"
COMMON, COMMON_LENGTHS = 1, (65, 66)
END_ID = 0xFFFF
MODELS_MAX = 64                 # the longest real chains have about 20
SCALE_MAX = 10                  # a scale factor outside -10..10 is no scale factor

# type -> (number format, bits that say "not implemented" or None).  Accumulators: 0.
TYPES: dict[str, tuple[str, int | None]] = {
    "int16": ("int16", 0x8000),
    "uint16": ("uint16", 0xFFFF),
    "enum16": ("uint16", 0xFFFF),
    "bitfield16": ("uint16", 0xFFFF),
    "int32": ("int32", 0x80000000),
    "uint32": ("uint32", 0xFFFFFFFF),
    "bitfield32": ("uint32", 0xFFFFFFFF),
    "acc32": ("uint32", 0),
    "uint64": ("uint64", 0xFFFFFFFFFFFFFFFF),
    "acc64": ("uint64", 0),
    "float32": ("float32", None),
}

# name -> (offset from the model id's register, registers) of model 1's texts
COMMON_TEXTS = (("manufacturer", 2, 16), ("model", 18, 16), ("version", 42, 8),
                ("serial", 50, 16))


def point(row: profile.PointRow) -> SunspecPoint:
    """Return the SunspecPoint of a checked row of a profile."""
    got = row.got
    profile.one_of(row.where, "format", got["format"], TYPES)
    return SunspecPoint(got["measurand"], tuple(got["models"]), got["offset"], got["format"],
                        got["scale"], got["exponent"], got["group"], row.source)


def location(made: SunspecPoint) -> str:
    """Return where a SunspecPoint stands, in words."""
    scale = "" if made.scale is None else ", sf +%d" % made.scale
    return "models %d-%d +%d %s%s" % (
        made.models[0], made.models[-1], made.offset, made.format, scale)


def build(made: profile.Profile, setup: "Setup") -> "SunspecDriver":
    """Return the driver of a profile."""
    return SunspecDriver(made, setup)


def read_point(cells: bytes, point: SunspecPoint, exponent: int) -> "Value":
    """Return a SunspecPoint's value in 10**exponent units, or an Absent.

    cells: the model's registers from its id on; a device may end earlier than the point.
    """
    form, absent = TYPES[point.format]
    raw = _cut(cells, point.offset, registers.width(form))
    if raw is None or registers.bits(raw, form) == absent:
        return Absent(NOT_IMPLEMENTED)
    power = point.exponent
    if point.scale is not None:
        scale = _cut(cells, point.scale, 1)
        if scale is None or scale == b"\x80\x00":
            return Absent(NOT_IMPLEMENTED)
        factor = registers.decode(scale, "int16", 0)
        if factor is None or not -SCALE_MAX <= factor <= SCALE_MAX:
            return Absent(OUT_OF_RANGE)
        power += factor
    return checked(registers.decode(raw, form, exponent - power), point.measurand, exponent)


def _cut(cells: bytes, offset: int, count: int) -> bytes | None:
    raw = cells[2 * offset:2 * (offset + count)]
    return raw if len(raw) == 2 * count else None


class SunspecDriver:
    """One SunSpec device; which models it has is found at the first poll."""

    def __init__(self, made: profile.Profile, setup: "Setup") -> None:
        rows = [p for p in made.points if setup.everything or p.group == "journal"]
        names = []
        for row in rows:
            if row.measurand not in names:
                names.append(row.measurand)
        self._rows = rows
        self._names = names
        self._profile = made
        self.answer_ms_max = made.transport.answer_ms_max
        self.points = tuple([Point(BY_NAME[n].id, exponent_of(n, setup), "") for n in names])
        self._reader = RegisterReader(setup, made.transport.min_gap_ms,
                                      (modbus.READ_HOLDING, BASES[0], (1, 2)))
        self.chain: "Chain | None" = None
        self._bases: tuple[int, ...] = BASES    # the one to try first is first

    def poll(self) -> "Steps[Values]":
        """Yield transactions; return the values by position.  See driver.py."""
        values: list[Value] = [Absent(NOT_ASKED)] * len(self.points)
        try:
            if self.chain is None:
                self.chain = yield from self._walk()
        except DeviceError as error:
            return (Absent(reason_of(error)),) * len(values)
        values = [Absent(NOT_IMPLEMENTED)] * len(values)
        done: list[str] = []
        for model, address, length in self.chain or ():
            mine = self._mine(model, done)
            if not mine:
                continue
            try:
                cells = yield from self._model(model, address, length, mine)
            except DeviceError as error:
                self._decode(values, mine, None, reason_of(error))
            else:
                self._decode(values, mine, cells, BAD_FRAME)
            done += [row.measurand for row in mine]
        return tuple(values)

    def _mine(self, model: int, done: list[str]) -> list[SunspecPoint]:
        """Return the points of a model that no model before it in the chain gave."""
        return [r for r in self._rows if model in r.models and r.measurand not in done]

    def _decode(self, values: "list[Value]", rows: list[SunspecPoint], cells: bytes | None,
                reason: int) -> None:
        for row in rows:
            position = self._names.index(row.measurand)
            if cells is None:
                values[position] = Absent(reason)
            else:
                values[position] = read_point(cells, row, self.points[position].exponent)

    def _model(self, model: int, address: int, length: int,
               rows: list[SunspecPoint]) -> "Steps[bytes]":
        """Read a model from its id to the last point wanted; its head must be as walked."""
        end = 2
        for row in rows:
            last = row.offset + registers.width(TYPES[row.format][0])
            end = max(end, last, (row.scale or 0) + 1)
        end = min(end, length + 2, self._profile.limits.registers_max)
        counts = (end, end + 1) if end < min(
            length + 2, self._profile.limits.registers_max) else (end, end - 1)
        cells = yield from self._read(address, counts)
        if cells[:4] != registers.cells_of((model, length)):
            self.chain = None
            raise BadFrame("model %d of length %d is no longer at address %d" % (
                model, length, address))
        return cells

    def _read(self, address: int, counts: tuple[int, ...]) -> "Steps[bytes]":
        """Read holding registers, once more if the frame was damaged."""
        try:
            return (yield from self._reader.read(modbus.READ_HOLDING, address, counts))
        except BadFrame:
            pass
        return (yield from self._reader.read(modbus.READ_HOLDING, address, counts))

    def _walk(self) -> "Steps[Chain]":
        """Return the chain.  Raises BadFrame where there is none, or none that ends."""
        start = None
        for base in self._bases:
            self._reader.probe_at(base)
            try:
                cells = yield from self._read(base, (2,))
            except Refused:
                continue
            except NoReply:             # silence ends this poll; the next one begins elsewhere
                position = self._bases.index(base) + 1
                self._bases = self._bases[position:] + self._bases[:position]
                raise
            if cells == MARKER:
                start = base + 2
                break
        if start is None:
            raise BadFrame("no SunSpec marker at 40000, 50000 or 0")
        chain: list[tuple[int, int, int]]
        chain, address = [], start
        for _ in range(MODELS_MAX):
            head = yield from self._read(address, (2,))
            model, length = head[0] << 8 | head[1], head[2] << 8 | head[3]
            if model == END_ID:
                return tuple(chain)
            if not chain and (model != COMMON or length not in COMMON_LENGTHS):
                raise BadFrame("SunSpec chain begins with model %d, length %d" % (model, length))
            chain.append((model, address, length))
            address += 2 + length
            if address > 65534:
                raise BadFrame("SunSpec chain runs past address 65535 at model %d" % model)
        raise BadFrame("SunSpec chain has no end after %d models" % MODELS_MAX)

    def identify(self) -> "Steps[Identification]":
        """Yield transactions; return the texts of the common model and the chain of models.

        Keys: manufacturer, model, version, serial, model_chain: ((id, length), ...).
        """
        self.chain = yield from self._walk()
        model, address, length = self.chain[0]
        cells = yield from self._read(address, (length + 2,))
        if cells[:4] != registers.cells_of((model, length)):
            raise BadFrame("the common model changed while it was read")
        found: Identification = {}
        for name, offset, count in COMMON_TEXTS:
            found[name] = registers.text(cells[2 * offset:2 * (offset + count)])
        found["model_chain"] = tuple([(m, size) for m, _, size in self.chain])
        return found
