"""Observed effects are attributed to the right Commands."""

from datetime import UTC, datetime

import pdu
from crash.kill_plan import PlannedMessage
from crash.power_cut import facts_from_effects
from crash.relay import ObservedEffect


def deliver_hex(part):
    deliver = pdu.Deliver(
        originating_address=pdu.Address.parse("2936"),
        service_centre_timestamp=pdu.Timestamp.of(datetime(2026, 11, 22, tzinfo=UTC)),
        user_data=part,
        data_coding_scheme=part.data_coding_scheme,
    )
    return pdu.encode(deliver).octets.hex().upper()


def test_parts_are_attributed_in_any_order():
    """The parts of a complete Command are no longer stored, so each must be attributed to the Command."""
    parts = pdu.segment(PlannedMessage(17, 0, "plain", is_concatenated=True).body, reference=9)
    seen = [
        ObservedEffect("deleted", deliver_hex(part), position)
        for position, part in enumerate(reversed(parts))
    ]
    assert len(parts) == 2
    assert [fact.command_number for fact in facts_from_effects(seen)] == [17, 17]


def test_reused_reference_belongs_to_the_nearest_message():
    """There are only 256 references, so a part belongs to the nearest message with its reference."""
    earlier, later = (
        pdu.segment(PlannedMessage(number, 0, "plain", is_concatenated=True).body, reference=9)
        for number in (17, 18)
    )
    parts = [*reversed(earlier), *later]
    seen = [ObservedEffect("deleted", deliver_hex(part), position) for position, part in enumerate(parts)]
    assert [fact.command_number for fact in facts_from_effects(seen)] == [17, 17, 18, 18]
