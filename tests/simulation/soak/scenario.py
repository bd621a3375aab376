"""The scenario of one seed: the device and its settings, when messages arrive, and which faults occur.

A run has two parts. In the fault period everything happens at once. In the quiet period that follows no fault
occurs and everything must settle. Near its end some Commands are sent to check that the agent works.
"""

import asyncio
import random
from functools import partial

from hardware import profile
from soak import db_corruption
from soak.fault_injection import FAULTS, clear_all_faults
from soak.host import Host
from soak.line_noise import LineNoise
from soak.power_key import SimulatedPowerKey
from soak.traffic import TrafficGenerator

HOUR_S = 3600.0
RECOVERY_PERIOD_S = 7 * HOUR_S
"""Length of the quiet period. A reply refused for a quota waits up to five hours for its next attempt."""
BODY_REFUSALS = (1, 1, 30, 96, 304)
"""Permanent errors of a module that needs a restart; the network itself gives other ones."""
PRELOAD_S = 60.0
"""Time for messages to be stored in the module before the first start of the agent."""
POWER_ON_WITHIN_S, RADIO_ON_WITHIN_S = 120.0, 400.0
"""Longest times for which a module may stay switched off, and its radio, if nothing else goes wrong."""
LIVENESS_PERIOD_S = 1800.0
"""Time before the end at which the liveness check begins."""
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
"""A module that cannot store messages."""


def _draw_habits(device, rng):
    """Return changes of a module: the form of its numbers, strings, +CPMS, +CMTI and ATI."""
    habits = {}
    if rng.random() < 0.08:
        habits["number_style"] = rng.choice(("padded", "spaced", "quoted"))
    if rng.random() < 0.08:
        habits["cpms_counts"] = (rng.choice((1, 3)),)
    if rng.random() < 0.08:
        habits["notified_slot"] = rng.choice((",-1", '"SM",{index}', '"{store}",99'))
    if rng.random() < 0.08 and "UCS2" in device.charsets:
        habits["charsets"] = ("UCS2", *(name for name in device.charsets if name != "UCS2"))
    if rng.random() < 0.12:
        habits["ati"] = (*device.ati, "IMEI: 359072060000017", "+GCAP: +CGSM,+FCLASS")
    return habits


class Scenario:
    """The random choices for one world; all of them follow from the seed."""

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
        if self.device.boot_s > 10:  # makes the simulation faster and changes nothing else
            self.device = self.device.replace(boot_s=5.0)
        self.resend_unknown = pick.random() < 0.2
        self.dedup_without_sid = pick.random() > 0.1
        self.max_age_s = pick.choice((None, 90_000.0, 90_000.0, 7200.0))
        self.max_per_day = 20 if pick.random() < 0.05 else 200
        self.status_reports = pick.random() < 0.2
        self.reply_sid = "start" if pick.random() < 0.2 else "none"
        self.severity = pick.choice((0.0, 0.5, 1.0, 1.0, 2.0))
        """Factor for the number of faults."""
        self.crash_rate = pick.choice((0.0, 0.5, 1.0, 3.0))
        self.messages_per_hour = pick.choice((2.0, 5.0, 8.0))
        self.has_burst = pick.random() < 0.12
        self.splits_reads = pick.random() < 0.5
        self.pin = "4711" if pick.random() < 0.15 else None
        self.has_preloaded = pick.random() < 0.15
        """True if the module holds messages when the agent starts for the first time."""
        self.first_start = pick.choice(("run", "skip"))
        self.max_parts = 3 if pick.random() < 0.15 and self.message_format == "pdu" else 1
        if days >= 1 and pick.random() < 0.04:
            self.fault_period_s += 2 * 24 * HOUR_S
        self.disk_rng = random.Random(
            f"{seed} worn"
        )  # separate, so that other choices do not depend on corruptions
        self.corruption_count = self.disk_rng.choices((0, 1, 2), (92, 6, 2))[0]
        """Number of corruptions of the journal between agent runs."""
        self.device_rng = random.Random(f"{seed} device")
        self.power_key_kind = self.device_rng.choices(
            (None, {"on_usb": False}, {"on_usb": True}), (88, 6, 6)
        )[0]
        """How the module's power key is wired if it comes up switched off; None if it comes up by itself."""
        self.power_key_toggles = self.device_rng.random() < 0.5
        store_rng = random.Random(f"{seed} stores")
        self.store_habits = {
            name: True
            for name, share in (("sm_is_me", 0.06), ("delete_frees_read", 0.06), ("joins_list_entries", 0.06))
            if store_rng.random() < share
        }
        """Habits of the module's message stores, by their keys in a profile."""
        self.device = self.device.replace(**self.store_habits)
        self.port_rng = random.Random(f"{seed} ports")  # separate, so that seeds keep their other choices
        self.radio_off_count = self.device_rng.choices((0, 1, 3), (88, 6, 6))[0]
        """How often another program switches the radio off."""
        self.refusal_rng = random.Random(f"{seed} refusals")
        self.host_rng = random.Random(f"{seed} host")
        self.socket_deletion_count = self.host_rng.choices((0, 1, 3), (88, 6, 6))[0]
        """How often somebody deletes the control socket."""
        self.has_bad_handler_file = self.host_rng.random() < 0.1
        """True if a handler file has wrong permissions; the others must work."""
        self.device = self.device.replace(**_draw_habits(self.device, random.Random(f"{seed} strings")))

        self.slot_rng = random.Random(f"{seed} slots")
        self.slot_faults = [
            text
            for text, share in (("slot-silent", 0.08), ("slot-kept", 0.08))
            if self.slot_rng.random() < share and self.severity
        ]
        """Faults of single slots of the message stores."""
        if self.device.delete_frees_read and "slot-silent" in self.slot_faults:
            # Its message becomes read, so that another delete frees it: nothing helps.
            self.slot_faults.remove("slot-silent")

    @property
    def is_undisturbed(self):
        """Return True if nothing happens to agent, line and module except to its power and its radio."""
        return not (self.severity or self.crash_rate or self.corruption_count)

    @property
    def tables(self):
        """Return the tables of agent.toml."""
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
        """Split octets from the module into reads."""
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
            f"{'' if self.power_key_kind is None else ' power key'}"
            f"{''.join(f' {name}' for name in self.store_habits)}"
            f"{f' radio off {self.radio_off_count}' if self.radio_off_count else ''}"
            f"{f' socket deleted {self.socket_deletion_count}' if self.socket_deletion_count else ''}"
            f"{' bad handler file' if self.has_bad_handler_file else ''}"
            f"{''.join(f' {name}' for name in self.slot_faults)}"
        )

    async def run(self, world):
        """Run the scenario in this world."""
        loop = asyncio.get_running_loop()
        self.world = world
        self.module_findings = []
        """Sentences about a module that the agent left switched off."""
        self._radio_off_at = 0.0
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
        if self.power_key_kind is not None:
            world.power_key = SimulatedPowerKey(world, **self.power_key_kind, toggles=self.power_key_toggles)
            world.power_key.lose_power()
            world.call_later(POWER_ON_WITHIN_S, self._check_switched_on)
        if self.has_bad_handler_file:
            self.host.write_bad_handler_file()
        self.host.start_agent()
        self.disk_failures = []
        """(begin, end) of periods in which commits failed."""
        self.disk_delays = []
        """(begin, end) of periods in which commits were slow."""
        self.injected_faults = []
        """(time, name) of each fault."""
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
        world.module.faults.add("code-lost:command=+CMTI")
        for _ in range(2):  # the first notification of a burst is lost
            self.traffic.send_liveness_check()
        await asyncio.sleep(LIVENESS_PERIOD_S - 150)

    def _schedule(self):
        """Return pairs of seconds from the beginning and an action."""
        plan = [(each, self.traffic.send_random) for each in self._random_times(self.messages_per_hour)]
        plan += [(each, self._inject_fault) for each in self._random_times(1.5 * self.severity)]
        plan += [(each, self._crash_agent) for each in self._random_times(0.4 * self.crash_rate)]
        plan += [
            (self.disk_rng.uniform(0, self.fault_period_s - 300), self._corrupt_journal)
            for _ in range(self.corruption_count)
        ]
        for _ in range(self.port_rng.choice((0, 1, 4))):
            at = self.port_rng.uniform(0, self.fault_period_s)
            plan.append((at, lambda: self.traffic.send_to_port(self.port_rng)))
        plan += [
            (self.device_rng.uniform(0, self.fault_period_s - 300), self._switch_radio_off)
            for _ in range(self.radio_off_count)
        ]
        if self.severity and self.refusal_rng.random() < 0.2:
            code = self.refusal_rng.choice(BODY_REFUSALS)
            at = self.refusal_rng.uniform(0, self.fault_period_s)
            plan.append((at, lambda: self.world.module.faults.add(f"body-refused:refusal=CMS {code}")))
        plan += [
            (self.host_rng.uniform(0, self.fault_period_s), self._delete_control_socket)
            for _ in range(self.socket_deletion_count)
        ]
        plan += [
            (self.slot_rng.uniform(0, self.fault_period_s), partial(self._disturb_slot, name))
            for name in self.slot_faults
            for _ in range(3)
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
        if self.device.delete_frees_read and chosen.startswith("information-lost"):
            return  # a message counts as read although it was not shown, so another delete frees it
        self.injected_faults.append((self.world.loop.time(), chosen))
        FAULTS[chosen].inject(self)
        if self.rng.random() < 0.5:  # so that a fault often meets traffic
            self.world.call_later(self.rng.uniform(0, 5), self.traffic.send_random)

    def _delete_control_socket(self):
        self.injected_faults.append((self.world.loop.time(), "control socket deleted"))
        self.host.delete_control_socket()

    def _disturb_slot(self, name):
        """Let one slot silence the module, or keep its message; more often if the first slot is chosen."""
        pick = self.slot_rng
        fault = f"{name}:index={pick.choice((1, 1, 1, 2, 3))},times={pick.choice((1, 3, 10))}"
        if name == "slot-silent":
            fault += f",seconds={pick.choice((0, 5, 20, 45, 130))}"
        self.injected_faults.append((self.world.loop.time(), fault))
        self.world.module.faults.add(fault)
        for seconds in (0, 2, 30):
            self.world.call_later(seconds, self.traffic.send_random)

    def _switch_radio_off(self):
        fault = f"radio-off:fun={self.device_rng.choice((0, 4))}"
        self._radio_off_at = self.world.loop.time()
        self.injected_faults.append((self._radio_off_at, fault))
        self.world.module.faults.add(fault)
        self.world.call_later(RADIO_ON_WITHIN_S, self._check_radio_on, self._radio_off_at)

    def _check_switched_on(self):
        if self.is_undisturbed and not self.world.module.power.is_running:
            self.module_findings.append(f"the module was still off {POWER_ON_WITHIN_S:g} s after the start")

    def _check_radio_on(self, off_since):
        is_last = off_since == self._radio_off_at
        if self.is_undisturbed and is_last and self.world.module.power.functionality != 1:
            self.module_findings.append(f"the radio was still off after {RADIO_ON_WITHIN_S:g} s")

    def _corrupt_journal(self):
        self.host.kill("SIGKILL, and the journal is damaged")
        if (
            corruption := db_corruption.corrupt_journal(
                self.world.journal_folder, self.world.loop.time(), self.disk_rng
            )
        ) is not None:
            self.world.corruptions.append(corruption)
            self.injected_faults.append((corruption.at, f"journal {corruption.description}"))
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
