"""The errors of this package, beside those of `agent.at`."""

from __future__ import annotations


class ModemUnusable(Exception):  # noqa: N818  (a state of the module rather than a failed call)
    """The module answers, but the agent cannot work with it now. The text gives the reason and the remedy."""


class SimUnusable(ModemUnusable):
    """The module works, but its SIM cannot be used."""


class SlotKept(Exception):  # noqa: N818  (the name of a condition)
    """A slot is not deleted now, because its delete has silenced the module; the text is a clause."""
