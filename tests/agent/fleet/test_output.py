"""What `modem-agent fleet` prints and draws."""

import json
from xml.etree import ElementTree as ET

import pytest
from click.testing import CliRunner

from agent.cli.fleet import SCENARIOS, fleet
from agent.common.config import SERVICE_NAMES
from agent.fleet.chart import draw_chart
from agent.fleet.load import FleetLoad, LoadKind
from agent.fleet.options import FleetOptions, FleetScenario
from agent.fleet.report import format_report
from agent.service.profile import SERVICE_PROFILES

OPTIONS = FleetOptions(sims=5000, scenario=FleetScenario.OUTAGE)
SVG = "{http://www.w3.org/2000/svg}"


def load(reply_spread_s=0.0, replies=(0, 0, 40, 10), **fields):
    silent = [0] * len(replies)
    return FleetLoad(
        reply_spread_s=reply_spread_s,
        **{
            "per_second": {
                LoadKind.DELIVERY: [1, 0, 50, *silent[3:]],
                LoadKind.REPLY: list(replies),
                LoadKind.ATTACHMENT: silent,
            },
            "marks": {"coverage lost": 0.5, "coverage <back>": 1.0},
            "commands": 50,
            "repeats": 0,
            "duplicates": 0,
            "given_up": 0,
            "lost": 0,
            "doubled": 0,
            "unanswered": 0,
            "answer_s": {50: 4.0, 95: 5.5, 99: 6.0, 100: 7.0},
        }
        | fields,
    )


def run(*arguments):
    return CliRunner().invoke(fleet, arguments)


def test_report_compares_the_runs():
    """One column for each, and what the spread buys; messages of both directions count together."""
    text = format_report(OPTIONS, [load(), load(120.0, replies=[0] + [5] * 10)])
    assert "5,000 SIMs have no coverage for 300 s" in text
    rows = {
        row[:44].strip(): row[44:].split()
        for row in text.splitlines()
        if row[:1].isalpha() or row[:2] == "  "
    }
    assert rows["messages a second, both directions, peak"] == ["90", "55"]
    assert rows["Command to answer, p50 / p95 / p99, s"] == [
        "4",
        "/",
        "5.5",
        "/",
        "6",
        "4",
        "/",
        "5.5",
        "/",
        "6",
    ]
    assert text.endswith("With reply_spread_s 120 the peak of the replies is 12% of that with 0.")


def test_report_warns_of_a_spread_beyond_the_patience_of_the_back_end():
    """Otherwise it causes messages instead of saving them."""
    text = format_report(OPTIONS, [load(), load(120.0, repeats=23)])
    assert text.endswith("The back end repeats 23 Commands: let it wait longer than the spread.")


@pytest.mark.parametrize("fault", ["lost", "doubled", "unanswered"])
def test_report_says_if_the_promise_is_broken(fault):
    """It does not praise the spread then."""
    assert "this must not happen" in format_report(OPTIONS, [load(**{fault: 1})])


def test_chart_stands_alone():
    """It is well-formed, refers to nothing outside, has both colour schemes, and describes itself."""
    text = draw_chart(OPTIONS, [load(), load(120.0, replies=[0] + [5] * 10)])
    root = ET.fromstring(text)  # noqa: S314  (our own text)
    assert text.count("http") == 1  # the name space
    assert "prefers-color-scheme:dark" in text
    assert "reply_spread_s 120 peaks at 5" in root.find(f"{SVG}desc").text
    labels = [each.text for each in root.iter(f"{SVG}text")]
    assert "coverage <back>" in labels
    assert "Messages to devices per second, the same in all runs" in labels
    assert not any(label.startswith("Re-attachments") for label in labels)  # there are none


def test_chart_of_a_run_without_any_load():
    """All Commands may have been given up while there was no coverage."""
    silent = load(per_second={kind: [0] for kind in LoadKind})
    ET.fromstring(draw_chart(OPTIONS, [silent]))  # noqa: S314  (our own text)


def test_chart_of_a_long_run_is_small_and_keeps_its_peak():
    """A day has 86,400 seconds; the highest one is seen."""
    replies = [0] * 86_400
    replies[50_001] = 77
    text = draw_chart(OPTIONS, [load(replies=replies)])
    assert len(text) < 10_000
    assert "seconds</text>" in text
    assert text.count("<path") < 60


def test_choices_of_the_command_line_are_those_of_the_agent():
    """The command line names them without importing what knows them."""
    assert list(SCENARIOS) == [scenario.value for scenario in FleetScenario]
    assert set(SERVICE_NAMES) == set(SERVICE_PROFILES)


def test_command_prints_json_and_writes_the_picture(tmp_path):
    """One document with a run for each value of the spread; equal values are simulated once."""
    picture = tmp_path / "load.svg"
    result = run(
        *[
            "--sims",
            "2",
            "--reply-spread",
            "0",
            "--reply-spread",
            "30",
            "--reply-spread",
            "0",
            "--json",
            "--svg",
        ],
        str(picture),
    )
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert [each["reply_spread_s"] for each in document["runs"]] == [0.0, 30.0]
    assert document["runs"][0]["lost"] == document["runs"][0]["doubled"] == 0
    assert document["options"]["sims"] == 2
    assert picture.read_text().startswith("<svg ")


def test_picture_that_cannot_be_written_is_one_sentence(tmp_path):
    """It names the file."""
    result = run("--sims", "1", "--svg", str(tmp_path / "none" / "load.svg"))
    assert result.exit_code == 1
    assert "none/load.svg cannot be written: No such file or directory" in result.stderr
