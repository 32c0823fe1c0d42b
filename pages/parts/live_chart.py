"""I am the live chart: a figure on the page that keeps its zoom while its data move.
I may import streamlit and plotly.
I must not decide what a figure shows.
My tests are in tests/ui/test_overview.py.

st.plotly_chart is torn down on each change of data and loses zoom and drags; this component keeps the plot and calls
Plotly.react on it (https://plotly.com/javascript/plotlyjs-function-reference/#plotlyreact). plotly.js comes from the
plotly package through a route of app.py, so that no request leaves this machine.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from time import monotonic

import plotly.graph_objects as go
import plotly.io as pio
import streamlit as st

LIBRARY = "/vendor/plotly.min.js"
REDRAW_S_MIN = 2.0

_HTML = '<div class="keel-plot" role="img" style="width:100%"></div>'

_CSS = ".keel-plot { touch-action: pan-y; }"

_JS = """
let loading = null;
const library = (url) => window.Plotly ? Promise.resolve(window.Plotly)
  : (loading ??= new Promise((done, failed) => {
      const script = document.createElement("script");
      script.src = url;
      script.onload = () => done(window.Plotly);
      script.onerror = failed;
      document.head.append(script);
    }));

const coloured = (text, style) =>
  text.replaceAll(/var\\((--st-[a-z-]+)\\)/g, (_, name) => style.getPropertyValue(name).trim());

const BUTTONS = [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]];

const narrowed = (layout) => {
  const { tickvals, ticktext } = layout.xaxis;
  const every = tickvals ? Math.ceil(tickvals.length / 4) : 1;
  const thin = (list) => list && list.filter((_, number) => number % every === 0);
  Object.assign(layout.xaxis, { tickvals: thin(tickvals), ticktext: thin(ticktext), nticks: 4, tickangle: 0 });
  layout.dragmode = false;
};

const draw = (host) => {
  if (document.hidden || host._dragging) return;
  const { figure, url } = host.keel;
  const style = getComputedStyle(host);
  const theme = style.getPropertyValue("--st-text-color") + style.getPropertyValue("--st-background-color");
  if (host.keelDrawn === figure && host.keelTheme === theme) return;
  library(url).then((Plotly) => {
    if (host.keel.figure !== figure || document.hidden || host._dragging) return;
    const { data, layout } = JSON.parse(coloured(figure, style));
    const narrow = host.clientWidth < 500;
    if (narrow) narrowed(layout);
    layout.font.family = style.fontFamily;
    host.keelDrawn = figure;
    host.keelTheme = theme;
    host.keelBusy = Plotly.react(host, data, layout, {
      responsive: true, scrollZoom: !narrow, displaylogo: false,
      displayModeBar: narrow ? false : "hover", modeBarButtons: BUTTONS,
    });
  });
};

export default function ({ parentElement, data }) {
  const host = parentElement.querySelector(".keel-plot");
  host.style.height = data.height + "px";
  host.setAttribute("aria-label", data.alt);
  host.keel = { figure: data.figure, url: data.plotly };
  draw(host);
  host.keelTimer ??= setInterval(() => draw(host), 500);
  return () => {
    clearInterval(host.keelTimer);
    host.keelTimer = host.keelDrawn = null;
    Promise.resolve(host.keelBusy).then(() => host.keelTimer === null && window.Plotly?.purge(host));
  };
}
"""


@dataclass(frozen=True, slots=True)
class _Drawn:
    """The figure as last sent to this browser."""

    subject: str
    version: Hashable
    at_s: float
    figure: str


def live_plotly(
    build: Callable[[], go.Figure], *, key: str, subject: str, version: Hashable, alt: str, height: int = 400
) -> None:
    """Show the figure that `build` makes; it is called at once for a new `subject`, else for a new `version`.

    New versions are at most drawn every two seconds. `key` names the chart on its page, `alt` says in words what it
    shows; height is in pixels.
    """
    drawn = st.session_state.get(f"{key}-drawn")
    if not isinstance(drawn, _Drawn) or drawn.subject != subject or _due(drawn, version):
        drawn = _Drawn(subject, version, monotonic(), pio.to_json(build(), validate=False))
        st.session_state[f"{key}-drawn"] = drawn
    chart = st.components.v2.component("keel_live_plotly", html=_HTML, css=_CSS, js=_JS, isolate_styles=False)
    data = {"figure": drawn.figure, "plotly": LIBRARY, "alt": alt, "height": height}
    chart(data=data, key=key, height="content")


def _due(drawn: _Drawn, version: Hashable) -> bool:
    return drawn.version != version and monotonic() - drawn.at_s >= REDRAW_S_MIN
