"""The settings that commands change and that a restart, ATZ or AT&F resets, with their factory values.

One instance holds the settings in effect, another those saved by AT&W or by the module itself (V.250 6.1).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hardware.profile import SimulatorProfile

S_REGISTERS = {0: 0, 3: 13, 4: 10, 5: 8, 6: 2, 7: 60, 8: 2, 10: 15}
"""S-parameters: 3 to 5 are the control characters of V.250; the others are accepted for dial-up scripts."""

BASIC_COMMANDS = {"X": 4, "&C": 1, "&D": 1, "&S": 0, "&K": 0, "L": 0, "M": 0}
"""Basic commands whose value is stored and has no effect here."""


@dataclass(slots=True)
class Settings:
    """Settings of the terminal interface."""

    echo: bool = True
    verbose: bool = True
    quiet: bool = False
    registers: dict[int, int] = field(default_factory=lambda: dict(S_REGISTERS))
    basic_commands: dict[str, int] = field(default_factory=lambda: dict(BASIC_COMMANDS))
    cmee: int = 0
    cscs: str = "GSM"
    creg: dict[str, int] = field(default_factory=lambda: {"+CREG": 0, "+CGREG": 0, "+CEREG": 0})
    cops_format: int = 0
    ctzu: int = 1
    ctzr: int = 0
    cgsms: int = 1
    ws46: int = 25
    pdp_contexts: dict[int, tuple[str, str]] = field(default_factory=dict)
    """PDP type and access point name by `<cid>`."""
    ipr: int = 115200
    ifc: tuple[int, int] = (0, 0)
    text_mode: bool = False
    csms: int = 0
    cpms: tuple[str, str, str] = ("ME", "ME", "ME")
    cnmi: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    csmp: tuple[int, int | str, int, int] = (17, 167, 0, 0)
    """First octet, validity period (a number, or the text of an absolute one), protocol, coding scheme."""
    csdh: int = 0
    cscb: tuple[int, str, str] = (0, "", "")
    cmms: int = 0
    numbers: dict[str, tuple[int, ...]] = field(default_factory=dict)
    """Values of the commands that are only remembered, by their name; without an entry their default."""
    phonebook: str = "SM"

    def copy(self) -> Settings:
        """Return a copy that shares no dictionary with the original."""
        return replace(
            self,
            registers=dict(self.registers),
            basic_commands=dict(self.basic_commands),
            creg=dict(self.creg),
            pdp_contexts=dict(self.pdp_contexts),
            numbers=dict(self.numbers),
        )

    def copy_from(self, other: Settings, names: Iterable[str] | None = None) -> None:
        """Overwrite the named settings, or all, with those of another instance."""
        source = other.copy()
        for name in names if names is not None else [item.name for item in fields(self)]:
            setattr(self, name, getattr(source, name))


def factory_settings(profile: SimulatorProfile) -> Settings:
    """Return the settings that AT&F restores."""
    return Settings(
        cmee=profile.cmee,
        cscs=profile.charsets[0],
        csms=profile.csms,
        cpms=(profile.store,) * 3,
        cnmi=profile.cnmi,
        cgsms=profile.cgsms,
        ipr=115200 if profile.baud is None else profile.baud,
        text_mode=profile.cmgf == 1,
    )
