"""The session page with a real engine behind it: every state, every reason, and what Start really starts."""

import gzip
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from shutil import copyfile

import pytest
from streamlit.testing.v1 import AppTest

from engine.domain.command import HaltTrading, Mode, StartSession
from engine.domain.event import SessionState, TradingState
from engine.domain.market import Granularity
from engine.node import TradingNode
from engine.prediction.manifest import Libraries, Manifest, ManifestEntry
from engine.snapshot import WarmupRow
from tests.ui.conftest import wait_for
