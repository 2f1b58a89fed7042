"""A fleet and its cabinets as real processes, made with the product's own commands.

    made = Site(tmp_path)
    made.start("broker"); made.start("shop-1"); made.start("serve")
    made.say("fleet", "renew", "shop-1")
    await made.until(lambda: made.state("shop-1", "renew") == "done")
    made.stop_all()

The cabinets' one meter does not answer: what counts here are events.  They run 240 times as fast
as the world, so that a batch is sealed every few seconds.
"""

import asyncio
import contextlib
import json
import os
import ssl
import subprocess
import sys
import time
from pathlib import Path

import aiomqtt

from fleet.authority import downlink
from fleet.settings import receipt_key
from fleet.store.reader import open_reader
from gateway.core.codec.record import ALARM
from gateway.core.evidence import downlink as messages
from gateway.signer import EvidenceSigner
from simulator.demo.processes import free_port
from tests.support.cabinets import PARTS
from tests.support.parts import need

ROOT = Path(__file__).resolve().parents[2]
FAST = """
[uplink]
host = "127.0.0.1"
port = {port}
retry_s_max = 1
[clock]
speed = 240
origin_utc = "2026-10-06T05:00:00Z"
started_unix_ms = {now_ms}
"""
WITHIN_S = 60.0         # `serve` looks every 10 s for what is to be sent, and for what came back


class Site:
    """Folders, commands and processes of one fleet."""

    def __init__(self, folder: Path, *cabinets: str) -> None:
        """Make the fleet and let the cabinets join it."""
        self.folder, self.data, self.port = folder, folder / "fleet", free_port()
        self.running: dict[str, subprocess.Popen] = {}
        self.say("fleet", "init", "--data", self.data, "--port", self.port)
        for name in cabinets:
            self.join(name)

    def join(self, name: str) -> None:
        """Request, enrol, install."""
        parts, home = self.folder / f"{name}.toml", self.folder / name
        parts.write_text(PARTS.format(site=f"site-{name}", cabinet=name) + FAST.format(
            port=self.port, now_ms=int(time.time() * 1000)))
        self.say("provisioning", "request", "--parts", parts, "--out", home)
        self.say("fleet", "enrol", home / f"{name}.request", "--data", self.data)
        self.say("provisioning", "install", home / f"{name}.answer")

    def say(self, room: str, *words: object, code: int = 0) -> str:
        """Run a command to its end and return what it printed."""
        done = subprocess.run([sys.executable, "-m", room, *map(str, words)], cwd=ROOT, text=True,
                              capture_output=True, check=False, timeout=60)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def start(self, name: str) -> None:
        """Start the broker, `serve`, or a cabinet's gateway."""
        commands = {
            "broker": [need("mosquitto"), "-c", "mosquitto.conf"],
            "serve": [sys.executable, "-m", "fleet", "serve", "--data", str(self.data),
                      "--port", str(free_port())]}
        command = commands.get(name) or [sys.executable, "-m", "gateway", "run", "--config",
                                         str(self.folder / name / "cabinet.toml")]
        with (self.folder / f"{name}.log").open("ab") as log:
            self.running[name] = subprocess.Popen(
                command, cwd=self.data / "broker" if name == "broker" else ROOT,
                env={**os.environ, "PYTHONPATH": str(ROOT)}, stdout=log, stderr=log)

    def stop(self, name: str) -> None:
        """Stop a process and wait for its end."""
        process = self.running.pop(name)
        process.terminate()
        process.wait(30)

    def stop_all(self) -> None:
        """Stop what still runs, the last started first."""
        for name in reversed(list(self.running)):
            self.stop(name)

    def log(self, name: str) -> str:
        """Return what a process wrote."""
        path = self.folder / f"{name}.log"
        return path.read_text(errors="replace") if path.exists() else ""

    async def until(self, condition, limit_s: float = WITHIN_S) -> None:
        """Wait until a condition holds; the logs say why it does not."""
        end = time.monotonic() + limit_s
        while not condition():
            dead = [name for name, process in self.running.items() if process.poll() is not None]
            logs = "\n".join(f"== {file.name}\n{file.read_text(errors='replace')[-1500:]}"
                             for file in sorted(self.folder.glob("*.log")))
            assert time.monotonic() < end and not dead, f"ended: {dead}\n{logs}"
            await asyncio.sleep(0.1)

    def state(self, cabinet: str, action: str) -> str:
        """Return the outcome of the newest message with an action; "" while it waits."""
        files = [file for held in (downlink.settled, downlink.waiting)
                 for _, file in held(self.data, cabinet)
                 if downlink.content_of(file).action == action]
        newest = max(files, key=lambda file: int(file.stem))
        return "" if newest.suffix == ".cose" else newest.suffix[1:]

    def status(self, cabinet: str) -> dict:
        """Return the gateway's status file, {} while there is none."""
        for file in (self.folder / cabinet).rglob("status.json"):
            with contextlib.suppress(ValueError, OSError):
                return dict(json.loads(file.read_text()))
        return {}

    def acknowledged(self, cabinet: str) -> int:
        """Return up to which record the fleet has signed, as the cabinet says."""
        return self.status(cabinet).get("journal", {}).get("acknowledged_seq", 0)

    def alarms(self, cabinet: str) -> list[str]:
        """Return the texts of a cabinet's downlink alarms, out of the fleet's evidence."""
        with open_reader(self.data) as reader:
            return [body[1] for body in reader.event_bodies(cabinet, ALARM)
                    if body[0] == "downlink-refused"]

    def signer(self) -> EvidenceSigner:
        """Return the fleet's receipt key."""
        return EvidenceSigner(receipt_key(self.data / "keys/receipt.key"))

    def message(self, number: int, signer: EvidenceSigner | None = None, **changes) -> bytes:
        """Return a signed message; without changes it is for shop-1 and does nothing known."""
        now_ms = int(time.time() * 1000)
        parts = {"cabinet": "shop-1", "number": number, "issued_utc_ms": now_ms,
                 "expires_utc_ms": now_ms + 60_000, "action": "nothing", "body": b""} | changes
        signer = signer or self.signer()
        return messages.seal(messages.Downlink(**parts), signer.kid, signer.sign)

    def client(self, certificate: Path, key: Path, name: str) -> aiomqtt.Client:
        """Return an MQTT client that shows a certificate."""
        context = ssl.create_default_context(cafile=self.data / "broker/ca.crt")
        context.load_cert_chain(certificate, key)
        return aiomqtt.Client("127.0.0.1", self.port, tls_context=context, identifier=name,
                              timeout=5)

    async def send_down(self, *sealed: bytes) -> None:
        """Publish on shop-1's downlink as whoever holds the fleet's certificate (not its key)."""
        async with self.client(self.data / "keys/client.crt", self.data / "keys/client.key",
                               "fleet") as client:
            for one in sealed:
                await client.publish("wp/1/shop-1/down", one, qos=1)

    async def gets_in(self, certificate: Path, key: Path, name: str) -> bool:
        """Return whether the broker takes a certificate."""
        with contextlib.suppress(aiomqtt.MqttError):
            async with self.client(certificate, key, name) as client:
                await client.publish(f"wp/1/{name}/live", b"x", qos=1)
                return True
        return False
