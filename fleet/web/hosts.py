"""The page answers under this machine's own names only.

A foreign site can let its name point to 127.0.0.1 (DNS rebinding); a browser then shows that
site's scripts what is served here, but it still sends that site's name as Host.
"""

from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

NAMES = ("localhost", "127.0.0.1", "[::1]")


def is_local(host: str) -> bool:
    """Return whether a Host header, with or without a port, is one of NAMES."""
    name, _, port = host.lower().rpartition(":")
    return host.lower() in NAMES or (name in NAMES and port.isascii() and port.isdecimal())


class LocalHosts:
    """Refuses what is asked under another name; a proxy before it must send one of NAMES."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it with 400."""
        if scope["type"] == "http" and not is_local(Headers(scope=scope).get("host", "")):
            answer = PlainTextResponse("This page answers to " + ", ".join(NAMES) + " only; open "
                                       "it under one of these names.\n", 400)
            await answer(scope, receive, send)
            return
        await self._app(scope, receive, send)
