"""I am OANDA v20: the real venue behind the ports, and the one room that talks to the internet.
I may import the domain, ports and redaction.
I must not read a clock, send anything twice, or show a secret.
My tests are in tests/unit/adapters/oanda.
"""
