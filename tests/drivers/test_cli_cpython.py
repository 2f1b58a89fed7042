"""python -m drivers: what it prints, and how it refuses."""

import json
from pathlib import Path

import pytest

from drivers.__main__ import main


def test_list_names_every_profile(capsys):
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == [
        "compute-prometheus", "eastron-sdm120", "eastron-sdm630-v2", "pylontech-rs485",
        "sunspec-generic", "xy-md02"]


@pytest.mark.parametrize("stem", ["eastron-sdm120", "sunspec-generic", "pylontech-rs485",
                                  "compute-prometheus"])
def test_show_prints_points_with_their_sources(capsys, stem):
    assert main(["show", stem]) == 0
    out = capsys.readouterr().out
    assert "measurand" in out and "source " in out


def test_help_shows_the_form_of_the_file(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["decode", "--help"])
    assert stop.value.code == 0
    assert '{"registers"' in capsys.readouterr().out


def test_a_metrics_text_is_decoded_with_its_workloads(capsys, tmp_path):
    path = tmp_path / "text.json"
    path.write_text(json.dumps({
        "text": 'node_cpus 8\ntasks_running{name="pos"} 3\n', "workloads": ["pos"]}))
    assert main(["decode", "--profile", "compute-prometheus", "--registers", str(path)]) == 0
    got = json.loads(capsys.readouterr().out)
    assert got["cpu_cores"] == {"value": 8, "unit": ""}
    assert got["tasks_running/pos"] == {"value": 3, "unit": ""}
    assert got["cpu_time"] == {"reason": "not-implemented"}


VECTORS = Path(__file__).resolve().parents[1] / "golden" / "vectors"


@pytest.mark.parametrize(("stem", "vector", "shown", "note"), [
    ("xy-md02", "s19-xy-md02-vendor", ("temperature", 30.5, "degC"),
     "no request_hex"),
    ("eastron-sdm120", "s20-eastron-sdm120-frames", ("voltage_l1_n", 230.2, "V"),
     "no answer_hex"),
])
def test_frames_with_their_requests_are_decoded_case_by_case(
        capsys, stem, vector, shown, note):
    name, value, unit = shown
    assert main(["decode", "--profile", stem, "--registers", str(VECTORS / f"{vector}.json")]) == 0
    first, second = json.loads(capsys.readouterr().out)
    assert first[name] == {"value": pytest.approx(value, rel=1e-5), "unit": unit}
    assert all("value" in found for found in first.values())
    assert list(second) == ["note"] and note in second["note"]


def test_a_register_that_the_dump_lacks_was_not_asked_rather_than_refused(capsys, tmp_path):
    path = tmp_path / "dump.json"
    path.write_text('{"registers": {"1": [242]}}')
    assert main(["decode", "--profile", "xy-md02", "--registers", str(path)]) == 0
    got = json.loads(capsys.readouterr().out)
    assert got["temperature"] == {"value": 24.2, "unit": "degC"}
    assert got["humidity"] == {"reason": "not-asked"}


@pytest.mark.parametrize(("stem", "content", "told"), [
    ("xy-md02", '{"cases": 1}', "expected"),
    ("pylontech-rs485", '{"cases": [{}]}', "holds RTU frames"),
    ("xy-md02", '{"cases": [{"request_hex": "0x", "answer_hex": ""}]}', "case 1: '0x' is not hex"),
    ("xy-md02", '{"cases": [{"request_hex": "0110", "answer_hex": ""}]}', "is no read"),
    ("xy-md02", '{"cases": [{"request_hex": "010400010002200b", "answer_hex": "0104"}]}',
     "not a whole answer"),
    ("eastron-sdm12", "{}", "did you mean: eastron-sdm120"),
    ("xy-md02", "{", "not JSON"),
    ("xy-md02", "[]", "expected an object"),
    ("xy-md02", '{"registers": {}}', "expected"),
    ("xy-md02", '{"registers": {"x": [1]}}', "allowed are 0..65535"),
    ("xy-md02", '{"registers": {"70000": [1]}}', "allowed are 0..65535"),
    ("xy-md02", '{"registers": {"65535": [1, 2]}}', "address 65536"),
    ("xy-md02", '{"registers": {"1": [70000]}}', "70000 at address 1"),
    ("xy-md02", '{"registers": {"1": [true]}}', "no register"),
    ("xy-md02", '{"registers": {"1": [1.5]}}', "no register"),
    ("xy-md02", '{"registers": {"1": [1, 2], "2": [3]}}', "given twice"),
    ("sunspec-generic", '{"registers": {"1": [1]}}', "no SunSpec marker"),
    ("pylontech-rs485", '{"registers": {"1": [1]}}', "frame_ascii"),
    ("pylontech-rs485", '{"frame_ascii": "~2002"}', "at least 18"),
    ("compute-prometheus", '{"text": 1}', "expected"),
    ("compute-prometheus", '{"text": "{"}', "labels without an end"),
])
def test_a_bad_file_is_refused_with_place_and_what_is_allowed(
        capsys, tmp_path, stem, content, told):
    path = tmp_path / "file.json"
    path.write_text(content)
    assert main(["decode", "--profile", stem, "--registers", str(path)]) == 1
    captured = capsys.readouterr()
    assert told in captured.err and captured.out == ""


def test_a_file_that_is_not_there_is_named(capsys, tmp_path):
    assert main(["decode", "--profile", "xy-md02", "--registers", str(tmp_path / "no.json")]) == 1
    assert "no.json: cannot be read" in capsys.readouterr().err
