"""I am the memory of Keel: an SQLite file that holds every event, the tables made from them, and exports of these.
I may import the domain, ports and snapshot; sqlite_utils and msgspec.
I must not decide anything, and only my journal may write.
My tests are in tests/unit/store.
"""
