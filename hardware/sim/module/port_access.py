"""Who may open a port of a simulated module, and the error of a port that cannot be opened."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


class PortNotOffered(OSError):  # noqa: N818 - the name of a condition
    """A port cannot be offered; the text is one sentence with the reason and the remedy."""

    def __str__(self) -> str:
        return str(self.args[0])


@dataclass(frozen=True, slots=True)
class PortAccess:
    """Mode bits and group of a port's file; None leaves what the system has chosen."""

    mode: int | None = None
    group: int | None = None

    def apply(self, path: str | Path) -> None:
        """Set group and mode. Raises PortNotOffered, for example if this user is not in the group."""
        try:
            if self.group is not None:
                os.chown(path, -1, self.group)
            if self.mode is not None:
                Path(path).chmod(self.mode)
        except OSError as error:
            raise PortNotOffered(
                f"Mode or group of the port {path} cannot be set: {error.strerror}; choose a --group that "
                "this user belongs to, or leave --mode and --group out."
            ) from error
