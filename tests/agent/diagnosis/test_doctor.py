"""How the doctor asks: nothing is changed, nothing is waited for without need, nothing private is written."""

import json
import zipfile

import pytest

from agent.at.command_line import split_command_line
from agent.at.trace import Trace
from agent.common.config import Config, JournalConfig, MqttConfig, WebhookConfig
from agent.diagnosis.doctor import Examination
from agent.diagnosis.draft_profile import ask_questions, format_profile
from agent.diagnosis.finding import Check, Finding, Level, worst_level
from agent.diagnosis.module_answers import ModuleAnswers, parse_clock
from agent.diagnosis.module_checks import check_registration
from agent.diagnosis.report import make_documents
from agent.diagnosis.system_facts import explain_unit
from agent.modem.status_queries import Registration, Signal, parse_reject_cause
from agent.recording.bundle import mask_text, read_recording, write_bundle
from agent.recording.redact import ContentRedactor
from hardware.profile import load_driver_profile, load_simulator_profile, parse_profile
from hardware.recording import MASKED_TAG, format_header, parse_recording
from hardware.sim.replay import ReplayedModule
from hardware.sysfs import UsbDevice, UsbPort


def test_module_is_asked_and_nothing_is_set(gateway):
    """Every command line is a query without effect, also with a SIM that is locked and a denied network."""
    gateway.stat = 3
    gateway.examine()
    lines = gateway.module.log.command_lines
    assert "+CREG?" in lines
    for line in lines:
        for part in split_command_line(f"AT{line}"):
            assert part.is_query or not part.suffix, line
            assert not part.has_lasting_effect, line


@pytest.mark.parametrize("fault", ["mute:for=0", "answer-lost:times=0"])
def test_module_that_does_not_answer_costs_ten_seconds(gateway, fault):
    """The search for the baud rate included."""
    gateway.baud = 115200
    times = []

    def start(module):
        module.faults.add(fault)
        times.append(module.context.scheduler.time())
        gateway.host_loop = module.context.scheduler

    gateway.prepare_module = start
    findings = gateway.examine()
    assert gateway.host_loop.time() - times[0] <= 10
    assert next(each for each in findings if each.check is Check.MODULE).level is Level.WRONG


def test_data_call_of_another_program_is_not_left(gateway):
    """The port carries PPP frames: the finding says so, and `+++` is not written."""
    written = []

    def dial(module):
        def receive(data):
            written.append(data)
            gateway.line.write_to_agent(b'~\xff}#\xc0!}!}!} }4}"}&} } } } }%}&~\r')

        gateway.line.connect_module(receive)

    gateway.prepare_module = dial
    finding = next(each for each in gateway.examine() if each.check is Check.MODULE)
    assert finding.level is Level.WRONG
    assert "the port is in data mode (PPP); another program has dialled on it" in finding.reason
    assert b"+++" not in b"".join(written)


@pytest.mark.parametrize(
    ("states", "level", "words"),
    [
        ((6, None, 1), Level.OK, "registered, home, for SMS only (+CREG: 6): messages work, calls do not"),
        ((7, 5, 5), Level.OK, "registered, roaming, for SMS only (+CREG: 7)"),
        ((3, None, 5), Level.WARNING, "on LTE only (+CEREG: 5, +CREG: 3)"),
        ((0, 1, 1), Level.WARNING, "carries SMS by IMS, or by SGs after a combined attach"),
        ((None, None, 5), Level.OK, "registered, roaming"),
        ((1, 3, 3), Level.OK, "registered, home (registration denied: packet, EPS)"),
        ((None, None, None), Level.OK, "registration unknown"),
    ],
)
def test_registration_is_judged_by_domain(states, level, words):
    """SMS needs the circuit switched domain, or LTE with SMS over SGs or IMS."""
    answers = ModuleAnswers(registration=Registration(*states), signal=Signal(-80))
    finding = check_registration(answers)
    assert finding.level is level
    assert words in finding.reason
    assert len(finding.details) == 1 + sum(state is not None for state in states)


@pytest.mark.parametrize(
    ("line", "cause"),
    [
        ("+CREG: 3,3,,,,0,15", 15),
        ("+CEREG: 3,3,,,,0,8", 8),
        ("+CGREG: 3,3,,,,,0,7", 7),
        ('+CREG: 2,5,"1A2B","0012C0DE",7', None),
        ('+CEREG: 5,1,"1A2B","0012C0DE",7,,,"00000000","00000000"', None),
        ("+CREG: 0,3", None),
    ],
)
def test_reject_cause_is_read(line, cause):
    """It comes after the empty location, of which +CGREG has one value more."""
    assert parse_reject_cause(line) == cause


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ('+CCLK: "26/11/22,12:00:00+04"', "2026-11-22T12:00:00+01:00"),
        ('+CCLK: "26/11/22,12:00:00-32"', "2026-11-22T12:00:00-08:00"),
        ('+CCLK: "80/01/06,00:00:10+00"', None),
        ('+CCLK: "04/01/01,00:00:10+00"', None),
        ("+CCLK: ", None),
    ],
)
def test_clock_of_the_module_is_read_if_it_is_set(line, shown):
    moment = parse_clock(line)
    assert (moment and moment.isoformat()) == shown


def test_exit_status_follows_the_worst_finding():
    def of(*levels):
        return worst_level(Finding(Check.PORT, level, "") for level in levels)

    assert of(Level.OK, Level.SKIPPED) is Level.OK
    assert of(Level.WARNING, Level.OK) is Level.WARNING
    assert of(Level.WARNING, Level.WRONG) is Level.WRONG


@pytest.mark.parametrize(
    ("properties", "sentence"),
    [
        ({}, ""),
        ({"LoadState": "not-found", "ActiveState": "inactive"}, ""),
        ({"LoadState": "loaded", "ActiveState": "active"}, ""),
        (
            {"LoadState": "loaded", "ActiveState": "failed", "Result": "exit-code", "ExecMainStatus": "2"}
            | {"UnitFileState": "enabled"},
            "a.service does not run: failed (exit-code, exit status 2)",
        ),
        (
            {
                "LoadState": "loaded",
                "ActiveState": "inactive",
                "Result": "success",
                "UnitFileState": "disabled",
            },
            "a.service does not run: inactive; it does not start at boot either",
        ),
    ],
)
def test_service_that_does_not_run_is_explained(properties, sentence):
    """One that is not installed is no finding: the agent may be started in another way."""
    assert explain_unit("a.service", properties) == sentence


# The bundle


def test_bundle_names_nobody_and_is_replayed(gateway, tmp_path):
    """No number, no text and no PIN is in it; the doctor finds the same in the replayed module."""
    lines = []
    gateway.trace = Trace(lines.append, ContentRedactor(), relative_times=True)
    gateway.create_journal("secret text")
    findings = gateway.examine()
    gateway.trace.close()
    bundle = tmp_path / "bundle.zip"
    documents = make_documents(findings, gateway.doctor.result, {"kernel": "Linux"})
    write_bundle(bundle, format_header(MASKED_TAG), lines, documents)
    assert bundle.stat().st_size < 1_000_000
    assert bundle.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(bundle) as opened:
        text = "".join(opened.read(name).decode() for name in opened.namelist())
        assert len(json.loads(opened.read("journal.json"))["replies"]) == 1
    sim = gateway.sim
    for private in (
        sim.imsi,
        sim.iccid,
        sim.phone_number,
        "7700900000",
        gateway.module.profile.imei,
        "secret text",
    ):
        assert private not in text
    recording = parse_recording(read_recording(bundle))
    assert recording.is_masked
    replay(gateway, recording)
    gateway.trace = None
    again = gateway.examine()
    assert [finding.level for finding in again] == [finding.level for finding in findings]
    assert gateway.replayed.divergences == []


def test_bundle_names_no_place(tmp_path):
    """Broker, server and gateway are also in what the running agent reports."""
    config = Config(
        journal=JournalConfig(path=tmp_path / "journal.db"),
        mqtt=MqttConfig(broker="mqtts://broker.example", gateway="north", base_topic="acme"),
        webhook=WebhookConfig(url="https://server.example/commands", gateway="farm-7"),
    )
    problems = [
        "Commands cannot be forwarded: [mqtt] mqtts://broker.example: its certificate is for broker.example",
        "[mqtt] nobody subscribes to acme/north/command",
        "[webhook] the server answers 301 to https://other.example/x; write that into [webhook] url",
    ]
    examination = Examination(config, {"problems": problems, "pid": 7})
    last = Finding(
        Check.LAST_ERROR, Level.WARNING, problems[0], details=("is another client called farm-7?",)
    )
    documents = make_documents([last], examination, {})
    text = str(documents)
    assert not [name for name in ("example", "north", "farm-7", "acme") if name in text]
    assert documents["status"]["pid"] == 7
    assert documents["status"]["problems"][1] == "[mqtt] nobody subscribes to (hidden)/command"
    assert documents["findings"][0]["details"] == ["is another client called (hidden)?"]


def replay(gateway, recording):
    """Put a module that replays a recording in the place of the simulated one."""

    def connect(module):
        gateway.replayed = ReplayedModule(module.context.scheduler, recording, gateway.line.write_to_agent)
        gateway.line.connect_module(gateway.replayed.receive)

    gateway.prepare_module = connect


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("+447700900123 and 447700900123", "…0123 and …0123"),
        ("imei 359990000000008", "imei …0008"),
        ("iccid 8944000000000000001F", "iccid …0001F"),
        ("DC00000000000000000000000000001234 stays", "DC00000000000000000000000000001234 stays"),
        ("2026-11-29T15:51:12+00:00, pid 123456", "2026-11-29T15:51:12+00:00, pid 123456"),
        ("no handler for 'led on'", "no handler for '…'"),
    ],
)
def test_numbers_are_masked_but_for_four_digits(text, masked):
    """SIDs and times stay, because a report needs them."""
    assert mask_text(text) == masked


# The draft of a profile


@pytest.mark.parametrize(
    "device", [{}, {"model": 'Odd "7"', "text_mode": False, "unsupported_commands": ("+CPMS",)}]
)
def test_draft_of_a_profile_is_loaded(gateway, device):
    """It has what the module answered, and loads without an error; no serial number is in it."""
    gateway.device |= device
    gateway.write_config()
    usb = UsbPort(gateway.folder, UsbDevice("1-1", "1bc7", "1201", "", ""), 4, "ff/00/00")

    async def work(doctor):
        async with doctor.connect_module() as module:
            return format_profile(await ask_questions(module.exchange), usb)

    text = gateway.run(work)
    simulated, driver = parse_profile(text, "draft")
    assert simulated.model == device.get("model", "Generic")
    assert driver.usb_layouts("1bc7", "1201")[0].at_interface == 4
    assert driver.registration == ("+CREG", "+CGREG", "+CEREG")
    assert driver.text_mode is (False if device else None)
    assert bool(driver.stores) is not bool(device)
    for number in (gateway.sim.iccid, gateway.sim.imsi, simulated.imei):
        assert number not in text


def test_draft_of_a_known_module_is_like_its_profile(gateway):
    """Of a simulated EC25 the draft has the same stores and registration commands."""
    gateway.device = load_simulator_profile("ec25").as_dict()
    gateway.write_config()

    async def work(doctor):
        async with doctor.connect_module() as module:
            return format_profile(await ask_questions(module.exchange), None)

    simulated, driver = parse_profile(gateway.run(work), "draft")
    known = load_driver_profile("ec25")
    assert set(driver.stores) == set(known.stores)
    assert driver.registration == known.registration
    assert driver.iccid_command == known.iccid_command
    assert simulated.stores["ME"] == 255
