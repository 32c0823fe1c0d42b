"""I am the sandbox venue: a seeded generated market and a simulated broker with OANDA's semantics.
I may import the domain and ports.
I must not read the wall clock, open a file or a socket, or know another adapter.
My tests are in tests/unit/adapters/sim.
"""
