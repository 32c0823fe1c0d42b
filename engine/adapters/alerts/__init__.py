"""I am the ways in which a person who is away is told.
I may import the domain, ports and redaction.
I must not matter to trading.
My tests are in tests/unit/adapters/alerts.
"""
