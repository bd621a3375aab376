"""The choice among the cases of a test with several parameters."""

import itertools
from types import SimpleNamespace

import pytest

from fault.combinations import split_items


class Item:
    """A pytest item, with its parameters if it has any."""

    def __init__(self, test, **parameters):
        self.nodeid = f"{test}[{parameters}]" if parameters else test
        if parameters:
            self.callspec = SimpleNamespace(params=parameters)


def combine(test, **values):
    return [
        Item(test, **dict(zip(values, each, strict=True))) for each in itertools.product(*values.values())
    ]


def pairs_of(items):
    return {
        pair for item in items for pair in itertools.combinations(sorted(item.callspec.params.items()), 2)
    }


@pytest.mark.parametrize("counts", [(2, 2, 2), (2, 3, 5), (2, 2, 3, 3)], ids=str)
def test_every_pair_of_values_runs(counts):
    """Far fewer cases than combinations have all pairs."""
    items = combine("test", **{f"p{at}": range(count) for at, count in enumerate(counts)})
    chosen, left_out = split_items(items)
    assert pairs_of(chosen) == pairs_of(items)
    assert 2 * len(chosen) <= len(items)
    assert sorted(map(id, chosen + left_out)) == sorted(map(id, items))


def test_two_parameters_are_all_combined():
    items = combine("test", mode="pt", position=range(6))
    assert split_items(items) == (items, [])


def test_each_test_is_reduced_alone():
    """A case that was selected by its id runs, whatever other tests have its values."""
    items = combine("one", a="12", b="12", c="12")
    chosen, _ = split_items([*items, Item("other", a="1", b="1", c="1")])
    assert [item.nodeid.partition("[")[0] for item in chosen] == ["one"] * 4 + ["other"]


def test_test_without_parameters_runs():
    item = Item("test")
    assert split_items([item]) == ([item], [])
