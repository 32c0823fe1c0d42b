"""I am the trading engine of Keel: everything that decides, sends and records, without a user interface.
I may import nothing here; my rooms import each other as docs/ARCHITECTURE.md draws it.
I must not know Streamlit, nor hold state.
My tests are in tests/unit, which mirrors my rooms.
"""

__version__ = "0.1.0"
