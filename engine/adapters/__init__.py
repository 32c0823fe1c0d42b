"""I am the outside world: clocks, venues and recordings behind the ports.
I may import the domain and ports; each adapter is a stranger to the others.
I must not decide anything about trading.
My tests are in tests/unit/adapters and tests/contract.
"""
