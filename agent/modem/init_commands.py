"""The operator's own AT commands, `[modem] init`, which follow each initialisation of the module."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from agent.at.command import AtCommand
from agent.at.command_line import CommandPart, split_command_line
from agent.at.errors import AtUsageError, ModemLost
from agent.modem.setup_client import SetupClient

MAX_COMMANDS = 16
COMMAND_TIMEOUT_S = 10.0
"""Time for one command. All of them must end well before the watchdog's deadline of an initialisation."""
MAX_RESTARTS = 2
"""A command during which the module has restarted so often is not sent again."""

_LINE = "it changes how the agent and the module exchange lines"
_MESSAGES = "the agent chooses how messages are stored, announced and read"
_SENDS = "it sends, writes or deletes messages"
_RESTARTS = "it restarts the module, switches it off or resets its settings, and would do so again each time"
_RADIO = "the agent itself switches the radio on, and off only as a step of recovery"
_SIM = "it concerns the PIN or the lock of the SIM: a PIN belongs in pin_file"
_REFUSED = {
    **dict.fromkeys(("E", "V", "Q", "X", "S3", "S4", "S5", "+CMEE", "+IPR", "+IPREX", "+ICF", "+IFC"), _LINE),
    **dict.fromkeys(("&C", "&D", "&K", "&Q", "\\Q", "+CMUX", "+CSCS", "A", "D", "H", "O", "S0"), _LINE),
    **dict.fromkeys(("+CMGF", "+CNMI", "+CPMS", "+CSMS", "+CSDH", "+CSMP", "+CSCA", "+CRES"), _MESSAGES),
    **dict.fromkeys(("+CREG", "+CGREG", "+CEREG"), "the agent needs its own mode of these notifications"),
    **dict.fromkeys(("+CMGD", "+CMGC", "+CMGL", "+CMGR", "+CMGS", "+CMGW", "+CMSS", "+CNMA"), _SENDS),
    **dict.fromkeys(("+CMGDA", "+QMGDA", "+CMGRD", "+CMGSEX", "+QCMGS", "+CMMS"), _SENDS),
    **dict.fromkeys(("Z", "&F", "+CRESET", "+CPOF", "+CPOWD", "+CPWROFF", "+QPOWD", "+QRST"), _RESTARTS),
    **dict.fromkeys(("#REBOOT", "#SHDN", "^RESET", "^SMSO", "+NRB", "!RESET", "+TRB", "+CREBOOT"), _RESTARTS),
    **dict.fromkeys(("+CUSBPIDSWITCH", "#USBCFG", "+UUSBCONF", "^SETPORT"), _RESTARTS),
    **dict.fromkeys(("&W", "+CSAS"), "it writes the settings to the flash memory of the module each time"),
    "+CFUN": _RADIO,
    **dict.fromkeys(("+CPIN", "+CPIN2", "+CLCK", "+CPWD", "+SPIC"), _SIM),
}
"""Commands that would break the agent, each with the reason. Their queries are harmless."""


def check_init_commands(lines: Sequence[str]) -> list[str]:
    """Return a sentence for each line that cannot be used, which names its place in `modem.init`."""
    errors = [f"modem.init has {len(lines)} commands; {MAX_COMMANDS} are possible"] * (
        len(lines) > MAX_COMMANDS
    )
    for index, line in enumerate(lines):
        if problem := _find_problem(line):
            errors.append(f"modem.init[{index}]: {problem}")
    return errors


def _find_problem(line: str) -> str:
    try:
        AtCommand.from_user_input(line, COMMAND_TIMEOUT_S)
    except AtUsageError as error:
        return f'{error}; write one AT command, for example \'AT+CGDCONT=1,"IP","internet"\''
    for part in split_command_line(line):
        reason = _REFUSED.get(part.name)
        if part.name == "" and part.suffix:
            return f"{_name(part)} is not an AT command that the agent understands"
        if reason is not None and not part.is_query:
            return f"AT{part.name} cannot be used: {reason}"
    return ""


def _name(part: CommandPart) -> str:
    return part.suffix[:20]


class InitCommands:
    """The commands of one agent. It lives longer than a session, and remembers what restarts the module."""

    def __init__(self, lines: Sequence[str] = ()) -> None:
        self._commands = [
            AtCommand.from_user_input(line, COMMAND_TIMEOUT_S).replace(hides_values=True) for line in lines
        ]
        self._restarts: Counter[int] = Counter()

    async def run(self, client: SetupClient, has_restarted: Callable[[], bool]) -> None:
        """Send each command. A failure is a note. Ends early if the module restarts. Raises ModemLost.

        The notes name a command by its place and its name: its values may be a password.
        """
        for index, command in enumerate(self._commands):
            label = f"modem.init[{index}] AT{command.name}"
            if self._restarts[index] >= MAX_RESTARTS:
                client.add_note(f"{label} is not sent any more: the module restarted each time")
                continue
            try:
                await client.try_command(command, max_tries=1, label=label)
            except ModemLost:
                self._restarts[index] += 1
                raise
            if has_restarted():
                self._restarts[index] += 1
                return
