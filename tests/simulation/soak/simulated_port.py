"""The line between the simulated module and one agent after the other, with what can go wrong on a line."""

from agent.at.transport.base import PortUnavailable

OCTET_TIME_S = 10 / 115_200
"""An octet on the line, with start and stop bit."""


class SimulatedPort:
    """One serial port. Octets arrive later, in order, cut as `cut` says; it can be unplugged and plugged in.

    It is the port that `hardware.sim.faults` needs for faults of the line.
    """

    def __init__(self, loop, split=None):
        self._loop = loop
        self._split = split or (lambda data: [data])
        """From the octets that the module writes to the pieces in which they are read."""
        self.module = None
        """Who hears what the agent writes: has `receive`."""
        self.transport = None
        self.is_plugged = True
        self.open_error = None
        """A PortUnavailable that every opening ends with, while it is set."""
        self.open_count = 0
        self.trace = []
        """(time, direction, octets): '<' from the module, '>' to it."""
        self.transform = lambda direction, data: data
        """What becomes of octets on the line: '<' from the module, '>' to it."""
        self.on_written = lambda data: None
        """Called with the octets that the agent writes, before they are on the line."""
        self._line_free_at = {"<": 0.0, ">": 0.0}
        self._paused = False
        self._paused_data = []

    async def open(self, reader):
        """An `Opener` of the agent, apart from what a dead agent leaves behind."""
        if self.open_error is not None:
            raise self.open_error
        if not self.is_plugged:
            raise PortUnavailable("absent", "the port /dev/ttyUSB2 is not there; is the module plugged in?")
        assert self.transport is None, "two agents have the port open at once"
        self.open_count += 1
        self.transport = PortTransport(self, reader)
        return self.transport

    # From the module

    def send_from_module(self, data):
        """Octets that the module writes; lost where nobody has the port open."""
        wire = self.transport
        if wire is None or not self.is_plugged:
            return
        for piece in self._split(self.transform("<", bytes(data))):
            self._loop.call_at(self._arrival_time("<", len(piece)), self._deliver_to_agent, wire, piece)

    def _deliver_to_agent(self, transport, piece):
        if transport is self.transport:
            self.trace.append((self._loop.time(), "<", piece))
            transport.reader.data_received(piece)

    # From the agent

    def send_from_agent(self, data):
        """Octets that the agent writes: they arrive whatever becomes of the agent."""
        self.on_written(data)
        self._send_to_module(data)

    def _send_to_module(self, data):
        if self._paused:
            self._paused_data.append(data)
        elif self.is_plugged and (data := self.transform(">", data)):
            self.trace.append((self._loop.time(), ">", data))
            self._loop.call_at(self._arrival_time(">", len(data)), self.module.receive, data)

    def release(self, transport):
        """The agent has closed it, or is dead."""
        if self.transport is transport:
            self.transport = None

    # What can go wrong

    def pause(self):
        """The other end has stopped reading."""
        self._paused = True

    def resume(self):
        """It reads on."""
        self._paused = False
        held, self._paused_data = self._paused_data, []
        for data in held:
            self._send_to_module(data)

    def unplug(self):
        """The port is gone; whoever has it open is told."""
        self.is_plugged = False
        self._paused_data.clear()
        wire, self.transport = self.transport, None
        if wire is not None:
            wire.disconnect()

    def plug(self):
        """It is back."""
        self.is_plugged = True

    def _arrival_time(self, direction, octets):
        """When they have arrived: not before those that were written earlier."""
        due = max(self._line_free_at[direction], self._loop.time()) + octets * OCTET_TIME_S
        self._line_free_at[direction] = due
        return due


class PortTransport:
    """The agent's end of it."""

    def __init__(self, port, reader):
        self._port = port
        self.reader = reader

    def write(self, data):
        if self._port.transport is self:
            self._port.send_from_agent(bytes(data))

    def close(self):
        self._port.release(self)

    async def wait_closed(self):
        """It is closed at once."""

    def disconnect(self):
        self.reader.connection_lost("the port is gone")
