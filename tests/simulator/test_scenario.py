"""A scenario file is judged as a whole: every mistake at once, each with what is allowed."""

import tomllib
from collections import Counter

import pytest

from gateway.core.errors import ConfigError
from simulator.__main__ import main
from simulator.scenario import build, find, load


def shop():
    return tomllib.loads(find("shop").read_text())


def mistakes(raw):
    with pytest.raises(ConfigError) as caught:
        build(raw, "shop.toml")
    return str(caught.value).splitlines()


def test_the_shop_has_the_twelve_devices_of_the_demo():
    scene = load("shop")
    assert len(scene.devices) == 12
    assert Counter(d.role for d in scene.devices) == {
        None: 4, "it": 2, "grid": 1, "battery": 1, "pv": 1, "cooling": 1, "lighting": 1, "other": 1}
    assert [n.cores for n in scene.nodes] == [32, 32]
    assert (scene.battery.capacity_wh, scene.battery.power_w) == (10000.0, 5000.0)


def test_all_mistakes_are_listed_at_once():
    raw = shop()
    raw["battery"]["eta_charge"] = 1.2
    raw["pv"]["peek_w"] = raw["pv"].pop("peak_w")
    raw["device"][0]["profile"] = "eastron-sdm999"
    raw["device"][1]["unit"] = 1
    raw["bus"][5]["transport"] = "carrier pigeon"
    raw["node"][0]["cores"] = "many"
    del raw["shop"]["opens_h"]
    raw["extra"] = {}
    found = mistakes(raw)
    for part in ("[battery] eta_charge: 1.2 is not within 0.5 .. 1",
                 "peek_w: unknown key; did you mean peak_w?", "[pv] peak_w: missing",
                 "'eastron-sdm999' is none of", "unit 1 is taken on rtu-1",
                 "'carrier pigeon' is none of serial", "'many' is not a whole number",
                 "[shop] opens_h: missing", "top level extra: unknown key"):
        assert any(part in line for line in found), part
    assert all(line.startswith("shop.toml: ") for line in found)


def test_an_old_kind_of_a_bus_is_told_with_the_new_keys():
    raw = shop()
    raw["bus"][0] = {"name": "rtu-1", "kind": "rtu"}
    assert mistakes(raw) == ['shop.toml: [[bus]] rtu-1:: kind = "rtu" is now transport = '
                             '"serial", protocol = "modbus"']


def test_wiring_that_cannot_be_is_named():
    raw = shop()
    raw["device"][1]["feeds"] = ["node-9"]
    raw["device"][2]["bus"] = "rtu-7"
    raw["device"][3]["bus"] = "bms"
    raw["device"][4].pop("role")
    raw["bus"][1]["name"] = "rtu-1"
    text = "\n".join(mistakes(raw))
    for part in ("feeds 'node-9', which is no node", "no bus 'rtu-7'",
                 "eastron-sdm120 speaks modbus-rtu or modbus-tcp, the bus is pylontech",
                 "a meter needs role and rated_w",
                 "the name 'rtu-1' is given more than once"):
        assert part in text


def test_values_that_cannot_be_together_are_named():
    raw = shop()
    raw["battery"].update(soc_min=0.9, soc_max=0.2, capacity_ah=300.0)
    raw["shop"]["closes_h"] = 8.0
    raw["node"][0]["full_w"] = 50.0
    raw["node"][1]["workload"][0]["cores_reserved"] = 40.0
    raw["site"]["timezone"] = "Europe/Atlantis"
    text = "\n".join(mistakes(raw))
    for part in ("must be above soc_min", "more than 65 Ah per module", "must be after opens_h",
                 "must not be below idle_w", "44.3 cores reserved, the node has 32",
                 "'Europe/Atlantis' is no known time zone"):
        assert part in text, part


def test_hostile_shapes_are_mistakes_and_not_crashes():
    for key, value in (("node", 5), ("device", [1, "x"]), ("bus", {}), ("battery", []),
                       ("scenario", None), ("pv", {"peak_w": True}), ("fault", [{}])):
        raw = shop()
        raw[key] = value
        assert mistakes(raw), key


def test_an_origin_needs_an_offset_and_whole_seconds():
    for origin, part in (("2026-10-06T05:00:00", "no UTC offset"), ("tomorrow", "Invalid"),
                         ("2026-10-06T05:00:00.5Z", "fractions")):
        with pytest.raises(ConfigError, match=part):
            load("shop", origin=origin)


def test_an_unknown_scenario_and_a_broken_file_end_with_a_message(tmp_path, capsys):
    broken = tmp_path / "broken.toml"
    broken.write_bytes(b"[scenario\n\xff")
    assert main(["world", "--scenario", "shoop", "--hours", "0.1"]) == 1
    assert "there are: board, shop" in capsys.readouterr().err
    assert main(["world", "--scenario", str(broken), "--hours", "0.1"]) == 1
    assert "not TOML" in capsys.readouterr().err


def test_bad_arguments_are_refused_with_their_range(capsys):
    for words in (["serve", "--out", "x", "--speed", "0"], ["world", "--hours", "-1"],
                  ["serve", "--out", "x", "--speed", "5000"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 2
        assert "is not within" in capsys.readouterr().err


def test_the_world_command_prints_a_table_and_the_books(capsys):
    assert main(["world", "--hours", "1", "--csv", "--every", "900"]) == 0
    rows = capsys.readouterr().out.splitlines()
    assert rows[0].startswith("utc,t_s,grid_w,pv_w") and len(rows) == 6
    assert rows[5].startswith("2026-10-06T06:00:00Z,3600,")
    assert main(["world", "--hours", "0.5"]) == 0
    assert "battery_discharge" in capsys.readouterr().out
