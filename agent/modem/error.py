"""Why a module cannot be used."""

from __future__ import annotations


class ModemUnusable(Exception):  # noqa: N818  (reads as the sentence it is)
    """The module answers, but this work cannot be done with it now. The text says why and what to do."""
