"""The computer around the agent: starts it again when it has ended, as systemd does, and lets it die."""

RESTART_S = (1.0, 5.0)
"""RestartSec of the unit, and what a start takes."""
BOOT_S = (15.0, 60.0)
"""A Raspberry Pi after a power cut."""
WATCHDOG_S = 75.0
"""Silence of WATCHDOG=1 after which systemd kills; the agent feeds every 30 s."""


class Host:
    """Keeps one life of the agent after the other going while it is `on`."""

    def __init__(self, world, random):
        self._world = world
        self._random = random
        self.on = True
        self._power = False
        self._left = 0
        self._starts = None
        self.stops = []
        """Seconds that each orderly stop took."""
        world.ended = self._ended
        world.at_points = self._at

    def start(self):
        """Now, unless it lives."""
        self._starts = None
        if self.on and (self._world.life is None or not self._world.life.alive):
            life = self._world.start()
            self._world.call_later(WATCHDOG_S / 3, self._watch, life)

    def _watch(self, life):
        """systemd's watchdog."""
        if not life.alive:
            return
        if self._world.loop.time() - life.fed_at > WATCHDOG_S:
            life.kill("watchdog")
        else:
            self._world.call_later(WATCHDOG_S / 3, self._watch, life)

    def _ended(self, life):
        if self.on and self._starts is None:
            pause = self._random.uniform(*(BOOT_S if life.end == "power" else RESTART_S))
            self._starts = self._world.loop.call_later(pause, self.start)

    # How it dies

    def kill(self, why="SIGKILL", *, power=False):
        """At this moment; with `power` the module is without power too, more often than not."""
        life = self._world.life
        if life is None or not life.alive:
            return
        life.kill("power" if power else why, power=power)
        if power and self._random.random() < 0.7:
            self._world.module.power_off()
            self._world.call_later(5.0, self._world.module.power_on)

    def arm(self, points, *, power=False):
        """At that many commits and writes from now, counting the moments before, in and after each."""
        self._left, self._power = points, power

    def disarm(self):
        self._left = 0

    def _at(self, point, life):
        if self._left and life is self._world.life:
            self._left -= 1
            if not self._left:
                self.kill(f"SIGKILL {point}", power=self._power)

    def kill_at_step(self, steps):
        """After so many turns of the event loop: at any await."""
        if steps:
            self._world.loop.call_soon(self.kill_at_step, steps - 1)
        else:
            self.kill("SIGKILL at an await")

    def stop(self):
        """As `systemctl restart` does."""
        life = self._world.life
        if life is not None and life.alive:
            self._world.loop.create_task(self._stop(life))

    async def _stop(self, life):
        began = self._world.loop.time()
        await life.stop()
        if life.end == "stopped":
            self.stops.append(self._world.loop.time() - began)
