"""The external dependencies of the agent: port, disk, processes, clock, randomness, systemd, power.

`Agent` passes them down; a simulation or a test replaces them here.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from agent.at.client import AtClient
from agent.at.trace import Trace
from agent.at.transport.base import TransportOpener
from agent.common.config import Config
from agent.common.events import EventSink
from agent.common.runtime import DbExecutor
from agent.common.sd_notify import SdNotify
from agent.daemon.control_socket import ControlServer, RequestHandler, RequestServer
from agent.forwarding.delivery import DeliveryTarget
from agent.forwarding.targets import make_targets
from agent.handlers.runner import ProcessRunner, Runner
from agent.journal.executor import ThreadExecutor
from agent.journal.journal import Journal
from agent.journal.mounts import MOUNTINFO
from agent.modem.modem import Modem
from agent.modem.options import ModemOptions
from agent.modem.sim import Pin
from hardware.power import PowerSwitch
from pdu.record import Record, fresh

if TYPE_CHECKING:
    from agent.daemon.until_idle import IdleLimits


class Dependencies(Record):
    """The dependencies of `Agent`. The defaults are those of the service."""

    opener: TransportOpener | None = None
    """Opens the port; None: the port of the configuration."""
    make_modem: Callable[[AtClient, ModemOptions], Modem] = Modem
    open_journal: Callable[
        [Path, Callable[[], float], Callable[[], float], Callable[[str], object]], Journal
    ] = Journal
    """Takes the path, wall clock, monotonic clock, and the function that reports damage."""
    mountinfo: Path = MOUNTINFO
    """The kernel's list of mounts, which shows whether the journal is in memory."""
    db_executor: Callable[[], DbExecutor] = ThreadExecutor
    runner: Callable[[EventSink], Runner] = ProcessRunner
    make_targets: Callable[[Config, random.Random], list[DeliveryTarget]] = make_targets
    """Returns the brokers and servers of a configuration that Commands are forwarded to."""
    make_control_server: Callable[[Path, Mapping[str, RequestHandler], EventSink], RequestServer] = (
        ControlServer
    )
    """Takes the path of the socket and the functions that answer requests."""
    wall_clock: Callable[[], float] = time.time
    random: random.Random = fresh(random.Random)
    notify: SdNotify = lambda message: None
    watchdog_interval_s: float | None = None
    """Seconds between two notifications of systemd's watchdog; None: it is not used."""
    runtime_directories: tuple[Path, ...] = ()
    """The directories that systemd creates at each start of the service."""
    trace: Trace | None = None
    read_config: Callable[[], Config] | None = None
    """Reads agent.toml again for a reload, raises ConfigError; None: there is no file that could change."""
    until_idle: IdleLimits | None = None
    """When the agent ends by itself; None: it does not."""
    pin: Pin | None = None
    """The PIN of the SIM, from the credential or file that holds it."""
    power: PowerSwitch | None = None
    """Switches the module's power; None: the switch of the configuration, if it names one."""
    describe_module_users: Callable[[], str] | None = None
    """Returns who else uses the module, as part of a sentence; None: the users that the kernel reports."""
