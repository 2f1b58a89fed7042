"""Configuration of a fleet's MQTT broker: mosquitto, and amqtt where there is none.

Both demand a client certificate of the fleet's authority and take its name as user and as client
id; a cabinet reaches its own four topics and nothing else.  The rules name no cabinet, so that
one more needs no change.  Paths are relative: start the broker in this folder.  Nothing is kept
on disk: the journal and the fleet's receipts carry the proof, not the broker.
"""

import getpass
import json

from fleet.authority.certificates import FLEET

# Largest message: a sealed batch of 1 MiB, its topic and head.
MESSAGE_BYTES_MAX = (1 << 20) + 4096
GATE = "provisioning.amqtt_gate.CertificateNamePlugin"
TOPICS = "provisioning.amqtt_gate.OwnTopicsPlugin"
WRITES, READS = ("up", "live"), ("receipt", "down")     # of a cabinet; the fleet's are the reverse


def mosquitto_conf(bind: str, port: int) -> str:
    """Return mosquitto.conf.  bind: address to listen on."""
    return "\n".join((
        "# Broker of one fleet: mutual TLS, the certificate's name is the user and client id.",
        "# Paths are relative; start it here: cd broker && mosquitto -c mosquitto.conf",
        f"listener {port} {bind}",
        "cafile ca.crt",
        "certfile broker.crt",
        "keyfile broker.key",
        "# Revoked certificates; `fleet revoke` writes it, a restart of the broker reads it.",
        "crlfile revoked.crl",
        "# tls_version is the lowest version taken; 1.3 is used where both sides know it.",
        "tls_version tlsv1.2",
        "require_certificate true",
        "use_identity_as_username true",
        "# Nobody ends another's session by using its client id.",
        "use_username_as_clientid true",
        "allow_anonymous false",
        "acl_file acl",
        "# Runs as who made the fleet (read when started as root): the key file is theirs.",
        f"user {getpass.getuser()}",
        "persistence false",
        f"max_packet_size {MESSAGE_BYTES_MAX}",
        "max_queued_messages 1000",
        "max_inflight_messages 20",
        "# A receipt must not wait for the delayed ACK of what went before it.",
        "set_tcp_nodelay true",
        "connection_messages true",
        "log_dest stderr",
        "log_type error",
        "log_type warning",
        "log_type notice",
        "",
    ))


def mosquitto_acl() -> str:
    """Return the access list: %u is the certificate's name, so each reaches its own topics."""
    lines = [f"user {FLEET}"]
    lines += [f"topic write wp/1/+/{leaf}" for leaf in READS]
    lines += [f"topic read wp/1/+/{leaf}" for leaf in WRITES]
    lines += ["", *(f"pattern write wp/1/%u/{leaf}" for leaf in WRITES)]
    lines += [f"pattern read wp/1/%u/{leaf}" for leaf in READS]
    return "\n".join([*lines, ""])


def amqtt_yaml(bind: str, port: int) -> str:
    """Return the same rules for amqtt, as JSON (which YAML contains).

    amqtt asks for a client certificate but does not insist: the gate plugin does, and sets
    the user name from the certificate, which the topics plugin then looks at.
    """
    return json.dumps({
        "listeners": {"default": {
            "type": "tcp", "bind": f"{bind}:{port}", "ssl": True,
            "cafile": "ca.crt", "certfile": "broker.crt", "keyfile": "broker.key"}},
        "plugins": {GATE: {"revoked": "revoked.crl"}, TOPICS: {}},
    }, indent=2) + "\n"
