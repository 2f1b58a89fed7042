"""The door to aiomqtt: what paho does not need is not loaded, and is there when asked for."""

import asyncio
import subprocess
import sys
from types import SimpleNamespace

import aiomqtt
from paho.mqtt.enums import MQTTErrorCode

from gateway.delivery.mqtt import MqttClient
from tests.support.virtual_time import run

PROGRAM = """
import sys
import gateway.app
assert "http.client" not in sys.modules and "email" not in sys.modules, "loaded all the same"
import urllib.request
assert not hasattr(urllib.request, "__path__"), "no package"
assert "http.client" not in sys.modules, "an import alone needs nothing"
assert urllib.request.Request("http://a.example/").host == "a.example"
assert sys.modules["urllib.request"] is urllib.request and "http.client" in sys.modules
from urllib.request import urlopen
assert callable(urlopen)
"""
HOSTS = """
import sys
import gateway.delivery.mqtt
name = "broker-1.example"
assert name.encode("idna") == b"broker-1.example" == bytes(name, "idna")
import socket
assert socket.getaddrinfo("127.0.0.1", 8883) and "unicodedata" not in sys.modules
for wrong in ("a..example", "x" * 64 + ".example"):
    try:
        wrong.encode("idna")
    except UnicodeError as error:
        assert "label" in str(error)
    else:
        raise AssertionError(wrong)
assert "b\\u00fccher.example.".encode("idna") == b"xn--bcher-kva.example."
assert b"xn--bcher-kva.example".decode("idna") == "b\\u00fccher.example" and name.encode("idna")
from encodings.idna import ToASCII
assert ToASCII("b\\u00fccher") == b"xn--bcher-kva"
"""
LOADED = ("import urllib.request as real, gateway.delivery.mqtt, urllib; "
          "assert urllib.request is real")


def test_a_gateway_starts_without_what_paho_loads_for_proxies_and_has_it_when_asked():
    for program in (PROGRAM, HOSTS, LOADED):
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True,
                              check=False, timeout=60)
        assert done.returncode == 0, done.stderr


def test_the_keep_alive_is_looked_after_six_times_in_its_period_until_the_line_is_lost():
    async def go():
        loop, looks = asyncio.get_running_loop(), []

        def loop_misc():
            looks.append(loop.time())
            return (MQTTErrorCode.MQTT_ERR_SUCCESS if len(looks) < 8
                    else MQTTErrorCode.MQTT_ERR_CONN_LOST)
        client = MqttClient("broker", keepalive=30)
        client._client = SimpleNamespace(loop_misc=loop_misc)   # noqa: SLF001  aiomqtt's
        await client._misc_loop()         # noqa: SLF001  aiomqtt calls it by this name
        return looks
    assert run(go()) == [0, 5, 10, 15, 20, 25, 30, 35]
    assert callable(aiomqtt.Client._misc_loop)      # noqa: SLF001  or nobody would call ours
