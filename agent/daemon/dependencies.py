"""Everything of the agent that reaches outside, handed down by `app`; a simulation hands in others."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.at.trace import Trace
from agent.at.transport.base import TransportOpener
from agent.common.events import EventSink
from agent.common.sd_notify import SdNotify
from agent.handlers.runner import ProcessRunner, Runner
from agent.journal.executor import DbExecutor, ThreadExecutor
from agent.modem.sim import Pin
from hardware.power import PowerSwitch


@dataclass(frozen=True, slots=True)
class Dependencies:
    """What the agent is given; each is the real thing unless another is named."""

    opener: TransportOpener | None = None
    """None: the port of the configuration."""
    db_executor: Callable[[], DbExecutor] = ThreadExecutor
    runner: Callable[[EventSink], Runner] = ProcessRunner
    wall_clock: Callable[[], float] = time.time
    random: random.Random = field(default_factory=random.Random)
    notify: SdNotify = lambda message: None
    watchdog_interval_s: float | None = None
    trace: Trace | None = None
    pin: Pin | None = None
    """Of the SIM, from wherever it is kept."""
    power: PowerSwitch | None = None
    """None: what the configuration names."""
    describe_module_users: Callable[[], str] | None = None
    """Who else uses the module; None: as the kernel tells."""
