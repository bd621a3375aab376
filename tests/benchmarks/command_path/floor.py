"""The floor: a client with one thread, no journal, and no more octets than the way needs.

    python floor.py PORT BAUD stored|direct GAP_S

It answers each Command with the time at which its function was called. It reads, answers and then deletes or,
with direct delivery, acknowledges and answers.
"""

from __future__ import annotations

import os
import re
import sys
import termios
import time
import tty

import pdu

URC = re.compile(rb"\r\n\+CMTI: [^\r]*\r\n|\r\n\+CMT: [^\r]*\r\n[^\r]*\r\n")


class Port:
    """A raw port, and the octets that were read from it and not used yet."""

    def __init__(self, path, baud, gap_s):
        self._fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(self._fd)
        attributes = termios.tcgetattr(self._fd)
        attributes[4] = attributes[5] = getattr(termios, f"B{baud}")
        termios.tcsetattr(self._fd, termios.TCSANOW, attributes)
        self._received = b""
        self._gap_s = gap_s
        self._result_at = 0.0

    def exchange(self, line, pattern=rb"\r\nOK\r\n|\r\n(?:ERROR|\+CM[ES] ERROR:[^\r]*)\r\n"):
        """Write a line, after the gap, and return what came up to the pattern."""
        if self._gap_s:
            time.sleep(max(0.0, self._result_at + self._gap_s - time.monotonic()))
        os.write(self._fd, line)
        answer = self.wait(pattern)
        self._result_at = time.monotonic()
        return answer

    def wait(self, pattern):
        """Return the octets up to the end of the pattern; those before it that are URCs stay."""
        while not (found := re.search(pattern, self._received)):
            self._received += os.read(self._fd, 4096)
        urcs = b"".join(URC.findall(self._received[: found.start()]))
        taken, self._received = self._received[: found.end()], urcs + self._received[found.end() :]
        return taken


def answer(text):
    """Return the reply: the function of the user."""
    return str(time.monotonic_ns())


def send_reply(port, text):
    data = pdu.segment(text, reference=0)[0]
    submit = pdu.Submit(
        destination_address=pdu.Address.parse("000"),
        user_data=data,
        data_coding_scheme=data.data_coding_scheme,
    )
    encoded = pdu.encode(submit)
    port.exchange(b"AT+CMGS=%d\r" % encoded.length, rb"\r\n> ")
    port.exchange(encoded.hex.encode() + b"\x1a")


def text_of(digits):
    return pdu.decode(bytes.fromhex(digits.decode())).user_data.text


def main(path, baud, way, gap_s):
    port = Port(path, baud, float(gap_s))
    port.exchange(b"AT\r")
    port.exchange(b"ATE0\r")
    port.exchange(b"AT+CMGF=0\r")
    if way == "stored":
        port.exchange(b'AT+CPMS="ME","ME","ME"\r')
        port.exchange(b"AT+CNMI=2,1\r")
    else:
        port.exchange(b"AT+CSMS=1\r")
        port.exchange(b"AT+CNMI=3,2,0,1\r")
    print("ready", flush=True)
    while True:
        if way == "stored":
            index = re.search(rb",(\d+)\r\n$", port.wait(rb"\+CMTI: [^\r]*\r\n"))[1]
            read = port.exchange(b"AT+CMGR=%s\r" % index)
            send_reply(port, answer(text_of(re.search(rb"\r\n([0-9A-F]{20,})\r\n", read)[1])))
            port.exchange(b"AT+CMGD=%s\r" % index)
        else:
            urc = port.wait(rb"\+CMT: [^\r]*\r\n[0-9A-F]+\r\n")
            reply = answer(text_of(re.search(rb"\r\n([0-9A-F]+)\r\n$", urc)[1]))
            port.exchange(b"AT+CNMA=1\r")
            send_reply(port, reply)


if __name__ == "__main__":
    main(*sys.argv[1:])
