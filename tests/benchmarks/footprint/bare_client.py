"""The floor of a start: a client without journal, handlers and configuration, on asyncio and pyserial."""

import asyncio
import sqlite3  # noqa: F401  (every agent with a journal imports it)
import sys
import time

import serial_asyncio


async def main():
    reader, writer = await serial_asyncio.open_serial_connection(url=sys.argv[1], baudrate=115200)
    for command in ("AT", "ATE0", "AT+CMGF=0", "AT+CMGR=1"):
        writer.write(f"{command}\r".encode())
        answer = b""
        while not answer.endswith((b"OK\r\n", b"ERROR\r\n")):
            answer += await reader.read(4096)
    print(time.monotonic_ns(), flush=True)
    await asyncio.sleep(60)


asyncio.run(main())
