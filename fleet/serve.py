"""One process: receiver, admission and page, side by side in one event loop.  No logic."""

import asyncio
import contextlib
import errno
import functools
import logging
import signal
import socket
from pathlib import Path

import uvicorn

from fleet import clock, settings
from fleet.authority import rotation
from fleet.authority.downlink import Acknowledged, Sender, acknowledgements
from fleet.formats.registry import Registry
from fleet.ingest.ingest import Ingest
from fleet.ingest.live_table import LiveTable
from fleet.ingest.receiver import Receiver
from fleet.store import backup, damage
from fleet.store.reader import open_reader
from fleet.store.watch import Watch
from fleet.store.writer import EvidenceStore
from fleet.web import app, connections
from gateway.core.codec.record import DOWNLINK
from gateway.core.errors import ConfigError

HOST = "127.0.0.1"          # the page has no log-in: it is for this machine, or a proxy's
STOP_S = 2                  # open event streams are cut this long after a stop


def run(data: Path, port: int) -> None:
    """Serve until a signal stops it.  Raises ConfigError, StoreDamaged or StoreInUse."""
    configured = settings.load(data)
    key = settings.receipt_key(configured.receipt_key)
    listener = listen(port)
    with backup.lock(data), damage.named(data):
        registry, store = Registry(data), EvidenceStore(data)
        live = LiveTable(registry.refuses)
        ingest = Ingest(store, registry.find, key, clock.utc_ms)
        ingest.receipt_keys += rotation.former(configured.receipt_key)
        receiver = Receiver(configured, ingest, live,
                            Sender(data, key, functools.partial(told_by, data)))
        watch = Watch(data)
        web = app.make(app.PageSources(data, registry, live, receiver, configured.factors,
                                       configured.page_hosts, watch))
        logging.getLogger("fleet").info("page: http://%s:%s/", HOST, port)
        try:
            asyncio.run(_all(receiver, watch, uvicorn.Server(uvicorn.Config(
                web, http=connections.BoundedProtocol, ws="none", log_level="warning",
                server_header=False, h11_max_incomplete_event_size=connections.HEAD_BYTES_MAX,
                timeout_graceful_shutdown=STOP_S)), listener))
        except KeyboardInterrupt:
            logging.getLogger("fleet").info("stopped")
        finally:
            store.close()


def listen(port: int) -> socket.socket:
    """Return a socket bound to a port of this machine; raises ConfigError if it is taken."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
        listener.listen()
    except (OSError, OverflowError) as error:
        listener.close()
        taken = isinstance(error, OSError) and error.errno == errno.EADDRINUSE
        raise ConfigError(f"port {port} of {HOST} {'is taken' if taken else 'cannot be used'}; "
                          "next: stop what uses it, or give another --port "
                          "(1024..65535)") from error
    return listener


def _hang_up() -> None:
    """Go on: what can be read again is read without being told."""
    logging.getLogger("fleet").info(
        "SIGHUP: nothing to do; the registry is read when it changes, certificate and authority at "
        "each connection; fleet.toml and the receipt key at a start only")


def told_by(data: Path, cabinet: str) -> dict[int, Acknowledged]:
    """Return what a cabinet's evidence says became of the messages it was sent."""
    with open_reader(data) as reader:
        return acknowledgements(reader.event_bodies(cabinet, DOWNLINK))


async def _all(receiver: Receiver, watch: Watch, server: uvicorn.Server,
               listener: socket.socket) -> None:
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _hang_up)
    receiving, watching = (asyncio.create_task(one.run()) for one in (receiver, watch))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    done, _ = await asyncio.wait({receiving, serving}, return_when=asyncio.FIRST_COMPLETED)
    server.should_exit = True
    watching.cancel()
    receiving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await receiving
    await serving
    for task in done:
        if not task.cancelled() and task.exception() is not None:
            raise task.exception() or RuntimeError
