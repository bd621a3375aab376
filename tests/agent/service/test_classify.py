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
    """Remembers nothing."""

    def stored_parts(self, key):
        return {}

    def is_known(self, identity):
        return False


class StubHistory(EmptyHistory):
    """Remembers these parts."""

    def __init__(self, *parts, known=()):
        self._parts = {part.number: part for part in parts}
        self._known = set(known)

    def stored_parts(self, key):
        return self._parts

    def is_known(self, identity):
        return identity in self._known


def deliver(content, sender="2936", when=TIMESTAMP, **fields):
    """A DELIVER with that text, those octets or that user data."""
    data = content if isinstance(content, pdu.UserData) else pdu.UserData.of(content)
    return pdu.Deliver(
        originating_address=sender if isinstance(sender, pdu.Address) else pdu.Address.parse(sender),
        service_centre_timestamp=pdu.Timestamp.of(when),
        user_data=data,
        data_coding_scheme=data.data_coding_scheme,
        **fields,
    )


def classify_message(message, history=None, service=WIRELESS):
    return classify(message, pdu.encode(message).hex, service, history or EmptyHistory())


def test_a_text_with_a_sid_is_a_command():
    """SID, body without it, the time with its offset."""
    found = classify_message(deliver(f"{SID} led on"))
    assert isinstance(found, ReceivedCommand)
    assert (found.sid, found.body, found.timestamp) == (SID, "led on", TIMESTAMP)
    assert found.answerable


def test_binary_has_no_sid():
    """Octets are handed on unchanged, whatever they look like."""
    found = classify_message(deliver(SID.encode()))
    assert (found.sid, found.body) == (None, SID.encode())


@pytest.mark.parametrize(
    "kind", [pdu.TypeOfNumber.UNKNOWN, pdu.TypeOfNumber.INTERNATIONAL, pdu.TypeOfNumber.NATIONAL]
)
def test_the_digits_of_the_service_command_whatever_their_type(kind):
    """Networks write a short code in every type of number."""
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
def test_nobody_else_commands(sender):
    """No substring, no missing zero, no alphanumeric name."""
    found = classify_message(deliver("led on", sender))
    assert isinstance(found, IgnoredMessage)
    assert "not from 2936" in found.reason


def test_zeros_are_digits():
    """000 is not 0 and not 00."""
    service = SERVICE_PROFILES["super-sim"]
    assert isinstance(classify_message(deliver("on", "000"), service=service), ReceivedCommand)
    for other in ("0", "00", "0000"):
        assert isinstance(classify_message(deliver("on", other), service=service), IgnoredMessage)


@pytest.mark.parametrize(
    "message",
    [deliver("ERR unknown led"), deliver(f"{SID} ERR x"), deliver("on", loop_prevention=True)],
)
def test_what_could_start_a_loop_is_never_answered(message):
    """An error answer, and a message that a machine sent on its own."""
    assert not classify_message(message).answerable


def test_a_report_is_no_command():
    """A status report from the service's own number stays a report."""
    report = pdu.StatusReport(
        1, pdu.Address.parse("2936"), pdu.Timestamp.of(TIMESTAMP), pdu.Timestamp.of(TIMESTAMP), 0
    )
    assert isinstance(classify_message(report), ReceivedReport)


def test_a_silent_message_is_a_stray():
    """TP-PID 0x40 carries nothing to be run."""
    assert isinstance(classify_message(deliver("on", protocol_identifier=0x40)), IgnoredMessage)


def test_compressed_text_is_a_stray():
    """What nobody can read commands nobody, and is kept."""
    message = pdu.decode("07915155001032F40404819263002062111222030000026A6B")
    assert isinstance(classify_message(message), IgnoredMessage)


def test_parts_wait_for_each_other_and_join_in_any_order():
    """The last part brings the whole Command, with the SID found across the cut."""
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


def test_a_surrogate_pair_across_two_parts_is_one_character():
    """Parts in UCS-2 are joined as octets before they are read."""
    text = "\u2190" * 66 + "\U0001f600" + "\u2190" * 10
    octets = text.encode("utf-16-be")
    parts = []
    for number, piece in enumerate((octets[:134], octets[134:]), 1):
        header = (pdu.Concatenation(3, 2, number, wide=False).element,)
        front = pdu.header.write_header(header)
        parts.append(deliver(pdu.UserData(front + piece, len(front + piece), pdu.Alphabet.UCS2, True)))
    assert classify_message(parts[1], StubHistory(classify_message(parts[0]))).body == text


def test_a_part_that_comes_again_completes_nothing():
    """Redelivered parts of a finished message must not join with those of the next."""
    first, second = (deliver(part) for part in pdu.segment("y" * 200, reference=9))
    assert isinstance(
        classify_message(second, StubHistory(classify_message(first), known=[message_identity(second)])),
        MessagePart,
    )


def test_a_part_of_another_hour_belongs_to_another_message():
    """A reference comes again while an incomplete message waits: they are never joined, the later stays."""
    before, after = TIMESTAMP - timedelta(hours=2), TIMESTAMP + timedelta(hours=2)
    first, second = pdu.segment("y" * 200, reference=9)
    one = classify_message(deliver(first))
    for part in (first, second):
        assert classify_message(deliver(part, when=after), StubHistory(one)).reference_reused
        assert isinstance(classify_message(deliver(part, when=before), StubHistory(one)), IgnoredMessage)
    soon = deliver(second, when=TIMESTAMP + timedelta(minutes=20))
    assert isinstance(classify_message(soon, StubHistory(one)), ReceivedCommand)


def test_the_identity_tells_messages_apart():
    """Sender, time and user data all count; without a date there is none."""
    base = deliver("on")
    others = [
        deliver("off"),
        deliver("on", "000"),
        deliver("on", when=TIMESTAMP.replace(second=1)),
        deliver(pdu.UserData.of("on", alphabet=pdu.Alphabet.UCS2)),
    ]
    assert message_identity(base) == message_identity(deliver("on"))
    assert len({message_identity(each) for each in (base, *others)}) == 5
    undated = pdu.decode(pdu.encode(base).hex.replace("62112221000000", "00000000000000"))
    assert undated.service_centre_timestamp.time is None
    assert message_identity(undated) is None


def test_a_message_of_our_own_is_a_stray():
    """What was written into the module's store to be sent commands nobody, whoever it is for."""
    found = classify_message(
        pdu.Submit(destination_address=pdu.Address.parse("2936"), user_data=pdu.UserData.of("led on"))
    )
    assert found == IgnoredMessage("Submit is no message from the network", None, None)
