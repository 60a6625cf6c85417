"""Who may ask the page, and what a browser may do with its answers.

Everything on the page was chosen by strangers. The policy (Content Security Policy Level 3) forbids what they could
make of it: no script and no style but the files of our own, nothing from or to another host, no frame.
On loopback the ``Host`` of a request must be one of this machine's names, so that no web site can reach the page by a
name of its own that it points there (DNS rebinding). Anywhere else a password is asked for (RFC 7617).
"""

from __future__ import annotations

import base64
import binascii
import hmac
from typing import TYPE_CHECKING, Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_LOCAL: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_ASK: Final = {"WWW-Authenticate": 'Basic realm="doorlog", charset="UTF-8"'}


class Guard:
    """Stands before the application.

    Args:
        app: What answers.
        password: What must be given, with any user name; None on loopback, where only this machine can ask.
    """

    def __init__(self, app: ASGIApp, password: str | None) -> None:
        self._app = app
        self._password = password

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(HEADERS)
            await send(message)

        refusal = self._refusal(scope)
        await (refusal or self._app)(scope, receive, guarded)

    def _refusal(self, scope: Scope) -> PlainTextResponse | None:
        headers = Headers(scope=scope)
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("there is nothing to change here\n", 405, {"Allow": "GET, HEAD"})
        if self._password is None:
            is_ours = _host_of(headers.get("host", "")) in _LOCAL
            return None if is_ours else PlainTextResponse("ask by the name localhost or 127.0.0.1\n", 421)
        given = _password_of(headers.get("authorization", ""))
        is_right = hmac.compare_digest(given.encode(), self._password.encode())
        return None if is_right else PlainTextResponse("the password of the page, please\n", 401, _ASK)


def _host_of(header: str) -> str:
    """Return the name of a ``Host`` header without its port."""
    if header.startswith("["):
        return header[1:].partition("]")[0]
    return header.partition(":")[0].lower()


def _password_of(header: str) -> str:
    scheme, _, credentials = header.partition(" ")
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(credentials, validate=True).decode().partition(":")[2]
    except (binascii.Error, UnicodeDecodeError):
        return ""
