"""I am the guard at the door: no socket for foreign pages, security headers, one sentence for a refused start.
I may import starlette and streamlit.
I must not look at what a page says, nor at what goes through a socket.
My tests are in tests/ui/test_app.py.
"""

from urllib.parse import urlsplit

import streamlit as st
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What .streamlit/config.toml ships; SECURITY.md says what each protects from.
SAFE_OPTIONS = {
    "server.address": "127.0.0.1",
    "server.allowedHosts": ["localhost", "127.0.0.1"],
    "server.enableCORS": True,
    "server.enableXsrfProtection": True,
    "server.xsrfCookieSameSite": "strict",
    "server.enableStaticServing": False,
    "server.enableAgentApi": False,
    "server.fileWatcherType": "none",
    "server.runOnSave": False,
    "server.maxUploadSize": 5,
    "browser.gatherUsageStats": False,
    "client.toolbarMode": "viewer",
    "client.showErrorDetails": "none",
}
HEADERS = [
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


def loosened() -> tuple[str, ...]:
    """Name the options of the server that are not as they were shipped."""
    return tuple(name for name, wanted in SAFE_OPTIONS.items() if st.get_option(name) != wanted)


def guarded(inner: ASGIApp) -> ASGIApp:
    """Refuse sockets that another site's page opens, add security headers, shorten the trace of a refused start."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        async def forward(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
            elif message["type"] == "lifespan.startup.failed":
                message["message"] = message["message"].strip().rsplit("ConfigError: ", 1)[-1]
            await send(message)

        if scope["type"] == "websocket" and _is_foreign(Headers(scope=scope)):
            await send({"type": "websocket.close", "code": 1008, "reason": "another site's page"})
            return
        await inner(scope, receive, forward)

    return guard


def _is_foreign(headers: Headers) -> bool:
    """Say whether a page of another address asks; Streamlit itself lets every port of this machine in."""
    origin = headers.get("origin")
    return origin is not None and urlsplit(origin).netloc != headers.get("host")
