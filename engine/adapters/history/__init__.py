"""I am recorded history: bid and ask bars from files, and a market that plays them again.
I may import the domain and ports.
I must not invent, repair or resample a bar, nor know the other adapters.
My tests are in tests/unit/adapters/history.
"""
