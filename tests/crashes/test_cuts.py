"""What passed through the cable is told of the right Commands."""

from datetime import UTC, datetime

import pdu
from crash.cuts import seen_facts
from crash.plan import Order
from crash.relay import Seen


def delivered(part):
    deliver = pdu.Deliver(
        originating_address=pdu.Address.parse("2936"),
        service_centre_timestamp=pdu.Timestamp.of(datetime(2026, 11, 22, tzinfo=UTC)),
        user_data=part,
        data_coding_scheme=part.data_coding_scheme,
    )
    return pdu.encode(deliver).octets.hex().upper()


def test_parts_belong_to_their_command_whichever_was_taken_first():
    """Once a Command is whole its parts are no longer kept, so each must be known by the Command."""
    parts = pdu.segment(Order(17, 0, "plain", parts=True).body, reference=9)
    seen = [Seen("deleted", delivered(part), mark) for mark, part in enumerate(reversed(parts))]
    assert len(parts) == 2
    assert [fact.number for fact in seen_facts(seen)] == [17, 17]


def test_a_reference_that_comes_again_is_of_the_nearest():
    """There are only 256 of them."""
    earlier, later = (
        pdu.segment(Order(number, 0, "plain", parts=True).body, reference=9) for number in (17, 18)
    )
    parts = [*reversed(earlier), *later]
    seen = [Seen("deleted", delivered(part), mark) for mark, part in enumerate(parts)]
    assert [fact.number for fact in seen_facts(seen)] == [17, 17, 18, 18]
