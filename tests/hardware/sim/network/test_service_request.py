"""Requests to create a Command: accepted parameters, and the error codes of invalid ones."""

from __future__ import annotations

import base64

import pytest

from hardware.sim.service.errors import ServiceError
from hardware.sim.service.product import PROGRAMMABLE_WIRELESS, SUPER_SIM, SUPER_SIM_BETA
from hardware.sim.service.request import decode_base64, parse_create_request


def test_minimal_request():
    """A SIM and a body; everything else has the documented defaults."""
    order = parse_create_request(PROGRAMMABLE_WIRELESS, {"Sim": "meter", "Command": "hi"})
    assert (order.sim, order.body, order.data, order.mode) == ("meter", "hi", None, "text")
    assert (order.include_sid, order.delivery_receipt) == ("none", True)


def test_unknown_parameters_are_ignored():
    """CommandMode and IncludeSid belong to the other service."""
    order = parse_create_request(
        SUPER_SIM,
        {"Sim": "meter", "Payload": "hi", "CommandMode": "binary", "IncludeSid": "start", "Colour": "red"},
    )
    assert (order.content, order.include_sid) == ("hi", "none")


WIRELESS = {"Sim": "meter", "Command": "hi"}
BINARY = {"Sim": "meter", "CommandMode": "binary"}


@pytest.mark.parametrize(
    ("product", "parameters", "code"),
    [
        (SUPER_SIM, {}, 33102),
        (SUPER_SIM, {"Payload": "hi"}, 33102),
        (SUPER_SIM, {"Sim": "meter"}, 33102),
        (SUPER_SIM, {"Sim": "", "Payload": "hi"}, 33102),
        (SUPER_SIM, {"Sim": "meter", "Payload": ""}, 33102),
        (SUPER_SIM, {"Sim": "meter", "Command": "hi"}, 33102),
        (SUPER_SIM, {"sim": "meter", "payload": "hi"}, 33102),
        (SUPER_SIM_BETA, {"Sim": "meter", "Payload": "hi"}, 33102),
        (PROGRAMMABLE_WIRELESS, {"Command": "hi"}, 33102),
        (PROGRAMMABLE_WIRELESS, WIRELESS | {"CallbackMethod": "PUT"}, 33101),
        (PROGRAMMABLE_WIRELESS, WIRELESS | {"CallbackUrl": "nowhere"}, 33101),
        (PROGRAMMABLE_WIRELESS, WIRELESS | {"CallbackUrl": "ftp://127.0.0.1/x"}, 33101),
        (PROGRAMMABLE_WIRELESS, WIRELESS | {"CallbackUrl": "http://[::1/x"}, 33101),
        (PROGRAMMABLE_WIRELESS, WIRELESS | {"CommandMode": "Text"}, 33101),
        (PROGRAMMABLE_WIRELESS, WIRELESS | {"IncludeSid": "middle"}, 33101),
        (PROGRAMMABLE_WIRELESS, WIRELESS | {"DeliveryReceiptRequested": "perhaps"}, 33101),
        (PROGRAMMABLE_WIRELESS, BINARY | {"Command": "no base64!"}, 33101),
        (PROGRAMMABLE_WIRELESS, BINARY | {"Command": "A" * 188}, 33101),
        (PROGRAMMABLE_WIRELESS, BINARY | {"Command": "QUI=", "IncludeSid": "end"}, 33121),
    ],
)
def test_invalid_request_is_refused(product, parameters, code):
    """Missing 33102, invalid 33101, conflicting 33121; always 400."""
    with pytest.raises(ServiceError) as caught:
        parse_create_request(product, parameters)
    assert (caught.value.status, caught.value.code) == (400, code)


@pytest.mark.parametrize(
    ("word", "receipt"), [("true", True), ("false", False), ("True", True), ("False", False)]
)
def test_flag_in_any_letter_case(word, receipt):
    """Current clients write lower case, older ones what Python prints."""
    assert (
        parse_create_request(
            PROGRAMMABLE_WIRELESS, WIRELESS | {"DeliveryReceiptRequested": word}
        ).delivery_receipt
        is receipt
    )


def test_callback_parameters_are_accepted():
    """Any absolute URL, and both methods."""
    for method in ("GET", "POST"):
        parameters = {"CallbackUrl": "http://blahblah.com/go?a=1#rc=2", "CallbackMethod": method}
        assert parse_create_request(SUPER_SIM, {"Sim": "meter", "Payload": "hi", **parameters}).body == "hi"


@pytest.mark.parametrize("padding", ["", "=", "==", "===="])
@pytest.mark.parametrize("data", [b"Hello, Machine!", b"A", b"AB", bytes(range(140))])
def test_base64_with_wrong_padding(data, padding):
    """The vendor's own sample has two `=` too many; any number of them is accepted."""
    digits = base64.b64encode(data).decode().rstrip("=")
    assert decode_base64("Command", digits + padding) == data


def test_binary_sample_of_the_vendor():
    """15 octets; the resource shows what was sent."""
    order = parse_create_request(
        PROGRAMMABLE_WIRELESS,
        {"Sim": "meter", "Command": "SGVsbG8sIE1hY2hpbmUh==", "CommandMode": "binary"},
    )
    assert (order.content, order.body) == (b"Hello, Machine!", "SGVsbG8sIE1hY2hpbmUh==")


@pytest.mark.parametrize("text", ["QUI=x", "Q", "QUI\n", "Q UI", "QÜI", "QU=I"])
def test_invalid_base64_is_refused(text):
    """Nothing is guessed."""
    with pytest.raises(ServiceError):
        decode_base64("Command", text)
