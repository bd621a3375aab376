"""The device-side agent, and the door for people who write handlers: `from agent import Command, handler`.

What is imported here is imported by every handler process too, so it stays small.
"""

from agent.handlers.api import Command, Reply, TryLater, handler

__all__ = ["Command", "Reply", "TryLater", "handler"]
