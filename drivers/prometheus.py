"""Compute nodes: Prometheus text over HTTP, read as whole numbers.

The text format is Prometheus 0.0.4 (OpenMetrics lines read the same way).  Numbers are taken
from their decimal digits, never through a float.  Limits: 1 MiB, 5,000 series, 64 labels.
"""


from drivers import profile
from drivers.register_driver import checked, exponent_of, reason_of
from drivers.registers import scaled
from gateway.core.errors import BadFrame, DeviceError, FormatError, Refused
from gateway.core.measurand import BY_NAME
from gateway.core.reading import NOT_IMPLEMENTED, OUT_OF_RANGE, Absent, Point
from gateway.core.types import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection

    from drivers.driver import Setup
    from drivers.types import Identification, Steps
    from gateway.core.reading import Value, Values
    # (metric, labels, text of the value) of one line.
    Series = tuple[str, dict[str, str], str]

# For profile.py: what a [[point]] of protocol "prometheus" says, beside what every point says.
HAS_REGISTERS = False
POINT_KEYS: "profile.Shape" = {
    "item": (str, profile.REQUIRED), "metric": (str, profile.REQUIRED), "label": (str, ""),
    "without": (dict, {}),
}

# The sum of the series of `metric`.  item: "host" or "workload" (one for each workload, whose
# series carry label = its name).  without: (label, values) whose series are left out.
ScrapePoint = NamedTuple("ScrapePoint", [
    ("measurand", str), ("item", str), ("metric", str), ("label", str),
    ("without", "tuple[tuple[str, tuple[str, ...]], ...]"), ("group", str),
    ("source", "tuple[str, ...]")])

BODY_MAX = 1048576
HEAD_MAX = 16384
SERIES_MAX = 5000
LABELS_MAX = 64
DIGITS_MAX = 40                 # of one number: more is not a measurement
GUARD_DIGITS = 3                # series are added before they are rounded, once
NOT_NUMBERS = ("nan", "+inf", "-inf", "inf")


def point(row: profile.PointRow) -> ScrapePoint:
    """Return the ScrapePoint of a checked row of a profile."""
    got = row.got
    profile.one_of(row.where, "item", got["item"], ("host", "workload"))
    without = tuple(sorted([(label, tuple(values)) for label, values in got["without"].items()]))
    return ScrapePoint(got["measurand"], got["item"], got["metric"], got["label"], without,
                       got["group"], row.source)


def location(made: ScrapePoint) -> str:
    """Return where a ScrapePoint stands, in words."""
    return "%s: %s" % (made.item, made.metric)


def build(made: profile.Profile, setup: "Setup") -> "ScrapeDriver":
    """Return the driver of a profile."""
    return ScrapeDriver(made, setup)


class HttpGet:
    """One GET; result: the body.  HTTP/1.0 is asked, so that no server sends chunks."""

    gap_ms = 0
    turns = 1

    def __init__(self, host: str, path: str) -> None:
        self._name = "GET %s%s" % (host, path)
        self.request = ("GET %s HTTP/1.0\r\nHost: %s\r\nAccept: text/plain\r\n"
                        "Connection: close\r\n\r\n" % (path, host)).encode()
        self.result: bytes | None = None
        self._parts: list[bytes] = []
        self._size = 0
        self._seam = b""        # what the end of the head may begin with
        # (status, length or None) once the head is whole.
        self._head: tuple[int, int | None] | None = None

    @property
    def has_response(self) -> bool:
        """True if any byte has come."""
        return self._size > 0

    def describe(self) -> str:
        """Return the question in words, for messages."""
        return self._name

    def feed(self, data: bytes) -> bool:
        """Take bytes; True when a body of stated length is whole.  Raises BadFrame, Refused."""
        self._parts.append(bytes(data))
        self._size += len(data)
        if self._size > HEAD_MAX + BODY_MAX:
            raise BadFrame("%s: more than %d bytes" % (self._name, BODY_MAX))
        head = self._head or self._take_head(bytes(data))
        length = head[1] if head else None
        if length is None or self._size < length:
            return False
        return self._finish(b"".join(self._parts)[:length])

    def closed(self) -> bool:
        """The peer closed: True if the body is whole.  Raises BadFrame for a torn one."""
        body = b"".join(self._parts)
        if self._head is None or self._head[1] is not None:
            raise BadFrame("%s: closed after %d bytes" % (self._name, len(body)))
        if body and body[-1:] != b"\n":
            raise BadFrame("%s: the text ends inside a line" % self._name)
        return self._finish(body)

    def _finish(self, body: bytes) -> bool:
        if len(body) > BODY_MAX:
            raise BadFrame("%s: more than %d bytes" % (self._name, BODY_MAX))
        self.result = body
        return True

    def _take_head(self, newest: bytes) -> tuple[int, int | None] | None:
        """Return the head and keep what is behind it; None if it is not whole.

        newest: the last of the parts.  Only it is searched: bytes may come one by one.
        """
        seam = self._seam + newest
        end = seam.find(b"\r\n\r\n")
        if end < 0:
            self._seam = seam[-3:]
            if self._size > HEAD_MAX:
                raise BadFrame("%s: a head of more than %d bytes" % (self._name, HEAD_MAX))
            return None
        end += self._size - len(seam)
        got = b"".join(self._parts)
        status, length = self._read_head(got[:end])
        if status != 200:
            raise Refused("%s: HTTP status %d%s" % (
                self._name, status, _meaning(status)), status)
        if length is not None and length > BODY_MAX:
            raise BadFrame("%s: %d bytes announced, limit %d" % (self._name, length, BODY_MAX))
        self._head = (status, length)
        self._parts = [got[end + 4:]]
        self._size = len(self._parts[0])
        return self._head

    def _read_head(self, head: bytes) -> tuple[int, int | None]:
        lines = head.split(b"\r\n")
        first = lines[0].split(b" ")
        if len(first) < 2 or not first[0].startswith(b"HTTP/1.") or len(first[1]) != 3:
            raise BadFrame("%s: not an HTTP answer" % self._name)
        length = None
        for line in lines[1:]:
            colon = line.find(b":")
            name = line[:max(colon, 0)].lower()
            if name == b"content-length":
                length = self._count(line[colon + 1:].strip())
            if name == b"transfer-encoding":
                raise BadFrame("%s: chunks in an HTTP/1.0 answer" % self._name)
        return self._count(first[1]), length

    def _count(self, digits: bytes) -> int:
        if not 1 <= len(digits) <= 9 or [d for d in digits if not 48 <= d <= 57]:
            raise BadFrame("%s: a number was expected in the head" % self._name)
        return int(digits)


class Gets:
    """Builds the GETs of one compute node."""

    def __init__(self, host: str, path: str) -> None:
        self._host = host
        self._path = path

    def get(self) -> HttpGet:
        """Return a new HttpGet."""
        return HttpGet(self._host, self._path)


def parse(body: bytes, metrics: "Collection[str]") -> "list[Series]":
    """Return [(metric, labels, text of the value)] of the wanted metrics in a text.

    body: bytes.  labels: dict.  Raises BadFrame for a line that is not the format's.
    """
    found, count = [], 0
    for raw in body.split(b"\n"):
        line = raw.strip()
        if not line or line[:1] == b"#":
            continue
        count += 1
        if count > SERIES_MAX:
            raise BadFrame("more than %d series" % SERIES_MAX)
        name, labels, rest = _series(line)
        if name in metrics:
            found.append((name, _labels(labels), _value(rest)))
    return found


def number(text: str, exponent: int) -> int | None:
    """Return the decimal text as whole 10**exponent, half away from zero; None for NaN, Inf.

    Raises FormatError.
    """
    low = text.lower()
    if low in NOT_NUMBERS:
        return None
    mantissa, _, power = low.partition("e")
    sign = -1 if mantissa[:1] == "-" else 1
    if mantissa[:1] in ("-", "+"):
        mantissa = mantissa[1:]
    before, _, after = mantissa.partition(".")
    digits = before + after
    if not _is_digits(digits) or len(digits) > DIGITS_MAX:
        raise FormatError("not a number: %s" % text[:DIGITS_MAX])
    shift = 0
    if power or low[-1:] == "e":
        bare = power[1:] if power[:1] in ("-", "+") else power
        if not _is_digits(bare) or len(bare) > 3:
            raise FormatError("not a number: %s" % text[:DIGITS_MAX])
        shift = int(power)
    return sign * scaled(int(digits), shift - len(after) - exponent)


def _is_digits(text: str) -> bool:
    for one in text:
        if one not in "0123456789":
            return False
    return len(text) > 0


def _series(line: bytes) -> tuple[str, bytes, bytes]:
    """Return (name, bytes between the braces, the rest) of a sample line."""
    brace, space = line.find(b"{"), line.find(b" ")
    if brace < 0 or 0 <= space < brace:
        name, labels, rest = line[:max(space, 0)], b"", line[max(space, 0):]
    else:
        end = _closing(line, brace)
        name, labels, rest = line[:brace], line[brace + 1:end], line[end + 1:]
    if not name or not rest.strip():
        raise BadFrame("not a metric line: %s" % _shown(line))
    return _decoded(name), labels, rest


def _closing(line: bytes, brace: int) -> int:
    """Return where the brace closes, outside of quotes."""
    at, end = brace + 1, -1
    while True:
        if end < at:
            end = line.find(b"}", at)
        quote = line.find(b'"', at, end) if end >= at else -1
        if end < at:
            raise BadFrame("labels without an end: %s" % _shown(line))
        if quote < 0:
            return end
        at = _quoted(line, quote + 1)[1]


def _labels(raw: bytes) -> dict[str, str]:
    """Return the labels of the text between the braces."""
    labels: dict[str, str] = {}
    raw, at = raw.rstrip(b" ,"), 0
    while at < len(raw):
        equals = raw.find(b"=", at)
        start = raw.find(b'"', equals)
        if equals < 0 or start < 0 or len(labels) >= LABELS_MAX:
            raise BadFrame("bad labels: %s" % _shown(raw))
        parts, end = _quoted(raw, start + 1)
        labels[_decoded(raw[at:equals].split(b",")[-1].strip())] = _decoded(b"".join(parts))
        at = end
    return labels


def _quoted(raw: bytes, start: int) -> tuple[list[bytes], int]:
    """Return (parts of the text, place behind the closing quote); each byte is looked at once."""
    parts, at, quote = [], start, -1
    while True:
        if quote < at:
            quote = raw.find(b'"', at)
        if quote < 0:
            raise BadFrame("a label without an end: %s" % _shown(raw))
        slash = raw.find(b"\\", at, quote)
        if slash < 0:
            parts.append(raw[at:quote])
            return parts, quote + 1
        parts.append(raw[at:slash])
        byte = raw[slash + 1:slash + 2]
        parts.append(b"\n" if byte == b"n" else byte)
        at = slash + 2


def _value(rest: bytes) -> str:
    return _decoded(rest.strip().split(b" ")[0])


def _decoded(raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeError:
        raise BadFrame("not UTF-8: %s" % _shown(raw))


def _meaning(status: int) -> str:
    if 300 <= status < 400:
        return ", a redirect, which is not followed: give the address that it leads to"
    if status in (401, 403):
        return ", it asks for a login: let the gateway read without one"
    if status == 404:
        return ", no such page: check url and path"
    return ", the exporter itself has trouble" if status >= 500 else ""


def _shown(raw: bytes) -> str:
    return "".join([chr(b) if 32 <= b < 127 else "?" for b in raw[:60]])


class ScrapeDriver:
    """One compute node: the host's points (item ""), then those of each workload by name."""

    def __init__(self, made: profile.Profile, setup: "Setup") -> None:
        rows = [p for p in made.points if setup.everything or p.group == "journal"]
        self._asked = [("", row) for row in rows if row.item == "host"]
        for name in setup.workloads:
            self._asked += [(name, row) for row in rows if row.item == "workload"]
        self._metrics = tuple([row.metric for _, row in self._asked])
        self._profile = made
        self.answer_ms_max = made.transport.answer_ms_max
        self._wire = setup.wire
        self.points = tuple([
            Point(BY_NAME[row.measurand].id, exponent_of(row.measurand, setup), item)
            for item, row in self._asked])

    def poll(self) -> "Steps[Values]":
        """Yield one GET; return the values by position.  See driver.py."""
        try:
            body = yield self._wire.get()
            series = parse(body, self._metrics)
        except DeviceError as error:
            return (Absent(reason_of(error)),) * len(self.points)
        return tuple([self._value(series, item, row, point.exponent)
                      for (item, row), point in zip(self._asked, self.points)])

    def _value(self, series: "list[Series]", item: str, row: ScrapePoint, exponent: int) -> "Value":
        """Return the sum of the series of one point, or an Absent."""
        total, found = 0, False
        for metric, labels, text in series:
            if metric != row.metric or (item and labels.get(row.label) != item):
                continue
            if [1 for label, values in row.without if labels.get(label) in values]:
                continue
            try:
                value = number(text, exponent - GUARD_DIGITS)
            except FormatError:
                return Absent(OUT_OF_RANGE)
            if value is None:
                return Absent(NOT_IMPLEMENTED)
            total, found = total + value, True
        whole = scaled(total, -GUARD_DIGITS) if found else None
        return checked(whole, row.measurand, exponent)

    def identify(self) -> "Steps[Identification]":
        """Yield one GET; return manufacturer and model of the profile if the node answers."""
        yield self._wire.get()
        return {"manufacturer": self._profile.manufacturer, "model": self._profile.model}
