"""The least of a fleet: gives a signed receipt for each batch, stores nothing.

    python -m tests.bench.fleet_stub SITE PORT

Prints {"ready": true}, then for each batch {"seq": last, "bytes": n, "at_s": monotonic}.
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

from gateway.core import batch, chain
from gateway.core import receipt as receipts
from gateway.signer import Signer


def signer_of(site: Path) -> Signer:
    """Return the signer of receipts of a site."""
    key = load_pem_private_key((site / "fleet/receipt.key").read_bytes(), None)
    if not isinstance(key, Ed25519PrivateKey):
        raise SystemExit("the receipt key is not Ed25519")
    return Signer(key)


def receipt(signer: Signer, data: bytes) -> tuple[str, int, bytes]:
    """Return (device, last sequence, receipt) of a sealed batch."""
    sign1, found = batch.open_sealed(data)
    made = receipts.Receipt(found.device, found.journal_id, 1, found.last_seq,
                            chain.link(sign1.payload), 1)
    return found.device, found.last_seq, receipts.seal(made, signer.kid, signer.sign)


async def serve(site: Path, port: int) -> None:
    """Serve until killed."""
    signer = signer_of(site)
    context = ssl.create_default_context(cafile=site / "ca/ca.crt")
    context.load_cert_chain(site / "fleet/client.crt", site / "fleet/client.key")
    async with aiomqtt.Client("127.0.0.1", port, tls_context=context,
                              identifier="fleet") as client:
        await client.subscribe("wp/1/+/up", qos=1)
        print(json.dumps({"ready": True}), flush=True)
        async for message in client.messages:
            at_s, data = time.monotonic(), message.payload
            if isinstance(data, bytes):
                device, seq, made = receipt(signer, data)
                await client.publish(f"wp/1/{device}/receipt", made, qos=1, retain=True)
                print(json.dumps({"seq": seq, "bytes": len(data), "at_s": at_s}), flush=True)


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]), int(sys.argv[2])))
