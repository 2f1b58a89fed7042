"""The door to aiomqtt: without what is loaded for things no gateway does, and seldom awake.

paho imports urllib.request for proxies of WebSockets, and that http.client, email and tempfile:
1.7 MiB of a gateway's memory and a tenth of its start.  Whoever looks a host up loads a codec for
names that are not ASCII, with tables of Unicode: 0.3 MiB.  Here both are loaded when somebody
looks into them.
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


class _Idna(_Later):
    """The codec of hosts' names; those in ASCII it knows itself."""

    def __getattr__(self, name: str) -> Any:
        """Return what the codec has; it has no aliases, for which the interpreter looks."""
        if name == "getaliases":
            raise AttributeError(name)
        return super().__getattr__(name)

    def getregentry(self) -> tuple[object, ...]:
        """Return what codecs.register wants of a search function."""
        return self._encode, self._decode, None, None

    def _encode(self, text: str, errors: str = "strict") -> tuple[bytes, int]:
        if text.isascii() and all(0 < len(label) < 64 for label in text.split(".")):
            return text.encode(), len(text)             # as it is: RFC 3490, 4.1
        coded: tuple[bytes, int] = self.Codec().encode(text, errors)
        return coded

    def _decode(self, data: bytes, errors: str = "strict") -> tuple[str, int]:
        text: tuple[str, int] = self.Codec().decode(data, errors)
        return text


sys.modules.setdefault("encodings.idna", _Idna("encodings.idna"))
urllib.request = sys.modules.setdefault("urllib.request", _Later("urllib.request"))

import aiomqtt  # noqa: E402
from aiomqtt.exceptions import MqttConnectError  # noqa: E402
from paho.mqtt.enums import MQTTErrorCode  # noqa: E402
from paho.mqtt.reasoncodes import ReasonCode  # noqa: E402

from gateway.aio.keep_alive import pause  # noqa: E402
from gateway.aio.sockets_in_order import WithSocketsInOrder  # noqa: E402

__all__ = ("MqttClient", "MqttConnectError", "ReasonCode", "aiomqtt")
CHECKS = 6


class MqttClient(WithSocketsInOrder, aiomqtt.Client):
    """A client that looks after its keep-alive so many times in the period, not every second: each
    look wakes the gateway, which costs more than the look."""

    async def _misc_loop(self) -> None:
        while self._client.loop_misc() == MQTTErrorCode.MQTT_ERR_SUCCESS:
            await pause(self._keepalive / CHECKS)
