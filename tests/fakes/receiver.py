"""A receiver of alerts on a real port, as a chat's webhook is one."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

CANARY = "canary-hook-9f31"


class Receiver(ThreadingHTTPServer):
    """A receiver on loopback that keeps what it gets; it answers with the next status of a list, the last for ever."""

    daemon_threads = True

    def __init__(self, *statuses: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.statuses = list(statuses) or [200]
        self.got: list[dict[str, str]] = []
        self.at: list[float] = []
        self.url = f"http://127.0.0.1:{self.server_port}/{CANARY}?key={CANARY}"
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()

    def __exit__(self, *failure: object) -> None:
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.got.append(json.loads(body))
        self.server.at.append(time.monotonic())
        statuses = self.server.statuses
        status = statuses.pop(0) if len(statuses) > 1 else statuses[0]
        self.send_response(status)
        self.send_header("Location", "/elsewhere")
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass
