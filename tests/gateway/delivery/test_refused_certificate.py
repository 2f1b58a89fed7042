"""A broker that refuses this cabinet's certificate needs a person: waiting cures nothing."""

import asyncio

from fleet.authority import revocation
from gateway.delivery.uplink import Uplink
from gateway.signer import Verifier
from tests.gateway.delivery.test_uplink import (
    CABINET,
    NOW,
    QUICK,
    Broker,
    free_port,
    make_site,
    settings_of,
    until,
)
from tests.support import one_site
from tests.support.writer_setup import WriterSetup


async def test_a_revoked_certificate_is_rejected_with_its_reason_though_tls_tells_it_late(tmp_path):
    port = free_port()
    home = make_site(tmp_path, port)
    assert revocation.revoke(home / one_site.FLEET, CABINET, NOW)
    settings, setup = settings_of(home, port), WriterSetup(tmp_path)
    uplink = Uplink(CABINET, settings, setup.writer, Verifier.load(settings.receipt_key), QUICK)
    with (tmp_path / "broker.log").open("wb") as log:
        broker = Broker("mosquitto", home, log)
        broker.start()
        running = asyncio.create_task(uplink.run())
        try:
            await until(lambda: uplink.state == "rejected")
            assert "revoked" in uplink.reason and "next:" in uplink.reason
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            broker.stop()
            setup.store.close()
