"""I am the front door: the web application around the console, and what happens when it starts and stops.
I may import streamlit, starlette, plotly's files, config, node and parts.
I must not start a session.
My tests are in tests/ui/test_app.py.
"""

import asyncio
import logging
import signal
import sys
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files

import streamlit as st
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse
from starlette.routing import Route

from engine.config import load_settings
from engine.domain.error import ConfigError
from engine.node import THREAD_NAME, TradingNode
from pages.parts.frame import age_s
from pages.parts.guard import guarded, loosened
from pages.parts.preload import warm_up

STOP_S_MAX = 10
PLOTLY_JS = str(files("plotly") / "package_data" / "plotly.min.js")


@asynccontextmanager
async def lifespan(_: st.App) -> AsyncIterator[dict[str, TradingNode]]:
    """Make the node before the first page and stop it after the last; a ConfigError refuses the start."""
    options = loosened()
    if options and load_settings().oanda_environment == "live":
        raise ConfigError(f"The console does not serve a live account with changed options: {', '.join(options)}.")
    node = TradingNode.attach()
    node.changed_options = options
    if hasattr(signal, "SIGHUP"):  # closing the terminal would else end the process without stopping the session
        signal.signal(signal.SIGHUP, lambda *_: signal.raise_signal(signal.SIGTERM))
    if node.settings.oanda_token:
        sys.stdout.write(f"Unlock code of this console, for trading at OANDA: {node.unlock_code.text}\n")
        sys.stdout.flush()
    warming = asyncio.create_task(asyncio.to_thread(warm_up))
    try:
        yield {"node": node}
    finally:
        await warming
        await asyncio.to_thread(node.stop, STOP_S_MAX)


async def health(_: Request) -> JSONResponse:
    """Say how the engine is; status 503 when its thread is dead."""
    node: TradingNode = app.state["node"]
    shown = node.snapshot
    report = {
        "engine_alive": node.alive,
        "engine_threads": sum(thread.name == THREAD_NAME for thread in threading.enumerate()),
        "session_state": shown.session_state,
        "snapshot_age_s": round(age_s(shown), 3) if shown.published_ns else None,
    }
    return JSONResponse(report, status_code=200 if node.alive else 503)


async def plotly_js(_: Request) -> FileResponse:
    """Serve plotly.js from the plotly package, so that no chart needs the internet."""
    return FileResponse(PLOTLY_JS, media_type="text/javascript", headers={"cache-control": "max-age=86400"})


def on_page_error(error: Exception) -> bool:
    """Show what the operator can change; keep anything else in our own log, without details in the browser."""
    logging.getLogger("engine.console").error("a page failed", exc_info=error, extra={"subsystem": "console"})
    if isinstance(error, ConfigError):
        st.error(str(error))
    return isinstance(error, ConfigError)


routes = [Route("/healthz", health), Route("/vendor/plotly.min.js", plotly_js)]
app = st.App(
    "pages/shell.py", lifespan=lifespan, routes=routes, middleware=[Middleware(guarded)], on_script_error=on_page_error
)
