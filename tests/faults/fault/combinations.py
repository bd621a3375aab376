"""Chooses among the cases of a test with three or more parameters.

A fault depends on one parameter or on two that meet, such as a message format and a position in a response.
So every pair of values runs, and not every combination of all. `EVERY_COMBINATION=1 make test` runs them all.
"""

import itertools
from collections import defaultdict

MIN_PARAMETERS = 3
"""Fewer parameters have no combinations beyond their pairs."""


def split_items(items):
    """Return the pytest items that run and those that are left out, both in the given order.

    Those of each test function that run have every pair of parameter values that occurs in the given items.
    """
    items_by_test = defaultdict(list)
    for item in items:
        items_by_test[item.nodeid.partition("[")[0]].append(item)
    chosen = set(itertools.chain.from_iterable(map(_choose, items_by_test.values())))
    return [item for item in items if item in chosen], [item for item in items if item not in chosen]


def _choose(items):
    """Return a few items with all pairs: each has the most pairs that those before it lack."""
    pairs = {item: _value_pairs(item) for item in items}
    missing = set().union(*pairs.values())
    if not missing:
        return items
    chosen = []
    while missing:
        best = max(items, key=lambda item: len(pairs[item] & missing))
        missing -= pairs[best]
        chosen.append(best)
    return chosen


def _value_pairs(item):
    """Return the pairs of (parameter, value) of an item; none if it has too few parameters."""
    parameters = item.callspec.params if hasattr(item, "callspec") else {}
    values = [(name, repr(value)) for name, value in parameters.items() if not name.startswith("_")]
    return set(itertools.combinations(values, 2)) if len(values) >= MIN_PARAMETERS else set()
