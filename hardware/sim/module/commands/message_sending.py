"""Commands that send messages and acknowledge direct deliveries: 27.005 3.5.1, 3.5.2, 3.5.5, 3.4.4."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module import tpdu
from hardware.sim.module.command_outcome import CommandOutcome, Requirement, TextPrompt
from hardware.sim.module.commands.message_storage import ANY_NUMBER, parse_slot
from hardware.sim.module.errors import cms_error, plain_error
from hardware.sim.module.message_builder import parse_hex, replace_destination
from hardware.sim.module.mt_delivery import RP_PROTOCOL_ERROR
from hardware.sim.module.parts import CommandDef
from hardware.sim.module.stores import MessageStatus

if TYPE_CHECKING:
    from collections.abc import Callable

    from hardware.sim.module.command_parser import CommandParameters
    from hardware.sim.module.parts import ModuleParts

OCTET = range(256)


def _send_message(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CMGS: PDU mode `=<length>`, text mode `="<da>"[,<toda>]`."""
    if not module.settings.text_mode:
        return _prompt_for_pdu(module, parameters, "+CMGS", tpdu.SUBMIT)
    destination = module.messages.builder.parse_destination(parameters)
    answer = _reference_formatter("+CMGS")
    return TextPrompt(
        lambda text: module.messages.submitter.submit(
            module.messages.builder.build_submit(destination, text), None, answer
        ),
        text_mode=True,
    )


def _prompt_for_pdu(
    module: ModuleParts, parameters: CommandParameters, name: str, message_type: int
) -> TextPrompt:
    """Parse `=<length>` and prompt for a `<pdu>` of that message type."""
    parameters.require_at_most(1)
    length = parameters.get_number(0, ANY_NUMBER)

    def on_text(text: bytes) -> CommandOutcome:
        centre, octets = module.messages.builder.parse_pdu(text, length)
        if octets[0] & 3 != message_type:
            raise cms_error(304)
        return module.messages.submitter.submit(octets, centre, _reference_formatter(name))

    return TextPrompt(on_text, text_mode=False)


def _reference_formatter(name: str) -> Callable[[int], list[str]]:
    return lambda reference: [f"{name}: {reference}"]


def _send_stored(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CMSS=<index>[,"<da>"[,<toda>]]: send from the store `<mem2>`, then mark as sent."""
    store = module.stores[module.settings.cpms[1]]
    message = store.get(parse_slot(module, store, parameters))
    if message is None:
        raise cms_error(321)
    octets = message.tpdu
    if message.status.is_received or octets[0] & 3 != tpdu.SUBMIT:
        raise cms_error(302)
    if parameters.has(1):
        octets = replace_destination(octets, module.messages.builder.parse_destination(parameters, 1))

    def mark_sent(reference: int) -> list[str]:
        message.status = MessageStatus.SENT
        return [f"+CMSS: {reference}"]

    return module.messages.submitter.submit(octets, message.service_centre, mark_sent)


def _send_command(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CMGC: PDU mode `=<length>`, text mode `=<fo>,<ct>[,<pid>[,<mn>[,"<da>"[,<toda>]]]]`, hex data."""
    if not module.settings.text_mode:
        return _prompt_for_pdu(module, parameters, "+CMGC", tpdu.COMMAND)
    first = parameters.get_number(0, OCTET, tpdu.COMMAND)
    if first & 3 != tpdu.COMMAND:
        raise cms_error(305)
    kind, protocol, number = (parameters.get_number(place, OCTET, 0) for place in (1, 2, 3))
    destination = module.messages.builder.parse_destination(parameters, 4)

    def on_text(text: bytes) -> CommandOutcome:
        octets = module.messages.builder.build_command(first, kind, protocol, number, destination, text)
        return module.messages.submitter.submit(octets, None, _reference_formatter("+CMGC"))

    return TextPrompt(on_text, text_mode=True)


def _acknowledge(module: ModuleParts, parameters: CommandParameters) -> CommandOutcome:
    """+CNMA, in PDU mode `[=<n>[,<length>]]`: n = 2 refuses, a length announces a DELIVER-REPORT."""
    if module.settings.csms == 0:
        raise cms_error(340)
    if module.settings.text_mode and parameters.items:
        raise plain_error()
    positive = parameters.get_number(0, range(3), 0) < 2
    length = parameters.get_number(1, ANY_NUMBER, 0)
    if length:
        return TextPrompt(
            lambda text: _acknowledge_with_report(module, text, length, positive=positive), text_mode=False
        )
    module.messages.delivery.acknowledge(None if positive else RP_PROTOCOL_ERROR)
    return []


def _acknowledge_with_report(
    module: ModuleParts, text: bytes, length: int, *, positive: bool
) -> CommandOutcome:
    """Acknowledge with a DELIVER-REPORT, without service centre address; its TP-FCS is the cause."""
    octets = parse_hex(text)
    if len(octets) != length or octets[0] & 3 != 0:
        raise cms_error(304)
    failure = octets[1] if length > 1 and octets[1] >= 0x80 else RP_PROTOCOL_ERROR
    module.messages.delivery.acknowledge(None if positive else failure)
    return []


COMMANDS = {
    "+CMGS": CommandDef(set=_send_message, max_parameters=2, requires=Requirement.MESSAGE_SERVICE),
    "+CMSS": CommandDef(set=_send_stored, max_parameters=3, requires=Requirement.MESSAGE_SERVICE),
    "+CMGC": CommandDef(set=_send_command, max_parameters=6, requires=Requirement.MESSAGE_SERVICE),
    "+CNMA": CommandDef(
        execute=_acknowledge,
        set=_acknowledge,
        test=lambda module: "" if module.settings.text_mode else "(0-2)",
        max_parameters=2,
        requires=Requirement.MESSAGE_SERVICE,
    ),
}
