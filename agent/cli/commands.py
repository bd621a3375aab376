"""The commands of `modem-agent`: one module for each, imported when the command is used."""

from __future__ import annotations

import importlib

import click

from agent.cli.wrong_usage import ExplainingGroup
from agent.version import VERSION

_COMMANDS = {
    "run": ("agent.cli.run", "Run the agent. The systemd service starts this command."),
    "setup": ("agent.cli.setup", "Install the agent as a service and configure it, or remove it."),
    "demo": ("agent.cli.demo", "Demonstrate the whole system in simulation. Needs no hardware."),
    "sandbox": ("agent.cli.sandbox", "Run simulated modules, network and REST API to develop against."),
    "fleet": ("agent.cli.fleet", "Simulate thousands of devices, and show the load that they cause."),
    "send": ("agent.cli.send", "Send an SMS through the running agent."),
    "inbox": ("agent.cli.inbox", "List the received Commands, or the ignored messages."),
    "outbox": ("agent.cli.outbox", "List the replies and their states."),
    "status": ("agent.cli.status", "Show the state of the running agent and its module."),
    "signal": ("agent.cli.signal", "Show how well the module receives, to place an antenna."),
    "why": ("agent.cli.why", "Explain one Command: times, attempts, answer, and what to do."),
    "doctor": ("agent.cli.doctor", "Find out what is wrong, and say what to type next."),
    "at": ("agent.cli.at", "Execute one AT command through the running agent."),
    "handlers": ("agent.cli.handlers", "List the handlers, test one, add a ready one."),
    "config": ("agent.cli.config", "Check agent.toml and the handlers."),
    "pdu": ("agent.cli.pdu", "Decode and encode SMS PDUs."),
}
"""Name of each command: the module that has a click command of the same name, and one line of help."""


class _LazyGroup(ExplainingGroup):
    """Imports a command only when it is used: so the service does not hold the other commands in memory."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(_COMMANDS[cmd_name][0])
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)  # noqa: S101  (for the type checker)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="modem-agent")
def group() -> None:
    """Receive Commands by SMS, run each once, and reply. For Super SIM and Programmable Wireless.

    \b
    Without hardware:          modem-agent demo
    To develop a device:       modem-agent sandbox
    On a device:               sudo modem-agent setup
    If it does not work:       sudo modem-agent doctor
    """
