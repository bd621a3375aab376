"""The serial line between the simulated module and the agent, with the faults of a serial line."""

from agent.at.transport.base import PortUnavailable

OCTET_TIME_S = 10 / 115_200
"""Duration of an octet on the line, with start and stop bit."""


class SimulatedPort:
    """One serial port. Octets arrive later, in order, in the pieces that `split` returns. It can be
    unplugged.

    It is also the port that `hardware.sim.faults` needs for faults of the line.
    """

    def __init__(self, loop, split=None):
        self._loop = loop
        self._split = split or (lambda data: [data])
        """Splits the octets that the module writes into the pieces that are read."""
        self.module = None
        """The module; its `receive` gets what the agent writes."""
        self.transport = None
        self.is_plugged = True
        self.open_error = None
        """The PortUnavailable that `open` raises while it is set."""
        self.open_count = 0
        self.received_count = 0
        """Number of pieces that the agent has received."""
        self.trace = []
        """(time, direction, octets): '<' from the module, '>' to it."""
        self.transform = lambda direction, data: data
        """Returns the octets that arrive, given the direction ('<' from the module, '>' to it) and the octets
        sent."""
        self.on_written = lambda data: None
        """Called with the octets that the agent writes, before they are sent."""
        self._line_free_at = {"<": 0.0, ">": 0.0}
        self._paused = False
        self._paused_data = []

    async def open(self, reader):
        """Open the port for a reader. Raises PortUnavailable if it cannot be opened."""
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
        """Send octets of the module to the agent; they are lost if the port is not open."""
        transport = self.transport
        if transport is None or not self.is_plugged:
            return
        for piece in self._split(self.transform("<", bytes(data))):
            self._loop.call_at(self._arrival_time("<", len(piece)), self._deliver_to_agent, transport, piece)

    def _deliver_to_agent(self, transport, piece):
        if transport is self.transport:
            self.received_count += 1
            self.trace.append((self._loop.time(), "<", piece))
            transport.reader.data_received(piece)

    # From the agent

    def send_from_agent(self, data):
        """Send octets of the agent to the module; they arrive even if the agent is killed."""
        self.on_written(data)
        self._send_to_module(data)

    def _send_to_module(self, data):
        if self._paused:
            self._paused_data.append(data)
        elif self.is_plugged and (data := self.transform(">", data)):
            self.trace.append((self._loop.time(), ">", data))
            self._loop.call_at(self._arrival_time(">", len(data)), self.module.receive, data)

    def release(self, transport):
        """Free the port after the agent has closed it or was killed."""
        if self.transport is transport:
            self.transport = None

    # Faults

    def pause(self):
        """Stop reading at the module's end."""
        self._paused = True

    def resume(self):
        """Read again at the module's end."""
        self._paused = False
        pending, self._paused_data = self._paused_data, []
        for data in pending:
            self._send_to_module(data)

    def unplug(self):
        """Remove the port; the open transport reports the loss."""
        self.is_plugged = False
        self._paused_data.clear()
        transport, self.transport = self.transport, None
        if transport is not None:
            transport.disconnect()

    def plug(self):
        """Make the port available again."""
        self.is_plugged = True

    def _arrival_time(self, direction, octets):
        """Return when the octets arrive, which is after those that were written earlier."""
        arrives_at = max(self._line_free_at[direction], self._loop.time()) + octets * OCTET_TIME_S
        self._line_free_at[direction] = arrives_at
        return arrives_at


class PortTransport:
    """The agent's end of the port."""

    def __init__(self, port, reader):
        self._port = port
        self.reader = reader

    def write(self, data):
        if self._port.transport is self:
            self._port.send_from_agent(bytes(data))

    def close(self):
        self._port.release(self)

    async def wait_closed(self):
        """Return at once."""

    def disconnect(self):
        self.reader.connection_lost("the port is gone")
