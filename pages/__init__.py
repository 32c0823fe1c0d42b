"""I am the console: pages that show the newest snapshot and hand a person's commands to the engine.
I may import streamlit, plotly, the domain, snapshot, node, wiring and the read-only queries.
I must not trade, keep anything about money in a browser session, or import scikit-learn.
My tests are in tests/unit/pages and tests/ui.
"""
