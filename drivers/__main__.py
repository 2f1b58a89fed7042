"""Command line of the drivers: which devices we know, and what given bytes mean.

CPython only; it loads the profiles' TOML.  Exit codes: see gateway/aio/cli.py; `decode` ends
with 3 when it decoded a frame although its file says that the check sum is wrong.
"""

import argparse
import json
import sys
from decimal import Decimal
from pathlib import Path

from drivers import decode, modbus, planner, profile, pylontech, registers
from drivers.links import profile_files
from gateway.aio import cli
from gateway.core.errors import ConfigError
from gateway.core.reading import NOT_ASKED, REASON_NAMES, Absent

FILE_BYTES_MAX = 4 * 1024 * 1024
EXAMPLES = """\
  wattproof-drivers list
  wattproof-drivers show eastron-sdm120
  wattproof-drivers decode --profile eastron-sdm120 --registers dump.json"""
DECODE_EXAMPLE = """\
  wattproof-drivers decode --profile eastron-sdm120 --registers dump.json

the file, by protocol of the profile (keys beside these are ignored):
  modbus, sunspec  {"registers": {"72": [18132, 20081], "74": [17992, 30304]}}
                   wire address (from 0) of the first of the 16-bit numbers that follow
                   {"cases": [{"request_hex": "0104..", "answer_hex": "0104.."}]}
                   RTU frames instead; prints a list with an object for each case
  pylontech        {"frame_ascii": "~2002460...\\r"}   an answer to command 0x42
  prometheus       {"text": "node_cpus 8\\n", "workloads": ["pos"]}
prints {quantity: {"value", "unit"} | {"reason"}} with every digit the device has"""


def main(argv: list[str] | None = None) -> int:
    """Run one command; return the exit code."""
    return cli.main(parser, argv)


def parser() -> cli.Parser:
    """Return the command line of `python -m drivers`."""
    top = cli.parser("drivers", "Device profiles and what their bytes mean.", EXAMPLES)
    add = cli.add_commands(top)
    one = add("list", "print all profiles: name, maker, model, kind, maturity",
              "  wattproof-drivers list")
    cli.add_json(one)
    one.set_defaults(run=_list)
    one = add("show", "print one profile: points, sources, and the reads planned",
              "  wattproof-drivers show eastron-sdm120")
    one.add_argument("profile", metavar="PROFILE", help="name from `list`, or a .toml file")
    cli.add_json(one)
    one.set_defaults(run=_show)
    one = add("decode", "turn registers or frames of a file into quantities", DECODE_EXAMPLE)
    one.add_argument("--profile", required=True, metavar="STEM",
                     help="name from `list`, or a .toml file")
    one.add_argument("--registers", required=True, metavar="FILE.json", type=Path,
                     help="see below for its form")
    one.add_argument("--json", action="store_true", help="prints JSON with and without this")
    one.set_defaults(run=_decode)
    return top


def _find(name: str) -> profile.Profile:
    return profile_files.load(Path(name)) if name.endswith(".toml") else profile_files.find(name)


def _list(args: argparse.Namespace) -> int:
    heads = ("profile", "maker", "model", "kind", "protocol", "maturity", "points")
    rows = []
    for name in profile_files.names():
        p = profile_files.find(name)
        rows.append((name, p.manufacturer, p.model, p.kind, p.protocol, p.maturity,
                     len(p.points)))
    cli.show(args, [dict(zip(heads, row, strict=True)) for row in rows],
             _table([heads, *(tuple(str(cell) for cell in row) for row in rows)]))
    return cli.FINE


def _show(args: argparse.Namespace) -> int:
    p = _find(args.profile)
    cli.show(args, _profile(p), _profile_lines(p))
    return cli.FINE


def _profile(p: profile.Profile) -> dict[str, object]:
    """Return a profile as `show --json` prints it."""
    t, spoken = p.transport, profile.protocol(p.stem, p.protocol)
    return {
        "profile": p.stem, "maker": p.manufacturer, "model": p.model, "kind": p.kind,
        "protocol": p.protocol, "maturity": p.maturity,
        "transport": {"buses": list(t.buses), "baud": t.baud, "parity": t.parity,
                      "stopbits": t.stopbits, "unit": t.unit, "min_gap_ms": t.min_gap_ms},
        "notes": list(p.notes), "signs": dict(p.signs), "sources": dict(p.sources),
        "reads": [{"function": span.function, "address": span.address,
                   "counts": list(span.counts), "points": len(span.wanted)} for span in _plan(p)],
        "points": [{"measurand": point.measurand, "where": spoken.location(point),
                    "group": point.group, "source": list(point.source)} for point in p.points]}


def _profile_lines(p: profile.Profile) -> list[str]:
    """Return a profile as `show` prints it for people."""
    t, spoken = p.transport, profile.protocol(p.stem, p.protocol)
    lines = [f"{p.stem}: {p.manufacturer} {p.model}; {p.kind}; {p.protocol}; {p.maturity}",
             f"transport: {', '.join(t.buses)}; {t.baud} {t.parity} {t.stopbits}; unit {t.unit}; "
             f"gap {t.min_gap_ms} ms"]
    lines += [f"note: {note}" for note in p.notes]
    lines += [f"sign: {name}: {what}" for name, what in p.signs]
    for span in _plan(p):
        lengths = " or ".join(str(count) for count in span.counts)
        lines.append(f"read: function {span.function}, address {span.address}, "
                     f"{lengths} registers, {len(span.wanted)} points")
    lines += _table([("measurand", "where", "group", "source")] + [
        (point.measurand, spoken.location(point), point.group, ", ".join(point.source))
        for point in p.points])
    return lines + [f"source {key}: {what}" for key, what in p.sources]


def _plan(p: profile.Profile) -> list[planner.ReadSpan]:
    """Return the reads that the planner makes of a profile; none for other protocols."""
    if p.protocol != "modbus":
        return []
    return list(planner.plan(profile.wanted(p, ("journal",)), p.limits, profile.wanted(p)))


def _table(rows: list[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.ljust(size) for cell, size in zip(row, widths, strict=True)).rstrip()
            for row in rows]


def _decode(args: argparse.Namespace) -> int:
    p = _find(args.profile)
    data = _load(args.registers)
    where = str(args.registers)
    if "cases" in data:
        _print([_case(f"{where}: case {number}", p, case)
                for number, case in enumerate(_cases(where, p, data["cases"]), 1)])
        return cli.FINE
    if p.protocol == "pylontech":
        found = _frame(where, p, data)
    elif p.protocol == "prometheus":
        body = data.get("text")
        names = data.get("workloads", [])
        if not isinstance(body, str) or not isinstance(names, list):
            raise ConfigError(f'{where}: expected {{"text": "...", "workloads": ["name"]}}')
        found = decode.text(p, body.encode(), [str(name) for name in names])
    else:
        words = _words(where, data.get("registers", data))
        found = decode.registers(p, words)
        _print({q.name: _shown(q, _is_hole(p, q, words)) for q in found})
        return cli.FINE
    _print({q.name: _shown(q) for q in found})
    return cli.ASSUMED if p.protocol == "pylontech" and not _is_checked(data) else cli.FINE


def _print(shown: object) -> None:
    cli.put(json.dumps(shown, indent=1))


def _is_checked(data: dict[str, object]) -> bool:
    return data.get("checksum_valid") is not False


def _is_hole(p: profile.Profile, quantity: decode.Quantity, words: dict[int, int]) -> bool:
    """Return whether the dump lacks registers of a quantity: nobody refused, nobody asked."""
    if not isinstance(quantity.value, Absent) or p.protocol != "modbus":
        return False
    return any(
        address not in words for point in p.points if point.measurand == quantity.name
        for address in range(point.address, point.address + registers.width(point.format)))


def _cases(where: str, p: profile.Profile, cases: object) -> list[object]:
    """Return the cases of a file of frames; raises ConfigError if the profile has none."""
    if p.protocol != "modbus":
        raise ConfigError(f"{where}: holds RTU frames (cases); {p.stem} speaks {p.protocol}, and "
                          "only frames of a modbus profile are decoded")
    if not isinstance(cases, list) or not cases:
        raise ConfigError(f'{where}: expected {{"cases": [{{"request_hex", "answer_hex"}}]}}')
    return cases


def _case(where: str, p: profile.Profile, case: object) -> dict[str, object]:
    """Return the quantities of one answer, or a note that says why there are none."""
    if not isinstance(case, dict) or not isinstance(case.get("answer_hex"), str):
        return {"note": "no answer_hex: nothing to decode (a write is never sent by a driver)"}
    if not isinstance(case.get("request_hex"), str):
        return {"note": "no request_hex: an answer does not say of which registers it is"}
    request, answer = (_hex(where, case[name]) for name in ("request_hex", "answer_hex"))
    if len(request) != 8 or not modbus.crc_ok(request) or request[1] not in (3, 4):
        raise ConfigError(f"{where}: request_hex is no read: 8 bytes, function 3 or 4, good CRC")
    address, count = (int.from_bytes(request[i:i + 2], "big") for i in (2, 4))
    if not 1 <= request[0] <= 247 or not 1 <= count <= 125 or address + count > 0x10000:
        raise ConfigError(f"{where}: request_hex asks unit {request[0]} for {count} registers "
                          f"at {address}; allowed are units 1..247, 1..125 registers")
    question = modbus.RtuRead(request[0], request[1], address, count)
    if not question.feed(answer):
        raise ConfigError(f"{where}: answer_hex is not a whole answer to request_hex")
    result = question.result or b""
    words = {address + i: int.from_bytes(result[2 * i:2 * i + 2], "big") for i in range(count)}
    return {q.name: _shown(q) for q in decode.registers(p, words)
            if not _is_hole(p, q, words)}


def _hex(where: str, text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError as error:
        raise ConfigError(f"{where}: {text[:40]!r} is not hexadecimal") from error


def _load(path: Path) -> dict[str, object]:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise ConfigError(f"{path}: larger than {FILE_BYTES_MAX} bytes")
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError(f"{path}: not JSON: {error}") from error
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected an object; see --help for its form")
    return data


def _words(where: str, table: object) -> dict[int, int]:
    """Return {address: number} of {"address": number or [numbers]}."""
    if not isinstance(table, dict) or not table:
        raise ConfigError(f'{where}: expected {{"registers": {{"address": [numbers]}}}}')
    words: dict[int, int] = {}
    for key, row in table.items():
        if not (key.isascii() and key.isdigit()) or len(key) > 5:
            raise ConfigError(f"{where}: registers: {key[:40]!r} is no address; "
                              "allowed are 0..65535")
        for position, word in enumerate(row if isinstance(row, list) else [row]):
            address = int(key) + position
            if isinstance(word, bool) or not isinstance(word, int) or not 0 <= word <= 0xFFFF:
                raise ConfigError(f"{where}: registers: {word!r} at address {address} is no "
                                  "register; allowed are 0..65535")
            if address > 0xFFFF:
                raise ConfigError(f"{where}: registers: address {address}; allowed are 0..65535")
            if words.setdefault(address, word) != word:
                raise ConfigError(f"{where}: registers: address {address} is given twice")
    return words


def _frame(where: str, p: profile.Profile, data: dict[str, object]) -> list[decode.Quantity]:
    frame = data.get("frame_ascii")
    if not isinstance(frame, str) or not frame.isascii():
        raise ConfigError(f'{where}: expected {{"frame_ascii": "~...\\r"}}')
    is_checked = _is_checked(data)
    if not is_checked:
        cli.say_error("wattproof-drivers", f"{where} says its checksum is wrong: decoded without "
                      "it; a driver refuses such a frame", "take a frame with a good checksum")
    if not frame.endswith("\r"):
        frame += "\r"
    return list(decode.frame(p, frame.encode(), is_checked))


def _shown(quantity: decode.Quantity, is_hole: bool = False) -> dict[str, object]:
    if isinstance(quantity.value, Absent):
        return {"reason": REASON_NAMES[NOT_ASKED if is_hole else quantity.value.reason]}
    value = quantity.value
    if quantity.name == "modules":
        value = [_module(one) for one in quantity.value]
    elif isinstance(value, int):
        value = _number(value, quantity.exponent)
    return {"value": value, "unit": "" if quantity.unit == "1" else quantity.unit}


def _module(one: pylontech.BatteryModule) -> dict[str, object]:
    """Return a battery module in V, A, Ah and degC."""
    milli = [_number(cell, -3) for cell in one.cells]
    warm = [_number(tenth, -1) for tenth in one.temperatures]
    shown: dict[str, object] = {
        "cells": len(milli), "cell_voltages": milli,
        "temperature_count": len(warm), "cell_temperatures": warm[1:],
        "battery_current": _number(one.current, -1), "battery_voltage": _number(one.voltage, -3),
        "cycles": one.cycles}
    if warm:
        shown["bms_temperature"] = warm[0]
    if one.remaining is not None and one.total is not None:
        shown["capacity_remaining_ah"] = _number(one.remaining, -3)
        shown["capacity_total_ah"] = _number(one.total, -3)
    if milli:
        shown["cell_voltage_min"], shown["cell_voltage_max"] = min(milli), max(milli)
    return shown


def _number(value: int, exponent: int) -> int | float:
    exact = Decimal(value).scaleb(exponent)
    return int(exact) if exact == exact.to_integral_value() else float(exact)


if __name__ == "__main__":
    sys.exit(main())
