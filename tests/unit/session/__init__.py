"""Tests of engine/session."""
