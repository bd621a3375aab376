"""The device-side SMS command agent, and the API for handler files: `from agent import Command, handler`.

Every process of ours imports this package, so it imports the API only when a handler file asks for it.
"""

TYPE_CHECKING = False  # importing typing would cost each process a megabyte
if TYPE_CHECKING:
    from agent.handlers.api import Command, Reply, TryLater, handler

__all__ = ["Command", "Reply", "TryLater", "handler"]


def __getattr__(name: str) -> object:
    """Return a name of the API."""
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    from agent.handlers import api  # noqa: PLC0415  (see above)

    return getattr(api, name)
