"""The whole process: it runs without ports and broker, stops in order, survives SIGKILL."""

import asyncio
import datetime
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import tomllib

import cbor2
import pytest

from gateway import app
from gateway.__main__ import main
from gateway.config import load as config
from gateway.core.codec.record import GAP, is_event
from gateway.core.errors import ConfigError, StoreError
from gateway.core.evidence import batch
from gateway.core.reading import utc_ms
from gateway.storage.restart import inflate
from gateway.storage.serials import Serials
from gateway.storage.store import FlashStore
from tests.support import one_site as create
from tests.support.cabinet_folder import EXAMPLE

ROOT = pathlib.Path(__file__).resolve().parents[2]


def make_cabinet(folder, speed=60):
    """Make a site whose ports do not exist and whose broker does not answer."""
    parts = tomllib.loads(EXAMPLE.read_text())
    parts["uplink"] = {"host": "127.0.0.1", "port": 1}
    parts["clock"] = {"speed": speed, "origin_utc": "2026-06-01T00:00:00Z",
                      "started_unix_ms": int(time.time() * 1000)}
    parts["journal"] = {"batch_minutes": 1}
    create.site({key: parts[key] for key in (
        "site", "uplink", "bus", "device", "factors", "clock", "journal", "battery")},
        folder / "site", datetime.datetime.now(datetime.UTC))
    return folder / "site" / "cabinet.toml"


def status_of(path):
    """Return the status file's content."""
    return json.loads((path.parent / "status.json").read_text())


async def test_without_ports_and_broker_every_slot_is_kept_with_its_reason(tmp_path):
    path = make_cabinet(tmp_path)
    gateway = app.Gateway(config.load(path), tmp_path / "witness")
    gateway.drain_s = 0.2
    task = asyncio.create_task(gateway.run())
    await asyncio.sleep(2.5)                        # 150 s of the simulated world
    gateway.uplink.alarms.add("receipt-fork")
    running = gateway.status("running")
    assert {"receipt-fork", "uplink-offline", "bus-fault", "device-lost"} <= set(running["words"])
    gateway.stop.set()
    await task
    journal = gateway.writer.journal
    assert journal.sealed_seq == journal.durable_seq == journal.last_seq
    assert int((tmp_path / "witness").read_text().split()[-1]) == journal.durable_seq
    stopped = status_of(path)
    assert stopped["words"] == ["stopped"]
    assert stopped["journal"]["batches_waiting"] == len(journal.batch_numbers())
    assert journal.stats()["durable_seq"] >= 12 * 13


async def test_two_gateways_cannot_share_a_journal(tmp_path):
    path = make_cabinet(tmp_path)
    first = app.Gateway(config.load(path))
    with pytest.raises(StoreError, match="another gateway"):
        app.Gateway(config.load(path))
    first.store.close()


async def test_serial_numbers_that_were_kept_stand_in_the_next_descriptor(tmp_path):
    cabinet = config.load(make_cabinet(tmp_path))
    hashes = []
    for serial in ("", "A1", "A1", "B2"):
        store = FlashStore(cabinet.journal.directory)
        assert Serials(store).keep({"grid": serial})
        store.close()
        gateway = app.Gateway(cabinet)
        hashes.append(gateway.cabinet.config_hash)
        devices = cbor2.loads(gateway.cabinet.descriptor)["devices"]
        assert [one.get("serial") for one in devices if one["name"] == "grid"] == [serial or None]
        status = gateway.status("running")
        assert status["config"] == hashes[-1].hex()
        assert status["configured"] == cabinet.config_hash.hex()
        gateway.store.close()
    assert hashes[0] == cabinet.config_hash and hashes[1] == hashes[2]   # no new one at each start
    assert len(set(hashes)) == 3


async def test_keys_that_do_not_fit_stop_the_start_with_the_next_step(tmp_path):
    path = make_cabinet(tmp_path)
    (path.parent / "keys/evidence.key").write_text("no key")
    with pytest.raises(ConfigError, match="not an unencrypted PEM key"):
        app.Gateway(config.load(path))


def run_gateway(path, *more):
    """Start the gateway as a process."""
    return subprocess.Popen(
        [sys.executable, "-m", "gateway", "run", "--config", str(path), *more], cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=subprocess.DEVNULL)


async def until(condition, limit_s=20):
    """Wait until a condition holds."""
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        await asyncio.sleep(0.02)


def scans_and_gaps(journal):
    """Return scan times by stream and the declared gaps of all sealed batches, in UTC ms."""
    times, gaps = {}, []
    for number in journal.batch_numbers():
        _, found = batch.open_sealed(journal.read_batch(number))
        for record in batch.open_body(found, inflate)[1]:
            if not is_event(record):
                times.setdefault(record.stream, []).append(utc_ms(found.clock, record.ticks_ms))
            elif record.kind == GAP:
                gaps.append(tuple(record.body[:3]))
    return times, gaps


async def test_sigkill_at_any_time_loses_nothing_that_was_witnessed(tmp_path):
    path, witness = make_cabinet(tmp_path), tmp_path / "witness"
    for kill in range(3):
        process = run_gateway(path, "--witness", str(witness))
        lines = len(witness.read_text().split()) if witness.exists() else 0
        await until(lambda lines=lines, kill=kill: witness.exists() and len(
            witness.read_text().split()) > lines + 2 + kill)
        process.send_signal(signal.SIGKILL)
        process.wait()
    told = int(witness.read_text().split()[-1])
    gateway = app.Gateway(config.load(path))
    gateway.writer.seal()
    journal = gateway.writer.journal
    assert journal.boot == 4
    spans = [journal.batch_info(number)[:2] for number in journal.batch_numbers()]
    assert spans[0][0] == 1 and spans[-1][1] >= told
    assert all(after[0] == before[1] + 1 for before, after in zip(spans, spans[1:], strict=False))
    boots = [batch.open_sealed(journal.read_batch(number))[1].boot
             for number in journal.batch_numbers()]
    assert boots == sorted(boots) and set(boots) == {1, 2, 3, 4}
    times, gaps = scans_and_gaps(journal)
    for stream, stamps in times.items():
        for before, after in zip(stamps, stamps[1:], strict=False):
            declared = any(start <= before + 15_000 and end >= after - 15_000
                           for where, start, end in gaps if where == stream)
            assert after - before <= 30_000 or declared, (stream, before, after)
    gateway.store.close()


def test_the_commands_say_what_is_and_what_to_do(tmp_path, capsys):
    path = make_cabinet(tmp_path)
    assert main(["check", str(path)]) == 0
    said = capsys.readouterr().out
    assert "12 devices on 6 buses" in said and "does not exist now" in said
    assert main(["status", "--config", str(path)]) == 1
    assert "not-running" in capsys.readouterr().out
    path.write_text(path.read_text().replace("interval_s", "intervall_s"))
    assert main(["check", str(path)]) == 1
    assert 'did you mean "interval_s"?' in capsys.readouterr().err
    assert main(["run", "--config", str(path)]) == 1
    assert "python -m gateway check" in capsys.readouterr().err


def test_a_sleeping_and_a_dead_gateway_are_told_apart(tmp_path, capsys):
    path = make_cabinet(tmp_path)
    file = path.parent / "status.json"
    old = {"v": 1, "state": "running", "written_unix_s": time.time() - 60, "pid": os.getpid()}
    file.write_text(json.dumps(old))
    assert main(["status", "--config", str(path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["words"] == ["not-responding"]
    file.write_text(json.dumps(old | {"pid": 2**22 + 1}))
    assert main(["status", "--config", str(path)]) == 1
    assert "not-running" in capsys.readouterr().out
    file.write_text("{")
    assert main(["status", "--config", str(path)]) == 1
    assert "is not a status file" in capsys.readouterr().out
