"""The six messages of the short message transfer protocol, each with its own fields (23.040 9.2.2).

A comment gives the abbreviation and the clause of each field. ``spare_bits`` keeps the unused bits of the
first octet as received; leave it 0 in new messages.
"""

from __future__ import annotations

from pdu.address import Address
from pdu.coding import DataCoding
from pdu.header import Concatenation
from pdu.record import Record, derived
from pdu.status import DeliveryOutcome, classify_status
from pdu.timestamp import Timestamp
from pdu.user_data import UserData
from pdu.validity import EnhancedValidity, RelativeValidity, ValidityPeriod

TYPE_CHECKING = False  # see record

UDHI = 0x40  # bit 6 of every first octet: the user data begins with a header, 9.2.3.23


class _UserDataMessage(Record):
    """Properties that all messages with user data share."""

    if TYPE_CHECKING:

        @property
        def user_data(self) -> UserData | None: ...

        @property
        def data_coding_scheme(self) -> int | None: ...

    @property
    def text(self) -> str | None:
        """The text of the user data; None for 8-bit data, compressed data, and without user data."""
        user_data = self.user_data
        return None if user_data is None else user_data.text

    @property
    def data(self) -> bytes | None:
        """The octets of 8-bit or compressed user data after the header; else None."""
        user_data = self.user_data
        return None if user_data is None else user_data.data

    @property
    def concatenation(self) -> Concatenation | None:
        """The part of a concatenated message that this is; None for a single message."""
        return None if self.user_data is None else self.user_data.concatenation

    @property
    def coding(self) -> DataCoding:
        """TP-DCS with its meaning: alphabet, class, message waiting. An absent TP-DCS counts as 0."""
        return DataCoding(self.data_coding_scheme or 0)

    def _udhi_bit(self) -> int:
        return UDHI if self.user_data is not None and self.user_data.has_header else 0


def compute_parameter_indicator(
    protocol_identifier: int | None, data_coding_scheme: int | None, user_data: UserData | None
) -> int:
    """Return the TP-PI for the fields that are present (9.2.3.27)."""
    present = 1 if protocol_identifier is not None else 0
    if data_coding_scheme is not None:
        present |= 2
    return present if user_data is None else present | 4


_DERIVED_DCS = "user_data.data_coding_scheme"
_DERIVED_OPTIONAL_DCS = "user_data.data_coding_scheme if user_data is not None else None"


class Deliver(_UserDataMessage):
    """SMS-DELIVER: a message to the device, 9.2.2.1."""

    originating_address: Address  # TP-OA, 9.2.3.7
    service_centre_timestamp: Timestamp  # TP-SCTS, 9.2.3.11
    user_data: UserData  # TP-UDHI, TP-UDL, TP-UD, 9.2.3.16, .23, .24
    data_coding_scheme: int = derived(_DERIVED_DCS, int)  # TP-DCS, 9.2.3.10
    protocol_identifier: int = 0  # TP-PID, 9.2.3.9
    more_messages: bool = False  # TP-MMS, 9.2.3.2; the bit on the wire is the opposite
    loop_prevention: bool = False  # TP-LP, 9.2.3.28
    status_report_indication: bool = False  # TP-SRI, 9.2.3.4
    reply_path: bool = False  # TP-RP, 9.2.3.17
    service_centre_address: Address | None = None
    spare_bits: int = 0

    @property
    def first_octet(self) -> int:
        """The octet with TP-MTI and the flags."""
        return (
            self.spare_bits
            | (0 if self.more_messages else 0x04)
            | (0x08 if self.loop_prevention else 0)
            | (0x20 if self.status_report_indication else 0)
            | self._udhi_bit()
            | (0x80 if self.reply_path else 0)
        )


class Submit(_UserDataMessage):
    """SMS-SUBMIT: a message from the device, 9.2.2.2."""

    destination_address: Address  # TP-DA, 9.2.3.8
    user_data: UserData  # TP-UDHI, TP-UDL, TP-UD, 9.2.3.16, .23, .24
    message_reference: int = 0  # TP-MR, 9.2.3.6; most modules set their own
    data_coding_scheme: int = derived(_DERIVED_DCS, int)  # TP-DCS, 9.2.3.10
    protocol_identifier: int = 0  # TP-PID, 9.2.3.9
    validity_period: ValidityPeriod | None = (
        None  # TP-VPF, TP-VP, 9.2.3.3, .12; None: set by the service centre
    )
    reject_duplicates: bool = False  # TP-RD, 9.2.3.25
    status_report_request: bool = False  # TP-SRR, 9.2.3.5
    reply_path: bool = False  # TP-RP, 9.2.3.17
    service_centre_address: Address | None = None  # None: the module uses that of +CSCA

    @property
    def validity_period_format(self) -> int:
        """TP-VPF: 0 none, 1 enhanced, 2 relative, 3 absolute."""
        match self.validity_period:
            case None:
                return 0
            case RelativeValidity():
                return 2
            case EnhancedValidity():
                return 1
            case Timestamp():
                return 3

    @property
    def first_octet(self) -> int:
        """The octet with TP-MTI and the flags."""
        return (
            0x01
            | (0x04 if self.reject_duplicates else 0)
            | (0 if self.validity_period is None else self.validity_period_format << 3)
            | (0x20 if self.status_report_request else 0)
            | (UDHI if self.user_data.has_header else 0)
            | (0x80 if self.reply_path else 0)
        )


class StatusReport(_UserDataMessage):
    """SMS-STATUS-REPORT: the delivery status of a message that the device sent, 9.2.2.3."""

    message_reference: int  # TP-MR, 9.2.3.6
    recipient_address: Address  # TP-RA, 9.2.3.14
    service_centre_timestamp: Timestamp  # TP-SCTS, 9.2.3.11
    discharge_time: Timestamp  # TP-DT, 9.2.3.13
    status: int  # TP-ST, 9.2.3.15
    protocol_identifier: int | None = None  # TP-PID, 9.2.3.9
    user_data: UserData | None = None  # TP-UDHI, TP-UDL, TP-UD, 9.2.3.16, .23, .24
    data_coding_scheme: int | None = derived(_DERIVED_OPTIONAL_DCS, int)  # TP-DCS, 9.2.3.10
    parameter_indicator: int | None = derived(  # TP-PI, 9.2.3.27; None: absent
        "indicate(protocol_identifier, data_coding_scheme, user_data) or None",
        int,
        indicate=compute_parameter_indicator,
    )
    more_messages: bool = False  # TP-MMS, 9.2.3.2; the bit on the wire is the opposite
    loop_prevention: bool = False  # TP-LP, 9.2.3.28
    on_command: bool = False  # TP-SRQ, 9.2.3.26: the report answers an SMS-COMMAND, not an SMS-SUBMIT
    service_centre_address: Address | None = None
    spare_bits: int = 0
    more_indicators: bytes = b""  # octets that extend TP-PI, kept unread

    @property
    def outcome(self) -> DeliveryOutcome:
        """The outcome of the delivery; reserved values are classified as the standard requires."""
        return classify_status(self.status)

    @property
    def first_octet(self) -> int:
        """The octet with TP-MTI and the flags."""
        return (
            0x02
            | self.spare_bits
            | (0 if self.more_messages else 0x04)
            | (0x08 if self.loop_prevention else 0)
            | (0x20 if self.on_command else 0)
            | self._udhi_bit()
        )


class DeliverReport(_UserDataMessage):
    """SMS-DELIVER-REPORT: the device acknowledges or refuses an SMS-DELIVER, 9.2.2.1a."""

    failure_cause: int | None = None  # TP-FCS, 9.2.3.22: 0x80 to 0xFF refuses; None acknowledges
    protocol_identifier: int | None = None  # TP-PID, 9.2.3.9
    user_data: UserData | None = None  # TP-UDHI, TP-UDL, TP-UD, 9.2.3.16, .23, .24
    data_coding_scheme: int | None = derived(_DERIVED_OPTIONAL_DCS, int)  # TP-DCS, 9.2.3.10
    parameter_indicator: int = derived(  # TP-PI, 9.2.3.27
        "indicate(protocol_identifier, data_coding_scheme, user_data)",
        int,
        indicate=compute_parameter_indicator,
    )
    service_centre_address: Address | None = None
    spare_bits: int = 0
    more_indicators: bytes = b""  # octets that extend TP-PI, kept unread

    @property
    def first_octet(self) -> int:
        """The octet with TP-MTI and the flags."""
        return self.spare_bits | self._udhi_bit()


class SubmitReport(_UserDataMessage):
    """SMS-SUBMIT-REPORT: the service centre acknowledges or refuses an SMS-SUBMIT or -COMMAND, 9.2.2.2a."""

    service_centre_timestamp: Timestamp  # TP-SCTS, 9.2.3.11
    failure_cause: int | None = None  # TP-FCS, 9.2.3.22: 0x80 to 0xFF refuses; None acknowledges
    protocol_identifier: int | None = None  # TP-PID, 9.2.3.9
    user_data: UserData | None = None  # TP-UDHI, TP-UDL, TP-UD, 9.2.3.16, .23, .24
    data_coding_scheme: int | None = derived(_DERIVED_OPTIONAL_DCS, int)  # TP-DCS, 9.2.3.10
    parameter_indicator: int = derived(  # TP-PI, 9.2.3.27
        "indicate(protocol_identifier, data_coding_scheme, user_data)",
        int,
        indicate=compute_parameter_indicator,
    )
    service_centre_address: Address | None = None
    spare_bits: int = 0
    more_indicators: bytes = b""  # octets that extend TP-PI, kept unread

    @property
    def first_octet(self) -> int:
        """The octet with TP-MTI and the flags."""
        return 0x01 | self.spare_bits | self._udhi_bit()


class CommandTpdu(_UserDataMessage):
    """SMS-COMMAND: the device enquires about a message that it sent, or cancels or deletes it, 9.2.2.4."""

    destination_address: Address  # TP-DA, 9.2.3.8
    command_type: int  # TP-CT, 9.2.3.19: 0 enquiry, 1 cancel report, 2 delete, 3 enable report
    message_number: int = 0  # TP-MN, 9.2.3.18: TP-MR of the message that it refers to
    message_reference: int = 0  # TP-MR, 9.2.3.6
    protocol_identifier: int = 0  # TP-PID, 9.2.3.9
    user_data: UserData = UserData(b"", 0)  # TP-UDHI, TP-CDL, TP-CD, 9.2.3.20, .21: octets, 156 at most
    status_report_request: bool = False  # TP-SRR, 9.2.3.5
    service_centre_address: Address | None = None
    spare_bits: int = 0

    @property
    def data_coding_scheme(self) -> int:
        """8-bit data: an SMS-COMMAND has no TP-DCS, and its data is octets."""
        return 0x04

    @property
    def first_octet(self) -> int:
        """The octet with TP-MTI and the flags."""
        return 0x02 | self.spare_bits | (0x20 if self.status_report_request else 0) | self._udhi_bit()


Tpdu = Deliver | DeliverReport | Submit | SubmitReport | StatusReport | CommandTpdu
