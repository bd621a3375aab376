"""Lists: newest first, filtered, in linked pages."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest

from hardware.sim.service.errors import ServiceError
from hardware.sim.service.product import PROGRAMMABLE_WIRELESS, SUPER_SIM
from hardware.sim.service.resource import CommandResource, select_commands

NOW = datetime(2026, 11, 22, tzinfo=UTC)


def resource(serial, sim="HS1", status="delivered", direction="to_sim"):
    return CommandResource(
        serial=serial,
        sid=f"HC{serial:032x}",
        sim=SimpleNamespace(sid=sim),
        body="",
        status=status,
        direction=direction,
        created_at=NOW,
        updated_at=NOW,
    )


ROWS = [resource(serial) for serial in range(7, 0, -1)]


def page(rows=ROWS, sim_sid=None, product=SUPER_SIM, **parameters):
    return select_commands(product, rows[::-1], parameters, sim_sid)


def serials(shown):
    return [row.serial for row in shown.rows]


def follow(query, rows=ROWS):
    return select_commands(SUPER_SIM, rows[::-1], dict(query), None)


def test_default_page_has_fifty_rows():
    """The default of both descriptions; one page has neither next nor previous."""
    rows = [resource(serial) for serial in range(60, 0, -1)]
    shown = page(rows)
    assert serials(shown) == list(range(60, 10, -1))
    assert (shown.number, shown.size, shown.previous) == (0, 50, None)
    assert shown.current == shown.first == [("PageSize", "50"), ("Page", "0")]
    assert serials(follow(shown.next, rows)) == list(range(10, 0, -1))
    assert page().next is None


def test_next_and_previous_reach_all_rows():
    """Three, three, one, and back."""
    first = page(PageSize="3")
    second = follow(first.next)
    third = follow(second.next)
    assert [serials(first), serials(second), serials(third)] == [[7, 6, 5], [4, 3, 2], [1]]
    assert third.next is None
    assert [first.number, second.number, third.number] == [0, 1, 2]
    assert serials(follow(third.previous)) == [4, 3, 2]
    assert follow(third.previous).number == 1
    assert serials(follow(second.previous)) == [7, 6, 5]
    assert serials(follow(third.first)) == [7, 6, 5]
    assert serials(follow(third.current)) == [1]


def test_full_last_page_has_no_next():
    """Six rows are two pages of three."""
    second = follow(page(ROWS[:6], PageSize="3").next, ROWS[:6])
    assert (serials(second), second.next) == ([4, 3, 2], None)


def test_page_number_without_token():
    """`Page` alone, also far behind the last row."""
    assert serials(page(PageSize="3", Page="1")) == [4, 3, 2]
    beyond = page(PageSize="3", Page="9")
    assert (serials(beyond), beyond.next) == ([], None)
    assert dict(beyond.previous)["Page"] == "8"


def test_pages_are_stable_while_rows_change():
    """A new row, or the deletion of rows already read, does not move the next page."""
    first = page(PageSize="3")
    assert serials(follow(first.next, [resource(8), *ROWS])) == [4, 3, 2]
    assert serials(follow(first.next, ROWS[3:])) == [4, 3, 2]
    third = follow(follow(first.next).next)
    assert serials(follow(third.previous, [resource(8), *ROWS])) == [4, 3, 2]
    assert serials(follow(first.next, ROWS[:2] + ROWS[4:])) == [3, 2, 1]


def test_filters():
    """Each alone and together; the links repeat them before the paging parameters."""
    rows = [
        resource(4, sim="HS2", status="received", direction="from_sim"),
        resource(3, status="received", direction="from_sim"),
        resource(2, status="sent"),
        resource(1, sim="HS2", status="sent"),
    ]
    assert serials(page(rows, Status="sent")) == [2, 1]
    assert serials(page(rows, Direction="from_sim")) == [4, 3]
    assert serials(page(rows, "HS2", Sim="meter-2")) == [4, 1]
    both = page(rows, "HS2", Status="sent", Sim="meter-2")
    assert serials(both) == [1]
    assert both.current == [("Status", "sent"), ("Sim", "meter-2"), ("PageSize", "50"), ("Page", "0")]


def test_unknown_sim_has_no_commands():
    """An empty list, no error."""
    assert serials(page(ROWS, None, Sim="nobody")) == []


def test_transport_filter_of_one_service():
    """All Commands here are SMS; the other services ignore the parameter."""
    assert serials(page(product=PROGRAMMABLE_WIRELESS, Transport="ip")) == []
    assert len(serials(page(product=PROGRAMMABLE_WIRELESS, Transport="sms"))) == 7
    assert len(serials(page(Transport="ip"))) == 7


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"PageSize": "0"}, 33103),
        ({"PageSize": "1001"}, 33103),
        ({"PageSize": "-1"}, 33103),
        ({"PageSize": "ten"}, 33103),
        ({"PageSize": ""}, 33103),
        ({"PageSize": "1_0"}, 33103),
        ({"PageSize": "\N{ARABIC-INDIC DIGIT FIVE}"}, 33103),
        ({"PageSize": "9" * 5000}, 33103),
        ({"Page": "-1"}, 33103),
        ({"Page": "first"}, 33103),
        ({"PageToken": ""}, 33103),
        ({"PageToken": "PA1"}, 33103),
        ({"PageToken": "PC" + "0" * 32}, 33103),
        ({"Status": "lost"}, 33101),
        ({"Status": "Sent"}, 33101),
        ({"Direction": "up"}, 33101),
    ],
)
def test_invalid_list_parameters_are_refused(parameters, code):
    """Invalid paging 33103, invalid filter 33101."""
    with pytest.raises(ServiceError) as caught:
        page(**parameters)
    assert (caught.value.status, caught.value.code) == (400, code)


@pytest.mark.parametrize("size", ["1", "1000"])
def test_page_size_limits(size):
    """1 and 1000 are both accepted."""
    assert page(PageSize=size).size == int(size)


class CountingRows(list):
    """Counts the rows that are looked at."""

    looks = 0

    def __getitem__(self, index):
        self.looks += 1
        return super().__getitem__(index)


@pytest.fixture(scope="module")
def many_resources():
    """100,000 Commands."""
    return [resource(serial) for serial in range(1, 100_001)]


@pytest.mark.parametrize(
    "query",
    [{}, {"Page": "900"}, {"PageToken": f"PA{700:032x}"}, {"PageToken": f"PB{700:032x}", "Page": "3"}],
)
def test_page_of_a_long_list_looks_at_few_rows(many_resources, query):
    """Three pages and some binary searches, wherever the page is; with the links to its neighbours."""
    rows = CountingRows(many_resources)
    shown = select_commands(SUPER_SIM, rows, query, None)
    assert len(shown.rows) == 50
    assert rows.looks < 300


def test_page_behind_a_filter_stops_at_its_last_row(many_resources):
    """A filter that most rows match costs no more than none."""
    rows = CountingRows(many_resources)
    assert len(select_commands(SUPER_SIM, rows, {"Status": "delivered"}, None, "AC1").rows) == 50
    assert rows.looks < 300
