"""The error of a module that answers but cannot be used."""

from __future__ import annotations


class ModemUnusable(Exception):  # noqa: N818  (a state of the module rather than a failed call)
    """The module answers, but the agent cannot work with it now. The text gives the reason and the remedy."""
