"""I am the guard at the door: security headers on each answer, and one sentence instead of a trace at a refused start.
I may import starlette.
I must not look at what a page says, nor hold up a websocket.
My tests are in tests/ui/test_app.py.
"""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = [
    (b"content-security-policy", b"frame-ancestors 'none'"),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
]


def guarded(inner: ASGIApp) -> ASGIApp:
    """Add security headers to each answer, and shorten the trace of a refused start to its one sentence."""

    async def guard(scope: Scope, receive: Receive, send: Send) -> None:
        async def forward(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *HEADERS]
            elif message["type"] == "lifespan.startup.failed":
                message["message"] = message["message"].strip().rsplit("ConfigError: ", 1)[-1]
            await send(message)

        await inner(scope, receive, forward)

    return guard
