"""What a cabinet's folder is made of: cabinet.toml, its keys, its request to a fleet.

    cabinet.toml                     what the gateway reads
    keys/      evidence.key          Ed25519, signs batches; never leaves the gateway
               tls.key               P-256, the gateway towards the broker
    CABINET.request                  for `fleet enrol`; public

What install.py adds once the fleet has answered:

    keys/      tls.crt               CN = cabinet
    ca/        ca.crt                the fleet's authority
    fleet/     receipt.pub           checks receipts and answers
"""

import datetime

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from gateway.core.errors import ConfigError
from gateway.core.evidence import enrolment
from provisioning import identity, toml_text
from provisioning.toml_text import TomlTable

PORT = 8883                     # MQTT over TLS, IANA "secure-mqtt"
FOLDERS = ("keys", "ca", "fleet")
EVIDENCE_KEY, TLS_KEY = "keys/evidence.key", "keys/tls.key"
JOURNAL = {"directory": "journal", "interval_s": 10, "loss_window_s": 10, "batch_minutes": 15,
           "keep_mib": 256}
# Stands in cabinet.toml until the answer says where the broker is (RFC 6761: no such host).
UNKNOWN_HOST = "broker.invalid"
HOST_LINES = f'host = "{UNKNOWN_HOST}"\nport = {PORT}\n'



def cabinet_text(parts: TomlTable) -> str:
    """Return cabinet.toml for checked parts; paths are relative to the file itself."""
    uplink = parts.get("uplink", {})
    kept = {key: value for key, value in uplink.items() if key not in ("host", "port")}
    tables = [
        ("site", parts["site"]),
        ("journal", {**JOURNAL, **parts.get("journal", {})}),
        ("keys", {"evidence": EVIDENCE_KEY}),
        ("uplink", {"host": uplink.get("host", UNKNOWN_HOST), "port": _port(uplink),
                    "ca": "ca/ca.crt", "certificate": "keys/tls.crt", "key": TLS_KEY,
                    "receipt_key": "fleet/receipt.pub", **kept}),
        ("status", parts.get("status", {"file": "status.json"})),
        *((key, parts[key]) for key in ("factors", "battery", "clock") if key in parts),
        ("bus", parts["bus"]),
        ("device", parts["device"]),
    ]
    return toml_text.document("Cabinet of one site; `python -m gateway check` explains.", tables)


def _port(uplink: TomlTable) -> int:
    port = uplink.get("port", PORT)
    if "host" not in uplink and port != PORT:
        raise ConfigError(f"[uplink] port = {port!r} without host: give both, or neither (the "
                          "fleet's answer says where its broker is)")
    if not isinstance(port, int) or not 1 <= port <= 65535:
        raise ConfigError(f"[uplink] port = {port!r}: 1..65535 is allowed, {PORT} is usual")
    return port


def request(site: TomlTable, evidence: ed25519.Ed25519PrivateKey, tls: ec.EllipticCurvePrivateKey,
            now: datetime.datetime) -> bytes:
    """Return the signed request of a cabinet; site: the [site] table, checked."""
    public = identity.raw_public(evidence)
    made = enrolment.Request(
        site["cabinet"], site["id"], str(site.get("name", site["id"])),
        str(site.get("timezone", "UTC")),
        identity.certificate_request(tls, site["cabinet"]), public,
        int(now.timestamp() * 1000))
    return enrolment.seal_request(made, identity.key_id(public), evidence.sign)
