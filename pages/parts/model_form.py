"""I am the model form: the models with the reason why one does not fit, and the instruments that the chosen one serves.
I may import the model registry, the domain, ports and tables.
I must not load a model.
My tests are in tests/ui/test_session.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import streamlit as st

from engine.domain.command import Mode, SessionConfig
from engine.ports import PredictorSpec
from engine.prediction.baselines import FAST_DEFAULT, SLOW_DEFAULT, SMA_CROSS
from engine.prediction.registry import ModelRegistry, incompatibility
from pages.parts import tables
from pages.parts.formats import escaped
from pages.parts.market_form import Market


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """A model and the instruments it is to trade, or why they do not go together."""

    model_id: str = ""
    instruments: tuple[str, ...] = ()
    problem: str | None = None


def draw(registry: ModelRegistry, market: Market, defaults: SessionConfig) -> Choice:
    """Show every model with its reason, and choose one with its instruments."""
    for broken in registry.problems():
        st.warning(f"Broken registry entry: {escaped(broken)}", icon=":material/broken_image:")
    specs = {spec.model_id: spec for spec in registry.specs()}
    picked = st.session_state.get(_instruments_key(market), _wanted(market, defaults))
    wanted = tuple(name for name in picked if name in market.instruments)
    reasons = {
        model_id: registry.problem(model_id) or incompatibility(spec, wanted, market.granularity)
        for model_id, spec in specs.items()
    }
    frame = tables.models(list(specs.values()), reasons)
    st.dataframe(frame, column_config=tables.MODEL_COLUMNS, hide_index=True, key="session.models")
    spec = specs[_choose_model(specs, reasons, defaults)]
    model_id = _crossing() if spec.model_id == SMA_CROSS else spec.model_id
    instruments = _choose_instruments(spec, market, defaults)
    problem: str | None = "Choose at least one instrument."
    if instruments:
        problem = registry.problem(model_id) or incompatibility(spec, instruments, market.granularity)
    return Choice(model_id=model_id, instruments=instruments, problem=problem)


def _crossing() -> str:
    """Ask for the two periods of the crossing averages; the registry judges them."""
    with st.grid(min_column_width=200):
        fast = st.number_input(
            "Fast average, bars", value=FAST_DEFAULT, step=1, key="session.fast", persist_state="session"
        )
        slow = st.number_input(
            "Slow average, bars", value=SLOW_DEFAULT, step=1, key="session.slow", persist_state="session"
        )
    return SMA_CROSS if (fast, slow) == (FAST_DEFAULT, SLOW_DEFAULT) else f"{SMA_CROSS}:{fast}/{slow}"


def _choose_model(
    specs: Mapping[str, PredictorSpec], reasons: Mapping[str, str | None], defaults: SessionConfig
) -> str:
    """Offer the models that fit; the one already chosen stays, so that its reason can be read and cured."""
    chosen = st.session_state.get("session.model", defaults.model_id)
    offered = [model_id for model_id in specs if reasons[model_id] is None or model_id == chosen]
    offered = offered or list(specs)
    picked = st.selectbox(
        "Model",
        offered,
        index=offered.index(chosen) if chosen in offered else 0,
        format_func=lambda model_id: _title(specs[model_id]),
        help="Only models that fit the chosen instruments and granularity; clear the instruments to see all.",
        key="session.model",
        persist_state="session",
    )
    return str(picked)


def _title(spec: PredictorSpec) -> str:
    """Name a model; the crossing averages without the periods that they begin with, for others may be typed."""
    title = spec.title.removesuffix(f" {FAST_DEFAULT}/{SLOW_DEFAULT}") if spec.model_id == SMA_CROSS else spec.title
    return f"{title} ({spec.model_id})"


def _choose_instruments(spec: PredictorSpec, market: Market, defaults: SessionConfig) -> tuple[str, ...]:
    trained = spec.instruments or market.instruments
    eligible = [name for name in market.instruments if name in trained]
    excluded = [name for name in market.instruments if name not in trained]
    wanted = [name for name in _wanted(market, defaults) if name in eligible]
    chosen = st.multiselect(
        "Instruments",
        eligible,
        default=wanted[: spec.instruments_max],
        key=_instruments_key(market),
        persist_state="session",
    )
    if excluded:
        st.caption(escaped(f"Not offered, because {spec.title} was not trained on them: {', '.join(excluded)}."))
    return tuple(chosen)


def _wanted(market: Market, defaults: SessionConfig) -> list[str]:
    """Propose everything that is recorded, or the default instruments of the generated market."""
    return list(market.instruments if market.mode == Mode.REPLAY else defaults.instruments)


def _instruments_key(market: Market) -> str:
    """Keep one choice for the sandbox and one for each set of recordings."""
    return f"session.instruments.{'+'.join(market.instruments) if market.mode == Mode.REPLAY else market.mode}"
