"""Signatures: the vendor's own validator accepts one, and the published example of the other is equal."""

from __future__ import annotations

import pytest

from hardware.sim.callbacks.requests import kore_signature, twilio_signature


def test_kore_example():
    """The example of the vendor's page."""
    body = b"field1=value1&field2=value2"
    expected = "f562d3959f68b5a30fc7a63f8bbf40987f633575f4231ffceb4f76dd154ea3ce"
    assert kore_signature("12345", "POST", "https://testendpoint.com", body) == expected
    assert kore_signature("12345", "POST", "https://testendpoint.com?a=b", body) == expected


@pytest.mark.parametrize(
    "form", [[], [("Payload", "led on"), ("AccountSid", "AC1"), ("Command", "ü ☃")]], ids=["query", "form"]
)
@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/x?y=z&Status=sent", "https://example.com/", "http://[::1]:8000/x"]
)
def test_twilio_validator(url, form):
    """It accepts the signature, and rejects it for other contents."""
    module = pytest.importorskip("twilio.request_validator")
    validator = module.RequestValidator("secret")
    signature = twilio_signature("secret", url, form)
    assert validator.validate(url, dict(form), signature)
    assert not validator.validate(url, {**dict(form), "Status": "failed"}, signature)
