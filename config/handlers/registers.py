"""A handler for binary Commands: 01 RR reads register RR, 01 RR VV VV writes it. The reply is binary too.

Only Programmable Wireless has binary Commands. An executable named `binary` would get all binary Commands
that no prefix of a Python file matches.
"""

from agent import Command, handler

registers: dict[int, int] = {}


@handler(binary_prefix=b"\x01")
def register(command: Command) -> bytes:
    """Return 01 RR VV VV, the value with its most significant octet first; only 01 for an invalid Command."""
    data = command.data or b""
    if len(data) not in (2, 4):
        return b"\x01"
    number = data[1]
    if len(data) == 4:
        registers[number] = int.from_bytes(data[2:])
    return bytes([1, number]) + registers.get(number, 0).to_bytes(2)
