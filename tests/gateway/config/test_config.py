"""cabinet.toml: what is right is built, and every mistake is told with line and hint."""

import hashlib
import os
import pty
import re
from dataclasses import replace
from decimal import Decimal

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from drivers.links.base import BusConfig
from gateway.aio.toml_check import parse
from gateway.config import load as config
from gateway.config.build import bus_address, counter_step_mwh, plain, with_serials
from gateway.config.parse import read
from gateway.config.table import TABLES
from gateway.core.errors import ConfigError
from gateway.core.reading import Point
from gateway.ledger.factors import factors
from tests.support.cabinet_folder import (
    EXAMPLE,
    FakeCatalogue,
    certificate_pem,
    make_folder,
    private_pem,
)
from tests.support.documented_keys import keys, keys_in

# what stands in the example -> what a hasty hand makes of it, and what the report must say.
# The line is that of the first text that replaced it.
MISTAKES = (
    ("interval_s = 10 ", "intervall_s = 10 ", 'did you mean "interval_s"?'),
    ("interval_s = 10 ", "interval_s = 0 ", "allowed: 1 to 3600"),
    ("loss_window_s = 10", "loss_window_s = 61", "allowed: 1 to 60"),
    ("batch_minutes = 15", 'batch_minutes = "15"', "must be a whole number"),
    ("baud = 9600\n\n[[bus]]\nname = \"rtu-2\"", "baud = 9601\n\n[[bus]]\nname = \"rtu-2\"",
     "9601 is not a usual rate"),
    ('timezone = "Europe/Berlin"', 'timezone = "Europe/Berln"', 'did you mean "Europe/Berlin"?'),
    ('timezone = "Europe/Berlin"', 'timezone = "leapseconds"', "is not a known time zone"),
    ('cabinet = "cab-0001"', 'cabinet = "Cab 1"', "use a-z, 0-9 and -"),
    ('cabinet = "cab-0001"', 'cabinet = "c1"', "allowed: 3 to 40"),
    ("[battery]", "[batery]", 'did you mean "battery"?'),
    ('transport = "tcp"', 'transport = "tpc"', 'did you mean "tcp"?'),
    ('protocol = "pylontech"', 'protocol = "pylontec"', 'did you mean "pylontech"?'),
    ('transport = "tcp"\nprotocol = "modbus"', 'transport = "tcp"\nprotocol = "pylontech"',
     '"pylontech" is not spoken over tcp; allowed there: modbus'),
    ('role = "cooling"', 'role = "coolling"', 'did you mean "cooling"?'),
    ('bus = "rtu-1"\nunit = 4', 'bus = "rtu1"\nunit = 4', 'did you mean "rtu-1"?'),
    ("unit = 5", "unit = 4", 'already belongs to "cooling"'),
    ("unit = 5", "unit = 248", "allowed: 0 to 247"),
    ('profile = "xy-md02"', 'profile = "xy-md20"', 'did you mean "xy-md02"?'),
    ('feeds = ["node-1"]', 'feeds = ["node-9"]', 'no compute node is named "node-9"'),
    ('meter = "node-2-meter"', 'meter = "node2-meter"', 'did you mean "node-2-meter"?'),
    ("rated_w = 17000\n", "", "rated_w: is missing"),
    ("eta_charge = 0.96", "eta_charge = 96", "allowed: 0.5 to 1"),
    ('url = "http://127.0.0.1:9101"', 'url = "127.0.0.1:9101"', "must begin with http://"),
    ('host = "127.0.0.1"\nport = 1502', 'host = "127.0.0.1"\nbaud = 9600',
     'does nothing on a "modbus-tcp" bus'),
    ('evidence = "keys/evidence.pem"', 'evidence = "keys/none.pem"', "No such file"),
    ('id = "de-2024-direct-duck-1"', "", "exactly one of file and id"),
    ('id = "de-2024-direct-duck-1"', 'id = "own.toml"', 'file = "PATH.toml" for a set of your own'),
    ('id = "de-2024-direct-duck-1"', 'file = "keys/ca.pem"', 'id = "NAME" for a packaged one'),
    ('name = "lighting"', 'name = "cooling"', "is already used in line"),
    ('meter_class = "B"', "meter_class = 1", "must be text in quotes"),
    ('bus = "bms"', 'bus = "pv"', 'does not live on a "modbus-tcp" bus'),
    ("rated_w = 17000", "rated_w = 17000\nct_ratio = 40", "device.ct_ratio: 40 needs ct_class"),
    ('tty = "bus/rtu-2"', 'tty = "bus/rtu-1"', 'already belongs to bus "rtu-1"; allowed: one bus'),
    ('tty = "bus/rtu-2"', 'tty = "./bus/../bus/rtu-1"', 'already belongs to bus "rtu-1"'),
    ('url = "http://127.0.0.1:9102"', 'url = "http://127.0.0.1:9101/"',
     'next: put its devices on "node-1"'),
    ('cabinet = "cab-0001"', 'cabinet = "cab-0002"',
     "made for 'cab-0001'; allowed: the certificate's name"),
    ('host = "localhost"', 'host = "mqtts://localhost"', 'next: write host = "localhost"'),
    ('host = "localhost"', 'host = "localhost:8883"', 'next: write host = "localhost"'),
    ('host = "127.0.0.1"', 'host = "tcp://127.0.0.1/1"', 'next: write host = "127.0.0.1"'),
    ('host = "localhost"', 'host = "mqtts://cab@[fe80::1]:8883/x"', 'next: write host = "fe80::1"'),
    ('meter = "node-2-meter"', 'meter = "node-1-meter"',
     'already meters node "node-1"; allowed: one node for a meter'),
    ('meter = "node-2-meter"', 'meter = "grid"',
     'has role grid and meters more than nodes; allowed: a meter with role it, here: node-1-meter'),
    ('feeds = ["node-2"]', 'feeds = ["node-1"]', 'node "node-1" names "node-1-meter" as its meter'),
    ('role = "grid"\nrated_w = 17000', 'role = "grid"\nfeeds = ["node-1"]\nrated_w = 17000',
     "device.feeds: \"grid\" has role grid"),
    ('directory = "journal"', 'directory = "cabinet.toml"', "is not a folder; next: move that"),
    ('directory = "journal"', 'directory = "no/such/journal"', "mkdir -p"),
)


# table, key -> lowest, highest, and the step beyond which a value is outside.
# Written down a second time on purpose: a bound that moves in the table alone is noticed.
BOUNDS = {
    ("journal", "interval_s"): ("1", "3600", "1"), ("journal", "loss_window_s"): ("1", "60", "1"),
    ("journal", "batch_minutes"): ("1", "60", "1"), ("journal", "keep_mib"): ("1", "65536", "1"),
    ("uplink", "port"): ("1", "65535", "1"), ("uplink", "cap_kbit_s"): ("0", "1000000", "1"),
    ("uplink", "backlog_percent"): ("10", "90", "1"), ("uplink", "live_s"): ("1", "3600", "1"),
    ("uplink", "retry_s_min"): ("0.1", "60", "0.01"),
    ("uplink", "retry_s_max"): ("1", "900", "0.01"),
    ("battery", "capacity_wh"): ("1", "100000000", "1"),
    ("battery", "eta_charge"): ("0.5", "1", "0.01"),
    ("battery", "eta_discharge"): ("0.5", "1", "0.01"),
    ("battery", "standby_w"): ("0", "10000", "0.01"),
    ("clock", "speed"): ("1", "10000", "1"),
    ("clock", "started_unix_ms"): ("0", "9007199254740992", "1"),
    ("bus", "baud"): ("1200", "115200", "1"), ("bus", "stopbits"): ("1", "2", "1"),
    ("bus", "port"): ("1", "65535", "1"), ("bus", "at_once"): ("1", "16", "1"),
    ("bus", "timeout_s"): ("0.05", "5", "0.01"),
    ("device", "unit"): ("0", "247", "1"), ("device", "rated_w"): ("1", "100000000", "1"),
    ("device", "ct_ratio"): ("1", "10000", "0.01"), ("device", "cores"): ("0.1", "4096", "0.01"),
    ("device", "idle_w"): ("0", "100000", "0.01"),
}


@pytest.mark.parametrize(("table", "name"), BOUNDS, ids=lambda part: part)
def test_a_number_is_taken_at_its_limits_and_refused_beyond_them(table, name):
    low, high, step = map(Decimal, BOUNDS[table, name])
    for value, is_allowed in ((low - step, False), (low, True), (high, True),
                              (high + step, False)):
        head = f"[[{table}]]" if table in ("bus", "device") else f"[{table}]"
        document = parse(f"{head}\n{name} = {value}\n")
        read(document)
        told = [m.text for m in document.mistakes if m.text.startswith(f"{table}.{name}: ")]
        assert told == ([] if is_allowed else [
            f"{table}.{name}: {value} is out of range; allowed: {low} to {high}"])


@pytest.mark.parametrize(("port", "is_allowed"), [(0, False), (1, True), (65535, True),
                                                  (65536, False)])
def test_the_tcp_port_of_a_line_is_taken_at_its_limits_only(port, is_allowed):
    document = parse(f"[[bus]]\nport = {port}\n")
    read(document)
    told = [m.text for m in document.mistakes if m.text.startswith("bus.port: ")]
    assert [text.split(";")[0] for text in told] == ([] if is_allowed else [
        f"bus.port: {port} is out of range"])


def test_every_key_that_is_a_number_has_its_limits_in_the_list():
    numeric = {(table, key.name) for table, keys in TABLES.items() for key in keys
               if key.kind in ("int", "number")}
    assert numeric == set(BOUNDS)


@pytest.mark.parametrize(("right", "wrong", "hint"), MISTAKES,
                         ids=[wrong[:40].strip() or right[:40] for right, wrong, _ in MISTAKES])
def test_each_mistake_names_its_line_and_what_to_write_instead(tmp_path, right, wrong, hint):
    text = EXAMPLE.read_text()
    assert right in text
    path = make_folder(tmp_path, text.replace(right, wrong, 1))
    found = [m for m in config.check(path, FakeCatalogue()) if hint in m.text]
    assert found, config.check(path, FakeCatalogue())
    first = text[: text.index(right)].count("\n") + 1
    assert first - 10 <= found[0].line <= first + max(wrong.count("\n"), 1)


def test_a_site_without_a_grid_meter_says_that_it_is_off_grid(tmp_path):
    text = EXAMPLE.read_text()
    none = text.replace('role = "grid"\nrated_w = 17000\n', "")
    cases = ((none, "off_grid = true; next: give the meter at the grid"),
             (text.replace('id = "shop-1"', 'id = "shop-1"\noff_grid = true', 1),
              "site.off_grid: is true, but a device has role grid"),
             (none.replace('id = "shop-1"', 'id = "shop-1"\noff_grid = true', 1), None))
    for number, (content, hint) in enumerate(cases):
        folder = tmp_path / str(number)
        folder.mkdir()
        found = config.check(make_folder(folder, content), FakeCatalogue())
        assert [hint in one.text and 5 <= one.line <= 9 for one in found] == (
            [True] if hint else []), found


def test_the_descriptor_names_the_factor_set_by_its_own_id_and_hash(tmp_path):
    own = factors.DATA / "de-2024-direct-duck-1.toml"
    (tmp_path / "my set.toml").write_text(own.read_text().replace(
        'id = "de-2024-direct-duck-1"', 'id = "own-1"', 1))
    text = EXAMPLE.read_text().replace('id = "de-2024-direct-duck-1"', 'file = "my set.toml"')
    made = config.load(make_folder(tmp_path, text), FakeCatalogue())
    said = cbor2.loads(made.descriptor)
    assert said["factor_set"] == "own-1"
    assert said["factor_sha256"] == factors.load(tmp_path / "my set.toml").sha256
    assert said["factor_sha256"] != factors.load(own).sha256


def test_a_set_whose_id_cannot_travel_is_refused(tmp_path):
    own = factors.DATA / "de-2024-direct-duck-1.toml"
    (tmp_path / "own.toml").write_text(own.read_text().replace(
        'id = "de-2024-direct-duck-1"', 'id = "my set"', 1))
    text = EXAMPLE.read_text().replace('id = "de-2024-direct-duck-1"', 'file = "own.toml"')
    found = config.check(make_folder(tmp_path, text), FakeCatalogue())
    assert ["the set's id does not travel" in one.text for one in found] == [True]


def test_a_serial_line_is_one_line_under_each_of_its_names(tmp_path):
    master, slave = pty.openpty()
    text = EXAMPLE.read_text().replace('tty = "bus/rtu-1"', f'tty = "{os.ttyname(slave)}"').replace(
        'tty = "bus/rtu-2"', 'tty = "by-id/usb-adapter"')
    path = make_folder(tmp_path, text)
    (tmp_path / "by-id").mkdir()
    (tmp_path / "by-id/usb-adapter").symlink_to(os.ttyname(slave))
    found = config.check(path, FakeCatalogue())
    os.close(master)
    os.close(slave)
    assert ['by-id/usb-adapter already belongs to bus "rtu-1"' in one.text for one in found] == [
        True]


def test_two_tcp_buses_share_no_port_whether_it_is_written_or_not(tmp_path):
    second = ('\n[[bus]]\nname = "pv-2"\ntransport = "tcp"\nprotocol = "modbus"\n'
              'host = "127.0.0.1"\nport = {}\n')
    for port, is_told in ((1502, True), (1503, False)):
        folder = tmp_path / str(port)
        folder.mkdir()
        text = EXAMPLE.read_text() + second.format(port)
        found = [one.text for one in config.check(make_folder(folder, text), FakeCatalogue())]
        assert [('127.0.0.1 port 1502 already belongs to bus "pv"' in one) for one in found] == (
            [True] if is_told else [])


def test_all_mistakes_of_a_file_are_listed_at_once_and_in_order(tmp_path):
    text = EXAMPLE.read_text()
    for right, wrong in (("interval_s = 10", "intervall_s = 10"), ("port = 8883", "port = 99999"),
                         ("unit = 3\nprofile = \"eastron-sdm120\"", "unit = 300")):
        text = text.replace(right, wrong, 1)
    found = config.check(make_folder(tmp_path, text), FakeCatalogue())
    places = [m.text.split(":")[0] for m in found]
    assert places == ["journal.intervall_s", "uplink.port", "device", "device.unit"] or (
        {"journal.intervall_s", "uplink.port", "device.unit", "device.profile"} == set(places))
    assert [m.line for m in found] == sorted(m.line for m in found)


def test_a_key_that_others_can_read_is_refused_with_the_command_that_helps(tmp_path):
    path = make_folder(tmp_path)
    (tmp_path / "keys" / "evidence.pem").chmod(0o644)
    found = config.check(path, FakeCatalogue())
    assert [m.text for m in found] == [
        f"keys.evidence: {tmp_path}/keys/evidence.pem has mode 0644, others can read it; "
        f"next: chmod 600 {tmp_path}/keys/evidence.pem"]


def ec_pem():
    return private_pem(ec.generate_private_key(ec.SECP256R1()))


@pytest.mark.parametrize(("name", "content", "place", "hint"), [
    ("evidence.pem", lambda: b"garbage", "keys.evidence", "not an unencrypted PEM key"),
    ("evidence.pem", ec_pem, "keys.evidence", "not Ed25519"),
    ("receipt.pub.pem", lambda: b"garbage", "uplink.receipt_key", "not a PEM public key"),
    ("tls.pem", lambda: certificate_pem(Ed25519PrivateKey.generate()), "uplink.certificate",
     "are not a CA, a certificate and its key"),
    ("ca.pem", lambda: b"garbage", "uplink.certificate", "are not a CA"),
])
def test_a_key_that_a_start_would_refuse_is_a_mistake_with_its_line(
        tmp_path, name, content, place, hint):
    path = make_folder(tmp_path)
    assert config.check(path, FakeCatalogue()) == []
    (tmp_path / "keys" / name).write_bytes(content())
    (found,) = config.check(path, FakeCatalogue())
    key = place.split(".")[1]
    assert found.text.startswith(f"{place}: ") and hint in found.text
    assert path.read_text().splitlines()[found.line - 1].startswith(f"{key} = ")


def test_a_ratio_is_fine_with_its_class_even_if_nobody_knows_it(tmp_path):
    for number, given in enumerate(('ct_ratio = 40\nct_class = "0.5"', "ct_ratio = 1",
                                    'ct_ratio = 40\nct_class = "unknown"')):
        folder = tmp_path / str(number)
        folder.mkdir()
        path = make_folder(folder, EXAMPLE.read_text().replace(
            "rated_w = 17000", f"rated_w = 17000\n{given}", 1))
        assert config.check(path, FakeCatalogue()) == []


def test_a_rate_that_devices_do_not_know_is_told_once_for_the_line(tmp_path):
    text = EXAMPLE.read_text().replace("baud = 9600", "baud = 19200", 1)
    (found,) = config.check(make_folder(tmp_path, text), FakeCatalogue())
    assert found.text == ("bus.baud: 19200 is not known to eastron-sdm120; "
                          "allowed for all on this line: 2400, 4800, 9600")
    assert text.splitlines()[found.line - 1].startswith("baud = 19200")


def test_broken_toml_is_told_with_its_line(tmp_path):
    path = make_folder(tmp_path, "[site]\nid = \n")
    assert [m.line for m in config.check(path, FakeCatalogue())] == [2]


def test_bytes_that_are_not_text_and_a_missing_file_are_told(tmp_path):
    path = make_folder(tmp_path)
    path.write_bytes(b"[site]\nid = '\xff'\n")
    assert config.check(path, FakeCatalogue()) == [(2, "is not UTF-8 text")]
    gone = config.check(tmp_path / "gone.toml", FakeCatalogue())
    assert gone == [(0, "cannot be read: No such file or directory")]


def test_load_raises_one_error_with_the_next_step(tmp_path):
    path = make_folder(tmp_path, EXAMPLE.read_text().replace("unit = 5", "unit = 999"))
    with pytest.raises(ConfigError, match="1 mistake; next: fix them and run python -m gateway"):
        config.load(path, FakeCatalogue())


def test_a_right_file_becomes_a_cabinet_with_schema_and_descriptor(tmp_path):
    cabinet = config.load(make_folder(tmp_path), FakeCatalogue())
    assert [stream.device for stream in cabinet.schema] == [d.name for d in cabinet.devices]
    assert cabinet.evidence_key == tmp_path / "keys" / "evidence.pem"
    assert cabinet.scale is None
    said = cbor2.loads(cabinet.descriptor)
    assert said["battery"] == {"capacity_wh": 10000, "eta_charge": "0.96",
                               "eta_discharge": "0.96", "standby_w": 10}
    assert said["devices"][0] == {
        "name": "grid", "profile": "eastron-sdm630-v2", "kind": "meter", "role": "grid",
        "rated_w": 17000, "counter_step_mwh": 1000, "ct_ratio": 1, "meter_class": "B",
        "ct_class": "none", "feeds": [], "bus": "rtu-1", "unit": 1}
    assert said["devices"][7]["role"] is None
    assert [node["name"] for node in said["nodes"]] == ["node-1", "node-2"]
    assert said["workloads"][1] == {"node": "node-1", "name": "vision"}
    assert keys_in(said) - keys("formats.md", "16. Site descriptor") == set()


def test_the_hash_follows_every_value_the_fleet_accounts_with(tmp_path):
    first = config.load(make_folder(tmp_path), FakeCatalogue())
    other = tmp_path / "other.toml"
    other.write_text(EXAMPLE.read_text().replace("rated_w = 17000", "rated_w = 17001"))
    assert config.load(other, FakeCatalogue()).config_hash != first.config_hash
    other.write_text(EXAMPLE.read_text().replace("live_s = 5", "live_s = 6"))
    assert config.load(other, FakeCatalogue()).config_hash == first.config_hash


@pytest.mark.parametrize(("one", "other"), [
    ("unit = 1\n", "unit = 2\n"), ('"bus/rtu-1"', '"bus/rtu-2"'), (":9101", ":9102")])
def test_exchanged_addresses_change_the_configuration(one, other, tmp_path):
    """Two devices of one model are taken for each other."""
    first = config.load(make_folder(tmp_path), FakeCatalogue())
    mixed = EXAMPLE.read_text().replace(one, "@@", 1).replace(other, one, 1).replace("@@", other)
    path = tmp_path / "other.toml"
    path.write_text(mixed)
    found = config.load(path, FakeCatalogue())
    assert found.config_hash != first.config_hash and found.schema == first.schema


def test_serial_numbers_stand_in_the_descriptor_as_long_as_all_fit(tmp_path):
    cabinet = config.load(make_folder(tmp_path), FakeCatalogue())
    assert with_serials(cabinet, {}).descriptor == cabinet.descriptor
    known = with_serials(cabinet, {"grid": "A\x001", "gone": "X"})
    said = cbor2.loads(known.descriptor)
    assert [one.get("serial") for one in said["devices"][:2]] == ["A?1", None]
    assert known.config_hash == hashlib.sha256(known.descriptor).digest() != cabinet.config_hash
    assert with_serials(cabinet, {"grid": "A\x001"}) == known
    long = with_serials(cabinet, {one.name: "9" * 99 for one in cabinet.devices})
    assert {one["serial"] for one in cbor2.loads(long.descriptor)["devices"]} == {"9" * 64}
    full = cbor2.loads(cabinet.descriptor)
    full["name"] += "x" * (8000 - 10 - len(cabinet.descriptor))
    full = replace(cabinet, descriptor=cbor2.dumps(full, canonical=True))
    assert 7985 <= len(full.descriptor) <= 8000 - len("serial") - len("A1") + 4
    assert with_serials(full, {"grid": "A1"}) == full


@pytest.mark.parametrize(("bus", "address"), [
    ({"tty": "/dev/serial/by-id/usb-FTDI-1"}, "usb-FTDI-1"),
    ({"host": "meter.example", "port": 1502}, "meter.example:1502"),
    ({"url": "http://user:pass@node:9100/m"}, "http://node:9100/m"),
    ({"host": "x" * 100, "port": 1}, "x" * 47 + "~" + hashlib.sha256(
        b"x" * 100 + b":1").hexdigest()[:16])])
def test_a_bus_is_named_by_what_it_is_reached_by(bus, address):
    assert bus_address(BusConfig("b", "tcp", "modbus", **bus)) == address


def test_a_site_too_large_for_one_event_is_told_what_takes_the_room(tmp_path):
    text = EXAMPLE.read_text()
    device = text[text.index("[[device]]"):].split("[[device]]")[1]
    device = device.replace('role = "grid"', 'role = "other"')
    many = "".join("[[device]]" + device.replace('"grid"', f"\"{'m' * 30}-{n}\"").replace(
        "unit = 1", f"unit = {n}") for n in range(60, 110))
    path = make_folder(tmp_path, text + many)
    told = [one.text for one in config.check(path, FakeCatalogue())]
    assert len(told) == 1 and re.search(r"of them \d{3,4} for buses and addresses", told[0])


def test_a_simulated_clock_is_read_as_milliseconds(tmp_path):
    text = EXAMPLE.read_text() + (
        '\n[clock]\nspeed = 60\norigin_utc = "2026-06-01T00:00:00Z"\nstarted_unix_ms = 5\n')
    scale = config.load(make_folder(tmp_path, text), FakeCatalogue()).scale
    assert (scale.speed, scale.origin_utc_ms, scale.started_unix_ms) == (
        60, 1_780_272_000_000, 5)


def test_steps_and_decimals_are_exact():
    assert counter_step_mwh((Point(43, 0, ""), Point(47, 1, ""), Point(14, 3, ""))) == 10_000
    assert counter_step_mwh((Point(14, 0, ""),)) == 0
    assert [plain(Decimal(text)) for text in ("1", "20.0", "0.960", "1E+2")] == [
        1, 20, "0.96", 100]
