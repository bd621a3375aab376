"""Reads passwords and keys from a file of the configuration, or from a systemd credential."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class SecretError(Exception):
    """A secret cannot be used; the text is a sentence that never shows its content."""


def read_secret(key: str, file: Path | str | None, credential: str, environ: Mapping[str, str]) -> str | None:
    """Return the text of `file`, else that of the systemd credential; None if neither exists.

    `key` names the setting in errors. Raises SecretError, also if every user may read `file`.
    """
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if file is not None:
        path = Path(file)
    elif folder and Path(folder, credential).exists():
        path, key = Path(folder, credential), f"the systemd credential {credential}"
    else:
        return None
    try:
        if file is not None and path.stat().st_mode & 0o007:
            raise SecretError(f"{key}: {path} can be read by every user; run: chmod o= {path}")
        text = path.read_text("utf-8").strip()
    except OSError as error:
        raise SecretError(f"{key}: {path}: {error.strerror or error}") from None
    except UnicodeDecodeError:
        raise SecretError(f"{key}: {path} is not valid UTF-8") from None
    if not text:
        raise SecretError(f"{key}: {path} is empty; write the secret into it")
    return text
