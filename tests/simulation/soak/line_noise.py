"""What happens to octets on the line.

From the module any octet may get lost, and noise may come in; noise is never a hexadecimal digit or another
character that a module says, because no checksum guards a serial line and nobody could tell. To the module
whole writes get lost, and octets of a message's body: a digit lost of AT+CMGD=12 would delete another
message, and no agent can help that. In text mode the line with sender and time stamp has no length that
would show a loss either: what the module says there is left alone.
"""

NOISE_OCTETS = bytes(range(0x80, 0x100)) + b"\x00\x01\x02\x03\x06\x0e"


class LineNoise:
    """Strikes while `until` lies ahead."""

    def __init__(self, world, rng):
        self._world = world
        self._rng = rng
        self.active_until = 0.0
        self.error_rate = 0.0
        """How likely one octet from the module, or one write to it, is harmed."""
        self.injected = []
        """(time, what was done)."""
        world.port.transform = self

    def start(self, seconds, rate):
        self.active_until, self.error_rate = self._world.loop.time() + seconds, rate

    def __call__(self, direction, data):
        if self._world.loop.time() >= self.active_until:
            return data
        return self._garble_from_module(data) if direction == "<" else self._garble_to_module(data)

    def _garble_from_module(self, data):
        if self._world.message_format == "text" and any(
            name in data for name in (b"+CMGL:", b"+CMGR:", b"+CMT:", b"+CDS:")
        ):
            return data
        result = bytearray()
        for octet in data:
            chance = self._rng.random()
            if chance < self.error_rate / 2:
                self.injected.append((self._world.loop.time(), "lost"))
                continue
            if chance < self.error_rate:
                self.injected.append((self._world.loop.time(), "noise"))
                result.append(self._rng.choice(NOISE_OCTETS))
            result.append(octet)
        return bytes(result)

    def _garble_to_module(self, data):
        if self._rng.random() > self.error_rate * 20:
            return data
        self.injected.append((self._world.loop.time(), "write"))
        if data.endswith(b"\x1a") and len(data) > 2 and self._world.message_format == "pdu":
            at = self._rng.randrange(len(data))
            return data[:at] + data[at + 1 :]
        return b""
