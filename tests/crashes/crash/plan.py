"""What happens to an agent, drawn from a seed: when it is killed, and which messages come meanwhile."""

import random
from dataclasses import dataclass, field

from crash.handlers import KINDS, PREFIX

WEIGHTS = {"shoot": 0.25, "reshoot": 0.15, "slow": 0.4}
"""Kinds that take long are rarer than the others, which weigh 1."""
STRANGERS = ("+15557654321", "29360", "02936", "Service")
"""Senders that are nearly the service, or not at all."""
WIDE = 0.15
"""Of all Commands in text, so many come in parts."""


@dataclass(frozen=True)
class Order:
    """One message to the device."""

    number: int
    at: float
    """Seconds after the agent was started."""
    kind: str
    """Its handler; `stray`: from a stranger."""
    sid: str = "none"
    """IncludeSid."""
    parts: bool = False
    again: bool = False
    """Delivered once more a little later."""
    sender: str = ""

    @property
    def body(self):
        """The Command's text or octets."""
        if self.kind == "binary":
            return PREFIX + self.number.to_bytes(4, "big")
        word = "plain" if self.kind == "stray" else self.kind
        text = f"{word} {self.number}"
        return text + " x" * 100 if self.parts else text


@dataclass(frozen=True)
class Life:
    """From the start of an agent to its end."""

    number: int
    after: float
    """Seconds from the start to the kill, at most."""
    line: int
    """The kill comes upon this line of the agent's log, counted in this life; 0: at `after`."""
    delay: float
    """Seconds after the line."""
    lost: int
    """So many acknowledgements of the module are lost on their way to the network: doubles follow."""
    orders: list = field(default_factory=list)


def draw(seed, kills, shortest=0.2, longest=1.5):
    """The lives up to the last kill; the same seed gives the same."""
    rng = random.Random(seed)
    kinds = [*KINDS, "stray"]
    weights = [WEIGHTS.get(kind, 1) for kind in kinds]
    number = 0
    for life in range(1, kills + 1):
        orders = []
        for _ in range(rng.choice((1, 2, 3, 3, 4, 6))):
            number += 1
            kind = rng.choices(kinds, weights)[0]
            text = kind not in ("binary", "stray")
            parts = text and rng.random() < WIDE
            orders.append(
                Order(
                    number=number,
                    at=rng.uniform(0, longest),
                    kind=kind,
                    sid=rng.choice(("none", "start", "end")) if text and not parts else "none",
                    parts=parts,
                    again=kind != "stray" and rng.random() < 0.1,
                    sender=rng.choice(STRANGERS) if kind == "stray" else "",
                )
            )
        yield Life(
            number=life,
            after=rng.uniform(shortest, longest),
            line=rng.choice((0, 0, rng.randrange(3, 12), rng.randrange(3, 40))),
            delay=rng.choice((0.0, rng.uniform(0, 0.005), rng.uniform(0, 0.05))),
            lost=int(rng.random() < 0.1),
            orders=sorted(orders, key=lambda order: order.at),
        )
