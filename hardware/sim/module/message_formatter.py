"""Formats messages for the terminal: entries of a store and direct deliveries, in PDU and text mode.

PDU mode shows the octets. Text mode shows headers and data by 27.005 3.1, 3.3.3 and 3.4; +CSDH=1 adds the
second half of the headers. The settings are read each time a message is formatted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module import charset, tpdu
from hardware.sim.module.errors import cms_error
from hardware.sim.module.response_writer import restyle_numbers
from pdu import Alphabet, CommandTpdu, Deliver, PduError, StatusReport, Submit, decode, gsm7
from pdu.address import write_service_centre
from pdu.packing import unpack

if TYPE_CHECKING:
    from hardware.sim.module.context import ModuleContext
    from hardware.sim.module.stores import StoredTpdu
    from pdu import Address, Tpdu, UserData


class MessageFormatter:
    """Formats messages with the settings of one module."""

    def __init__(self, context: ModuleContext) -> None:
        self._context = context

    def format_entry(self, name: str, message: StoredTpdu, index: int | None = None) -> str:
        """Format an answer of +CMGR, or with an index an entry of +CMGL.

        Raises +CMS ERROR 320 if the message cannot be shown in text mode.
        """
        place = "" if index is None else f"{index},"
        if not self._context.settings.text_mode:
            header = f"{name}: {place}{message.status.value},{self._alpha},{len(message.tpdu)}"
            return self._restyle(f"{header}\r\n{_pdu_hex(message)}")
        decoded = self._decode_tpdu(message)
        if decoded is None:
            raise cms_error(320)
        body = self._format_body(message, decoded, listed=index is not None)
        return self._restyle(f'{name}: {place}"{message.status.text}",{body}')

    def format_cmt(self, message: StoredTpdu) -> str:
        """Format `+CMT`, 27.005 3.4.1. A message that cannot be shown in text mode is shown as a PDU."""
        return self._format_direct("+CMT", message, f"{self._alpha},")

    def format_cds(self, message: StoredTpdu) -> str:
        """Format `+CDS`, 27.005 3.4.1, as `format_cmt` does."""
        return self._format_direct("+CDS", message, "")

    def _format_direct(self, name: str, message: StoredTpdu, alpha: str) -> str:
        decoded = self._decode_tpdu(message) if self._context.settings.text_mode else None
        if decoded is None:
            return self._restyle(f"{name}: {alpha}{len(message.tpdu)}\r\n{_pdu_hex(message)}")
        return self._restyle(f"{name}: {self._format_body(message, decoded, listed=False)}")

    def format_address(self, address: Address | None) -> str:
        """Format an address in the character set of +CSCS, and its type; both are empty for None."""
        return "," if address is None else f'"{self._encode_text(str(address))}",{address.type_of_address}'

    def _restyle(self, text: str) -> str:
        """Write the numbers of the header as the profile says. No module quotes those of a message header."""
        style = self._context.profile.number_style
        header, line_end, data = text.partition("\r\n")
        return text if style == "quoted" else restyle_numbers(header, style) + line_end + data

    @property
    def _alpha(self) -> str:
        """`<alpha>`, always absent: no phonebook is simulated. Some modules show it as an empty string."""
        return '""' if self._context.profile.empty_alpha else ""

    def _encode_text(self, text: str) -> str:
        return charset.encode_text(text, self._context.settings.cscs)

    def _decode_tpdu(self, message: StoredTpdu) -> Tpdu | None:
        try:
            return decode(message.tpdu, direction="mt" if message.status.is_received else "mo", sca=False)
        except PduError:
            return None

    def _format_body(self, message: StoredTpdu, decoded: Tpdu, *, listed: bool) -> str:
        """Format the fields after the status, and the data lines."""
        match decoded:
            case Deliver(originating_address=address, service_centre_timestamp=time):
                date = f',"{format_timestamp(time.octets)}"'
                return self._format_with_data(message, address, date, decoded.user_data, listed=listed)
            case Submit(destination_address=address):
                no_date = "," if listed else ""
                return self._format_with_data(message, address, no_date, decoded.user_data, listed=listed)
            case StatusReport():
                centre, discharge = decoded.service_centre_timestamp.octets, decoded.discharge_time.octets
                recipient = self.format_address(decoded.recipient_address)
                head = f"{message.tpdu[0]},{decoded.message_reference},{recipient}"
                return f'{head},"{format_timestamp(centre)}","{format_timestamp(discharge)}",{decoded.status}'
            case CommandTpdu():
                return self._format_command(message.tpdu, decoded)
        raise cms_error(320)

    def _format_with_data(
        self, message: StoredTpdu, address: Address, date: str, user_data: UserData, *, listed: bool
    ) -> str:
        """Format the header, the fields that +CSDH=1 adds, and the data on the next line."""
        head = f'"{self._encode_text(str(address))}",{self._alpha}{date}'
        data, length = self._format_data(user_data)
        if not self._context.settings.csdh:
            details = ""
        elif listed:
            details = f",{address.type_of_address},{length}"
        else:
            fields = _format_header_fields(message)
            details = (
                f",{address.type_of_address},{fields},{self.format_address(message.service_centre)},{length}"
            )
        return f"{head}{details}\r\n{data}"

    def _format_data(self, user_data: UserData) -> tuple[str, int]:
        """Return `<data>` and `<length>`: characters, or octets if the data are hexadecimal (27.005 3.1)."""
        plain = user_data.alphabet is Alphabet.GSM7 and not user_data.compressed
        if not plain or user_data.has_header:
            return user_data.octets.hex().upper(), len(user_data.octets)
        septets = unpack(user_data.octets, user_data.length)
        match self._context.settings.cscs:
            case "GSM":
                return septets.decode("latin-1"), len(septets)
            case "HEX":
                return septets.hex().upper(), len(septets)
        text = gsm7.decode(septets)
        return self._encode_text(text), len(text)

    def _format_command(self, octets: bytes, command: CommandTpdu) -> str:
        """Format `<fo>,<ct>`, and with +CSDH=1 `,<pid>,<mn>,"<da>",<toda>,<length>` and the data."""
        head = f"{octets[0]},{command.command_type}"
        if not self._context.settings.csdh:
            return head
        fields = f"{command.protocol_identifier},{command.message_number}"
        address = self.format_address(command.destination_address)
        data = command.user_data.octets
        return f"{head},{fields},{address},{len(data)}\r\n{data.hex().upper()}"


def _pdu_hex(message: StoredTpdu) -> str:
    """Return `<pdu>`: service centre address and TPDU in hexadecimal."""
    return (
        (write_service_centre(message.service_centre, "service_centre_address") + message.tpdu).hex().upper()
    )


def _format_header_fields(message: StoredTpdu) -> str:
    """Format `<fo>,<pid>,<dcs>`, and for a SUBMIT `,[<vp>]`."""
    octets = message.tpdu
    start = tpdu.find_address_end(octets, 1 if message.status.is_received else 2)
    fields = f"{octets[0]},{octets[start]},{octets[start + 1]}"
    if message.status.is_received:
        return fields
    validity = octets[start + 2 :]
    match octets[0] >> 3 & 3:  # TP-VPF, 23.040 9.2.3.3
        case 2:
            return f"{fields},{validity[0]}"
        case 3:
            return f'{fields},"{format_timestamp(validity[:7])}"'
        case 1:
            return f'{fields},"{validity[:7].hex().upper()}"'
    return f"{fields},"


def format_timestamp(octets: bytes) -> str:
    """Format seven octets as `yy/MM/dd,hh:mm:ss+zz`, valid or not (23.040 9.2.3.11)."""
    year, month, day, hour, minute, second = (f"{octet & 15:X}{octet >> 4:X}" for octet in octets[:6])
    zone = octets[6]
    sign = "-" if zone & 8 else "+"
    return f"{year}/{month}/{day},{hour}:{minute}:{second}{sign}{zone & 7:X}{zone >> 4:X}"
