"""I am the shell: the script behind every address; I name the pages and put the frame around the one that is asked for.
I may import streamlit, node, the pages, the frame and the locked view.
I must not draw a page body or run engine code.
My tests are in tests/ui/test_frame.py.
"""

import streamlit as st

from engine.node import TradingNode
from pages import overview, risk, session, trades
from pages.parts import frame, locked, unlock

# A keel from ahead; drawn here because an icon by name would be fetched from the internet.
ICON = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32"><rect width="32" height="32" rx="7" fill="#1f6feb"/>'
    '<path d="M6 9h20c0 8-4 12-8 13v4h-4v-4C10 21 6 17 6 9z" fill="#fff"/></svg>'
)

st.set_page_config(page_title="Keel", page_icon=ICON, layout="wide")
node = TradingNode.attach()
hidden = unlock.hides_view(node)
frame.look(node)
page = st.navigation(
    {
        "Operate": [
            st.Page(overview.render, title="Overview", icon=":material/monitoring:", default=True),
            st.Page(session.render, title="Session", icon=":material/tune:", url_path="session"),
            st.Page(trades.render, title="Trades", icon=":material/receipt_long:", url_path="trades"),
            st.Page(risk.render, title="Risk", icon=":material/shield:", url_path="risk"),
        ]
    },
    position="hidden" if hidden else "sidebar",
)
if hidden:
    locked.draw(node)
else:
    frame.sidebar(node)
    frame.bottom_bar(node)  # before the page, so that the panic button is there even when a page fails
    page.run()
