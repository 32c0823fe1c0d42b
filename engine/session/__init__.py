"""I am the trading session: the one loop body for every mode.
I may import the domain, ports, snapshot, ledger, sizing, execution and risk.
I must not do I/O, read a clock or know an adapter; everything outside comes in through ports.
My tests are in tests/unit/session.
"""

from engine.session.loop import TradingSession

__all__ = ["TradingSession"]
