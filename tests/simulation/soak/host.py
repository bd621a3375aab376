"""The host of the agent: restarts it as systemd does, and kills or stops it."""

RESTART_DELAY_S = (1.0, 5.0)
"""Range of the delay of a restart in seconds: RestartSec of the unit and the start itself."""
BOOT_DELAY_S = (15.0, 60.0)
"""Range of the boot time after a power cut, in seconds."""
WATCHDOG_TIMEOUT_S = 75.0
"""Time without WATCHDOG=1 after which systemd kills the agent, which notifies every 30 s."""


class Host:
    """Starts the agent again after each end while `is_running`."""

    def __init__(self, world, rng):
        self._world = world
        self._rng = rng
        self.is_running = True
        self._with_power_cut = False
        self._points_left = 0
        self._pending_start = None
        self.stop_durations = []
        """Seconds that each stop took."""
        world.on_run_ended = self._on_run_ended
        world.on_kill_point = self._on_kill_point

    def start_agent(self):
        """Start the agent unless it is alive."""
        self._pending_start = None
        if self.is_running and (self._world.current_run is None or not self._world.current_run.is_alive):
            agent_run = self._world.start()
            self._world.call_later(WATCHDOG_TIMEOUT_S / 3, self._check_watchdog, agent_run)

    def _check_watchdog(self, agent_run):
        """Kill the agent if it has not notified the watchdog in time, as systemd does."""
        if not agent_run.is_alive:
            return
        if self._world.loop.time() - agent_run.last_watchdog_at > WATCHDOG_TIMEOUT_S:
            agent_run.kill("watchdog")
        else:
            self._world.call_later(WATCHDOG_TIMEOUT_S / 3, self._check_watchdog, agent_run)

    def _on_run_ended(self, agent_run):
        if self.is_running and self._pending_start is None:
            pause = self._rng.uniform(*(BOOT_DELAY_S if agent_run.end_reason == "power" else RESTART_DELAY_S))
            self._pending_start = self._world.loop.call_later(pause, self.start_agent)

    # What people do to its files

    @property
    def _control_socket(self):
        return self._world.current_run.folder / "control.sock"

    def delete_control_socket(self):
        self._control_socket.unlink(missing_ok=True)

    @property
    def has_control_socket(self):
        """Return True if the running agent has a control socket."""
        return self._control_socket.is_socket()

    def write_bad_handler_file(self):
        """Write a handler that others may change, which must not be used."""
        path = self._world.handler_directory / "spoilt"
        path.write_text("#!/bin/sh\n")
        path.chmod(0o777)

    # Ending the agent

    def kill(self, reason="SIGKILL", *, power=False):
        """Kill the agent now. With `power` the module usually loses its power too."""
        agent_run = self._world.current_run
        if agent_run is None or not agent_run.is_alive:
            return
        agent_run.kill("power" if power else reason, power=power)
        if power and self._rng.random() < 0.7:
            if self._world.power_key is not None:
                self._world.power_key.lose_power()
                return
            self._world.module.power_off()
            self._world.call_later(5.0, self._world.module.power_on)

    def kill_after_points(self, points, *, power=False):
        """Kill the agent at the given number of kill points from now: before, in and after each commit and
        write."""
        self._points_left, self._with_power_cut = points, power

    def cancel_kill(self):
        self._points_left = 0

    def _on_kill_point(self, point, agent_run):
        if self._points_left and agent_run is self._world.current_run:
            self._points_left -= 1
            if not self._points_left:
                self.kill(f"SIGKILL {point}", power=self._with_power_cut)

    def kill_after_iterations(self, iterations):
        """Kill the agent after a number of iterations of the event loop, that is, at any await."""
        if iterations:
            self._world.loop.call_soon(self.kill_after_iterations, iterations - 1)
        else:
            self.kill("SIGKILL at an await")

    def stop_agent(self):
        """Stop the agent as `systemctl restart` does."""
        agent_run = self._world.current_run
        if agent_run is not None and agent_run.is_alive:
            self._world.loop.create_task(self._stop_and_measure(agent_run))

    async def _stop_and_measure(self, agent_run):
        began = self._world.loop.time()
        await agent_run.stop()
        if agent_run.end_reason == "stopped":
            self.stop_durations.append(self._world.loop.time() - began)
