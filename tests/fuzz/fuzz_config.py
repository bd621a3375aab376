"""Any file as agent.toml: a configuration, or sentences that name the file."""

import os
from pathlib import Path

from agent.common.config import Config, ConfigError, load_config

EXAMPLE = Path(__file__).parents[2] / "config" / "agent.toml"
SEEDS = (
    EXAMPLE.read_bytes(),
    b'[modem]\nport = "/dev/ttyUSB2"\nbaud = 115200\nprofile = "generic"\nmessage_format = "text"\n',
    b'[service]\nname = "programmable-wireless"\nreply_sid = "start"\nmax_parts = 3\nallow_ucs2 = true\n',
    b'[handlers]\ndirectory = "h"\ntimeout_s = 1.5\nmax_age_s = inf\nat_once = 4\n[journal]\npath = "j"\n',
    b"modem = 1\n[control]\nsocket = 1979-05-27T07:32:00Z\n[[x]]\ny = [[{z = -nan}]]\n'\\' = \"\\u00e9\"\n",
    b'a.b.c = 0x1F\n[journal]\nkeep_days = 1e400\ndedup_days = 1_000\ndedup_without_sid = "yes"\n',
)


def run(data):
    """Every mistake is told; nothing else is raised."""
    memory = os.memfd_create("agent.toml")
    try:
        os.write(memory, data)
        path = Path(f"/proc/self/fd/{memory}")
        sentences = [f"{path}: "]
        try:
            assert isinstance(load_config(path), Config)
        except ConfigError as error:
            sentences = error.errors
        assert sentences
        assert all(sentence.startswith(f"{path}: ") for sentence in sentences)
    finally:
        os.close(memory)
