"""`modem-agent pdu`: decodes and encodes SMS PDUs."""

from __future__ import annotations

import sys

import click

from agent.cli.common import exit_with_errors, print_json
from agent.cli.options import json_option
from pdu import Address, PduError, Submit, encode, segment
from pdu.explain import explain, render, to_json


@click.group()
def pdu() -> None:
    """Decode and encode SMS PDUs (3GPP TS 23.040) in the form of +CMGR, +CMT and +CMGS (27.005)."""


@pdu.command("decode", short_help="Show every field of a PDU.")
@click.argument("digits", metavar="HEX", nargs=-1, required=True)
@click.option("--mo", is_flag=True, help="Decode a PDU sent by a device, as in AT+CMGS.")
@click.option("--no-sca", is_flag=True, help="The PDU begins without a service centre address.")
@json_option
def decode_command(digits: tuple[str, ...], *, mo: bool, no_sca: bool, as_json: bool) -> None:
    """Show every field of a PDU with its octets.

    \b
    modem-agent pdu decode 07914151550501F004038100F0000062203040506000026F35

    Spaces between the digits are ignored.

    \b
    Exit status:
    1  the PDU is not valid; the fields before the error are shown
    """
    explanation = explain(" ".join(digits), direction="mo" if mo else "mt", sca=not no_sca)
    if as_json:
        print_json(to_json(explanation))
    else:
        for line in render(explanation):
            click.echo(line.encode(errors="backslashreplace"))
    if explanation.error is not None:
        exit_with_errors(str(explanation.error))


@pdu.command("encode", short_help="Show the AT+CMGS command and PDU for a text.")
@click.argument("number")
@click.argument("text", required=False)
@click.option("--hex", "octets", metavar="HEX", help="Encode these octets as a binary message instead.")
@click.option(
    "--reference", type=click.IntRange(0, 255), default=0, help="Reference number of a concatenated message."
)
@json_option
def encode_command(
    number: str, text: str | None, octets: str | None, reference: int, *, as_json: bool
) -> None:
    """Show the AT+CMGS command and the PDU of each part of a TEXT to a NUMBER.

    \b
    modem-agent pdu encode 2936 "door open"
    modem-agent pdu encode 2936 --hex 01FF7E

    \b
    Exit status:
    1  the number or the text cannot be encoded
    """
    if (text is None) == (octets is None):
        raise click.UsageError("give either TEXT or --hex HEX")
    try:
        content = text if text is not None else bytes.fromhex(octets or "")
    except ValueError:
        raise click.BadParameter(
            "the value must be pairs of hexadecimal digits, for example 01FF", param_hint="--hex"
        ) from None
    try:
        parts = [
            encode(Submit(Address.parse(number), segment_data))
            for segment_data in segment(content, reference=reference)
        ]
    except PduError as error:
        exit_with_errors(str(error))
    if as_json:
        print_json([{"length": part.length, "pdu": part.hex} for part in parts])
        return
    for part in parts:
        sys.stdout.write(f"AT+CMGS={part.length}\n{part.hex}\n")
