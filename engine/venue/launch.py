"""I am the launch: from the command line's words to a venue that listens on loopback until it is stopped.
I may import the simulated venue, recorded bars, uvicorn and the other parts of this room.
I must not listen anywhere but on 127.0.0.1.
My tests are in tests/unit/venue/test_launch.py.
"""

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from decimal import Decimal
from pathlib import Path

import msgspec
import uvicorn

from engine.adapters.clock import monotonic_s, wall_ns
from engine.adapters.history.csv_bars import read_bars
from engine.adapters.history.imported import ImportedBars
from engine.adapters.history.market_data import RecordedBars
from engine.adapters.sim.exchange import Exchange
from engine.adapters.sim.instruments import CATALOGUE
from engine.adapters.sim.market import DEFAULT_START_NS, GeneratedMarket
from engine.domain.error import ConfigError
from engine.domain.market import NS_PER_S, Bar
from engine.ports import BarSource
from engine.venue.candles import BarShelf
from engine.venue.control import ControlApp
from engine.venue.desk import Desk
from engine.venue.market import MarketTime, VenueMarket
from engine.venue.server import ACCOUNT_PATTERN, VenueApp
from engine.venue.shelves import GeneratedShelf, RecordedShelf

HOST = "127.0.0.1"
PORT_MAX = 65_535
BALANCE_MAX = 1_000_000_000
HEARTBEAT_S = 5.0
TICK_S = 0.05
_STOPS = (signal.SIGINT, signal.SIGTERM)
# How many recorded bars are history when the venue opens, or half of them where there are fewer.
HISTORY_BARS = 500


class VenueTerms(msgspec.Struct, frozen=True, kw_only=True):
    """What a venue is started with."""

    port: int
    token: str
    account: str
    seed: int = 1
    bars: tuple[tuple[str, str], ...] = ()
    speed: float = 1.0
    balance: Decimal = Decimal(100_000)
    currency: str = "USD"
    control_port: int | None = None

    def __post_init__(self) -> None:
        for name, port in (("--port", self.port), ("--control-port", self.control_port)):
            if port is not None and not 1 <= port <= PORT_MAX:
                raise ConfigError(f"{name} {port} is out of range; allowed are 1 to {PORT_MAX}.")
        if self.port == self.control_port:
            raise ConfigError(f"--port and --control-port are both {self.port}; they must differ.")
        if not self.token or not self.token.isascii() or not self.token.isprintable() or " " in self.token:
            raise ConfigError("--token must be one word of printable ASCII characters.")
        if not ACCOUNT_PATTERN.fullmatch(self.account):
            raise ConfigError(f"--account {self.account!r} is not of OANDA's form, for example 101-001-1234567-001.")
        if not 0 < self.speed <= 100_000:
            raise ConfigError(f"--speed {self.speed:g} is out of range; allowed are numbers above 0, to 100000.")
        if not 0 < self.balance <= BALANCE_MAX:
            raise ConfigError(f"--balance {self.balance} is out of range; allowed is above 0, to {BALANCE_MAX}.")


class Venue(msgspec.Struct, frozen=True, kw_only=True):
    """A venue that was put together: its market, its application, its control if asked for, and what was read."""

    market: VenueMarket
    app: VenueApp
    control: ControlApp | None
    notes: Sequence[str] = ()


def assemble(
    terms: VenueTerms, monotonic: Callable[[], float] = monotonic_s, wall: Callable[[], int] = wall_ns
) -> Venue:
    """Put a venue together; raises ConfigError.

    The account is made within the market's second before the start: the wall clock says at which nanosecond of it, so
    that two venues that began alike are two accounts.
    """
    imported = [read_bars(Path(path), name or None, known=CATALOGUE) for name, path in terms.bars]
    source, start_ns, opening, names = _market(terms, imported)
    exchange = Exchange(
        instruments={name: CATALOGUE[name] for name in names},
        currency=terms.currency,
        balance=terms.balance,
        start_ns=start_ns,
    )
    for _ in range(2):  # a cross has a quote once its legs have prices
        for bar in opening.values():
            exchange.on_quote(bar.instrument, bar.bid_close, bar.ask_close)
    market = VenueMarket(exchange, source, MarketTime(start_ns, terms.speed, monotonic))
    recent, archive = _shelves(terms, source, imported, market)
    desk = Desk(market, terms.account, start_ns - NS_PER_S + wall() % NS_PER_S)
    app = VenueApp(desk, terms.token, recent, archive, HEARTBEAT_S)
    notes = [f"{one.file_name}, {one.instrument}: {one.summary()}." for one in imported]
    return Venue(market=market, app=app, control=ControlApp(market) if terms.control_port else None, notes=notes)


def _market(
    terms: VenueTerms, imported: Sequence[ImportedBars]
) -> tuple[BarSource, int, Mapping[str, Bar], Sequence[str]]:
    """Make the bars that move the venue, where it begins, and the price of each instrument at that moment."""
    if not imported:
        names = tuple(CATALOGUE)
        generated = GeneratedMarket(terms.seed, names)
        granularity = generated.granularity
        opening = {name: generated.history(name, granularity, 1)[-1] for name in names}
        return generated, DEFAULT_START_NS, opening, names
    history = min(HISTORY_BARS, *(len(one.bars) // 2 for one in imported))
    recorded = RecordedBars(imported, max(history, 1))
    opening = {name: recorded.history(name, recorded.granularity, 1)[-1] for name in recorded.instruments}
    return recorded, recorded.start_ns, opening, recorded.instruments


def _shelves(
    terms: VenueTerms, source: BarSource, imported: Sequence[ImportedBars], market: VenueMarket
) -> tuple[BarShelf, BarShelf]:
    if isinstance(source, GeneratedMarket):
        archive = GeneratedMarket(terms.seed, source.instruments)
        return GeneratedShelf(source, market.hand), GeneratedShelf(archive, market.hand)
    shelf = RecordedShelf({one.instrument: one.bars for one in imported}, source.granularity, market.hand)
    return shelf, shelf


def run_venue(terms: VenueTerms, ready: Callable[[str, Sequence[str]], None]) -> None:
    """Serve until Ctrl-C or SIGTERM, and then return.

    `ready` is told the address, and what was read from files, once connections are taken. Raises ConfigError.
    """
    before = {number: signal.signal(number, _leave) for number in _STOPS}
    try:
        with ExitStack() as held:
            ports = [port for port in (terms.port, terms.control_port) if port is not None]
            sockets = [held.enter_context(_listen(port)) for port in ports]
            asyncio.run(_serve(assemble(terms), sockets, ready))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave(*_: object) -> None:
    """End before anything was served."""
    raise SystemExit(0)


def _listen(port: int) -> socket.socket:
    # with the protocol named, asyncio sends answers at once; without, each waits for the acknowledgement, some 40 ms
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((HOST, port))
    except OSError as error:
        listener.close()
        raise ConfigError(f"Port {port} of {HOST} cannot be used: {error.strerror}.") from error
    listener.listen(128)
    return listener


class _Server(uvicorn.Server):
    """A server that leaves signals alone: two of them run here, and both shall end without being killed by one."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Let whoever runs the servers hear the signals."""
        yield


async def _serve(venue: Venue, sockets: Sequence[socket.socket], ready: Callable[[str, Sequence[str]], None]) -> None:
    apps: list[VenueApp | ControlApp] = [venue.app]
    if venue.control is not None:
        apps.append(venue.control)
    servers = [_Server(_settings(app)) for app in apps]

    def stop(*_: object) -> None:
        venue.market.close()
        for server in servers:
            server.should_exit = True

    for number in _STOPS:
        signal.signal(number, stop)
    _tick(asyncio.get_running_loop(), venue.market)
    serving = [asyncio.create_task(server.serve([one])) for server, one in zip(servers, sockets, strict=True)]
    ready(f"http://{HOST}:{sockets[0].getsockname()[1]}", venue.notes)
    await asyncio.wait(serving, return_when=asyncio.FIRST_COMPLETED)
    stop()
    await asyncio.gather(*serving)


def _settings(app: VenueApp | ControlApp) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        log_level="warning",
        access_log=False,
        lifespan="off",
        ws="none",
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
        timeout_keep_alive=75,
    )


def _tick(loop: asyncio.AbstractEventLoop, market: VenueMarket) -> None:
    """Let the market live also while nobody asks; what goes wrong is logged by the loop, and the next tick comes."""
    loop.call_later(TICK_S, _tick, loop, market)
    market.advance()
