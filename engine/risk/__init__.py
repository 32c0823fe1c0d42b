"""I am the risk engine: rules that judge one intent, breakers that judge the account.
I may import the domain.
I must not send, size or store; I only say what may be done and why not.
My tests are in tests/unit/risk.
"""
