"""Every parser of what comes from outside: twice the input is at most twice the work.

One row for each parser and each shape of input that a hostile peer would choose.  Work is counted,
not timed (tests/support/work.py).
"""

import json
import tempfile
import tomllib
import zlib
from pathlib import Path

import pytest

from drivers import driver, modbus, profile, prometheus, pylontech
from drivers.register_driver import Image
from fleet.formats import cbor_crosscheck, site_descriptor
from fleet.ingest import live_table
from gateway.aio import toml_check as config
from gateway.core.codec import cbor, columns, cose
from gateway.core.codec.record import EventRecord, ScanRecord
from gateway.core.codec.schema import decode_schema, encode_schema
from gateway.core.errors import WattproofError
from gateway.core.evidence import batch, downsampled, receipt
from gateway.core.live_dictionary import DICTIONARY, FORMAT
from gateway.core.reading import Absent, ClockState, Point, Stream
from provisioning import parts
from tests.support.evidence_world import verifier
from tests.support.pylontech_answers import encode_analog
from tests.support.work import Scanned, work_of

RATIO_MAX = 2.2
POINT = Point(14, 0, "")
VERIFIER = verifier()


def sample_lines(n):
    return b"".join(b'm{a="%d"} %d\n' % (i, i) for i in range(n))


def whole_answer(body, step):
    """Return a call that feeds an HTTP answer in pieces of so many bytes."""
    def feed():
        asked = prometheus.HttpGet("host", "/metrics")
        for at in range(0, len(body), step):
            if asked.feed(body[at:at + step]):
                break
        return asked.result
    return feed


def head_of(n):
    return b"HTTP/1.0 200 OK\r\nX: " + b"x" * n + b"\r\nContent-Length: 2\r\n\r\n1\n"


def scans(n, values=lambda i: (i,)):
    return [ScanRecord(i + 1, 1000 * i, 0, values(i)) for i in range(n)]




def decoded(n, make, points=1):
    schema = Stream("a", tuple(Point(14, 0, str(i)) for i in range(points))),
    data = columns.encode(schema, make(n))
    return lambda: columns.decode(schema, 1, data)


def hills(i):
    """Return a value that no coding makes constant."""
    return (i * i * 7919 % 100_003,)


def holes(i):
    return (Absent(1) if i % 2 else i,)


def wide(n):
    """Return the columns of one scan of a device with n points."""
    schema = Stream("a", tuple(Point(14, 0, str(i)) for i in range(n))),
    data = columns.encode(schema, scans(1, lambda i: tuple(range(n))))
    return lambda: columns.decode(schema, 1, data)


class Compared(Point):
    """A point whose comparisons are lines of Python, and so are counted."""

    __slots__ = ()

    def __eq__(self, other):
        return tuple(self) == tuple(other)

    def __hash__(self):
        return hash(tuple(self))


def many_streams(n):
    """Return the columns of n devices of which each has points of its own, alike but for one."""
    schema = tuple(Stream("d%d" % s, tuple(
        Compared(14, 0, "") for _ in range(20)) + (Compared(1 + s, 0, ""),)) for s in range(n))
    records = [ScanRecord(s + 1, 0, s, tuple(range(21))) for s in range(n)]
    data = columns.encode(schema, records)
    return lambda: columns.decode(schema, 1, data)


def events(n):
    return [EventRecord(i + 1, i, 10, ["name", "detail %d" % i]) for i in range(n)]


def body_of(n):
    schema = Stream("a", (POINT,)),
    raw = batch.make_body(schema, scans(n, hills), batch.CODEC_RAW, None)
    made = batch.Batch("a", bytes(16), 1, 1, 1, n, bytes(32), bytes(32),
                       ClockState(3, 0, 0, 0), 0, raw)
    sealed = batch.seal(batch.encode_payload(made), b"kid", lambda data: bytes(64))
    return lambda: batch.open_body(batch.open_sealed(sealed)[1], None)


def coarse(n):
    replaced = [[i + 1, 10 * i + 1, 10 * i + 9, bytes(32)] for i in range(n)]
    payload = cbor.encode([2, "a", bytes(16), replaced, 1, 4, bytes(32), bytes(32), [3, 0, 0, 0],
                           0, b""])
    sealed = cose.sign1(b"kid", payload, lambda data: bytes(64))
    return lambda: downsampled.open_any(sealed)


def live_message(rows):
    packer = zlib.compressobj(6, zlib.DEFLATED, -15, 9, zlib.Z_DEFAULT_STRATEGY, DICTIONARY)
    text = json.dumps({"v": 1, "device": "a", "nodes": rows}).encode()
    payload = FORMAT + packer.compress(text) + packer.flush()
    return lambda: live_table.rows(live_table.parse(payload, "a"), "nodes")


def toml_file(n):
    return "".join('[[device]]\nname = "meter-%d"\nbus = "rtu-1"\nunit = 3\n' % i
                   for i in range(n))


def parts_file(n):
    """Return the call that loads a parts.toml of n devices."""
    text = '[site]\nid = "shop"\n[[bus]]\nname = "b"\nprotocol = "modbus"\ntransport = "tcp"\n'
    text += "".join('[[device]]\nname = "m%d"\nbus = "b"\nunit = 1\nprofile = "xy-md02"\n' % i
                    for i in range(n))
    path = Path(tempfile.mkstemp(suffix=".toml")[1])
    path.write_text(text)
    return lambda: parts.load(path)


def descriptor(n):
    data = cbor.encode({"v": 1, "site": "s", "interval_s": 10, "devices": [
        {"name": "d%d" % i, "rated_w": 1000} for i in range(n)]})
    return lambda: site_descriptor.parse(data)


def foreign_answers(n):
    asked = modbus.TcpRead(1, 4, 0, 2, 7)
    frame = b"\x00\x63\x00\x00\x00\x07\x01\x04\x04" + bytes(4)
    return lambda: asked.feed(frame * n)


def foreign_answers_to_a_burst(n):
    asked = modbus.TcpBurst([modbus.TcpRead(1, 4, 0, 2, 7), modbus.TcpRead(1, 4, 2, 2, 8)])
    frame = b"\x00\x63\x00\x00\x00\x07\x01\x04\x04" + bytes(4)
    return lambda: asked.feed(frame * n)


def rtu_answer(n):
    body = bytes([1, 4, 2 * n]) + bytes(2 * n)
    frame = body + modbus.crc16_modbus(body).to_bytes(2, "little")
    return lambda: modbus.RtuRead(1, 4, 0, n).feed(frame)


def stack_answer(n):
    module = pylontech.BatteryModule((3330,) * 15, (210,) * 5, -6, 26638, 95460, 111000, 3)
    frame = pylontech.encode_frame(2, 0, encode_analog(n, (module,) * n))

    def read():
        asked = pylontech.Frames().ask(2, 0x42, b"\xff")
        asked.feed(frame)
        return pylontech.analog(asked.result)
    return read


def sunspec_chain(n):
    """Return the call that walks over a chain of n models."""
    words, address = {40000: 0x5375, 40001: 0x6E53}, 40002
    for model, length in [(1, 65)] + [(900 + i, 4) for i in range(n)] + [(0xFFFF, 0)]:
        words.update({address + 2 + i: 0 for i in range(length)})
        words[address], words[address + 1] = model, length
        address += 2 + length
    made = profile.make("sun", {
        "manufacturer": "M", "model": "X", "kind": "inverter", "protocol": "sunspec",
        "maturity": "simulated", "sources": {"a": "a test"},
        "transport": {"buses": ["modbus-tcp"], "source": ["a"]},
        "reading": {"function": 3, "registers_max": 125, "source": ["a"]},
        "point": [{"measurand": "power_active_total", "models": [103], "offset": 14,
                   "format": "int16", "scale": 15, "group": "journal", "source": ["a"]}]})
    device = driver.build(made, driver.Setup(modbus.TcpReads()))
    return lambda: driver.run(device.identify(), Image(words).answer)


def scraped(body, metrics=("m",)):
    """Return the call that parses a text, each search counted."""
    return lambda: prometheus.parse(Scanned(body), metrics)


def settled(call, *arguments):
    """Return a call with its arguments."""
    return lambda: call(*arguments)


# parser, shape of the input: n -> the call, n.
PARSERS = {
    "prometheus: samples": (lambda n: scraped(sample_lines(n)), 300),
    "prometheus: one label of escapes": (
        lambda n: scraped(b'm{a="' + b"\\x" * n + b'"} 1\n'), 2000),
    "prometheus: one plain label": (
        lambda n: scraped(b'm{a="' + b"x" * n + b'"} 1\n'), 20_000),
    "prometheus: quotes and braces": (
        lambda n: scraped(b"m{" + b'a="}",' * n + b"} 1\n", ("x",)), 1000),
    "prometheus: labels without an end": (
        lambda n: scraped(b"m{" + b'a="x",' * n), 1000),
    "prometheus: labels in a row": (
        lambda n: scraped(b"m{" + b'a="x",' * n + b"} 1\n", ("x",)), 1000),
    "prometheus: blank lines": (lambda n: scraped(b"\n" * n), 2000),
    "prometheus: long numbers": (
        lambda n: settled(prometheus.number, "1" * n + "e5", 0), 2000),
    "HTTP head, byte by byte": (lambda n: whole_answer(head_of(n), 1), 2000),
    "HTTP head of many lines": (lambda n: whole_answer(
        b"HTTP/1.0 200 OK\r\n" + b"a: b\r\n" * n + b"\r\n", 4096), 1000),
    "HTTP body in small pieces": (lambda n: whole_answer(
        b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % n + b"x" * n, 7), 20_000),
    "CBOR: array": (lambda n: settled(cbor.decode, cbor.encode(list(range(n)))), 1000),
    "CBOR: map": (lambda n: settled(cbor.decode, cbor.encode(
        {"key %d" % i: i for i in range(n)})), 500),
    "CBOR: text": (lambda n: settled(cbor.decode, cbor.encode("\u6c34" * n)), 2000),
    "CBOR: second reader": (
        lambda n: settled(cbor_crosscheck.read, cbor.encode(list(range(n)))), 1000),
    "schema: points": (lambda n: settled(decode_schema, encode_schema(
        (Stream("a", tuple(Point(14, 0, str(i)) for i in range(n))),))), 300),
    "schema: streams": (lambda n: settled(decode_schema, encode_schema(
        tuple(Stream("d%d" % i, (POINT,)) for i in range(n)))), 120),
    "columns: scans": (lambda n: decoded(n, lambda n: scans(n, hills)), 500),
    "columns: constant": (lambda n: decoded(n, lambda n: scans(n, lambda i: (5,))), 500),
    "columns: absences": (lambda n: decoded(n, lambda n: scans(n, holes)), 500),
    "columns: events": (lambda n: decoded(n, events), 500),
    "columns: points of one scan": (wide, 300),
    "columns: streams of one scan": (many_streams, 60),
    "batch": (body_of, 1000),
    "coarsened batch": (coarse, 100),
    "live message": (lambda n: live_message([{"name": "n%d" % i} for i in range(n)]), 300),
    "live message: deep": (lambda n: settled(
        live_table.parse, FORMAT + zlib.compress(b"[" * n)[2:-4], "a"), 4000),
    "receipt": (lambda n: settled(receipt.open_sealed, bytes(n)), 500),
    "site descriptor": (descriptor, 40),
    "cabinet.toml": (lambda n: settled(config.parse, toml_file(n)), 20),
    "cabinet.toml: lines": (lambda n: settled(config.line_index, toml_file(n)), 100),
    "parts.toml": (parts_file, 20),
    "TOML": (lambda n: settled(tomllib.loads, toml_file(n)), 60),
    "bundle: CBOR": (lambda n: settled(VERIFIER.cbor, cbor.encode(list(range(n)))), 1000),
    "Modbus TCP: answers to others": (foreign_answers, 200),
    "Modbus TCP: answers to others in a burst": (foreign_answers_to_a_burst, 200),
    "Modbus RTU": (rtu_answer, 60),
    "SunSpec: models": (sunspec_chain, 25),
    "Pylontech: modules": (stack_answer, 8),
}


@pytest.mark.parametrize("name", PARSERS)
def test_twice_the_input_is_at_most_twice_the_work(name):
    make, size = PARSERS[name]
    once, first = work_of(make(size))
    twice, second = work_of(make(2 * size))
    for result in (first, second):
        assert not isinstance(result, Exception) or isinstance(
            result, (WattproofError, ValueError)), result
    assert once > 10, "nothing was done"
    assert twice <= RATIO_MAX * once, (once, twice)


def test_the_count_sees_a_copy_of_the_rest_for_each_part():
    def quadratic(data):
        while data.strip(b","):
            data = data[1:]

    def hidden(data):
        for at in range(len(data)):
            data[at:].strip(b",")

    for call in (quadratic, hidden):
        once, twice = (work_of(call, b"x" * n)[0] for n in (500, 1000))
        assert twice > 3 * once
