"""The faults that a scenario injects, by name; `clear_all_faults` ends them.

Each function takes the `Scenario`, which gives access to world, traffic, line noise, host and random source.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from agent.at.transport.base import PortUnavailable


@dataclass(frozen=True)
class InjectedFault:
    """A fault: its weight in the random choice, and the function that injects it."""

    weight: float
    inject: Callable


def _module_fault(text, scenario):
    """Inject a fault of `hardware.sim.faults`; names in braces are replaced by random values."""
    pick = scenario.rng
    scenario.world.module.faults.add(
        text.format(
            seconds=round(pick.uniform(1, 90), 1),
            short=round(pick.uniform(1, 20), 1),
            times=pick.randint(1, 3),
            receiving=pick.choice(("+CMGR", "+CMGL", "+CMGD", "+CPMS", "+CNMA")),
            any=pick.choice(
                ("+CMGR", "+CMGL", "+CMGD", "+CPMS", "+CMGS", "+CNMI", "+CMGF", "+CSQ", "+CREG", "+CMEE")
            ),
            refusal=pick.choice(("ERROR", "CME 14", "CMS 302", "CMS 320", "CMS 500", "CMS 512", "CMS 314")),
            code=pick.choice(("+CMTI", "+CMTI", "+CMT", "+CREG", "+CDSI")),
            stat=pick.choice((0, 2, 3, 4)),
        )
    )


def _line_noise(scenario):
    scenario.line_noise.start(scenario.rng.uniform(5, 120), scenario.rng.choice((0.0005, 0.003, 0.02)))


def _unplug(scenario):
    port, pick = scenario.world.port, scenario.rng
    port.unplug()
    scenario.world.call_later(pick.choice((2.5, 2.5, 40.0, 600.0)), port.plug)
    if pick.random() < 0.5:  # a USB stick also loses its power
        scenario.world.module.power_off()
        scenario.world.call_later(2.5, scenario.world.module.power_on)


def _port_busy(scenario):
    port = scenario.world.port
    reason = scenario.rng.choice(("busy", "forbidden"))
    port.open_error = PortUnavailable(reason, f"the port /dev/ttyUSB2 is {reason}")
    port.unplug()
    port.plug()

    def release():
        port.open_error = None

    scenario.world.call_later(scenario.rng.uniform(5, 300), release)


def _lost_acknowledgements(scenario):
    scenario.world.network.lose_acknowledgements(scenario.world.sim.imsi, scenario.rng.randint(1, 3))


def _out_of_coverage(scenario):
    world = scenario.world
    world.network.set_coverage(world.sim.imsi, False)
    world.call_later(scenario.rng.uniform(30, 3600), _restore_coverage, scenario)


def _restore_coverage(scenario):
    for sim in (scenario.world.first_sim, scenario.world.second_sim):
        scenario.world.network.set_coverage(sim.imsi, True)


def _refused_by_network(scenario):
    causes = (21, 27, 28, 38, 41, 42, 47, 50, 69, 0xC0, 0xC3, 0xFF)
    scenario.world.radio.pending_causes += [
        scenario.rng.choice(causes) for _ in range(scenario.rng.choice((1, 1, 3)))
    ]


def _slow_network(scenario):
    world = scenario.world
    world.radio.submit_delay_s = scenario.rng.choice((3.0, 20.0, 70.0))

    def end_delay():
        world.radio.submit_delay_s = 0.0

    world.call_later(scenario.rng.uniform(60, 900), end_delay)


def _disk_full(scenario):
    world = scenario.world
    world.disk_error = scenario.rng.choice(("database or disk is full", "disk I/O error"))

    def end_error():
        world.disk_error = None

    seconds = scenario.rng.choice((3.0, 30.0, 300.0, 3600.0))
    scenario.disk_failures.append((world.loop.time(), world.loop.time() + seconds))
    world.call_later(seconds, end_error)


def _slow_disk(scenario):
    world = scenario.world
    world.disk_delay_s = scenario.rng.choice((0.05, 0.5, 3.0))

    def end_delay():
        world.disk_delay_s = 0.0

    seconds = scenario.rng.uniform(30, 900)
    scenario.disk_delays.append((world.loop.time(), world.loop.time() + seconds))
    world.call_later(seconds, end_delay)


def _clock_jump(scenario):
    jump = scenario.rng.choice((-1, 1)) * scenario.rng.choice((60.0, 7200.0, 100_000.0, 40 * 86400.0))
    scenario.world.clock_error_s += jump
    if jump > 86400:  # at a start, data that are old by this clock alone must not be pruned
        scenario.world.call_later(30, scenario.host.kill)
        for seconds in (90, 100, 110):
            scenario.world.call_later(seconds, scenario.traffic.redeliver)
    scenario.world.call_later(scenario.rng.uniform(600, 3 * 3600), _correct_clock, scenario)


def _correct_clock(scenario):
    scenario.world.clock_error_s = 0.0


def _slot_reused(scenario):
    """Lose the result of a delete, and send messages that take the slot meanwhile."""
    scenario.world.module.faults.add("answer-lost:command=+CMGD,times=1")
    for seconds in (0, 3, 8, 15):
        scenario.world.call_later(seconds, scenario.traffic.send_random)


def _long_sim_removal(scenario):
    """Remove the SIM for long and restart the agent meanwhile: the reset budget must not start again."""
    world = scenario.world
    world.module.faults.add("sim-removed:for=5400")
    for seconds in (900, 1800, 2700, 3600, 4500):
        world.call_later(seconds, scenario.host.kill)


def _swap_sim(scenario):
    """Insert another SIM for a while; messages on the first one stay there."""
    world = scenario.world
    if world.sim is not world.first_sim:
        return
    seconds = scenario.rng.uniform(60, 3600)
    world.insert_sim(world.second_sim)
    world.call_later(seconds, world.insert_sim, world.first_sim)


FAULTS = {
    "noise": InjectedFault(12, _line_noise),
    "unplugged": InjectedFault(6, _unplug),
    "port taken": InjectedFault(4, _port_busy),
    "acknowledgement lost": InjectedFault(6, _lost_acknowledgements),
    "no coverage": InjectedFault(4, _out_of_coverage),
    "refused by the network": InjectedFault(8, _refused_by_network),
    "slow network": InjectedFault(4, _slow_network),
    "disk full": InjectedFault(4, _disk_full),
    "slow disk": InjectedFault(4, _slow_disk),
    "clock jumps": InjectedFault(4, _clock_jump),
    "slot used again": InjectedFault(4, _slot_reused),
    "no SIM for long": InjectedFault(1, _long_sim_removal),
    "another SIM": InjectedFault(2, _swap_sim),
} | {
    text: InjectedFault(weight, partial(_module_fault, text))
    for text, weight in {
        "mute:for={seconds}": 4,
        "late:command={any},seconds={short},times={times}": 5,
        "prompt-late:seconds={short},times={times}": 5,
        "prompt-missing:times={times}": 5,
        "refused:command={receiving},refusal={refusal},times={times}": 6,
        "refused:command=+CMGS,refusal={refusal},times={times}": 5,
        "ignored:command={any}": 4,
        "echo-stuck:for={seconds}": 3,
        "information-lost:command={any},times={times}": 4,
        "final-lost:command={any},times={times}": 6,
        "final-lost:command=+CMGS,times={times}": 5,
        "answer-lost:command={any},times={times}": 5,
        "code-lost:command={code},times={times}": 6,
        "rubbish": 4,
        "reboot-loud": 4,
        "reboot-loud:command={any}": 3,
        "reboot-silent": 4,
        "reboot-silent:command={any}": 4,
        "settings-lost": 4,
        "store-full": 3,
        "registration-lost:stat={stat},for={seconds}": 5,
        "sim-removed:for={seconds}": 2,
        "write-blocked:for={seconds}": 4,
        "port-gone:for={seconds}": 4,
    }.items()
}


def _enter_pin(scenario):
    """Enter the PIN as the operator does on request: the agent was killed during its PIN attempt."""
    world = scenario.world
    is_requested = any("enter the PIN in a phone" in str(step) for step in world.events_of_kind("module"))
    if world.sim.pin is not None and is_requested and world.module.sim_access.pin_state() == "SIM PIN":
        with world.module.batch_writes():
            world.module.sim_access.enter_pin(world.sim.pin, None)
            world.module.power.resume_boot()


def clear_all_faults(scenario):
    """End all faults. A fault with a duration of its own ends within the hour."""
    world = scenario.world
    world.module.faults.clear()
    world.port.open_error = None
    world.port.plug()
    world.port.resume()
    world.disk_error, world.disk_delay_s = None, 0.0
    world.radio.submit_delay_s = 0.0
    world.radio.pending_causes.clear()
    world.clock_error_s = 0.0
    for sim in (world.first_sim, world.second_sim):
        world.network.faults_of(sim.imsi).cancel_all()
    if world.sim is not world.first_sim:
        world.insert_sim(world.first_sim)
    _restore_coverage(scenario)
    world.call_later(300, _enter_pin, scenario)
    scenario.line_noise.active_until = 0.0
    scenario.host.cancel_kill()
    if not world.module.power.is_running:
        world.module.power_on()
    if not world.sim.present:
        world.sim.present = True
        world.module.sim_access.power_down()
    with world.module.batch_writes():
        is_unavailable = not world.module.sim_access.is_ready
    if is_unavailable:  # as the operator does: the reset budget may be used up
        world.module.reboot()
    if world.current_run is None or not world.current_run.is_alive:
        scenario.host.start_agent()
