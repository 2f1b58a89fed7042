"""The flash image of a board: what is in it, what never gets in, and that it is repeatable."""

import ast
import subprocess
import sys

import pytest
from littlefs import LittleFS

from gateway.core.codec import cbor
from gateway.core.errors import ConfigError
from provisioning.__main__ import main
from provisioning.board_image import build, romfs
from provisioning.board_image import minify as minifier
from provisioning.board_image.minify import inline, minify, minify_arguments
from provisioning.board_image.tree_shake import TreeShaker
from tests.support.board_site import make, with_umqtt


@pytest.fixture
def site(tmp_path, request):
    return with_umqtt(make(tmp_path), request.config.cache.mkdir("wattproof-board"))


def mounted(data):
    """Return the file system in the first partition of an image."""
    flash = LittleFS(block_size=build.BLOCK_BYTES, block_count=build.BLOCKS, mount=False)
    flash.context.buffer[:] = data[:build.BLOCK_BYTES * build.BLOCKS]
    flash.mount()
    return flash


def content(flash, name):
    """Return the bytes of a file; closed at once, for the package does not survive less."""
    with flash.open(name, "rb") as file:
        return file.read()


def paths_of(flash):
    """Return the paths of the files in a file system, without the first stroke."""
    return [f"{folder}/{name}".lstrip("/") for folder, _, names in flash.walk("/")
            for name in names]


def test_an_image_built_twice_is_the_same_to_the_byte(site, tmp_path):
    for name in ("one.img", "two.img"):
        assert main(["image", "--site", str(site), "--out", str(tmp_path / name)]) == 0
    assert (tmp_path / "one.img").read_bytes() == (tmp_path / "two.img").read_bytes()
    assert (tmp_path / "one.img").stat().st_mode & 0o077 == 0       # it holds private keys


def test_the_first_partition_holds_the_site_and_the_second_the_code(site, tmp_path):
    files = build.build(site, tmp_path / "b.img")
    data = (tmp_path / "b.img").read_bytes()
    flash = mounted(data)
    assert sorted(flash.listdir("/")) == ["board.cbor", "journal", "keys", "main.mpy"]
    assert sorted(flash.listdir("/keys")) == [
        "ca.der", "evidence.raw", "receipt.raw", "tls.der", "tls.key.der"]
    table = cbor.decode(content(flash, "board.cbor"))
    assert table["device"] == "kiosk-1" and [m[0] for m in table["meters"]] == ["grid", "other"]
    assert data[build.BLOCK_BYTES * build.BLOCKS:][:3] == romfs.MAGIC
    assert sorted(set(files) - set(paths_of(flash))) == [
        "core.mpy", "host.mpy", "start.mpy", "umqtt/simple.mpy"]


def test_what_a_board_does_not_need_is_left_out():
    paths = build.sources()
    assert {"gateway/core/journal/journal.py", "gateway/micro/main.py"} <= set(paths)
    for left_out in ("interval", "counter", "measurand", "evidence/downsampled",
                     "journal/downsampled_files"):
        assert (build.ROOT / f"gateway/core/{left_out}.py").is_file()
        assert f"gateway/core/{left_out}.py" not in paths


def test_without_a_rom_partition_the_code_lies_in_littlefs(site, tmp_path):
    build.build(site, tmp_path / "b.img", "littlefs")
    data = (tmp_path / "b.img").read_bytes()
    assert len(data) == build.BLOCK_BYTES * build.BLOCKS
    code = content(mounted(data), "core.mpy")
    assert code[:2] == b"M\x06"                 # .mpy, version 6


def test_a_package_that_was_changed_is_refused(site):
    kept = site / build.UMQTT_KEPT
    kept.write_bytes(kept.read_bytes() + b"#")
    with pytest.raises(ConfigError, match="nothing was built"):
        build.umqtt(site)


def test_a_cabinet_that_a_board_cannot_run_is_refused_with_the_reason(tmp_path, capsys):
    site = make(tmp_path, "serial", 'tty = "/dev/ttyUSB0"\nbaud = 9600')
    with pytest.raises(ConfigError, match="one Modbus TCP bus"):
        build.build(site, tmp_path / "board.img")
    assert main(["image", "--site", str(tmp_path / "none"), "--out", str(tmp_path / "x")]) == 1
    assert "provisioning" in capsys.readouterr().err


def test_the_receipt_key_is_unpacked_to_the_point_of_the_standard():
    # RFC 8032, 5.1: the base point, packed.
    raw = bytes.fromhex("58" + "66" * 31)
    assert build.unpacked(raw) == (
        15112221349535400772501151409588531511454012693041857206046113283949847762202,
        46316835694926478169428394003475163141307993866256225615783033603165251855960)
    with pytest.raises(ConfigError):
        build.unpacked(bytes([2]) + bytes(31))


def test_only_what_is_reached_stays_and_lines_keep_their_numbers():
    shaker = TreeShaker(build.ROOT)
    shaker.run("gateway.core.journal.journal")
    texts = dict(shaker.sources())
    assert "gateway/core/interval.py" not in texts and "gateway/core/journal/outbox.py" not in texts
    source = (build.ROOT / "gateway/core/codec/record.py").read_text().split("\n")
    kept = texts["gateway/core/codec/record.py"].split("\n")
    assert len(kept) == len(source)
    defined = [at for at, line in enumerate(source) if line.startswith("def encode_body")]
    assert kept[defined[0]] == "def encode_body(body):"        # annotations are taken out
    assert "EVENT_NAMES" not in texts["gateway/core/codec/record.py"]


def test_constants_and_names_are_shortened_and_nothing_else():
    text = "LIMIT = 3\nBIG = 1 << 40\n\n\ndef _double(value):\n    return value * LIMIT + BIG\n"
    whole = inline(text, ("m", {}), lambda module, name: {"LIMIT": 3}.get(name))
    assert "value * 3 + BIG" in whole
    short = minify_arguments(minify(whole, set()), set())
    assert short.split("\n")[4:6] == ["def _0(a0):", "    return a0 * 3 + BIG"]


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from gateway.core import reading
from gateway.core.codec import record
from gateway.core.evidence import batch
schema = (reading.Stream("m", tuple([reading.Point(m, e, "") for m, e in (
    (1, -1), (7, -2), (15, 0), (11, 0), (14, 0), (43, 0))])),)
records = [record.EventRecord(1, 5, record.BOOT, ["x", 1, b"y"])]
for i in range(40):
    values = [2300 + i % 7, 100 + i, (2300 + i % 7) * (100 + i) // 1000, 200 - i, 5, 10 * i]
    if i % 9 == 0:
        values[3] = reading.Absent(reading.NO_REPLY)
    records.append(record.ScanRecord(2 + i, 1000 * i + i % 3, 0, tuple(values)))
body = batch.make_body(schema, records, batch.CODEC_RAW, None)
made = batch.Batch("b", bytes(16), 1, 1, 1, 41, bytes(32), bytes(32),
                   reading.ClockState(1, 0, 5, 6), 0, body)
print(batch.encode_payload(made).hex())
assert batch.open_body(made, None) == (schema, records)
"""


def test_shortened_code_writes_the_same_batch_to_the_byte(tmp_path):
    shaker = TreeShaker(build.ROOT, build.NUMBERS)
    for name in ("evidence.batch", "reading", "codec.record"):
        shaker.run("gateway.core." + name)
    for path, text in shaker.short_sources():
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    said = [subprocess.run([sys.executable, "-c", PROGRAM, str(folder)], cwd=tmp_path, text=True,
                           capture_output=True, check=True, timeout=60).stdout
            for folder in (build.ROOT, tmp_path)]
    assert said[0] == said[1] and len(said[0]) > 400


@pytest.mark.parametrize("name", sorted(build.NUMBERS))
def test_a_bound_for_boards_takes_the_place_of_a_constant_that_exists(name):
    module, _, constant = name.rpartition(".")
    tree = ast.parse((build.ROOT / (module.replace(".", "/") + ".py")).read_text())
    assert constant in minifier.constants(tree)
