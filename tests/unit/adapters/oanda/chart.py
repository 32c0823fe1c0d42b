"""A market drawn by hand: which candles there are, when each ends, and how late the venue closes it."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from engine.adapters.oanda.asking import Asker
from engine.adapters.oanda.limits import Backoff
from engine.adapters.oanda.market_data import OandaMarketData
from engine.adapters.oanda.moments import rfc3339_text
from engine.adapters.sim.instruments import CATALOGUE
from engine.domain.market import NS_PER_S, Bar, Granularity
from tests.fakes.venue import ACCOUNT
from tests.unit.adapters.oanda.line import client_of

# All retries for a bar lie before it.
CALM_NS = 12 * NS_PER_S
MINUTE_NS, HOUR_NS = Granularity.M1.ns, Granularity.H1.ns


def bars_of(items: Any) -> list[tuple[str, int]]:
    return [(item.instrument, item.open_ts_ns) for item in items if isinstance(item, Bar)]


def candle(open_ns: int, *, complete: bool = True) -> dict[str, Any]:
    prices = dict.fromkeys("ohlc", "1.10000")
    return {"time": rfc3339_text(open_ns), "volume": 1, "complete": complete, "bid": prices, "ask": prices}


class Chart:
    """What the venue shows of one instrument: candles by their start and end, `late_ns` after the end complete."""

    def __init__(self, granularity: Granularity, spans: list[tuple[int, int]]) -> None:
        self.granularity = granularity
        self.spans = spans
        self.late_ns = 0
        self.now_ns = 0

    def body(self, name: str) -> bytes:
        """Answer a request for candles."""
        rows = [
            candle(begun, complete=end + self.late_ns <= self.now_ns)
            for begun, end in self.spans
            if begun < self.now_ns
        ]
        return json.dumps({"instrument": name, "granularity": self.granularity.value, "candles": rows}).encode()

    def lived(self, data: OandaMarketData, until_ns: int) -> list[tuple[int, int]]:
        """Poll whenever it is due, but for the calm part of a step; returns when each bar came, and its start."""
        came: list[tuple[int, int]] = []
        step_ns = min(self.granularity.ns, HOUR_NS)
        while (due_ns := data.next_due_ns()) is not None and due_ns <= until_ns:
            calm = self.now_ns % step_ns > CALM_NS
            self.now_ns = self.now_ns // step_ns * step_ns + step_ns if calm else max(due_ns, self.now_ns)
            came += [(self.now_ns, start) for _, start in bars_of(data.poll(self.now_ns))]
        return came


class _ChartHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "ChartServer"

    def do_GET(self) -> None:
        name = self.path.split("/")[3]
        body = self.server.chart.body(name) if "/candles?" in self.path else b'{"prices": []}'
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


class ChartServer(ThreadingHTTPServer):
    """Shows one chart; the venue's own market cannot be made quiet, late, or of another year."""

    daemon_threads = True

    def __init__(self, chart: Chart) -> None:
        super().__init__(("127.0.0.1", 0), _ChartHandler)
        self.chart = chart


@contextmanager
def charted(chart: Chart, start_ns: int) -> Iterator[OandaMarketData]:
    chart.now_ns = start_ns
    with ChartServer(chart) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        client = client_of(f"http://127.0.0.1:{server.server_port}")
        asker = Asker(client, time.monotonic, Backoff(lambda: 0.0))
        data = OandaMarketData(asker, ACCOUNT, CATALOGUE, "USD", now_ns=lambda: chart.now_ns)
        data.start(("EUR_USD",), chart.granularity)
        data.is_streaming = lambda: True  # so that prices, of which there are none, are asked for rarely
        yield data
        data.close()
        client.close()
        server.shutdown()
        thread.join()


def minutes(start_ns: int, *numbers: int) -> list[tuple[int, int]]:
    return [(start_ns + n * MINUTE_NS, start_ns + (n + 1) * MINUTE_NS) for n in numbers]
