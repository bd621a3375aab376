"""The two text forms, compared with the libraries and programs of Prometheus where they are installed."""

import pytest

from agent.metrics.text_format import FamilyKind, MetricFamily, Sample, format_families

FAMILIES = [
    MetricFamily("a_build", FamilyKind.INFO, "The program.", [Sample(1, {"version": '1"2\\3\n'})]),
    MetricFamily(
        "a_done", FamilyKind.COUNTER, "Ended.", [Sample(3, {"state": "x"}), Sample(0, {"state": "y"})]
    ),
    MetricFamily("a_signal_dbm", FamilyKind.GAUGE, "Signal.", [Sample(-79.5)]),
    MetricFamily("a_nothing", FamilyKind.GAUGE, "Unknown now.", []),
    MetricFamily(
        "a_duration_seconds",
        FamilyKind.HISTOGRAM,
        "Time.",
        [
            Sample(1, {"le": "0.5"}, "_bucket"),
            Sample(2, {"le": "+Inf"}, "_bucket"),
            Sample(1.25, suffix="_sum"),
            Sample(2, suffix="_count"),
        ],
    ),
]
OPENMETRICS = r"""# HELP a_build The program.
# TYPE a_build info
a_build_info{version="1\"2\\3\n"} 1
# HELP a_done Ended.
# TYPE a_done counter
a_done_total{state="x"} 3
a_done_total{state="y"} 0
# HELP a_signal_dbm Signal.
# TYPE a_signal_dbm gauge
a_signal_dbm -79.5
# HELP a_duration_seconds Time.
# TYPE a_duration_seconds histogram
a_duration_seconds_bucket{le="0.5"} 1
a_duration_seconds_bucket{le="+Inf"} 2
a_duration_seconds_sum 1.25
a_duration_seconds_count 2
# EOF
"""


def test_openmetrics_form():
    """Families without the suffixes of their samples, and a mark at the end."""
    assert format_families(FAMILIES, openmetrics=True) == OPENMETRICS


def test_prometheus_form():
    """The names of families are those of their samples, an info is a gauge, and there is no mark."""
    expected = (
        OPENMETRICS.replace("HELP a_build ", "HELP a_build_info ")
        .replace("TYPE a_build info", "TYPE a_build_info gauge")
        .replace("HELP a_done ", "HELP a_done_total ")
        .replace("TYPE a_done ", "TYPE a_done_total ")
        .replace("# EOF\n", "")
    )
    assert format_families(FAMILIES, openmetrics=False) == expected


@pytest.mark.parametrize(
    ("module", "openmetrics"),
    [("prometheus_client.openmetrics.parser", True), ("prometheus_client.parser", False)],
)
def test_library_of_prometheus_reads_it(module, openmetrics):
    """Its strict parsers see the same families and samples."""
    parser = pytest.importorskip(module)
    text = format_families(FAMILIES, openmetrics=openmetrics)
    samples = {
        (each.name, tuple(each.labels.values())): each.value
        for family in parser.text_string_to_metric_families(text)
        for each in family.samples
    }
    assert samples["a_done_total", ("x",)] == 3
    assert samples["a_build_info", ('1"2\\3\n',)] == 1
    assert samples["a_duration_seconds_bucket", ("+Inf",)] == 2
    assert len(samples) == 8
