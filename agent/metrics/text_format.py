"""Metric families and their two text forms, OpenMetrics 1.0 and the text format of Prometheus. No I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum

from pdu.record import Record, fresh

OPENMETRICS_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"
PROMETHEUS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
"""The content types of the two forms."""


class FamilyKind(Enum):
    """The type of a family. The values are those of OpenMetrics."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"
    INFO = "info"


class Sample(Record):
    """One value, with labels."""

    value: float
    labels: Mapping[str, str] = fresh(dict)
    suffix: str = ""
    """What a sample of a histogram adds to the name of its family: `_bucket`, `_sum`, `_count`."""


class MetricFamily(Record):
    """Samples of one name. The name has no `_total` and no `_info`: these follow from the type."""

    name: str
    kind: FamilyKind
    help_text: str
    """One sentence."""
    samples: Sequence[Sample]


_SUFFIXES = {FamilyKind.COUNTER: "_total", FamilyKind.INFO: "_info"}


def format_families(families: Iterable[MetricFamily], *, openmetrics: bool) -> str:
    """Return the text of the families that have samples.

    OpenMetrics names a family without the suffix of its samples, has the type `info`, and ends with a mark.
    """
    lines = []
    for family in families:
        if not family.samples:
            continue
        suffix = _SUFFIXES.get(family.kind, "")
        title = family.name if openmetrics else family.name + suffix
        kind = family.kind if openmetrics or family.kind is not FamilyKind.INFO else FamilyKind.GAUGE
        lines += [f"# HELP {title} {_escape(family.help_text)}", f"# TYPE {title} {kind.value}"]
        for sample in family.samples:
            labels = ",".join(f'{name}="{_escape(text)}"' for name, text in sample.labels.items())
            shown = f"{{{labels}}}" if labels else ""
            lines.append(f"{family.name}{suffix or sample.suffix}{shown} {format_number(sample.value)}")
    return "".join(f"{line}\n" for line in (*lines, *(["# EOF"] if openmetrics else [])))


def format_number(value: float) -> str:
    """Return a value as both forms write it: integers without a fraction, infinity as `+Inf`."""
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if value == int(value) else repr(float(value))


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
