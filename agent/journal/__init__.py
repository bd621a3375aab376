"""The journal: the persistent state of the agent, in one SQLite file.

All methods are blocking functions on plain `sqlite3`; `executor` runs them outside of the event loop.
"""
