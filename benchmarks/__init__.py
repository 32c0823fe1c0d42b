"""I am the benchmarks: speed is measured here and reported, never asserted in a test.
I may import the engine, and start processes of it.
I must not be part of the test suite.
My tests are the tables that `make bench` prints.
"""
