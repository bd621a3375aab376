"""The device-side SMS command agent, and the API for handler files: `from agent import Command, handler`.

Every handler process imports this package too, so it imports as little as possible.
"""

from agent.handlers.api import Command, Reply, TryLater, handler

__all__ = ["Command", "Reply", "TryLater", "handler"]
