"""Asks the module on a port who it is and whether its SIM can be used, before an agent runs: for `setup`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import serial

ATTEMPTS = 3
"""Autobauding modules need up to this many `AT` before the first answer."""
READ_TIMEOUT_S, MAX_READS = 0.1, 15
"""AT and identification are answered at once; +CPIN? within this time, even while the SIM starts."""


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """The answers of a module. An empty text means that it did not answer."""

    error: str = ""
    """Why the port could not be opened, as part of a sentence."""
    model: str = ""
    """Maker and model on one line, as the module writes them."""
    sim: str = ""
    """The state of the SIM: `READY`, `SIM PIN`, or the error in its place, such as `+CME ERROR: 10`."""

    @property
    def has_answered(self) -> bool:
        return bool(self.model or self.sim)


def probe_module(port: Path, baud: int = 115200) -> ProbeResult:
    """Open the port and ask. Takes up to some seconds if nothing answers."""
    try:
        with serial.Serial(str(port), baud, timeout=READ_TIMEOUT_S, exclusive=True) as line:
            for _ in range(ATTEMPTS):
                if "OK" in _ask(line, "AT"):
                    break
            else:
                return ProbeResult()
            maker, model, sim = (_ask(line, command) for command in ("AT+CGMI", "AT+CGMM", "AT+CPIN?"))
    except OSError as error:  # serial.SerialException is one
        return ProbeResult(error=str(error.strerror or error))
    answers = [line for lines in (maker, model) for line in lines if line != "OK" and "ERROR" not in line]
    state = next((line.removeprefix("+CPIN:").strip() for line in sim if line != "OK"), "")
    return ProbeResult(model=" ".join(answers) or "a module that does not say its name", sim=state)


def _ask(line: serial.Serial, command: str) -> list[str]:
    """Return the lines of the answer, without the echo; they end with the result if it came in time."""
    line.reset_input_buffer()
    line.write(f"{command}\r".encode())
    received = b""
    for _ in range(MAX_READS):
        received += line.read(256)
        lines = [text.strip() for text in received.decode("ascii", "replace").splitlines() if text.strip()]
        if lines and (lines[-1] == "OK" or "ERROR" in lines[-1]):
            return [text for text in lines if text != command]
    return []
