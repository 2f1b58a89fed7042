"""What a site descriptor may say, checked in every key that a report rests on.  Pure.

The descriptor travels in the signed CONFIG event (docs/formats.md).  It was made by the
gateway's configuration check, but it is read here as any other foreign bytes.
"""

import re
from decimal import Decimal
from typing import Any

from fleet.formats import cbor_crosscheck
from gateway.core.codec import cbor
from gateway.core.codec.record import SERIAL_CHARS_MAX
from gateway.core.errors import BadSchema, FormatError
from gateway.ledger.counter_limits import Descriptor

# A map as our decoder gives it: of texts, whole numbers, lists and maps.
DescriptorMap = dict[str, Any]

# What a descriptor may say at all.
ENTRIES_MAX, TEXT_CHARS_MAX, DAY_S = 1024, 200, 86_400
BYTES_MAX, UNIT_MAX = 8000, 65_535
NUMBER = re.compile(r"\d{1,12}(\.\d{1,12})?", re.ASCII)
HASH = re.compile(r"[0-9a-f]{64}")
SET = re.compile(r"[A-Za-z0-9._-]{1,64}")


def parse(data: bytes) -> Descriptor:
    """Return the descriptor of CBOR bytes; raises BadSchema, naming the place, if anything in
    it that a report rests on is missing or is not what docs/formats.md says."""
    try:
        found = cbor.decode(data)
    except FormatError as error:
        raise BadSchema(f"site descriptor: {error}") from error
    _need(isinstance(found, dict), "a map is expected")
    _need(_is_text(found.get("site")), "site must be a text")
    _need(_is_text(found.get("timezone", "UTC")), "timezone must be a text")
    _need(_is_whole(found.get("interval_s"), 1, DAY_S), "interval_s must be a whole number from 1")
    _need(SET.fullmatch(str(found.get("factor_set", "x"))) is not None,
          "factor_set must be the name of a set, without a path")
    _need(HASH.fullmatch(str(found.get("factor_sha256", "0" * 64))) is not None,
          "factor_sha256 must be 64 digits of lower case hex")
    for entry in _maps(found.get("buses"), "buses"):
        _need(_is_text(entry.get("name")) and _is_text(entry.get("address", "")),
              "every bus has a name, and its address is a text")
    devices = _maps(found.get("devices"), "devices")
    for entry in devices:
        _check_device(entry)
    _need(len({entry["name"] for entry in devices}) == len(devices), "two devices of one name")
    _check_battery(found.get("battery"))
    for entry in _maps(found.get("nodes"), "nodes"):
        _need(_is_text(entry.get("name")), "every node has a name")
        _need(_is_text(entry.get("meter", "")), "a node's meter must be a text")
        _check_numbers(entry, "node", (("cores", "0.001", "1e6"), ("idle_w", "0", "1e9")))
    for entry in _maps(found.get("workloads"), "workloads"):
        _need(_is_text(entry.get("node")) and _is_text(entry.get("name")),
              "every workload has a node and a name")
    return dict(found)


def parse_new(data: bytes) -> Descriptor:
    """Return the descriptor of bytes that just arrived, as parse() does; raises BadSchema also
    for more bytes than an event may hold of it."""
    _need(len(data) <= BYTES_MAX, f"{len(data)} bytes, at most {BYTES_MAX} are allowed")
    return parse(data)


def read_stored(data: bytes) -> Descriptor:
    """Return the descriptor of bytes that parse() took before they were stored: read again for
    each batch, so by the quicker of our two readers.  Raises BadSchema."""
    return dict(cbor_crosscheck.read(data))


def _check_device(entry: DescriptorMap) -> None:
    _need(_is_text(entry.get("name")), "every device is a map with a name")
    path = f"device {entry['name']!r}: "
    for key in ("kind", "role", "bus", "path", "serial"):
        _need(entry.get(key) is None or _is_text(entry[key]), f"{path}{key} must be a text")
    _need(len(entry.get("serial") or "") <= SERIAL_CHARS_MAX,
          f"{path}serial must have at most {SERIAL_CHARS_MAX} characters")
    _need(entry.get("unit") is None or _is_whole(entry["unit"], 0, UNIT_MAX),
          f"{path}unit must be a whole number from 0 to {UNIT_MAX}")
    _need(entry.get("rated_w") is None or _is_whole(entry["rated_w"], 0, 10**9),
          f"{path}rated_w must be a whole number from 0")
    if entry.get("ct_ratio") is not None:
        _check_numbers(entry, path, (("ct_ratio", "1e-6", "1e6"),))


def _check_battery(battery: object) -> None:
    if battery is not None:
        if not isinstance(battery, dict):
            raise _refusal("battery must be a map, or null for none")
        full: DescriptorMap = {"eta_charge": 1, "eta_discharge": 1, "standby_w": 0} | battery
        _check_numbers(full, "battery", (
            ("capacity_wh", "0.001", "1e12"), ("eta_charge", "0.001", "1"),
            ("eta_discharge", "0.001", "1"), ("standby_w", "0", "1e9")))


def _check_numbers(entry: DescriptorMap, path: str,
                   limits: tuple[tuple[str, str, str], ...]) -> None:
    for key, low, high in limits:
        value = entry.get(key)
        plain = isinstance(value, int) and not isinstance(value, bool)
        _need(plain or (isinstance(value, str) and NUMBER.fullmatch(value) is not None),
              f"{path} {key} must be a whole number or a decimal text")
        _need(Decimal(low) <= Decimal(str(value)) <= Decimal(high),
              f"{path} {key} must be from {low} to {high}")


def _maps(value: object, name: str) -> list[DescriptorMap]:
    found = [] if value is None and name != "devices" else value
    if not (isinstance(found, list) and len(found) <= ENTRIES_MAX
            and all(isinstance(entry, dict) for entry in found)):
        raise _refusal(f"{name} must be a list of at most {ENTRIES_MAX} maps")
    return list(found)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= TEXT_CHARS_MAX


def _is_whole(value: object, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _need(holds: bool, text: str) -> None:
    if not holds:
        raise _refusal(text)


def _refusal(text: str) -> BadSchema:
    return BadSchema(f"site descriptor: {text}")
