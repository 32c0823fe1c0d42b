"""I am the entry point of `python -m engine`.
I may import cli.
I must not do anything else.
My tests are in tests/unit/test_cli.py.
"""

import sys

from engine.cli import main

sys.exit(main())
