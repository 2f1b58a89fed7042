"""Device vectors: every case whose profile we have decodes to what its source says.

tests/golden/vectors holds copies with their sources; DEVICE_VECTORS may name a folder of more.
Both are run: a given file never stands in for ours of the same name.  A quantity that the facts
beside the folder (../facts) list must be decoded; nothing decoded, or no vectors, is a failure.
A vector of a profile we do not have is named in a warning; a kind nobody knows is a failure.
"""

import json
import math
import os
import subprocess
import sys
import tomllib
import warnings
from pathlib import Path

import pytest

from drivers import decode, modbus
from drivers.links import profile_files
from drivers.pylontech import decode_frame
from gateway.core.errors import BadFrame
from gateway.core.reading import Absent
from tests.support.paper_meter import cells_of

ROOT = Path(__file__).resolve().parents[2]
OURS = ROOT / "tests" / "golden" / "vectors"
KNOWN_KINDS = ("registers", "pylontech-frame", "cases",
               "p1-telegram", "sml-frame", "sml-stream", "can-frames")
OUR_TEN = ("c13", "c15", "c39", "s05", "s06", "s07", "s19", "s20", "s22", "s23")
TOLERANCE = 1e-5
# unit -> (base unit, power of ten): only prefixes, nothing that changes the quantity
UNITS = {"kWh": ("Wh", 3), "MWh": ("Wh", 6), "kvarh": ("varh", 3), "kVAh": ("VAh", 3),
         "kW": ("W", 3), "kvar": ("var", 3), "kVA": ("VA", 3), "mV": ("V", -3), "mA": ("A", -3),
         "mAh": ("Ah", -3), "1": ("", 0)}


def given_folder() -> Path | None:
    """Return the folder that DEVICE_VECTORS names; None if it is not set."""
    if "DEVICE_VECTORS" not in os.environ:
        return None
    return Path(os.environ["DEVICE_VECTORS"] or "DEVICE_VECTORS is empty")


def vector_files() -> list[Path]:
    """Return our vectors and all of the given folder; one never stands in for another."""
    folders = [OURS, *([given_folder()] if given_folder() else [])]
    return [path for folder in folders for path in sorted(folder.glob("*.json"))]


def folder_faults(folder: Path) -> list[str]:
    """Return why a folder of vectors cannot check anything."""
    if not folder.is_dir():
        return [f"DEVICE_VECTORS: {folder} is not a folder"]
    return [] if list(folder.glob("*.json")) else [f"DEVICE_VECTORS: no *.json in {folder}"]


def listed(path: Path, vector: dict) -> set[str]:
    """Return the quantities that a vector must prove: those its facts list.

    Ours prove all they expect.  Without facts beside a folder, or where they list no registers
    (SunSpec, Pylontech), the names that our own vectors of the same facts prove count.
    """
    expected = set(vector.get("expected", {}))
    if path.parent == OURS:
        return expected
    facts = path.parent.parent / "facts" / f"{vector['facts']}.toml"
    names = facts_names(facts) if facts.is_file() else set()
    ours = [json.loads(one.read_text(encoding="utf-8")) for one in OURS.glob("*.json")]
    known = {name for one in ours if one["facts"] == vector["facts"]
             for name in one.get("expected", {})}
    return expected & (names or known)


def facts_names(facts: Path) -> set[str]:
    """Return the names of the quantities of a facts file's register list."""
    rows = tomllib.loads(facts.read_text(encoding="utf-8")).get("registers", [])
    return {row["quantity"] for row in rows if "quantity" in row}


def without_a_profile(path: Path) -> str:
    """Return the name of the profile that a vector of a known kind waits for, or ""."""
    vector = json.loads(path.read_text(encoding="utf-8"))
    waits = vector["kind"] in KNOWN_KINDS and vector["facts"] not in profile_files.names()
    return vector["facts"] if waits else ""


def base(value: float, unit: str | None) -> tuple[float, str]:
    """Return a value in its base unit."""
    name, power = UNITS.get(unit or "", (unit or "", 0))
    return value * 10.0 ** power, name


def differences(expected: dict, got: dict, tolerance: float, must: set[str]) -> list[str]:
    """Return what is wrong, a line each.

    A quantity that the decoder does not know is a fault if it is one of `must`, else printed.
    Nothing that matched is a fault: such a vector would prove nothing.
    """
    faults = []
    if not set(expected) & set(got):
        return [f"none of {sorted(expected)} was decoded"]
    for name, want in expected.items():
        have = got.get(name)
        if have is None:
            print(f"not in the profile: {name}")
            faults += [f"{name}: not decoded"] if name in must else []
            continue
        unit = have.get("unit") if isinstance(want, dict) and want.get("unit") else None
        wanted = want["value"] if isinstance(want, dict) and "value" in want else want
        if wanted is None:
            if "reason" not in have:
                faults.append(f"{name}: expected no value, got {have}")
        elif "reason" in have:
            faults.append(f"{name}: expected {wanted}, got no value: {have['reason']}")
        elif isinstance(wanted, list) and wanted and isinstance(wanted[0], dict):
            faults += module_differences(wanted, have["value"], tolerance)
        elif isinstance(wanted, (str, list)):
            if have["value"] != wanted:
                faults.append(f"{name}: expected {wanted}, got {have['value']}")
        else:
            left, right = base(wanted, want["unit"] if unit else None), base(have["value"], unit)
            if left[1] != right[1] or not math.isclose(left[0], right[0], rel_tol=tolerance):
                faults.append(f"{name}: expected {left}, got {right}")
    return faults


def module_differences(wanted: list, have: list, tolerance: float) -> list[str]:
    """Compare the modules of a stack, each quantity that the vector names."""
    if len(wanted) != len(have):
        return [f"expected {len(wanted)} modules, got {len(have)}"]
    faults = []
    for number, (want, got) in enumerate(zip(wanted, have, strict=True)):
        for name, value in want.items():
            pairs = zip(value, got[name], strict=True) if isinstance(value, list) else (
                (value, got[name]),)
            if not all(math.isclose(a, b, rel_tol=tolerance) for a, b in pairs):
                faults.append(f"module {number} {name}: expected {value}, got {got[name]}")
    return faults


def decoded(path: Path, stem: str, code: int = 0) -> dict:
    """Return what the command line prints for a vector file; code: its exit code."""
    run = subprocess.run(
        [sys.executable, "-m", "drivers", "decode", "--profile", stem, "--registers", str(path)],
        capture_output=True, text=True, timeout=60, cwd=ROOT, check=False)
    assert run.returncode == code, run.stderr
    return json.loads(run.stdout)


def check_registers(path: Path, vector: dict) -> list[str]:
    """Faults of a register vector."""
    return differences(vector["expected"], decoded(path, vector["facts"]),
                       vector.get("tolerance", TOLERANCE), listed(path, vector))


def check_pylontech(path: Path, vector: dict) -> list[str]:
    """Faults of a Pylontech vector; one with a wrong checksum must be refused by the driver."""
    frame = vector["frame_ascii"].encode()
    faults = []
    try:
        decode_frame(frame)
        if vector.get("checksum_valid", True) is False:
            faults.append("a frame with a wrong checksum was taken")
    except BadFrame as error:
        if vector.get("checksum_valid", True):
            faults.append(str(error))
    code = 3 if vector.get("checksum_valid", True) is False else 0     # 3: something was assumed
    return faults + differences(vector["expected"], decoded(path, vector["facts"], code),
                                vector.get("tolerance", TOLERANCE), listed(path, vector))


def check_cases(path: Path, vector: dict) -> list[str]:
    """Faults of request and answer frames, byte by byte."""
    made = profile_files.find(vector["facts"])
    if not any("answer_hex" in case for case in vector["cases"]):
        return ["no case has an answer to decode"]
    faults = []
    for case in vector["cases"]:
        if "write_frame_hex" in case:
            faults += check_write(case)
        else:
            faults += check_read(made, case)
    return faults


def check_write(case: dict) -> list[str]:
    """A write is never sent by us: its frame and echo are checked for what they say."""
    write, echo = bytes.fromhex(case["write_frame_hex"]), bytes.fromhex(case["echo_hex"])
    faults = [f"CRC of {frame.hex()}" for frame in (write, echo) if not modbus.crc_ok(frame)]
    return faults + ([] if echo[:6] == write[:6] else ["the echo is of another write"])


def check_read(made, case: dict) -> list[str]:
    """The request is what we would send; the answer decodes to what is expected."""
    answer = bytes.fromhex(case["answer_hex"])
    points = {point.measurand: point for point in made.points}
    if "request_hex" in case:
        request = bytes.fromhex(case["request_hex"])
        address, count = (int.from_bytes(request[i:i + 2], "big") for i in (2, 4))
    else:
        point = points.get(next(iter(case["expected"]), ""))
        if point is None:
            return [f"none of {sorted(case['expected'])} is in the profile"]
        address, count, request = point.address, answer[2] // 2, b""
    question = modbus.RtuRead(answer[0], answer[1], address, count)
    if request and question.request != request:
        return [f"asked {question.request.hex()}, expected {request.hex()}"]
    if not question.feed(answer):
        return ["the answer is not whole"]
    words = {address + i: int.from_bytes(question.result[2 * i:2 * i + 2], "big")
             for i in range(count)}
    got = {q.name: q for q in decode.registers(made, words)}
    if not case["expected"] or not set(case["expected"]) <= set(got):
        return [f"expected {sorted(case['expected'])}, decoded {sorted(got)}"]
    return [f"{name}: expected {want}, got {got[name]}"
            for name, want in case["expected"].items() if not is_equal(got[name], want)]


def is_equal(quantity: decode.Quantity, want: float) -> bool:
    """Return whether a decoded quantity has the value that is wanted."""
    return not isinstance(quantity.value, Absent) and math.isclose(
        quantity.value * 10.0 ** quantity.exponent, want, rel_tol=TOLERANCE)


CHECKS = {"registers": check_registers, "pylontech-frame": check_pylontech, "cases": check_cases}


def faults_of(path: Path) -> list[str]:
    """Return the faults of one vector file, whose profile exists."""
    vector = json.loads(path.read_text(encoding="utf-8"))
    if vector["kind"] not in KNOWN_KINDS:
        return [f"kind {vector['kind']!r} is not known; known: {', '.join(KNOWN_KINDS)}"]
    if vector["kind"] not in CHECKS:
        return [f"the profile {vector['facts']} exists, but nothing reads {vector['kind']}"]
    return CHECKS[vector["kind"]](path, vector)


@pytest.mark.parametrize(
    "path", [path for path in vector_files() if not without_a_profile(path)],
    ids=lambda path: path.stem if path.parent == OURS else f"given-{path.stem}")
def test_a_vector_decodes_to_what_its_source_says(path):
    assert faults_of(path) == []


def test_a_given_folder_has_vectors():
    assert given_folder() is None or folder_faults(given_folder()) == []


def test_a_folder_without_vectors_is_a_failure_and_never_replaces_ours(tmp_path, monkeypatch):
    assert "not a folder" in folder_faults(tmp_path / "none")[0]
    assert "no *.json" in folder_faults(tmp_path)[0]
    copy = tmp_path / "c39-computed-xy-md02.json"
    copy.write_text((OURS / copy.name).read_text())
    assert folder_faults(tmp_path) == []
    monkeypatch.setenv("DEVICE_VECTORS", str(tmp_path))
    assert {OURS / copy.name, copy} <= set(vector_files())
    monkeypatch.setenv("DEVICE_VECTORS", "")        # set, but to nothing: a script's mistake
    assert folder_faults(given_folder()) != []


@pytest.mark.parametrize("has_facts", [True, False])
def test_a_quantity_that_the_facts_list_must_be_decoded(tmp_path, has_facts):
    vector = json.loads((OURS / "c39-computed-xy-md02.json").read_text())
    expected = dict(vector["expected"], wind={"value": 3, "unit": "m/s"})
    (tmp_path / "vectors").mkdir()
    path = tmp_path / "vectors" / "x.json"
    path.write_text(json.dumps(dict(vector, expected=expected)))
    if has_facts:
        (tmp_path / "facts").mkdir()
        names = ["wind", *vector["expected"]]
        (tmp_path / "facts" / "xy-md02.toml").write_text(
            "".join(f'[[registers]]\nquantity = "{name}"\n' for name in names))
    assert faults_of(path) == (["wind: not decoded"] if has_facts else [])
    got = {name: want for name, want in vector["expected"].items() if name != "humidity"}
    must = listed(path, json.loads(path.read_text()))
    assert "humidity: not decoded" in differences(expected, got, TOLERANCE, must)


def test_a_vector_in_which_nothing_matches_is_a_failure(tmp_path):
    vector = json.loads((OURS / "c39-computed-xy-md02.json").read_text())
    path = tmp_path / "none.json"
    for expected in ({"wind": {"value": 3, "unit": "m/s"}}, {}):
        path.write_text(json.dumps(dict(vector, expected=expected)))
        assert "was decoded" in faults_of(path)[0]
    frames = json.loads((OURS / "s19-xy-md02-vendor.json").read_text())
    for cases in ([], [dict(frames["cases"][0], expected={})],
                  [dict(frames["cases"][1], expected={"wind": 3})],
                  [dict(frames["cases"][0], expected={"wind": 3})]):
        path.write_text(json.dumps(dict(frames, cases=cases)))
        assert faults_of(path), cases


def test_vectors_that_wait_for_a_profile_are_named():
    waiting = [f"{path.stem}: no profile {without_a_profile(path)}"
               for path in vector_files() if without_a_profile(path)]
    if waiting:
        warnings.warn("vectors not decoded:\n" + "\n".join(waiting), stacklevel=1)
    assert not [line for line in waiting if line[:3] in OUR_TEN]


def test_the_ten_vectors_of_the_first_devices_are_here_with_their_sources():
    names = sorted(path.name[:3] for path in OURS.glob("*.json"))
    assert set(OUR_TEN) <= set(names)
    assert all(json.loads(path.read_text())["source"] for path in OURS.glob("*.json"))


def test_the_runner_finds_a_wrong_value_a_wrong_unit_and_an_unknown_kind(tmp_path):
    vector = json.loads((OURS / "c39-computed-xy-md02.json").read_text())
    for key, change in (("temperature", {"value": 24.3, "unit": "degC"}),
                        ("temperature", {"value": 24.2, "unit": "V"}), ("humidity", None)):
        wrong = dict(vector, expected=dict(vector["expected"], **{key: change}))
        path = tmp_path / "wrong.json"
        path.write_text(json.dumps(wrong))
        assert faults_of(path), change
    path.write_text(json.dumps(dict(vector, kind="telepathy")))
    assert "not known" in faults_of(path)[0]


def test_a_simulated_register_image_reads_back_through_the_driver():
    made = profile_files.find("eastron-sdm630-v2")
    words = {}
    for number, point in enumerate(made.points):
        cells = cells_of(point, 1000 + number, 0)
        words[point.address], words[point.address + 1] = (
            int.from_bytes(cells[i:i + 2], "big") for i in (0, 2))
    found = decode.registers(made, words)
    assert [round(q.value * 10.0 ** q.exponent) for q in found] == [
        1000 + number for number in range(len(made.points))]
