"""Messages as the terminal sees them: entries of a store and codes that hand over, in both formats.

PDU mode shows the octets. Text mode shows headers and data by 27.005 3.1, 3.3.3 and 3.4; +CSDH adds the
second half of the headers. The settings of the interface are read at the moment of showing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hardware.sim.module import charset, tpdu
from hardware.sim.module.refusal import cms
from pdu import Alphabet, Command, Deliver, PduError, StatusReport, Submit, decode, gsm7
from pdu.address import write_service_centre
from pdu.septets import unpack

if TYPE_CHECKING:
    from hardware.sim.module.memory import Stored
    from hardware.sim.module.module import SimulatedModule
    from pdu import Address, Tpdu, UserData


class Rendering:
    """Shows messages to one module's terminal."""

    def __init__(self, module: SimulatedModule) -> None:
        self._module = module

    def entry(self, name: str, message: Stored, index: int | None = None) -> str:
        """An answer of +CMGR, or an entry of +CMGL with its index; +CMS ERROR 320 if text mode cannot."""
        place = "" if index is None else f"{index},"
        if not self._module.settings.text_mode:
            return (
                f"{name}: {place}{message.status.value},{self._alpha},{len(message.tpdu)}\r\n{_hex(message)}"
            )
        shown = self._decoded(message)
        if shown is None:
            raise cms(320)
        return (
            f'{name}: {place}"{message.status.words}",{self._body(message, shown, listed=index is not None)}'
        )

    def direct(self, message: Stored) -> str:
        """`+CMT`, 27.005 3.4.1. What cannot be shown as text is handed over as a PDU rather than lost."""
        shown = self._decoded(message) if self._module.settings.text_mode else None
        if shown is None:
            return f"+CMT: {self._alpha},{len(message.tpdu)}\r\n{_hex(message)}"
        return f"+CMT: {self._body(message, shown, listed=False)}"

    def direct_report(self, message: Stored) -> str:
        """`+CDS`, 27.005 3.4.1."""
        shown = self._decoded(message) if self._module.settings.text_mode else None
        if shown is None:
            return f"+CDS: {len(message.tpdu)}\r\n{_hex(message)}"
        return f"+CDS: {self._body(message, shown, listed=False)}"

    def address(self, address: Address | None) -> str:
        """An address in the chosen character set, and its type; both empty for none."""
        return "," if address is None else f'"{self._text(str(address))}",{address.type_of_address}'

    @property
    def _alpha(self) -> str:
        """`<alpha>`: there is no phonebook; some makers show an empty string for that."""
        return '""' if self._module.device.empty_alpha else ""

    def _text(self, text: str) -> str:
        return charset.shown(text, self._module.settings.cscs)

    def _decoded(self, message: Stored) -> Tpdu | None:
        try:
            return decode(message.tpdu, direction="mt" if message.status.received else "mo", sca=False)
        except PduError:
            return None

    def _body(self, message: Stored, shown: Tpdu, *, listed: bool) -> str:
        """Everything behind the status, over all its lines."""
        match shown:
            case Deliver():
                number, time = (
                    self._text(str(shown.originating_address)),
                    shown.service_centre_timestamp.octets,
                )
                head = f'"{number}",{self._alpha},"{moment(time)}"'
                return self._with_data(
                    head, message, shown.originating_address, shown.user_data, listed=listed
                )
            case Submit():
                head = f'"{self._text(str(shown.destination_address))}",{self._alpha}' + (
                    "," if listed else ""
                )
                return self._with_data(
                    head, message, shown.destination_address, shown.user_data, listed=listed
                )
            case StatusReport():
                centre, discharge = shown.service_centre_timestamp.octets, shown.discharge_time.octets
                head = f"{message.tpdu[0]},{shown.message_reference},{self.address(shown.recipient_address)}"
                return f'{head},"{moment(centre)}","{moment(discharge)}",{shown.status}'
            case Command():
                return self._command(message.tpdu, shown)
        raise cms(320)

    def _with_data(
        self, head: str, message: Stored, address: Address, user_data: UserData, *, listed: bool
    ) -> str:
        """Header, what +CSDH=1 adds to it, and the data on the next line."""
        data, length = self._data(user_data)
        if not self._module.settings.csdh:
            details = ""
        elif listed:
            details = f",{address.type_of_address},{length}"
        else:
            fields = _fields(message)
            details = f",{address.type_of_address},{fields},{self.address(message.service_centre)},{length}"
        return f"{head}{details}\r\n{data}"

    def _data(self, user_data: UserData) -> tuple[str, int]:
        """`<data>` and `<length>`: characters, or octets where the data are hexadecimal (27.005 3.1)."""
        plain = user_data.alphabet is Alphabet.GSM7 and not user_data.compressed
        if not plain or user_data.has_header:
            return user_data.octets.hex().upper(), len(user_data.octets)
        septets = unpack(user_data.octets, user_data.length)
        match self._module.settings.cscs:
            case "GSM":
                return septets.decode("latin-1"), len(septets)
            case "HEX":
                return septets.hex().upper(), len(septets)
        text = gsm7.decode(septets)
        return self._text(text), len(text)

    def _command(self, octets: bytes, command: Command) -> str:
        """`<fo>,<ct>`, and with +CSDH=1 `,<pid>,<mn>,"<da>",<toda>,<length>` and the data."""
        head = f"{octets[0]},{command.command_type}"
        if not self._module.settings.csdh:
            return head
        fields = f"{command.protocol_identifier},{command.message_number}"
        address = self.address(command.destination_address)
        data = command.user_data.octets
        return f"{head},{fields},{address},{len(data)}\r\n{data.hex().upper()}"


def _hex(message: Stored) -> str:
    """`<pdu>`: service centre field and TPDU."""
    return (
        (write_service_centre(message.service_centre, "service_centre_address") + message.tpdu).hex().upper()
    )


def _fields(message: Stored) -> str:
    """`<fo>,<pid>,<dcs>`, and for a SUBMIT `,[<vp>]`."""
    octets = message.tpdu
    start = tpdu.address_end(octets, 1 if message.status.received else 2)
    fields = f"{octets[0]},{octets[start]},{octets[start + 1]}"
    if message.status.received:
        return fields
    validity = octets[start + 2 :]
    match octets[0] >> 3 & 3:  # TP-VPF, 23.040 9.2.3.3
        case 2:
            return f"{fields},{validity[0]}"
        case 3:
            return f'{fields},"{moment(validity[:7])}"'
        case 1:
            return f'{fields},"{validity[:7].hex().upper()}"'
    return f"{fields},"


def moment(octets: bytes) -> str:
    """`yy/MM/dd,hh:mm:ss+zz` of seven octets, whatever they hold (23.040 9.2.3.11)."""
    year, month, day, hour, minute, second = (f"{octet & 15:X}{octet >> 4:X}" for octet in octets[:6])
    zone = octets[6]
    sign = "-" if zone & 8 else "+"
    return f"{year}/{month}/{day},{hour}:{minute}:{second}{sign}{zone & 7:X}{zone >> 4:X}"
