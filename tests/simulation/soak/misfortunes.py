"""What goes wrong around the agent, by name; `recover` ends all of it.

Each takes the weather: world, letters, harm, host and the random source of the seed.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from agent.at.wire import PortUnavailable


@dataclass(frozen=True)
class Misfortune:
    """How often it is chosen among the others, and what it does."""

    weight: float
    strike: Callable


def _fault(text, weather):
    """One of the simulated module's own, `hardware.sim.faults`; {} are replaced by random values."""
    pick = weather.random
    weather.world.module.faults.add(
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


def _noise(weather):
    weather.harm.begin(weather.random.uniform(5, 120), weather.random.choice((0.0005, 0.003, 0.02)))


def _unplug(weather):
    port, pick = weather.world.port, weather.random
    port.unplug()
    weather.world.call_later(pick.choice((2.5, 2.5, 40.0, 600.0)), port.plug)
    if pick.random() < 0.5:  # a USB stick loses its power with the plug
        weather.world.module.power_off()
        weather.world.call_later(2.5, weather.world.module.power_on)


def _busy(weather):
    port = weather.world.port
    reason = weather.random.choice(("busy", "forbidden"))
    port.unavailable = PortUnavailable(reason, f"the port /dev/ttyUSB2 is {reason}")
    port.unplug()
    port.plug()

    def free():
        port.unavailable = None

    weather.world.call_later(weather.random.uniform(5, 300), free)


def _lost_acknowledgements(weather):
    weather.world.network.lose_acknowledgements(weather.world.sim.imsi, weather.random.randint(1, 3))


def _out_of_coverage(weather):
    world = weather.world
    world.network.cover(world.sim.imsi, False)
    world.call_later(weather.random.uniform(30, 3600), _in_coverage, weather)


def _in_coverage(weather):
    for sim in (weather.world.first_sim, weather.world.second_sim):
        weather.world.network.cover(sim.imsi, True)


def _refused_by_network(weather):
    causes = (21, 27, 28, 38, 41, 42, 47, 50, 69, 0xC0, 0xC3, 0xFF)
    weather.world.air.refusals += [
        weather.random.choice(causes) for _ in range(weather.random.choice((1, 1, 3)))
    ]


def _slow_network(weather):
    world = weather.world
    world.air.delay = weather.random.choice((3.0, 20.0, 70.0))

    def quick():
        world.air.delay = 0.0

    world.call_later(weather.random.uniform(60, 900), quick)


def _disk_full(weather):
    world = weather.world
    world.disk_trouble = weather.random.choice(("database or disk is full", "disk I/O error"))

    def mended():
        world.disk_trouble = None

    seconds = weather.random.choice((3.0, 30.0, 300.0, 3600.0))
    weather.disk_troubles.append((world.loop.time(), world.loop.time() + seconds))
    world.call_later(seconds, mended)


def _slow_disk(weather):
    world = weather.world
    world.disk_delay = weather.random.choice((0.05, 0.5, 3.0))

    def quick():
        world.disk_delay = 0.0

    seconds = weather.random.uniform(30, 900)
    weather.slow_disks.append((world.loop.time(), world.loop.time() + seconds))
    world.call_later(seconds, quick)


def _clock(weather):
    jump = weather.random.choice((-1, 1)) * weather.random.choice((60.0, 7200.0, 100_000.0, 40 * 86400.0))
    weather.world.skew += jump
    if jump > 86400:  # what is old by this clock is forgotten at a start, if only this clock is asked
        weather.world.call_later(30, weather.host.kill)
        for seconds in (90, 100, 110):
            weather.world.call_later(seconds, weather.letters.again)
    weather.world.call_later(weather.random.uniform(600, 3 * 3600), _clock_right, weather)


def _clock_right(weather):
    weather.world.skew = 0.0


def _slot_used_again(weather):
    """A delete whose result is lost, and messages that take the slot before anybody knows."""
    weather.world.module.faults.add("answer-lost:command=+CMGD,times=1")
    for seconds in (0, 3, 8, 15):
        weather.world.call_later(seconds, weather.letters.arrive)


def _no_sim_for_long(weather):
    """A card without contact, and starts of the agent meanwhile: resets must not begin anew with each."""
    world = weather.world
    world.module.faults.add("sim-removed:for=5400")
    for seconds in (900, 1800, 2700, 3600, 4500):
        world.call_later(seconds, weather.host.kill)


def _another_sim(weather):
    """Somebody puts another SIM in for a while; what is on the one that is away waits there."""
    world = weather.world
    if world.sim is not world.first_sim:
        return
    seconds = weather.random.uniform(60, 3600)
    world.insert(world.second_sim)
    world.call_later(seconds, world.insert, world.first_sim)


MISFORTUNES = {
    "noise": Misfortune(12, _noise),
    "unplugged": Misfortune(6, _unplug),
    "port taken": Misfortune(4, _busy),
    "acknowledgement lost": Misfortune(6, _lost_acknowledgements),
    "no coverage": Misfortune(4, _out_of_coverage),
    "refused by the network": Misfortune(8, _refused_by_network),
    "slow network": Misfortune(4, _slow_network),
    "disk full": Misfortune(4, _disk_full),
    "slow disk": Misfortune(4, _slow_disk),
    "clock jumps": Misfortune(4, _clock),
    "slot used again": Misfortune(4, _slot_used_again),
    "no SIM for long": Misfortune(1, _no_sim_for_long),
    "another SIM": Misfortune(2, _another_sim),
} | {
    text: Misfortune(weight, partial(_fault, text))
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


def _enter_pin(weather):
    """A person does it, where the agent asks for one: it was killed while it tried the PIN."""
    world = weather.world
    asks = any("enter the PIN in a phone" in str(step) for step in world.said("module"))
    if world.sim.pin is not None and asks and world.module.card.state() == "SIM PIN":
        with world.module.event():
            world.module.card.enter(world.sim.pin, None)
            world.module.power.unlocked()


def recover(weather):
    """All misfortune is over. What lasts for a while ends by its own time, within the hour."""
    world = weather.world
    world.module.faults.clear()
    world.port.unavailable = None
    world.port.plug()
    world.port.resume()
    world.disk_trouble, world.disk_delay = None, 0.0
    world.air.delay = 0.0
    world.air.refusals.clear()
    world.skew = 0.0
    for line in world.network._lines.values():
        line.losses = 0
    if world.sim is not world.first_sim:
        world.insert(world.first_sim)
    _in_coverage(weather)
    world.call_later(300, _enter_pin, weather)
    weather.harm.until = 0.0
    weather.host.disarm()
    if not world.module.power.awake:
        world.module.power_on()
    if not world.sim.present:
        world.sim.present = True
        world.module.card.power_down()
    with world.module.event():
        away = not world.module.card.ready
    if away:  # the agent may have used up its resets for the day: then it says that a person must help
        world.module.reboot()
    if world.life is None or not world.life.alive:
        weather.host.start()
