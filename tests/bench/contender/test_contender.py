"""The adapters do what the harness asks, without the harness."""

import array
import json
import struct
import subprocess
import sys
import zipfile

import pytest

from gateway.core.evidence import batch
from gateway.storage.restart import inflate
from tests.bench.contender import drain, harness, poll, store, uplink
from tests.bench.load import METERS, NAMES, SCHEMA
from tests.bench.process import ROOT

DECIMALS = [2 if name.startswith("E") else 1 for name in harness.CHANNELS]


def a_day(times):
    """Return whole numbers [device][channel][time], each told from every other."""
    return [[[1000 * device + 10 * channel + (channel + 3) * time for time in range(times)]
             for channel in range(len(harness.CHANNELS))] for device in range(METERS)]


def test_a_sealed_batch_of_the_harness_readings_decodes_to_them():
    ints = a_day(7)
    sealed = uplink.codec(ints, DECIMALS, 1_760_000_000_000, 10_000, list(harness.CHANNELS))
    message, content = batch.open_sealed(sealed)
    uplink.KEY.public_key().verify(message.signature, message.signed)
    schema, records = batch.open_body(content, inflate)
    assert [(one.stream, one.ticks_ms) for one in records] == [
        (device, 10_000 * time) for time in range(7) for device in range(METERS)]
    assert [list(one.values) for one in records] == [
        [channel[time] for channel in ints[device]] for time in range(7)
        for device in range(METERS)]
    exponents = [point.exponent for point in schema[3].points]
    assert exponents[list(harness.CHANNELS).index("Ei")] == 1        # 0.01 kWh = 10 Wh
    assert exponents[list(harness.CHANNELS).index("V1")] == -1


def npz(path, times):
    """Write the harness' kind of file with a_day in it; return the path."""
    flat = array.array("i", [one for device in a_day(times) for channel in device
                             for one in channel])
    head = (f"{{'descr': '<i4', 'fortran_order': False, 'shape': ({METERS}, 34, {times}), }}"
            .ljust(117) + "\n").encode()
    with zipfile.ZipFile(path, "w") as files:
        files.writestr("x.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(head)) + head
                       + flat.tobytes())
    return path


def test_the_harness_day_is_read_as_our_meters(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_DAY", str(npz(tmp_path / "recs.npz", 3)))
    found = list(harness.records(METERS * 3))
    assert [(one.seq, one.stream, one.ticks_ms) for one in found[-2:]] == [
        (59, 18, 20_018), (60, 19, 20_019)]
    channels = list(harness.CHANNELS)
    values = dict(zip(NAMES, found[25].values, strict=True))         # device 5, time 1
    assert values["voltage_l2_n"] == 5000 + 10 * channels.index("V2") + channels.index("V2") + 3
    place = channels.index("Ei")                                      # tens of Wh -> Wh
    assert values["energy_active_import_total"] == 10 * (5000 + 10 * place + place + 3)


def start(folder, count, pace):
    """Start the store's adapter, as the harness does, and let it go."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.contender.store", "ours-40", str(folder), str(count),
         str(pace), str(folder / "ack")], cwd=ROOT, text=True, stdin=subprocess.PIPE,
        stdout=subprocess.PIPE)
    assert process.stdout.readline() == "go\n"
    process.stdin.write("\n")
    process.stdin.flush()
    return process


def counted(folder, capsys):
    """Return what the adapter's `count` says."""
    store.main(["ours-40", str(folder), "count"])
    return json.loads(capsys.readouterr().out)


def acknowledged(folder):
    """Return how many scans were acknowledged."""
    return int.from_bytes((folder / "ack").read_bytes(), "little")


def test_what_the_store_acknowledged_is_what_it_counts(tmp_path, capsys):
    process = start(tmp_path, 1300, 0)              # a sealed batch, then a tail
    said = json.loads(process.stdout.readline())
    process.wait()
    found = counted(tmp_path, capsys)
    assert said["n"] == acknowledged(tmp_path) == 1300
    assert found["records"] == found["distinct"] == found["contiguous_upto"] == 1300


def test_a_kill_takes_nothing_acknowledged_from_the_store(tmp_path, capsys):
    process = start(tmp_path, 4000, 400)
    while acknowledged(tmp_path) < 200:
        pass
    process.kill()
    process.wait()
    kept = acknowledged(tmp_path)
    found = counted(tmp_path, capsys)
    assert 200 <= kept <= found["contiguous_upto"] == found["distinct"] < 4000


def test_a_batch_that_comes_twice_is_counted_once(tmp_path):
    sealed = uplink.codec(a_day(2), DECIMALS, 0, 10_000, list(harness.CHANNELS))
    entry = struct.pack("<dII", 1.0, 11, len(sealed)) + b"drain/batch" + sealed
    (tmp_path / "sink").write_bytes(entry + entry + entry[:-5])     # stopped in the middle
    assert drain.decode(str(tmp_path / "sink")) == (2 * METERS * 34, 2 * len(sealed))


def test_at_full_rate_every_meter_is_polled_and_one_question_is_the_default(tmp_path, monkeypatch):
    def execute(program, command, environment):
        raise SystemExit(command)               # exec does not come back
    monkeypatch.setattr("os.execve", execute)
    monkeypatch.chdir(tmp_path)                 # it changes into the project
    cabinet = tmp_path / "cabinet.json"
    cabinet.write_text(json.dumps({"hz": 0, "devices": [{"port": 5020}, {"port": 5021}]}))
    monkeypatch.setenv("BENCH_CABINET", str(cabinet))
    for given, at_once in (([], "1"), (["2"], "2")):
        monkeypatch.setattr(sys, "argv", ["poll", *given])
        with pytest.raises(SystemExit) as began:
            poll.main()
        assert began.value.code[-3:] == [at_once, "5020", "5021"]


def test_the_own_day_stands_in_where_the_harness_has_none(monkeypatch):
    monkeypatch.delenv("BENCH_DAY", raising=False)
    found = list(harness.records(45))
    assert [one.ticks_ms for one in found] == [
        10_000 * (number // METERS) + number % METERS for number in range(45)]
    assert all(len(one.values) == len(SCHEMA[0].points) for one in found)
