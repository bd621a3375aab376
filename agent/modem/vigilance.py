"""Whether the settings of a module still stand. One that restarts silently loses them without a word."""

from __future__ import annotations

from agent.at.channel import Channel
from agent.at.error import CommandRefused
from agent.at.parameters import Values, values
from agent.modem.commands import read, routing
from agent.modem.formats import MessageFormat
from agent.modem.setup import Setup


async def drifted(channel: Channel, setup: Setup, message_format: MessageFormat) -> str:
    """Compare what matters with what was set up; what differs, empty if nothing does.

    What the module refused to tell at first is not asked. Raises CommandTimedOut, ModemLost.
    """
    found = await _read(channel, "+CMGF")
    if found and found.at(0).number != message_format.code:
        return f"+CMGF: {found.at(0).text}"
    for name, agreed in message_format.agreed.items():
        found = await _read(channel, name)
        if found and message_format.string(found.at(0).text).upper() != agreed:
            return f"{name}: {found.at(0).text}"
    found = await _read(channel, "+CNMI") if setup.routing else Values()
    if found and (found.at(0).number, found.at(1).number) != setup.routing[:2]:
        return f"+CNMI: {','.join(value.text for value in found)}"
    found = await _read(channel, "+CPMS") if setup.memories else Values()
    if found:
        # <mem1> is what was read last; the other two stay as they were set.
        setup.selected = found.at(0).text.upper()
        names = {found.at(at).text.upper() for at in setup.memories[1:]}
        if not names <= {setup.store}:
            return f"+CPMS: {','.join(sorted(names))}"
    return ""


async def _read(channel: Channel, name: str) -> Values:
    try:
        return values((await channel.exchange(read(name))).text)
    except CommandRefused:
        return Values()


async def route_again(channel: Channel, setup: Setup) -> None:
    """Set +CNMI as it was agreed: some modules switch it off, or tell only the port that set it last."""
    if setup.routing:
        await channel.exchange(routing(setup.routing))
