"""The least of a fleet: gives a signed receipt for each batch, stores nothing.

    python -m tests.bench.fleet_stub SITE PORT

Prints {"ready": true}, then for each batch {"bytes": n, "at_s": when it came, "receipt_s": when the
broker had the receipt} in monotonic seconds.
"""

import asyncio
import json
import ssl
import sys
import time
from pathlib import Path

import aiomqtt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from gateway.core.evidence import batch, chain
from gateway.core.evidence import receipt as receipts
from gateway.signer import EvidenceSigner


def signer_of(site: Path) -> EvidenceSigner:
    """Return the signer of receipts of a site."""
    key = load_pem_private_key((site / "fleet/receipt.key").read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise SystemExit("the receipt key is not Ed25519")
    return EvidenceSigner(key)


class Desk:
    """What came of one gateway's one journal, and the receipt for its contiguous part."""

    def __init__(self, signer: EvidenceSigner) -> None:
        self._signer = signer
        self._waiting: dict[int, tuple[int, bytes]] = {}    # first sequence -> last, chain
        self._last, self._chain = 0, b""

    def take(self, data: bytes) -> tuple[str, bytes | None]:
        """Return (topic, receipt) after a sealed batch; None while nothing is contiguous."""
        sign1, found = batch.open_sealed(data)
        self._waiting[found.first_seq] = found.last_seq, chain.chain_hash(sign1.payload)
        while self._last + 1 in self._waiting:
            self._last, self._chain = self._waiting.pop(self._last + 1)
        topic = f"wp/1/{found.cabinet}/receipt"
        if not self._last:
            return topic, None
        made = receipts.Receipt(found.cabinet, found.journal_id, 1, self._last, self._chain, 1)
        return topic, receipts.seal(made, self._signer.kid, self._signer.sign)


async def serve(site: Path, port: int) -> None:
    """Serve until killed."""
    desk = Desk(signer_of(site))
    context = ssl.create_default_context(cafile=site / "ca/ca.crt")
    context.load_cert_chain(site / "fleet/client.crt", site / "fleet/client.key")
    async with aiomqtt.Client("127.0.0.1", port, tls_context=context,
                              identifier="fleet") as client:
        await client.subscribe("wp/1/+/up", qos=1)
        print(json.dumps({"ready": True}), flush=True)
        async for message in client.messages:
            if isinstance(message.payload, bytes):
                await answer(client, desk, message.payload)


async def answer(client: aiomqtt.Client, desk: Desk, data: bytes) -> None:
    """Give the receipt for what is there after a batch, and tell when."""
    at_s = time.monotonic()
    topic, made = desk.take(data)
    if made is not None:
        await client.publish(topic, made, qos=1, retain=True)
    print(json.dumps({"bytes": len(data), "at_s": at_s, "receipt_s": time.monotonic()}),
          flush=True)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
