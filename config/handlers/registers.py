"""A handler for binary Commands: 01 RR reads register RR, 01 RR VV VV writes it; the answer is binary too.

Binary Commands come with Programmable Wireless. An executable named `binary` would get all those that no
prefix of a Python file takes.
"""

from agent import Command, handler

registers: dict[int, int] = {}


@handler(binary_prefix=b"\x01")
def register(command: Command) -> bytes:
    """Answer 01 RR VV VV, the value with its most significant octet first; 01 alone if it was nonsense."""
    data = command.data or b""
    if len(data) not in (2, 4):
        return b"\x01"
    number = data[1]
    if len(data) == 4:
        registers[number] = int.from_bytes(data[2:])
    return bytes([1, number]) + registers.get(number, 0).to_bytes(2)
