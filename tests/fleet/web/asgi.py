"""A browser of twenty lines: asks an ASGI application without a socket."""

import asyncio
import gzip
from collections import namedtuple
from urllib.parse import unquote

# status_code: int.  headers: dict, lower-case names.  text: str.
Answer = namedtuple("Answer", ("status_code", "headers", "text"))


class Browser:
    """Asks one application."""

    def __init__(self, application):
        self._application = application

    def get(self, target, host="127.0.0.1", **headers):
        """Return the Answer to GET target; host: as the Host header says, None for no header.

        headers: more of them, with _ for -.
        """
        return asyncio.run(self._get(target, host, headers))

    async def _get(self, target, host, more):
        path, _, query = target.partition("?")
        headers = [] if host is None else [(b"host", host.encode())]
        headers += [(name.replace("_", "-").encode(), value.encode())
                    for name, value in more.items()]
        scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1",
                 "method": "GET", "scheme": "http", "path": unquote(path),
                 "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
                 "headers": headers,
                 "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 8080)}
        sent, asked = [], []

        async def receive():
            if asked:                           # a browser waits for its answer
                await asyncio.Event().wait()
            asked.append(True)
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message):
            sent.append(message)

        await self._application(scope, receive, send)
        headers = {name.decode().lower(): value.decode() for name, value in sent[0]["headers"]}
        body = b"".join(message.get("body", b"") for message in sent[1:])
        if headers.get("content-encoding") == "gzip":
            body = gzip.decompress(body)
        return Answer(sent[0]["status"], headers, body.decode())
