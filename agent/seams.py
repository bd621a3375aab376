"""Everything of the agent that reaches outside, handed down by `app`; a simulation hands in others."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from agent.at.trace import Trace
from agent.at.wire import Opener
from agent.handlers.runner import ProcessRunner, Runner
from agent.journal.skin import Skin, Thread
from agent.modem.card import Pin
from agent.notify import Notify
from agent.story import Tell
from hardware.power import Power


@dataclass(frozen=True, slots=True)
class Seams:
    """What the agent is given; each is the real thing unless another is named."""

    opener: Opener | None = None
    """None: the port of the configuration."""
    skin: Callable[[], Skin] = Thread
    runner: Callable[[Tell], Runner] = ProcessRunner
    wall: Callable[[], float] = time.time
    random: random.Random = field(default_factory=random.Random)
    notify: Notify = lambda message: None
    watchdog_s: float | None = None
    trace: Trace | None = None
    pin: Pin | None = None
    """Of the SIM, from wherever it is kept."""
    power: Power | None = None
    """None: what the configuration names."""
    in_use: Callable[[], str] | None = None
    """Who else uses the module; None: as the kernel tells."""
