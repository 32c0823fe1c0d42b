"""I am the parts that pages share: frame, confirmations, figures, tables and formats.
I may import streamlit, plotly, the domain, snapshot, node and wiring.
I must not know a single page.
My tests are in tests/unit/pages and tests/ui.
"""
