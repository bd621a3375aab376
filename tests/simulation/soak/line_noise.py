"""Loses and corrupts octets on the serial line.

From the module any octet may be lost and noise may be inserted. Noise is never a hexadecimal digit or another
character that a module sends: a serial line has no checksum, so such an error cannot be detected. To the
module whole writes may be lost, and octets of a message body. A digit lost from AT+CMGD=12 would delete
another message, and no agent can prevent that. In text mode the line with sender and time stamp has no length
that would reveal a loss, so these lines are not changed.
"""

NOISE_OCTETS = bytes(range(0x80, 0x100)) + b"\x00\x01\x02\x03\x06\x0e"


class LineNoise:
    """Garbles data until the time `active_until`."""

    def __init__(self, world, rng):
        self._world = world
        self._rng = rng
        self.active_until = 0.0
        self.error_rate = 0.0
        """Probability of an error for each octet from the module; a write to it is 20 times as likely to be
        lost."""
        self.injected = []
        """(time, "lost", "noise" or "write") of each error."""
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
