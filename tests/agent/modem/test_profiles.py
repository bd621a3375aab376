"""What profiles change in the way a module is driven."""

import asyncio

import pytest

from agent.at.error import CommandTimedOut
from agent.modem.error import ModemUnusable
from agent.modem.identification import longest
from agent.modem.news import Direct, Restarted
from agent.modem.stored import Slot
from hardware import profile
from hardware.identify import Place
from hardware.sim.module.refusal import cms

OK = b"\r\nOK\r\n"
ERROR = b"\r\nERROR\r\n"


def info(text):
    return f"\r\n{text}\r\n".encode() + OK


def now():
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("name", profile.names())
def test_a_message_comes_and_goes(bench, name):
    """A simulated module of each profile, driven by it, receives and gives up its messages."""

    async def story(stand):
        assert stand.modem.condition.profile.startswith(name)
        stand.deliver("one")
        await stand.quiet()
        if not stand.modem.condition.store and not stand.modem.condition.notes:
            return
        for message in await stand.modem.sweep():
            assert message.message.text == "one"
            await stand.modem.delete(message.slot)
        assert not await stand.modem.sweep()

    bench(story, device=profile.device(name), options={"profile": name})


@pytest.mark.parametrize(("name", "pause"), [("sara_r410m", 0.1), ("le910c1", 0.02), ("ec25", 0.0)])
def test_the_pause_after_a_result(scripted, name, pause):
    """As long as the maker asks for, and not at all elsewhere."""

    async def story(modem, script):
        script.table["AT+CSQ"] = info("+CSQ: 21,99")
        await modem.signal()
        began = now()
        await modem.signal()
        assert now() - began == pytest.approx(pause)

    scripted(story, options={"profile": name})


def test_longest_times_are_never_shorter_than_ours():
    """What a maker promises is not what a full store in bad weather takes."""
    assert longest(profile.driver("ec25"))["+CMGD"] == 0.3
    assert longest(profile.driver("generic")) == {}


@pytest.mark.parametrize(("name", "seconds"), [("sara_r5", 54), ("ec25", 29)])
def test_a_slow_delete(scripted, name, seconds):
    """SARA-R5 may take 55 s; the 0.3 s of the EC25 do not shorten our 30 s."""

    async def story(modem, script):
        script.table["AT+CMGD=3"] = [seconds, OK]
        await modem.delete(Slot("ME", 3))
        script.table["AT+CMGD=3"] = None
        with pytest.raises(CommandTimedOut):
            await modem.delete(Slot("ME", 3))

    scripted(story, options={"profile": name})


@pytest.mark.parametrize(
    ("name", "command", "answer"),
    [
        ("huawei_me909u", "AT^ICCID?", "^ICCID: 89440000000000000017"),
        ("nrf91", "AT%XICCID", "%XICCID: 89440000000000000017"),
        ("sim800", "AT+CCID", "89440000000000000017"),
        ("sim7600", "AT+CICCID", "+ICCID: 89440000000000000017F"),
    ],
)
def test_the_card_is_asked_in_the_words_of_its_maker(scripted, name, command, answer):
    """First, and so alone."""

    async def story(modem, script):
        assert (await modem.identity()).iccid == "89440000000000000017"
        assert [line for line in script.heard if "CID" in line] == [command]

    scripted(story, options={"profile": name}, table={command: info(answer)})


def test_registration_is_asked_where_it_tells_something(scripted):
    """The other commands are not written."""

    async def story(modem, script):
        await modem.initialise()
        assert [line for line in script.heard if "REG" in line] == ["AT+CREG?", "AT+CEREG?"]

    scripted(story, initialise=False, options={"profile": "sara_r5"})


# Readiness


def test_the_message_service_is_asked_for(scripted):
    """+QINISTAT is asked until its bit is there, and no setting of messages is written before."""
    states = iter("1113")

    async def story(modem, script):
        began = now()
        await modem.initialise()
        assert script.heard.count("AT+QINISTAT") == 4
        assert script.heard.index("AT+CMGF?") > script.heard.index("AT+QINISTAT") + 3
        assert now() - began < 6
        assert not [note for note in modem.condition.notes if "QINISTAT" in note]

    table = {"AT+QINISTAT": lambda _: info(f"+QINISTAT: {next(states)}")}
    scripted(story, initialise=False, options={"profile": "ec25"}, table=table)


@pytest.mark.parametrize("answer", [ERROR, OK, info("+QINISTAT: x")])
def test_a_firmware_without_that_command(scripted, answer):
    """It is marked as under development in a manual: its lack costs nothing and is no note."""

    async def story(modem, script):
        began = now()
        await modem.initialise()
        assert now() - began < 4
        assert not [note for note in modem.condition.notes if "QINISTAT" in note]

    scripted(story, initialise=False, options={"profile": "bg96"}, table={"AT+QINISTAT": answer})


def test_a_service_that_never_comes_is_noted(scripted):
    """What can be had is had all the same."""

    async def story(modem, script):
        began = now()
        await modem.initialise()
        assert now() - began < 40
        assert "AT+QINISTAT says that messages are not ready (+QINISTAT: 1)" in modem.condition.notes

    scripted(
        story, initialise=False, options={"profile": "ec25"}, table={"AT+QINISTAT": info("+QINISTAT: 1")}
    )


@pytest.mark.parametrize(("line", "waits"), [(b"\r\nSMS DONE\r\n", 8), (None, 30)])
def test_the_ready_code_of_a_module_that_starts(scripted, line, waits):
    """Waited for after a boot code, and not for ever: it may have been switched off."""

    async def story(modem, script):
        script.write(b"\r\nRDY\r\n")
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        began = now()
        if line:
            loop.call_later(8, script.write, line)
        await modem.initialise()
        assert waits - 1 < now() - began < waits + 3

    scripted(story, initialise=False, options={"profile": "sim7600"})


def test_a_module_that_runs_is_not_waited_for(scripted):
    """Its ready code came long ago."""

    async def story(modem, script):
        began = now()
        await modem.initialise()
        assert now() - began < 1.5

    scripted(story, initialise=False, options={"profile": "sim7600"})


@pytest.mark.parametrize("name", ["sim7070", "sim800"])
def test_codes_that_may_be_switched_off_are_not_waited_for(scripted, name):
    """Then what is refused is asked again, as without a profile."""

    async def story(modem, script):
        script.write(b"\r\nRDY\r\n")
        await asyncio.sleep(0)
        began = now()
        await modem.initialise()
        assert now() - began < 3

    scripted(story, initialise=False, options={"profile": name})


def test_a_boot_code_that_comes_too_early(scripted):
    """A BG95 says RDY before it takes commands, and APP RDY when it does."""

    async def story(modem, script):
        script.write(b"\r\nRDY\r\n")
        await asyncio.sleep(0)
        loop = asyncio.get_running_loop()
        loop.call_later(6, script.write, b"\r\nAPP RDY\r\n")
        began = now()
        await modem.initialise()
        assert now() - began > 5
        assert "ATE0V1Q0" in script.heard

    scripted(story, initialise=False, options={"profile": "bg95"})


def test_a_code_that_the_profile_knows_is_a_restart(scripted):
    """An unsolicited `+CFUN: 1` says nothing in the standards; on this family it is said at a start."""

    async def story(modem, script):
        await asyncio.sleep(100)
        script.write(b"\r\n+CFUN: 1\r\n")
        assert isinstance(await modem.next_news(), Restarted)

    scripted(story, options={"profile": "ec25"})


# Codes


@pytest.mark.parametrize(
    ("name", "role", "standing", "written"),
    [
        ("ec25", "at", '+QURCCFG: "urcport","usbmodem"', 'AT+QURCCFG="urcport","usbat"'),
        ("ec25", "modem", '+QURCCFG: "urcport","usbat"', 'AT+QURCCFG="urcport","usbmodem"'),
        ("bg96", "uart", '+QURCCFG: "urcport","usbat"', 'AT+QURCCFG="urcport","uart1"'),
        ("ec25", "at", '+QURCCFG: "urcport","usbat"', None),
        ("ec25", "at", '+QURCCFG: "urcport","all"', None),
        ("ec25", "", '+QURCCFG: "urcport","usbmodem"', None),
        ("sim7600", "at", "+CATR: 2", "AT+CATR=3"),
        ("sim7600", "uart", "+CATR: 0", None),
        ("a7670", "uart", "+CATR: 3", "AT+CATR=1"),
        ("ec25", "at", None, None),
    ],
)
def test_codes_come_out_of_our_port(scripted, name, role, standing, written):
    """Written only where it is known which port is ours and another one gets them."""
    question = 'AT+QURCCFG="urcport"' if "QURC" in (standing or "QURC") else "AT+CATR?"
    table = {question: info(standing) if standing else ERROR}
    if written:
        table[written] = OK

    async def story(modem, script):
        await modem.initialise()
        changes = [line for line in script.heard if line.startswith(("AT+QURCCFG", "AT+CATR"))]
        assert changes == ([question] if role else []) + ([written] if written else [])
        assert any("another port" in note for note in modem.condition.notes) == bool(written)

    options = {"profile": name, "place": Place(role=role)}
    scripted(story, initialise=False, options=options, table=table)


def test_codes_follow_whoever_set_cnmi_last(scripted):
    """SARA-R4: it is set again even where it stands."""

    async def story(modem, script):
        await modem.initialise()
        assert "AT+CNMI=2,1,0,0,0" in script.heard

    table = {"AT+CNMI=2,1,0,0,0": OK}
    scripted(story, initialise=False, options={"profile": "sara_r410m"}, table=table)


async def handed_over(stand):
    """The next message that comes directly."""
    stand.deliver("hi")
    while not isinstance(news := await stand.modem.next_news(), Direct):
        pass
    return news


def test_the_one_setting_that_works(bench):
    """nRF91: 3,2,0,1 and a +CNMA with its value."""

    async def story(stand):
        assert stand.modem.condition.routing[:4] == (3, 2, 0, 1)
        news = await handed_over(stand)
        await news.acknowledge()
        assert stand.lines == ["+CNMA=1"]

    bench(story, device=profile.device("nrf91"), options={"profile": "nrf91"})


def test_a_client_that_was_dropped_registers_again(bench):
    """+CMS ERROR: 524 of an nRF91: +CNMI once more."""

    async def story(stand):
        news = await handed_over(stand)

        def dropped(*_):
            raise cms(524)

        stand.module.arrival.acknowledge = dropped
        await news.acknowledge()
        assert stand.lines == ["+CNMA=1", "+CNMI=3,2,0,1,0"]

    bench(story, device=profile.device("nrf91"), options={"profile": "nrf91"})


def test_combinations_that_the_maker_rules_out_are_not_tried(scripted):
    """SIMCom: <ds> 1 and <mt> 3 need <mode> 1."""

    async def story(modem, script):
        await modem.initialise()
        tried = [
            line.partition("=")[2] for line in script.heard if line.startswith("AT+CNMI=") and "?" not in line
        ]
        assert tried
        assert not [
            values for values in tried if values.startswith(("2,3", "3,3", "3,2")) or values[4:7] == ",1"
        ]
        assert "2,1,0,1,0" not in tried
        assert "1,1,0,1,0" in tried

    table = {"AT+CNMI?": info("+CNMI: 0,0,0,0,0"), "AT+CNMI=?": info("+CNMI: (0-2),(0-3),(0,2),(0-2),(0,1)")}
    options = {"profile": "sim7600", "status_reports": True}
    scripted(story, initialise=False, options=options, table=table)


# What a person is told


def test_a_variant_without_messages(scripted):
    """The refusal says what may be the reason."""

    async def story(modem, script):
        with pytest.raises(ModemUnusable, match="variants of this module have no SMS at all"):
            await modem.initialise()

    table = {"AT+CMGF?": ERROR, "AT+CMGF=0": ERROR}
    scripted(story, initialise=False, options={"profile": "a7670"}, table=table)


def test_a_module_without_text_mode(scripted):
    """What to write instead."""

    async def story(modem, script):
        with pytest.raises(ModemUnusable, match=r'no text mode, write \[modem\] message_format = "pdu"'):
            await modem.initialise()

    options = {"profile": "nrf91", "message_format": "text"}
    scripted(story, initialise=False, options=options, table={"AT+CMGF=1": ERROR})


def test_what_is_recommended_and_not_done_is_noted(scripted):
    """A person can wire RTS and CTS."""

    async def story(modem, script):
        assert any("RTS/CTS" in note for note in script.condition.notes)

    scripted(story, options={"profile": "nrf91"}, table={"AT+CNMI=3,2,0,1": OK})


@pytest.mark.parametrize(
    ("name", "seconds"), [("bg96", 150), ("sara_r5", 180), ("sim7000", 120), ("generic", 120)]
)
def test_how_long_a_result_of_sending_is_awaited(scripted, name, seconds):
    """The maker's time, ours where it is longer, and more where refusals were seen later than documented."""

    async def story(modem, script):
        assert modem._preparation.send_timeout_s == seconds

    scripted(story, options={"profile": name})
