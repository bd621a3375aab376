"""Queries the network on which the module is registered."""

from __future__ import annotations

from agent.at.client import CommandExchange
from agent.at.errors import CommandRefused
from agent.at.parameters import parse_values
from agent.modem.at_commands import read_command
from agent.modem.text_mode_codec import decode_setting
from pdu.record import Record

ACCESS_TECHNOLOGIES = {
    0: "GSM",
    1: "GSM",
    2: "UMTS",
    3: "EDGE",
    4: "HSDPA",
    5: "HSUPA",
    6: "HSPA",
    7: "LTE",
    8: "EC-GSM-IoT",
    9: "NB-IoT",
    10: "LTE on a 5G core",
    11: "5G",
    12: "5G",
    13: "LTE and 5G",
}
"""<AcT> of 27.007 7.3. Modules of LTE-M report it as 7 or 8."""


class NetworkOperator(Record):
    """The operator; a field is empty if the module does not report it."""

    name: str = ""
    """Its name, or country and network code, in the format that the module is set to."""
    access_technology: str = ""

    def __str__(self) -> str:
        return ", ".join(filter(None, (self.name, self.access_technology)))


async def query_operator(client: CommandExchange) -> NetworkOperator:
    """Query +COPS? (27.007 7.3). A refusal counts as unknown. Raises CommandTimedOut, ModemLost."""
    try:
        values = parse_values((await client.exchange(read_command("+COPS"))).text)
    except CommandRefused:
        return NetworkOperator()
    technology = values.get(3).number
    return NetworkOperator(
        decode_setting(values.get(2).text),
        "" if technology is None else ACCESS_TECHNOLOGIES.get(technology, ""),
    )
