"""One seed's weather: which device and settings, what arrives when, and what goes wrong.

A run has two parts. First everything happens at once; then comes a quiet time without any misfortune in which
all must settle. Near its end some Commands are sent to see that the agent is alive.
"""

import asyncio
import random

import msgspec

from hardware import profile
from soak import db_corruption
from soak.fault_injection import FAULTS, clear_all_faults
from soak.host import Host
from soak.line_noise import LineNoise
from soak.traffic import TrafficGenerator

HOUR_S = 3600.0
RECOVERY_PERIOD_S = 7 * HOUR_S
"""An answer refused for its quota waits up to five hours for its next attempt."""
PRELOAD_S = 60.0
"""What comes so long before the agent's first start is stored when it starts."""
LIVENESS_PERIOD_S = 1800.0
"""Before the end: the Commands that show that all works."""
DEVICE_PROFILES = (
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
DIRECT_DELIVERY_PROFILE = "nrf91"
"""A module that stores nothing."""


class Scenario:
    """What comes over one world; all of it follows from the seed."""

    def __init__(self, seed, *, days=1.0):
        self.rng = random.Random(seed)
        self.seed = seed
        self.fault_period_s = max(days * 24 * HOUR_S - RECOVERY_PERIOD_S, HOUR_S)
        pick = self.rng
        self.service = pick.choice(("programmable-wireless", "programmable-wireless", "super-sim"))
        self.message_format = "text" if pick.random() < 0.2 else "pdu"
        self.is_direct_delivery = pick.random() < 0.15 and self.message_format == "pdu"
        self.device = profile.load_simulator_profile(
            DIRECT_DELIVERY_PROFILE if self.is_direct_delivery else pick.choice(DEVICE_PROFILES)
        )
        if self.message_format == "text" and not self.device.text_mode:
            self.device = profile.load_simulator_profile("generic")
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
        self.crash_rate = pick.choice((0.0, 0.5, 1.0, 3.0))
        self.messages_per_hour = pick.choice((2.0, 5.0, 8.0))
        """Messages an hour."""
        self.has_burst = pick.random() < 0.12
        self.splits_reads = pick.random() < 0.5
        self.pin = "4711" if pick.random() < 0.15 else None
        self.has_preloaded = pick.random() < 0.15
        """Whether the module holds messages when the agent starts for the first time."""
        self.first_start = pick.choice(("run", "skip"))
        self.max_parts = 3 if pick.random() < 0.15 and self.message_format == "pdu" else 1
        if days >= 1 and pick.random() < 0.04:
            self.fault_period_s += 2 * 24 * HOUR_S
        self.disk_rng = random.Random(
            f"{seed} worn"
        )  # of its own: a sound disk has the weather it would have
        self.corruption_count = self.disk_rng.choices((0, 1, 2), (92, 6, 2))[0]
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

    def split(self, data):
        """How octets from the module are cut into reads."""
        if not self.splits_reads or len(data) < 2:
            return [data]
        ends = sorted({self.rng.randrange(1, len(data)) for _ in range(self.rng.randint(0, 3))})
        return [data[begin:end] for begin, end in zip([0, *ends], [*ends, len(data)], strict=True)]

    def __str__(self):
        return (
            f"{self.device.model} {self.message_format} {self.service} severity {self.severity}"
            f" crashes {self.crash_rate} density {self.messages_per_hour}{' burst' if self.has_burst else ''}"
            f" resend {self.resend_unknown} dedup {self.dedup_without_sid} age {self.max_age_s}"
            f" cap {self.max_per_day} reports {self.status_reports} sid {self.reply_sid}"
            f"{' pin' if self.pin else ''}{f' found {self.first_start}' if self.has_preloaded else ''}"
            f" parts {self.max_parts} hours {self.fault_period_s / HOUR_S:.0f}"
            f"{f' damages {self.corruption_count}' if self.corruption_count else ''}"
        )

    async def run(self, world):
        """The whole run over that world."""
        loop = asyncio.get_running_loop()
        self.world = world
        self.traffic = TrafficGenerator(world, random.Random(self.rng.random()))
        self.line_noise = LineNoise(world, random.Random(self.rng.random()))
        self.host = Host(world, random.Random(self.rng.random()))
        self.preload_until = loop.time()
        if self.has_preloaded:
            for _ in range(3):
                self.traffic.send_plain()
                self.traffic.send_with_sid()
            await asyncio.sleep(PRELOAD_S)
            self.preload_until = loop.time()
        self.host.start_agent()
        self.disk_failures = []
        """(begin, end) of times in which nothing could be committed."""
        self.disk_delays = []
        """The same of times in which each commit took long."""
        self.injected_faults = []
        """(time, name) of each misfortune."""
        began = loop.time()
        for delay, action in self._schedule():
            world.loop.call_at(began + delay, action)
        await asyncio.sleep(self.fault_period_s)
        self.recovery_from = loop.time()
        clear_all_faults(self)
        await asyncio.sleep(RECOVERY_PERIOD_S - LIVENESS_PERIOD_S)
        self.liveness_from = loop.time()
        self.duration_s = self.liveness_from - began + LIVENESS_PERIOD_S
        for _ in range(5):
            self.traffic.send_liveness_check()
            await asyncio.sleep(30)
        await asyncio.sleep(LIVENESS_PERIOD_S - 150)

    def _schedule(self):
        """(seconds from the beginning, what happens then)."""
        plan = [(each, self.traffic.send_random) for each in self._random_times(self.messages_per_hour)]
        plan += [(each, self._inject_fault) for each in self._random_times(1.5 * self.severity)]
        plan += [(each, self._crash_agent) for each in self._random_times(0.4 * self.crash_rate)]
        plan += [
            (self.disk_rng.uniform(0, self.fault_period_s - 300), self._corrupt_journal)
            for _ in range(self.corruption_count)
        ]
        if self.has_burst:
            plan.append((self.rng.uniform(0, self.fault_period_s), lambda: self.traffic.send_burst(200)))
        return plan

    def _random_times(self, per_hour):
        times, now = [], 0.0
        while per_hour and (now := now + self.rng.expovariate(per_hour / HOUR_S)) < self.fault_period_s - 300:
            times.append(now)
        return times

    def _inject_fault(self):
        chosen = self.rng.choices(list(FAULTS), [each.weight for each in FAULTS.values()])[0]
        self.injected_faults.append((self.world.loop.time(), chosen))
        FAULTS[chosen].inject(self)
        if self.rng.random() < 0.5:  # where something goes wrong, something is also going on
            self.world.call_later(self.rng.uniform(0, 5), self.traffic.send_random)

    def _corrupt_journal(self):
        self.host.kill("SIGKILL, and the journal is damaged")
        if (
            damaged := db_corruption.corrupt_journal(
                self.world.journal_folder, self.world.loop.time(), self.disk_rng
            )
        ) is not None:
            self.world.corruptions.append(damaged)
            self.injected_faults.append((damaged.at, f"journal {damaged.description}"))
            for _ in range(5):
                self.world.call_later(self.disk_rng.uniform(10, 600), self.traffic.redeliver)

    def _crash_agent(self):
        host, pick = self.host, self.rng
        power = pick.random() < 0.3
        self.traffic.send_random()
        match pick.randrange(4):
            case 0:
                host.kill(power=power)
            case 1:
                host.stop_agent()
            case 2:
                host.kill_after_points(pick.randint(1, 60), power=power)
            case 3:
                self.world.call_later(pick.uniform(0, 2), host.kill_after_iterations, pick.randint(1, 120))
