"""Around every answer: only this console's own scripts and styles run, nobody may frame it, no name but ours.

A page asked for under another host's name (a rebound DNS name) is refused, so that no foreign page in
an operator's browser can read the console.
"""

from collections.abc import Collection
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ops.web.limits import FILE_BYTES_MAX, PAGE_BYTES_MAX

CONTENT_SECURITY_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
UPLOAD: Final = "/reconciliation"
LOOPBACK_NAMES: Final = ("127.0.0.1", "localhost", "[::1]")


class Safety:
    """The outermost layer."""

    def __init__(self, app: ASGIApp, *, hosts: Collection[str] | None) -> None:
        """`hosts`: names without a port that may stand in `Host`; None: any."""
        self.app, self._hosts = app, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("Cache-Control", "no-store")
            await send(message)

        if (refused := _too_big(scope)) is not None:
            await refused(scope, receive, guarded)
            return
        if self._hosts is not None and _name(Headers(scope=scope)) not in self._hosts:
            refusal = PlainTextResponse("this console answers to its own name only", 421)
            await refusal(scope, receive, guarded)
            return
        await self.app(scope, receive, guarded)


def _too_big(scope: Scope) -> PlainTextResponse | None:
    """Why a body is not read at all; a server takes no more of it than was announced."""
    headers = Headers(scope=scope)
    limit = FILE_BYTES_MAX if scope["path"] == UPLOAD else PAGE_BYTES_MAX
    length = headers.get("content-length", "0")
    if "transfer-encoding" in headers or not (length.isascii() and length.isdigit()):
        return PlainTextResponse("say how long it is (Content-Length)", 411)
    if int(length) > limit:
        return PlainTextResponse(f"{limit:,} bytes at most", 413)
    return None


def _name(headers: Headers) -> str:
    """The host without its port."""
    host = headers.get("host", "")
    return host if host.endswith("]") else host.rpartition(":")[0] or host
