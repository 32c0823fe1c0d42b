"""I am the checker of gates: an entry has passed every one of them, and none that its own numbers forbid.
I may import the domain and the other parts of this folder.
I must not measure anything: what is recorded of a decision must not contradict itself.
My tests are in tests/simulation/test_gates.py and test_saboteurs.py.
"""

import re
from decimal import Decimal

from engine.domain.decision import Action, Decision, Gate
from tests.simulation.judging import demand

# Everything that FEATURES.md promises of an entry, by the name that a person reads.
ALL = frozenset(
    ("trading_state", "quote", "quote_age", "trading_window", "weekend", "rollover", "news", "spread", "spread_ratio")
    + ("volatility", "price_collar", "stop_loss", "price_bound", "edge", "risk_per_trade", "position_units")
    + ("position_value", "exposure", "exposure_net", "margin", "currency_leg", "positions", "order_interval")
    + ("cool_down", "order_rate", "repeated_entries", "duplicate", "unresolved")
)
_AT_MOST = frozenset(
    ("quote_age", "spread", "spread_ratio", "volatility", "price_collar", "price_bound", "risk_per_trade", "unresolved")
    + ("position_units", "position_value", "exposure", "exposure_net", "margin", "currency_leg", "positions")
    + ("order_rate",)
)
_AT_LEAST = frozenset(("edge", "order_interval", "cool_down"))
_VALUE = re.compile(r"(?:[A-Z]{3} )?(-?\d+(?:\.\d+)?)(?: \S.*)?")
_LIMIT = re.compile(r"(?:at least )?(-?\d+(?:\.\d+)?) ?.*")
# Texts are rounded.
ROUNDED = Decimal("0.06")


def check_gates(decision: Decision) -> None:
    """An entry names every gate, and the texts of each bear out that it passed."""
    where = f"{decision.instrument} {decision.bar_ts_ns}"
    if decision.action in (Action.ENTER, Action.REVERSE):
        missing = ALL - {gate.name for gate in decision.gates}
        demand(not missing, "gates", f"{where}: an entry was not judged by {sorted(missing)}")
        closed = [gate.name for gate in decision.gates if not gate.passed]
        demand(not closed, "gates", f"{where}: an entry is made past {closed}")
    for gate in decision.gates:
        if gate.passed:
            demand(_is_borne_out(gate), "gates", f"{where}: {gate.name} passes {gate.value}, its limit is {gate.limit}")


def _is_borne_out(gate: Gate) -> bool:
    if gate.name not in _AT_MOST | _AT_LEAST or " bars known" in gate.value:
        return True
    value, limit = _VALUE.fullmatch(gate.value), _LIMIT.fullmatch(gate.limit)
    if value is None or limit is None:
        return True
    told, most = Decimal(value[1]), Decimal(limit[1])
    if gate.name in _AT_LEAST:
        return told >= most - ROUNDED or (not most and gate.name != "edge")
    return told <= most + ROUNDED
