"""The URCs of a module that starts."""

import pytest

from agent.at.boot_urcs import BootUrc, classify_boot_urc, is_ready_urc


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("RDY", BootUrc.STARTED),
        ("APP RDY", BootUrc.STARTED),
        ("^SYSSTART", BootUrc.STARTED),
        ("*ATREADY: 1", BootUrc.STARTED),
        ("+KSUP: 0", BootUrc.STARTED),
        ("+AT: READY", BootUrc.STARTED),
        ("^BOOT:26417135,0,0,0,20", BootUrc.MAYBE_STARTED),
        ("+CPIN: READY", BootUrc.PART_READY),
        ("Call Ready", BootUrc.PART_READY),
        ("PB DONE", BootUrc.PART_READY),
        ("+QIND: PB DONE", BootUrc.PART_READY),
        ("+QUSIM: 1", BootUrc.PART_READY),
        ("SMS Ready", BootUrc.SMS_READY),
        ("SMS DONE", BootUrc.SMS_READY),
        ("+QIND: SMS DONE", BootUrc.SMS_READY),
        ("+CPIN: NOT INSERTED", BootUrc.SIM_CHANGED),
        ("+CPIN: SIM PIN", BootUrc.SIM_CHANGED),
        ("+QUSIM: 0", BootUrc.SIM_CHANGED),
        ('+CMTI: "ME",3', None),
        ("RDY?", None),
        ("NO CARRIER", None),
        ("+CFUN: 1", None),
    ],
)
def test_kind_of_each_boot_urc(text, kind):
    """Each URC has one kind; URCs that are not about a start or the SIM have none."""
    assert classify_boot_urc(text) is kind


def test_ready_urcs():
    """A part that is ready, and messages that are ready, are both worth another read."""
    assert is_ready_urc("+CPIN: READY")
    assert is_ready_urc("SMS DONE")
    assert not is_ready_urc("RDY")
    assert not is_ready_urc("+CPIN: SIM PIN")
