"""Configuration of a site's MQTT broker: mosquitto, and amqtt where there is none.

Both demand a client certificate of the site's authority and take its name as the user; a
gateway reaches its own three topics and nothing else.  Both listen on one address only and
keep nothing on disk: the journal and the fleet's receipts carry the proof, not the broker.
"""

import getpass
import json
from pathlib import Path

# Largest message: a sealed batch of 1 MiB, its topic and head.
MESSAGE_BYTES_MAX = (1 << 20) + 4096
FLEET_USER = "fleet"
GATE = "provisioning.amqtt_gate.CertificateNamePlugin"
ACL = "amqtt.plugins.topic_checking.TopicAccessControlListPlugin"


def gateway_topics(cabinet: str) -> dict[str, list[str]]:
    """Return what a gateway may write and read: its own topics only."""
    root = f"wp/1/{cabinet}/"
    return {"write": [root + "up", root + "live"], "read": [root + "receipt"]}


def fleet_topics() -> dict[str, list[str]]:
    """Return what the fleet may write and read: every gateway's topics."""
    return {"write": ["wp/1/+/receipt"], "read": ["wp/1/+/up", "wp/1/+/live"]}


def mosquitto_conf(folder: Path, bind: str, port: int) -> str:
    """Return mosquitto.conf for a broker whose files lie in `folder`."""
    return "\n".join((
        "# Broker of one site: mutual TLS, the certificate's name is the user.",
        f"listener {port} {bind}",
        f"cafile {folder / 'ca.crt'}",
        f"certfile {folder / 'broker.crt'}",
        f"keyfile {folder / 'broker.key'}",
        "# tls_version is the lowest version taken; 1.3 is used where both sides know it.",
        "tls_version tlsv1.2",
        "require_certificate true",
        "use_identity_as_username true",
        "allow_anonymous false",
        f"acl_file {folder / 'acl'}",
        "# Runs as who made the site (read when started as root): the key file is theirs.",
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


def mosquitto_acl(cabinet: str) -> str:
    """Return the access list: a user without an entry reaches no topic at all."""
    lines: list[str] = []
    for user, topics in ((cabinet, gateway_topics(cabinet)), (FLEET_USER, fleet_topics())):
        lines.append(f"user {user}")
        lines += [f"topic {way} {topic}" for way in ("write", "read") for topic in topics[way]]
        lines.append("")
    return "\n".join(lines)


def amqtt_yaml(folder: Path, bind: str, port: int, cabinet: str) -> str:
    """Return the same rules for amqtt, as JSON (which YAML contains).

    amqtt asks for a client certificate but does not insist: the gate plugin does, and sets
    the user name from the certificate, which the topic plugin then looks up.
    """
    own, fleet = gateway_topics(cabinet), fleet_topics()
    read = {cabinet: own["read"], FLEET_USER: fleet["read"]}
    return json.dumps({
        "listeners": {"default": {
            "type": "tcp", "bind": f"{bind}:{port}", "ssl": True,
            "cafile": str(folder / "ca.crt"), "certfile": str(folder / "broker.crt"),
            "keyfile": str(folder / "broker.key")}},
        "plugins": {GATE: {}, ACL: {
            "publish_acl": {cabinet: own["write"], FLEET_USER: fleet["write"]},
            "acl": read}},
    }, indent=2) + "\n"
