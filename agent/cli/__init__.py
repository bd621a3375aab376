"""The command line `modem-agent`. `commands` defines it; what is started most often runs without click.

Importing click takes longer than printing the version or the status.
"""

from __future__ import annotations

import errno
import os
import sys

from agent.version import VERSION

TYPE_CHECKING = False  # importing typing would take longer than printing the version
if TYPE_CHECKING:
    from collections.abc import Sequence

PLAIN_COMMANDS: dict[str, dict[str, str]] = {"run": {}, "status": {"--check": "check", "--json": "as_json"}}
"""Commands that need click only for other options than `--config FILE` and these flags; their parameters."""
CONFIG_OPTION, DEFAULT_CONFIG = "--config", "/etc/modem-agent/agent.toml"


def main() -> None:
    """Run the command line; the entry point of the distribution."""
    arguments = sys.argv[1:]
    try:
        if arguments == ["--version"]:
            sys.stdout.write(f"modem-agent, version {VERSION}\n")
        elif not _run_plain(arguments):
            from agent.cli.commands import group

            group.main(args=arguments, prog_name="modem-agent")
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("\nAborted!\n")  # as click does
        sys.exit(1)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EIO, errno.EPIPE):
            raise
        sys.stderr.write(f"modem-agent: cannot write the output: {error.strerror}\n")
        os._exit(1)  # flushing the buffered output at exit would fail again


def _run_plain(arguments: Sequence[str]) -> bool:
    """Run one of `PLAIN_COMMANDS`. Return False if it has other arguments: then click parses them."""
    if not arguments or arguments[0] not in PLAIN_COMMANDS:
        return False
    from agent.cli.common import CONFIG_VARIABLE

    flags = PLAIN_COMMANDS[arguments[0]]
    config = os.environ.get(CONFIG_VARIABLE) or DEFAULT_CONFIG
    given: dict[str, bool] = {}
    rest = list(arguments[1:])
    while rest:
        argument = rest.pop(0)
        if argument in flags:
            given[flags[argument]] = True
        elif argument == CONFIG_OPTION and rest and not rest[0].startswith("-"):
            config = rest.pop(0)
        else:
            return False
    if arguments[0] == "run":
        from agent.cli.run_agent import run_agent

        run_agent(config)
    else:
        from agent.cli.show_status import show_status

        show_status(config, **given)
    return True
