"""The codec on the command line: ``python -m pdu decode HEX``, ``encode NUMBER TEXT``, ``vectors FILE``."""

from __future__ import annotations

import argparse
import io
import signal
import sys
from pathlib import Path

from pdu import Address, PduError, Submit, encode, segment
from pdu.explain import explain, render
from pdu.vectors import VectorFileError, check_file


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit status: 0, 1 for failure, 2 for usage errors and unreadable files."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # messages may contain unprintable characters
    options = _parser().parse_args(arguments)
    try:
        if options.command == "vectors":
            return 0 if check_file(options.file, _print_line) else 1
        if options.command == "encode":
            return _encode(options.number, options.text, options.reference)
        return _decode(" ".join(options.hex), options)
    except VectorFileError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except PduError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m pdu", description="Read and write SMS PDUs (3GPP TS 23.040)."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    decode = commands.add_parser(
        "decode",
        help="show every field with the octets it came from",
        description="Show every field of a PDU with the octets it came from.",
        epilog="example: python -m pdu decode 07914151550501F004038100F0000062203040506000026F35",
    )
    decode.add_argument("hex", nargs="+", help="hexadecimal digits; spaces between them are ignored")
    decode.add_argument(
        "--mo", action="store_true", help="a message from the device to the network, as in AT+CMGS"
    )
    decode.add_argument(
        "--no-sca", action="store_true", help="the PDU begins without a service centre address"
    )
    write = commands.add_parser(
        "encode",
        help="show the AT command and the PDU for a text",
        description="Show the AT+CMGS command and the PDU for each part of a text.",
        epilog='example: python -m pdu encode 2936 "door open"',
    )
    write.add_argument("number", help="000, 2936, +14155550100 ...")
    write.add_argument("text")
    write.add_argument(
        "--reference", type=int, default=0, help="reference of the parts of a long text (default 0)"
    )
    vectors = commands.add_parser("vectors", help="check test vectors, one JSON object a line")
    vectors.add_argument("file", type=Path, metavar="FILE.jsonl")
    return parser


def _decode(digits: str, options: argparse.Namespace) -> int:
    explanation = explain(digits, direction="mo" if options.mo else "mt", sca=not options.no_sca)
    for line in render(explanation):
        _print_line(line)
    if explanation.error is not None:
        sys.stderr.write(f"{explanation.error}\n")
        return 1
    return 0


def _encode(number: str, text: str, reference: int) -> int:
    address = Address.parse(number)
    for user_data in segment(text, reference=reference):
        encoded = encode(Submit(address, user_data))
        _print_line(f"AT+CMGS={encoded.length}")
        _print_line(encoded.hex)
    return 0


def _print_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    if hasattr(signal, "SIGPIPE"):  # `| head` must end the program quietly
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
