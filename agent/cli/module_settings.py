"""The settings of agent.toml that need more than a look at the file: port, first commands, PIN."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from agent.common.config import Config, ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agent.at.transport.base import TransportOpener
    from agent.modem.sim import Pin

SIM_PIN_CREDENTIAL = "sim-pin"
"""Name of the systemd credential that holds the PIN."""


def make_port_opener(path: Path, config: Config) -> TransportOpener:
    """Return the opener for the port that the configuration names. Raises ConfigError."""
    from agent.at.transport.open import make_opener

    try:
        return make_opener(config.modem.port, config.modem.baud)
    except ValueError as error:
        raise ConfigError(f"{path}: modem.port: {error}") from None


def check_init(path: Path, config: Config) -> None:
    """Raise ConfigError if a command of `modem.init` is none or would break the agent."""
    from agent.modem.init_commands import check_init_commands

    if errors := check_init_commands(config.modem.init):
        raise ConfigError(*(f"{path}: {error}" for error in errors))


def load_sim_pin(path: Path, config: Config, environ: Mapping[str, str]) -> Pin | None:
    """Return the PIN from `modem.pin_file`, else from the systemd credential; None if neither exists.

    A PIN from `modem.pin_file` can be reloaded while the agent runs; systemd copies a credential only when it
    starts the service. Raises ConfigError if the file cannot be used; the text never shows its content.
    """
    from agent.modem.error import SimUnusable
    from agent.modem.sim import Pin

    file = config.modem.pin_file
    key = f"{path}: modem.pin_file: {file}"
    if file is None:
        if not (folder := environ.get("CREDENTIALS_DIRECTORY")):
            return None
        file = Path(folder) / SIM_PIN_CREDENTIAL
        key = f"the systemd credential {SIM_PIN_CREDENTIAL}"
        if not file.exists():
            return None
    digits = _read_pin(file, key, private=config.modem.pin_file is not None)
    if config.modem.pin_file is None:
        return Pin(digits, f"the credential {SIM_PIN_CREDENTIAL}")

    def reload() -> Pin:
        try:
            return Pin(_read_pin(file, key, private=True), str(file), reload)
        except ConfigError as error:
            raise SimUnusable(f"the SIM asks for its PIN; {error}") from None

    return Pin(digits, str(file), reload)


def _read_pin(file: Path, key: str, *, private: bool) -> str:
    """Return the digits in a file.

    Raises ConfigError, with `private` also if every user may read the file.
    """
    try:
        readable_by_all = private and file.stat().st_mode & 0o007
        digits = file.read_text("ascii", "replace").strip()
    except OSError as error:
        raise ConfigError(f"{key}: {error.strerror or error}") from None
    if readable_by_all:
        raise ConfigError(f"{key} can be read by every user; run: chmod o= {file}")
    if not (digits.isascii() and digits.isdigit() and 4 <= len(digits) <= 8):
        raise ConfigError(f"{key} must contain the PIN of the SIM and nothing else: 4 to 8 digits")
    return digits
