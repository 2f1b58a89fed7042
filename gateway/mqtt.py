"""The door to aiomqtt: without what paho loads for proxies of WebSockets, and seldom awake.

paho imports urllib.request, and that http.client, email and tempfile: 1.7 MiB of a gateway's
memory and a tenth of its start, for something no gateway does.  Here that module is loaded when
somebody looks into it.
"""

import importlib
import sys
import types
import urllib
from typing import Any


class _Later(types.ModuleType):
    """Stands for a module until one of its names is asked for."""

    def __getattr__(self, name: str) -> Any:
        """Return what the module itself has; only interpreters ask for names with underscores."""
        if name.startswith("__"):
            raise AttributeError(name)
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        return getattr(importlib.import_module(self.__name__), name)


urllib.request = sys.modules.setdefault("urllib.request", _Later("urllib.request"))

import aiomqtt  # noqa: E402
from aiomqtt.exceptions import MqttConnectError  # noqa: E402
from paho.mqtt.enums import MQTTErrorCode  # noqa: E402
from paho.mqtt.reasoncodes import ReasonCode  # noqa: E402

from gateway.health import pause  # noqa: E402

__all__ = ("Client", "MqttConnectError", "ReasonCode", "aiomqtt")
LOOKS = 6


class Client(aiomqtt.Client):
    """A client that looks after its keep-alive so many times in the period, not every second: a
    look wakes the gateway, which costs as much as asking five meters."""

    async def _misc_loop(self) -> None:
        while self._client.loop_misc() == MQTTErrorCode.MQTT_ERR_SUCCESS:
            await pause(self._keepalive / LOOKS)
