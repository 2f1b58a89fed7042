"""What a contender needs beside itself and must not be charged for: a broker with TLS, a fleet.

    python -m tests.bench.contender.side FOLDER PORT PID [TARGET_PORT]

FOLDER holds the site; PORT is its broker's.  Signs a receipt for every batch and, with a target,
hands the batch on to the harness' plain broker under drain/.  Ends with process PID and takes
FOLDER with it.  The file FOLDER/ready says that it serves.
"""

import asyncio
import contextlib
import os
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import aiomqtt

from tests.bench import rig
from tests.bench.fleet_stub import Desk, signer_of
from tests.bench.process import ROOT

LOOK_S = 0.2


async def serve(made: rig.Site, pid: int, target: int) -> None:
    """Answer batches until the contender has gone."""
    async with contextlib.AsyncExitStack() as stack:
        context = ssl.create_default_context(cafile=made.folder / "ca/ca.crt")
        context.load_cert_chain(made.folder / "fleet/client.crt", made.folder / "fleet/client.key")
        inner = await stack.enter_async_context(aiomqtt.Client(
            "127.0.0.1", made.port, tls_context=context, identifier="fleet"))
        outer = await stack.enter_async_context(
            aiomqtt.Client("127.0.0.1", target)) if target else None
        await inner.subscribe("wp/1/+/up", qos=1)
        (made.folder.parent / "ready").touch()
        answering = asyncio.create_task(answer(inner, outer, Desk(signer_of(made.folder))))
        while Path(f"/proc/{pid}").exists() and not answering.done():
            await asyncio.wait([answering], timeout=LOOK_S)
        answering.cancel()


async def answer(inner: aiomqtt.Client, outer: aiomqtt.Client | None, ingest: Desk) -> None:
    """Hand each batch on and give the receipt for what is there."""
    async for message in inner.messages:
        if isinstance(message.payload, bytes):
            topic, receipt = ingest.take(message.payload)
            if outer is not None:
                await outer.publish("drain/batch", message.payload, qos=1)
            if receipt is not None:
                await inner.publish(topic, receipt, qos=1, retain=True)


def begin(made: rig.Site, target: int = 0) -> None:
    """Start this module beside the calling process, outside of its tree; return when it serves."""
    folder = made.folder.parent
    subprocess.run(
        ["setsid", "--fork", sys.executable, "-m", "tests.bench.contender.side", str(folder),
         str(made.port), str(os.getpid()), str(target)], check=True, cwd=ROOT,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    rig.await_file(folder / "ready")


def become_gateway(made: rig.Site) -> None:
    """Replace the calling process by the gateway of a site, so that only it is measured."""
    os.chdir(ROOT)
    command = rig.gateway_command(made)
    os.execve(command[0], command, {**os.environ, "PYTHONPATH": str(ROOT)})


def main(folder: Path, port: int, pid: int, target: int) -> None:
    """Serve, then clear up."""
    made = rig.Site(folder / "site", folder / "profiles", port)
    try:
        with rig.broker(made):
            asyncio.run(serve(made, pid, target))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:5]))
