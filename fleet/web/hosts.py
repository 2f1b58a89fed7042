"""The page answers under configured names only, by Starlette's TrustedHostMiddleware.

A foreign site can let its name point to 127.0.0.1 (DNS rebinding); a browser then shows that
site's scripts what is served here, but it still sends that site's name as Host.
"""

from collections.abc import Sequence

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleet.texts import say

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class ExplainedRefusal:
    """Says which names are allowed where TrustedHostMiddleware, behind it, refuses a request."""

    def __init__(self, app: ASGIApp, names: Sequence[str]) -> None:
        self._app = app
        self._answer = PlainTextResponse(say("page.hosts", names=", ".join(names)) + "\n", 400)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, and a refusal back in words."""
        async def explained(message: Message) -> None:
            if "router" in scope or scope["type"] != "http":    # it reached the routes
                await send(message)
            elif message["type"] == "http.response.start":
                await self._answer(scope, receive, send)

        await self._app(scope, receive, explained)
