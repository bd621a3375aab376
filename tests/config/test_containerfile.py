"""The container file of the sandbox, as far as that is possible without a container engine."""

from __future__ import annotations

import json
import re
from pathlib import Path

from agent.cli.commands import group
from agent.cli.sandbox import sandbox

CHECKOUT = Path(__file__).parents[2]
CONTAINERFILE = CHECKOUT / "config/container/Containerfile"
KNOWN = {"FROM", "COPY", "RUN", "USER", "EXPOSE", "STOPSIGNAL", "ENTRYPOINT", "CMD"}


def read_instructions():
    """Return each instruction with its arguments, continued lines joined."""
    lines = [line for line in CONTAINERFILE.read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines() if line]


def test_instructions_are_known_and_sources_exist():
    """It begins with the base image, and copies files that are there."""
    instructions = read_instructions()
    assert instructions[0][0] == "FROM"
    assert {name for name, _ in instructions} <= KNOWN
    for name, arguments in instructions:
        if name == "COPY":
            *sources, target = arguments.split()
            assert all((CHECKOUT / source).exists() for source in sources)
            assert target.startswith("/src/")


def test_sandbox_accepts_the_arguments():
    """Entry point and default arguments are a valid command line; its ports are those that are exposed."""
    by_name = dict(read_instructions())
    program, name, *arguments = json.loads(by_name["ENTRYPOINT"]) + json.loads(by_name["CMD"])
    assert (program, name) == ("modem-agent", "sandbox")
    parsed = sandbox.make_context("sandbox", arguments, **group.context_settings).params
    assert {parsed["listen"].rpartition(":")[2]} <= set(by_name["EXPOSE"].split())
