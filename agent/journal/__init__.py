"""The journal: everything the agent must not forget, in one SQLite file on the device's disk.

Plain `sqlite3`, ordinary methods, no asyncio: `skin` runs them beside the event loop.
"""
