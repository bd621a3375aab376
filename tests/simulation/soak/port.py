"""The line between the simulated module and one agent after the other, with what can go wrong on a line."""

from agent.at.wire import PortUnavailable

OCTET_S = 10 / 115_200
"""An octet on the line, with start and stop bit."""


class Port:
    """One serial port. Octets arrive later, in order, cut as `cut` says; it can be unplugged and plugged in.

    It is the port that `hardware.sim.faults` needs for faults of the line.
    """

    def __init__(self, loop, cut=None):
        self._loop = loop
        self._cut = cut or (lambda data: [data])
        """From the octets that the module writes to the pieces in which they are read."""
        self.module = None
        """Who hears what the agent writes: has `receive`."""
        self.wire = None
        self.plugged = True
        self.unavailable = None
        """A PortUnavailable that every opening ends with, while it is set."""
        self.opened = 0
        self.trace = []
        """(time, direction, octets): '<' from the module, '>' to it."""
        self.harm = lambda direction, data: data
        """What becomes of octets on the line: '<' from the module, '>' to it."""
        self.leaves = lambda data: None
        """Called with the octets that the agent writes, before they are on the line."""
        self._arrives = {"<": 0.0, ">": 0.0}
        self._paused = False
        self._held = []

    async def open(self, reader):
        """An `Opener` of the agent, apart from what a dead agent leaves behind."""
        if self.unavailable is not None:
            raise self.unavailable
        if not self.plugged:
            raise PortUnavailable("absent", "the port /dev/ttyUSB2 is not there; is the module plugged in?")
        assert self.wire is None, "two agents have the port open at once"
        self.opened += 1
        self.wire = Wire(self, reader)
        return self.wire

    # From the module

    def say(self, data):
        """Octets that the module writes; lost where nobody has the port open."""
        wire = self.wire
        if wire is None or not self.plugged:
            return
        for piece in self._cut(self.harm("<", bytes(data))):
            self._loop.call_at(self._due("<", len(piece)), self._heard, wire, piece)

    def _heard(self, wire, piece):
        if wire is self.wire:
            self.trace.append((self._loop.time(), "<", piece))
            wire.reader.received(piece)

    # From the agent

    def written(self, data):
        """Octets that the agent writes: they arrive whatever becomes of the agent."""
        self.leaves(data)
        self._on_the_line(data)

    def _on_the_line(self, data):
        if self._paused:
            self._held.append(data)
        elif self.plugged and (data := self.harm(">", data)):
            self.trace.append((self._loop.time(), ">", data))
            self._loop.call_at(self._due(">", len(data)), self.module.receive, data)

    def let_go(self, wire):
        """The agent has closed it, or is dead."""
        if self.wire is wire:
            self.wire = None

    # What can go wrong

    def pause(self):
        """The other end has stopped reading."""
        self._paused = True

    def resume(self):
        """It reads on."""
        self._paused = False
        held, self._held = self._held, []
        for data in held:
            self._on_the_line(data)

    def unplug(self):
        """The port is gone; whoever has it open is told."""
        self.plugged = False
        self._held.clear()
        wire, self.wire = self.wire, None
        if wire is not None:
            wire.gone()

    def plug(self):
        """It is back."""
        self.plugged = True

    def _due(self, direction, octets):
        """When they have arrived: not before those that were written earlier."""
        due = max(self._arrives[direction], self._loop.time()) + octets * OCTET_S
        self._arrives[direction] = due
        return due


class Wire:
    """The agent's end of it."""

    def __init__(self, port, reader):
        self._port = port
        self.reader = reader

    def write(self, data):
        if self._port.wire is self:
            self._port.written(bytes(data))

    def close(self):
        self._port.let_go(self)

    async def closed(self):
        """It is closed at once."""

    def gone(self):
        self.reader.hung_up("the port is gone")
