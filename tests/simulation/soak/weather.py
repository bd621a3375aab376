"""One seed's weather: which device and settings, what arrives when, and what goes wrong.

A run has two parts. First everything happens at once; then comes a quiet time without any misfortune in which
all must settle. Near its end some Commands are sent to see that the agent is alive.
"""

import asyncio
import random

import msgspec

from hardware import profile
from soak import damage
from soak.harm import Harm
from soak.host import Host
from soak.letters import Letters
from soak.misfortunes import MISFORTUNES, recover

HOUR_S = 3600.0
QUIET_S = 7 * HOUR_S
"""An answer refused for its quota waits up to five hours for its next attempt."""
FOUND_S = 60.0
"""What comes so long before the agent's first start is stored when it starts."""
ALIVE_S = 1800.0
"""Before the end: the Commands that show that all works."""
DEVICES = (
    "generic",
    "generic",
    "sim7600",
    "ec25",
    "bg96",
    "sim7000",
    "a7670",
    "sara_r5",
    "le910c1",
    "sim800",
)
DIRECT = "nrf91"
"""A module that stores nothing."""


class Weather:
    """What comes over one world; all of it follows from the seed."""

    def __init__(self, seed, *, days=1.0):
        self.random = random.Random(seed)
        self.seed = seed
        self.trouble_s = max(days * 24 * HOUR_S - QUIET_S, HOUR_S)
        pick = self.random
        self.service = pick.choice(("programmable-wireless", "programmable-wireless", "super-sim"))
        self.message_format = "text" if pick.random() < 0.2 else "pdu"
        self.direct = pick.random() < 0.15 and self.message_format == "pdu"
        self.device = profile.device(DIRECT if self.direct else pick.choice(DEVICES))
        if self.message_format == "text" and not self.device.text_mode:
            self.device = profile.device("generic")
        if self.device.boot_s > 10:  # days pass quicker so, and nothing else differs
            self.device = msgspec.structs.replace(self.device, boot_s=5.0)
        self.resend_unknown = pick.random() < 0.2
        self.dedup_without_sid = pick.random() > 0.1
        self.max_age_s = pick.choice((None, 90_000.0, 90_000.0, 7200.0))
        self.max_per_day = 20 if pick.random() < 0.05 else 200
        self.status_reports = pick.random() < 0.2
        self.reply_sid = "start" if pick.random() < 0.2 else "none"
        self.severity = pick.choice((0.0, 0.5, 1.0, 1.0, 2.0))
        """How much goes wrong, 1 is a bad day."""
        self.crashes = pick.choice((0.0, 0.5, 1.0, 3.0))
        self.density = pick.choice((2.0, 5.0, 8.0))
        """Messages an hour."""
        self.burst = pick.random() < 0.12
        self.cuts = pick.random() < 0.5
        self.pin = "4711" if pick.random() < 0.15 else None
        self.found = pick.random() < 0.15
        """Whether the module holds messages when the agent starts for the first time."""
        self.first_start = pick.choice(("run", "keep"))
        self.max_parts = 3 if pick.random() < 0.15 and self.message_format == "pdu" else 1
        if days >= 1 and pick.random() < 0.04:
            self.trouble_s += 2 * 24 * HOUR_S
        self.worn = random.Random(f"{seed} worn")  # of its own: a sound disk has the weather it would have
        self.damages = self.worn.choices((0, 1, 2), (92, 6, 2))[0]
        """How often the journal is damaged between two lives."""

    @property
    def tables(self):
        """Tables of agent.toml."""
        handlers = {} if self.max_age_s is None else {"max_age_s": self.max_age_s}
        return {
            "service": {
                "name": self.service,
                "resend_unknown": self.resend_unknown,
                "status_reports": self.status_reports,
                "reply_sid": self.reply_sid,
                "max_per_day": self.max_per_day,
                "max_parts": self.max_parts,
            },
            "handlers": handlers,
            "journal": {"dedup_without_sid": self.dedup_without_sid, "first_start": self.first_start},
        }

    def cut(self, data):
        """How octets from the module are cut into reads."""
        if not self.cuts or len(data) < 2:
            return [data]
        ends = sorted({self.random.randrange(1, len(data)) for _ in range(self.random.randint(0, 3))})
        return [data[begin:end] for begin, end in zip([0, *ends], [*ends, len(data)], strict=True)]

    def __str__(self):
        return (
            f"{self.device.model} {self.message_format} {self.service} severity {self.severity}"
            f" crashes {self.crashes} density {self.density}{' burst' if self.burst else ''}"
            f" resend {self.resend_unknown} dedup {self.dedup_without_sid} age {self.max_age_s}"
            f" cap {self.max_per_day} reports {self.status_reports} sid {self.reply_sid}"
            f"{' pin' if self.pin else ''}{f' found {self.first_start}' if self.found else ''}"
            f" parts {self.max_parts} hours {self.trouble_s / HOUR_S:.0f}"
            f"{f' damages {self.damages}' if self.damages else ''}"
        )

    async def passes(self, world):
        """The whole run over that world."""
        loop = asyncio.get_running_loop()
        self.world = world
        self.letters = Letters(world, random.Random(self.random.random()))
        self.harm = Harm(world, random.Random(self.random.random()))
        self.host = Host(world, random.Random(self.random.random()))
        self.first_until = loop.time()
        if self.found:
            for _ in range(3):
                self.letters.plain()
                self.letters.named()
            await asyncio.sleep(FOUND_S)
            self.first_until = loop.time()
        self.host.start()
        self.disk_troubles = []
        """(begin, end) of times in which nothing could be committed."""
        self.slow_disks = []
        """The same of times in which each commit took long."""
        self.struck = []
        """(time, name) of each misfortune."""
        began = loop.time()
        for delay, action in self._plan():
            world.loop.call_at(began + delay, action)
        await asyncio.sleep(self.trouble_s)
        self.quiet_from = loop.time()
        recover(self)
        await asyncio.sleep(QUIET_S - ALIVE_S)
        self.alive_from = loop.time()
        self.total_s = self.alive_from - began + ALIVE_S
        for _ in range(5):
            self.letters.plain_and_quick()
            await asyncio.sleep(30)
        await asyncio.sleep(ALIVE_S - 150)

    def _plan(self):
        """(seconds from the beginning, what happens then)."""
        plan = [(each, self.letters.arrive) for each in self._times(self.density)]
        plan += [(each, self._misfortune) for each in self._times(1.5 * self.severity)]
        plan += [(each, self._crash) for each in self._times(0.4 * self.crashes)]
        plan += [(self.worn.uniform(0, self.trouble_s - 300), self._damage) for _ in range(self.damages)]
        if self.burst:
            plan.append((self.random.uniform(0, self.trouble_s), lambda: self.letters.burst(200)))
        return plan

    def _times(self, per_hour):
        times, now = [], 0.0
        while per_hour and (now := now + self.random.expovariate(per_hour / HOUR_S)) < self.trouble_s - 300:
            times.append(now)
        return times

    def _misfortune(self):
        chosen = self.random.choices(list(MISFORTUNES), [each.weight for each in MISFORTUNES.values()])[0]
        self.struck.append((self.world.loop.time(), chosen))
        MISFORTUNES[chosen].strike(self)
        if self.random.random() < 0.5:  # where something goes wrong, something is also going on
            self.world.call_later(self.random.uniform(0, 5), self.letters.arrive)

    def _damage(self):
        self.host.kill("SIGKILL, and the journal is damaged")
        if (
            damaged := damage.strike(self.world.journal_folder, self.world.loop.time(), self.worn)
        ) is not None:
            self.world.damages.append(damaged)
            self.struck.append((damaged.at, f"journal {damaged.what}"))
            for _ in range(5):
                self.world.call_later(self.worn.uniform(10, 600), self.letters.again)

    def _crash(self):
        host, pick = self.host, self.random
        power = pick.random() < 0.3
        self.letters.arrive()
        match pick.randrange(4):
            case 0:
                host.kill(power=power)
            case 1:
                host.stop()
            case 2:
                host.arm(pick.randint(1, 60), power=power)
            case 3:
                self.world.call_later(pick.uniform(0, 2), host.kill_at_step, pick.randint(1, 120))
