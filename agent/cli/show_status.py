"""Shows the state of the running agent once. It needs no click: scripts and people call it often."""

from __future__ import annotations

import sys
import time

from agent.cli.common import EXIT_FAILURE, exit_with_error, exit_with_errors, load_config_or_exit, print_json
from agent.cli.control_path import find_control_socket
from agent.cli.fetch_status import fetch_status
from agent.cli.status_screen import make_rows
from agent.cli.styled_text import format_rows, print_lines, standard_display
from agent.daemon.control_client import ControlError

TYPE_CHECKING = False  # importing pathlib takes longer than this module
if TYPE_CHECKING:
    from pathlib import Path


def show_status(config_path: Path | str, *, check: bool = False, as_json: bool = False) -> None:
    """Print the status, as `modem-agent status --help` describes it.

    Raises SystemExit after an error that it has printed, and with `check` if there is a problem.
    """
    path = find_control_socket(str(config_path))
    try:
        response = fetch_status(path or load_config_or_exit(config_path).control.socket)
    except ControlError as error:
        load_config_or_exit(config_path)  # an error in the file is the more likely cause
        exit_with_error(error)
    problems = response["problems"] if check else []
    if as_json:
        print_json(response)
    elif problems:
        exit_with_errors(problems[0])
    elif check:
        sys.stdout.write("Commands can be received and answered\n")
    else:
        display = standard_display()
        print_lines(format_rows(make_rows(response, time.time(), display), display))
    if problems:
        raise SystemExit(EXIT_FAILURE)
