"""What happens to octets on the line.

From the module any octet may get lost, and noise may come in; noise is never a hexadecimal digit or another
character that a module says, because no checksum guards a serial line and nobody could tell. To the module
whole writes get lost, and octets of a message's body: a digit lost of AT+CMGD=12 would delete another
message, and no agent can help that. In text mode the line with sender and time stamp has no length that
would show a loss either: what the module says there is left alone.
"""

NOISE = bytes(range(0x80, 0x100)) + b"\x00\x01\x02\x03\x06\x0e"


class Harm:
    """Strikes while `until` lies ahead."""

    def __init__(self, world, random):
        self._world = world
        self._random = random
        self.until = 0.0
        self.rate = 0.0
        """How likely one octet from the module, or one write to it, is harmed."""
        self.log = []
        """(time, what was done)."""
        world.port.harm = self

    def begin(self, seconds, rate):
        self.until, self.rate = self._world.loop.time() + seconds, rate

    def __call__(self, direction, data):
        if self._world.loop.time() >= self.until:
            return data
        return self._said(data) if direction == "<" else self._written(data)

    def _said(self, data):
        if self._world.message_format == "text" and any(
            name in data for name in (b"+CMGL:", b"+CMGR:", b"+CMT:", b"+CDS:")
        ):
            return data
        result = bytearray()
        for octet in data:
            chance = self._random.random()
            if chance < self.rate / 2:
                self.log.append((self._world.loop.time(), "lost"))
                continue
            if chance < self.rate:
                self.log.append((self._world.loop.time(), "noise"))
                result.append(self._random.choice(NOISE))
            result.append(octet)
        return bytes(result)

    def _written(self, data):
        if self._random.random() > self.rate * 20:
            return data
        self.log.append((self._world.loop.time(), "write"))
        if data.endswith(b"\x1a") and len(data) > 2 and self._world.message_format == "pdu":
            at = self._random.randrange(len(data))
            return data[:at] + data[at + 1 :]
        return b""
