"""Draws a plan from a seed: when each agent is killed, and which messages arrive before."""

import random
from dataclasses import dataclass, field

from crash.audit_handlers import BINARY_PREFIX, KINDS

KIND_WEIGHTS = {"shoot": 0.25, "reshoot": 0.15, "slow": 0.4}
"""Weights of the kinds that take long; the others have weight 1."""
OTHER_SENDERS = ("+15557654321", "29360", "02936", "Service")
"""Senders that are not the service; some resemble it."""
CONCATENATED_SHARE = 0.15
"""Share of text Commands that have several parts."""


@dataclass(frozen=True)
class PlannedMessage:
    """One message to the device."""

    number: int
    send_at_s: float
    """Seconds after the agent was started."""
    kind: str
    """The name of its handler, or `other sender`."""
    include_sid: str = "none"
    """IncludeSid."""
    is_concatenated: bool = False
    is_redelivered: bool = False
    """Delivered once more a little later."""
    sender: str = ""

    @property
    def body(self):
        """The Command's text or octets."""
        if self.kind == "binary":
            return BINARY_PREFIX + self.number.to_bytes(4, "big")
        word = "plain" if self.kind == "other sender" else self.kind
        text = f"{word} {self.number}"
        return text + " x" * 100 if self.is_concatenated else text


@dataclass(frozen=True)
class PlannedRun:
    """One run of the agent, from its start to its kill."""

    number: int
    kill_after_s: float
    """Seconds from the start to the kill, at most."""
    kill_at_log_line: int
    """The agent is killed after this line of its log; 0 to kill it after `kill_after_s`."""
    kill_delay_s: float
    """Seconds after the line."""
    acks_to_drop: int
    """Number of acknowledgements of the module that are lost, which causes duplicates."""
    messages: list = field(default_factory=list)


def draw_plan(seed, kills, min_run_s=0.2, max_run_s=1.5):
    """Yield the planned agent runs up to the last kill; they depend on the seed only."""
    rng = random.Random(seed)
    kinds = [*KINDS, "other sender"]
    weights = [KIND_WEIGHTS.get(kind, 1) for kind in kinds]
    number = 0
    for run_number in range(1, kills + 1):
        messages = []
        for _ in range(rng.choice((1, 2, 3, 3, 4, 6))):
            number += 1
            kind = rng.choices(kinds, weights)[0]
            text = kind not in ("binary", "other sender")
            parts = text and rng.random() < CONCATENATED_SHARE
            messages.append(
                PlannedMessage(
                    number=number,
                    send_at_s=rng.uniform(0, max_run_s),
                    kind=kind,
                    include_sid=rng.choice(("none", "start", "end")) if text and not parts else "none",
                    is_concatenated=parts,
                    is_redelivered=kind != "other sender" and rng.random() < 0.1,
                    sender=rng.choice(OTHER_SENDERS) if kind == "other sender" else "",
                )
            )
        yield PlannedRun(
            number=run_number,
            kill_after_s=rng.uniform(min_run_s, max_run_s),
            kill_at_log_line=rng.choice((0, 0, rng.randrange(3, 12), rng.randrange(3, 40))),
            kill_delay_s=rng.choice((0.0, rng.uniform(0, 0.005), rng.uniform(0, 0.05))),
            acks_to_drop=int(rng.random() < 0.1),
            messages=sorted(messages, key=lambda message: message.send_at_s),
        )
