"""I am the front door: the web application around the console, and what happens when it starts and stops.
I may import streamlit, starlette, plotly's files and node.
I must not start a session.
My tests are in tests/ui/test_app.py.
"""

import asyncio
import gc
import logging
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files

import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine.node import THREAD_NAME, TradingNode
from pages.parts.frame import age_s

STOP_S_MAX = 10
HEADERS = [
    (b"x-frame-options", b"DENY"),
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[None]:
    """Make the node before the first page and stop it after the last; a ConfigError refuses the start."""
    node = TradingNode.attach()
    if hasattr(signal, "SIGHUP"):  # closing the terminal would else end the process without stopping the session
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    gc.collect()
    gc.freeze()  # keeps the libraries out of later collections, which would hold up the trading thread
    try:
        yield
    finally:
        await asyncio.to_thread(node.stop, STOP_S_MAX)


class ConsoleHeaders:
    """Adds security headers to each answer, and shortens the trace of a refused start to its one sentence."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def forward(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
            elif message["type"] == "lifespan.startup.failed":
                message["message"] = message["message"].strip().rsplit("ConfigError: ", 1)[-1]
            await send(message)

        await self._app(scope, receive, forward)


async def health(_: Request) -> JSONResponse:
    """Say how the engine is; status 503 when its thread is dead."""
    snapshot = TradingNode.attach().snapshot
    alive = any(thread.name == THREAD_NAME for thread in threading.enumerate())
    report = {
        "engine_thread_alive": alive,
        "session_state": snapshot.session_state,
        "trading_state": snapshot.trading_state,
        "snapshot_age_s": round(age_s(snapshot), 3) if snapshot.published_ns else None,
        "revision": snapshot.revision,
    }
    return JSONResponse(report, status_code=200 if alive else 503)


async def plotly_js(_: Request) -> FileResponse:
    """Serve plotly.js from the plotly package, so that no chart needs the internet."""
    path = str(files("plotly") / "package_data" / "plotly.min.js")
    return FileResponse(path, media_type="text/javascript", headers={"cache-control": "public, max-age=86400"})


def log_page_error(error: Exception) -> None:
    """Keep what went wrong in a page in our own log; the browser shows no details."""
    logging.getLogger("engine.console").error("a page failed", exc_info=error, extra={"subsystem": "console"})


app = st.App(
    "pages/shell.py",
    lifespan=lifespan,
    routes=[Route("/healthz", health), Route("/vendor/plotly.min.js", plotly_js)],
    middleware=[Middleware(ConsoleHeaders)],
    on_script_error=log_page_error,
)
