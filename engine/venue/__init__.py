"""I am the venue: the simulated account served over HTTP as an OANDA-v20-compatible server on loopback.
I may import wiring's neighbours of the simulated venue, the domain, starlette and uvicorn.
I must not match or book: the exchange that the sandbox uses does; nor listen anywhere but on loopback.
My tests are in tests/unit/venue and, with OANDA's own clients, in tests/contract/test_venue.py.
"""
