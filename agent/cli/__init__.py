"""The command `modem-agent`: a door, the work is done in the rooms behind it."""

from __future__ import annotations

import errno
import importlib
import os
import sys

import click

from agent.version import VERSION

_COMMANDS = {
    "run": ("agent.cli.run", "Run the agent: the service that systemd starts."),
    "demo": ("agent.cli.demo", "See it work with no hardware: service, network, modules and agents."),
    "sandbox": ("agent.cli.sandbox", "Simulated modules, network and REST API to develop against."),
    "send": ("agent.cli.send", "Send an SMS through the running agent."),
    "inbox": ("agent.cli.inbox_outbox", "Show the Commands that came, or the strays."),
    "outbox": ("agent.cli.inbox_outbox", "Show the answers and what became of them."),
    "status": ("agent.cli.status", "Ask the running agent how it is."),
    "at": ("agent.cli.at", "Ask the module something, through the running agent."),
    "config": ("agent.cli.config", "Check agent.toml."),
    "pdu": ("agent.cli.pdu", "Decode and encode SMS PDUs."),
}


class _LazyGroup(click.Group):
    """Loads a command only when it is asked for: the service needs none of the others in memory."""

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
        """The list of commands, without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="modem-agent")
def group() -> None:
    """Receive Commands by SMS, run each once, answer. For Super SIM and Programmable Wireless.

    \b
    No hardware at hand?     modem-agent demo
    Writing a device program? modem-agent sandbox
    On the device:           modem-agent config check, then run by systemd
    """


def main() -> None:
    """The entry point of the distribution."""
    try:
        group.main(args=sys.argv[1:], prog_name="modem-agent")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EIO, errno.EPIPE):
            raise
        sys.stderr.write(f"modem-agent: nothing more can be printed: {error.strerror}\n")
        os._exit(1)  # what is still to be printed would fail once more at the end
