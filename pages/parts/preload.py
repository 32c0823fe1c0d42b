"""I am the first visitor: I import what the pages need before a person waits for it.
I may import the pages.
I must not draw anything.
My tests are in tests/ui/test_app.py.
"""

import gc
from importlib import import_module


def warm_up() -> None:
    """Import the pages and keep all that is loaded out of later collections.

    A full collection over the libraries holds every thread up, the trading thread too, for about a tenth of a second.
    """
    for page in ("overview", "session", "trades"):
        import_module(f"pages.{page}")
    gc.collect()
    gc.freeze()
