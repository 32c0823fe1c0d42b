"""I am the vocabulary: the nouns of trading as frozen values.
I may import the standard library's value types only.
I must not do I/O, read a clock, or import pandas.
My tests are in tests/unit/domain.
"""
