"""Fuzz target: any file as agent.toml gives a configuration or errors that name the file."""

import os
from pathlib import Path

from agent.common.config import Config, ConfigError, load_config

EXAMPLE = Path(__file__).parents[2] / "config" / "agent.toml"
SEEDS = (
    EXAMPLE.read_bytes(),
    b'[modem]\nport = "/dev/ttyUSB2"\nbaud = 115200\nprofile = "generic"\nmessage_format = "text"\n',
    b'[service]\nname = "programmable-wireless"\nreply_sid = "start"\nmax_parts = 3\nallow_ucs2 = true\n',
    (
        b'[handlers]\ndirectory = "h"\ntimeout_s = 1.5\nmax_age_s = inf\nmax_concurrent = 4\n'
        b'[journal]\npath = "j"\n'
    ),
    b"modem = 1\n[control]\nsocket = 1979-05-27T07:32:00Z\n[[x]]\ny = [[{z = -nan}]]\n'\\' = \"\\u00e9\"\n",
    b'a.b.c = 0x1F\n[journal]\nkeep_days = 1e400\ndedup_days = 1_000\ndedup_without_sid = "yes"\n',
)


def run(data):
    """Only ConfigError is raised, and each of its errors begins with the path."""
    memory = os.memfd_create("agent.toml")
    try:
        os.write(memory, data)
        path = Path(f"/proc/self/fd/{memory}")
        errors = [f"{path}: "]
        try:
            assert isinstance(load_config(path), Config)
        except ConfigError as error:
            errors = error.errors
        assert errors
        assert all(error.startswith(f"{path}: ") for error in errors)
    finally:
        os.close(memory)
