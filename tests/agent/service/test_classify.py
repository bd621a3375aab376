from datetime import UTC, datetime, timedelta

import pytest

import pdu
from agent.service.classify import classify, message_identity
from agent.service.message import IgnoredMessage, MessagePart, ReceivedCommand, ReceivedReport
from agent.service.profile import SERVICE_PROFILES

WIRELESS = SERVICE_PROFILES["programmable-wireless"]
TIMESTAMP = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
SID = "DC0123456789abcdef0123456789abcdef"


class EmptyHistory:
    """A history without any earlier message."""

    def stored_parts(self, key):
        return {}

    def is_known(self, identity):
        return False


class StubHistory(EmptyHistory):
    """A history with these parts."""

    def __init__(self, *parts, known=()):
        self._parts = {part.number: part for part in parts}
        self._known = set(known)

    def stored_parts(self, key):
        return self._parts

    def is_known(self, identity):
        return identity in self._known


def deliver(content, sender="2936", when=TIMESTAMP, **fields):
    """Return a DELIVER with this text, these octets or this user data."""
    data = content if isinstance(content, pdu.UserData) else pdu.UserData.of(content)
    return pdu.Deliver(
        originating_address=sender if isinstance(sender, pdu.Address) else pdu.Address.parse(sender),
        service_centre_timestamp=pdu.Timestamp.of(when),
        user_data=data,
        data_coding_scheme=data.data_coding_scheme,
        **fields,
    )


def classify_message(message, history=None, service=WIRELESS, **more):
    return classify(message, pdu.encode(message).hex, history or EmptyHistory(), service, **more)


def test_text_with_sid_is_a_command():
    """It has the SID, the body without the SID, and the time with its offset."""
    found = classify_message(deliver(f"{SID} led on"))
    assert isinstance(found, ReceivedCommand)
    assert (found.sid, found.body, found.timestamp) == (SID, "led on", TIMESTAMP)
    assert found.answerable


def test_binary_command_has_no_sid():
    """Octets are unchanged, even if they look like a SID."""
    found = classify_message(deliver(SID.encode()))
    assert (found.sid, found.body) == (None, SID.encode())


@pytest.mark.parametrize(
    "kind", [pdu.TypeOfNumber.UNKNOWN, pdu.TypeOfNumber.INTERNATIONAL, pdu.TypeOfNumber.NATIONAL]
)
def test_type_of_number_is_not_compared(kind):
    """Networks deliver a short code with any type of number."""
    assert isinstance(classify_message(deliver("on", pdu.Address("2936", kind))), ReceivedCommand)


@pytest.mark.parametrize(
    "sender",
    [
        "29360",
        "02936",
        "293",
        "936",
        "+12936",
        "000",
        "*2936",
        pdu.Address("2936", pdu.TypeOfNumber.ALPHANUMERIC),
    ],
)
def test_message_of_other_sender_is_ignored(sender):
    """A substring, a missing zero and an alphanumeric name are not the service's number."""
    found = classify_message(deliver("led on", sender))
    assert isinstance(found, IgnoredMessage)
    assert "not from 2936" in found.reason


def test_leading_zeros_are_compared():
    """000 is neither 0 nor 00."""
    service = SERVICE_PROFILES["super-sim"]
    assert isinstance(classify_message(deliver("on", "000"), service=service), ReceivedCommand)
    for other in ("0", "00", "0000"):
        assert isinstance(classify_message(deliver("on", other), service=service), IgnoredMessage)


@pytest.mark.parametrize(
    "message",
    [deliver("ERR unknown led"), deliver(f"{SID} ERR x"), deliver("on", loop_prevention=True)],
)
def test_message_that_could_start_a_loop_is_not_answerable(message):
    """An error reply and a message with TP-LP are never answered."""
    assert not classify_message(message).answerable


def test_status_report_is_not_a_command():
    """A status report from the service's own number is a report."""
    report = pdu.StatusReport(
        1, pdu.Address.parse("2936"), pdu.Timestamp.of(TIMESTAMP), pdu.Timestamp.of(TIMESTAMP), 0
    )
    assert isinstance(classify_message(report), ReceivedReport)


def test_type_0_message_is_ignored():
    """A message with TP-PID 0x40 has no content."""
    assert isinstance(classify_message(deliver("on", protocol_identifier=0x40)), IgnoredMessage)


def test_compressed_text_is_ignored():
    """Compressed text cannot be read, so it is not a Command."""
    message = pdu.decode("07915155001032F40404819263002062111222030000026A6B")
    assert isinstance(classify_message(message), IgnoredMessage)


def test_parts_join_in_any_order():
    """The last part gives the whole Command; the SID may be split between two parts."""
    text = "led " + "x" * 140 + f" {SID}"
    first, second = (deliver(part) for part in pdu.segment(text, reference=9))
    one = classify_message(first)
    assert isinstance(one, MessagePart)
    assert (one.number, one.key.total, one.key.reference) == (1, 2, 9)
    whole = classify_message(second, StubHistory(one))
    two = classify_message(second)
    assert isinstance(whole, ReceivedCommand)
    assert whole == classify_message(first, StubHistory(two))
    assert (whole.sid, whole.body) == (SID, "led " + "x" * 140)
    assert len(whole.parts) == 2


def test_surrogate_pair_across_parts_is_one_character():
    """Parts in UCS-2 are joined as octets before they are decoded."""
    text = "\u2190" * 66 + "\U0001f600" + "\u2190" * 10
    octets = text.encode("utf-16-be")
    parts = []
    for number, piece in enumerate((octets[:134], octets[134:]), 1):
        header = (pdu.Concatenation(3, 2, number, wide=False).element,)
        front = pdu.header.write_header(header)
        parts.append(deliver(pdu.UserData(front + piece, len(front + piece), pdu.Alphabet.UCS2, True)))
    assert classify_message(parts[1], StubHistory(classify_message(parts[0]))).body == text


def test_duplicate_part_completes_no_message():
    """Redelivered parts of a complete message must not join with parts of the next."""
    first, second = (deliver(part) for part in pdu.segment("y" * 200, reference=9))
    assert isinstance(
        classify_message(second, StubHistory(classify_message(first), known=[message_identity(second)])),
        MessagePart,
    )


def test_parts_with_distant_timestamps_do_not_join():
    """A reference may be reused while a message is incomplete: the parts of the later message are kept."""
    before, after = TIMESTAMP - timedelta(hours=2), TIMESTAMP + timedelta(hours=2)
    first, second = pdu.segment("y" * 200, reference=9)
    one = classify_message(deliver(first))
    for part in (first, second):
        assert classify_message(deliver(part, when=after), StubHistory(one)).reference_reused
        assert isinstance(classify_message(deliver(part, when=before), StubHistory(one)), IgnoredMessage)
    soon = deliver(second, when=TIMESTAMP + timedelta(minutes=20))
    assert isinstance(classify_message(soon, StubHistory(one)), ReceivedCommand)


def test_identity_depends_on_sender_time_and_user_data():
    """Without a valid date there is no identity."""
    base = deliver("on")
    others = [
        deliver("off"),
        deliver("on", "000"),
        deliver("on", when=TIMESTAMP.replace(second=1)),
        deliver(pdu.UserData.of("on", alphabet=pdu.Alphabet.UCS2)),
    ]
    assert message_identity(base) == message_identity(deliver("on"))
    assert len({message_identity(message) for message in (base, *others)}) == 5
    undated = pdu.decode(pdu.encode(base).hex.replace("62112221000000", "00000000000000"))
    assert undated.service_centre_timestamp.time is None
    assert message_identity(undated) is None


def test_own_submit_is_ignored():
    """A message that was written into the module's store for sending is not a Command."""
    found = classify_message(
        pdu.Submit(destination_address=pdu.Address.parse("2936"), user_data=pdu.UserData.of("led on"))
    )
    assert found == IgnoredMessage("Submit is not a message from the network", None, None)


@pytest.mark.parametrize("ports", [pdu.Ports(2948, 9200), pdu.Ports(245, 1, wide=False)])
@pytest.mark.parametrize("content", ["led on", b"\x01"])
def test_message_to_a_port_is_a_command_only_if_a_handler_asked(ports, content):
    """The destination port counts, not the source port; the sender is checked first."""
    (data,) = pdu.segment(content, ports=ports)
    found = classify_message(deliver(data))
    assert isinstance(found, IgnoredMessage)
    assert f"application port {ports.destination}, which no handler handles" in found.reason
    assert isinstance(classify_message(deliver(data), handled_ports={ports.source}), IgnoredMessage)
    command = classify_message(deliver(data), handled_ports={ports.destination})
    assert isinstance(command, ReceivedCommand)
    assert (command.body, command.port) == (content, ports.destination)
    other = classify_message(deliver(data, sender="+15551234567"), handled_ports={ports.destination})
    assert isinstance(other, IgnoredMessage)
