"""Getting a module ready: what is written, what is tolerated, what is fatal, how long it is waited for."""

import asyncio

import pytest

from agent.at.errors import ModemLost
from agent.modem.error import ModemUnusable
from agent.modem.modem import Modem
from agent.modem.options import ModemOptions
from hardware.sim.module.sim_card import SimCard

OK = b"\r\nOK\r\n"
ERROR = b"\r\nERROR\r\n"


def info(text):
    return f"\r\n{text}\r\n".encode() + OK


def now():
    return asyncio.get_running_loop().time()


def set_commands(heard):
    """What was written, without what is only asked or lasts until the next restart anyway."""
    return [line for line in heard if "?" not in line and line not in {"AT", "esc", "ATE0V1Q0", "AT+CMEE=1"}]


# What stands is left alone


def test_what_stands_is_not_written_again(run_scripted_modem):
    """Some modules save each setting to flash: only what differs is written."""

    async def story(modem, script):
        assert set_commands(script.received_lines) == []
        assert str(script.status) == "profile generic, messages in ME, +CNMI 2,1,0,0,0, registered, home"
        assert script.status.message_service == 1
        assert script.status.service_centre == "+447700900000"
        assert modem.is_notifying

    async def first(modem, script):
        script.status = await modem.initialise()
        await story(modem, script)

    run_scripted_modem(first, initialise=False)


def test_a_plain_module_is_set_up_once(run_modem_bench):
    """The second time there is nothing left to write."""

    async def story(stand):
        assert set_commands(f"AT{line}" for line in stand.executed_lines) == []
        await stand.modem.initialise()
        assert [line for line in stand.executed_lines if "=" in line and "?" not in line] == ["+CMEE=1"]
        assert stand.module.settings.cnmi[:2] == (2, 1)
        assert stand.module.settings.csms == 1
        assert not stand.module.settings.text_mode

    run_modem_bench(story)


# What may be refused or ignored


@pytest.mark.parametrize(
    "name",
    ["", "+CMEE", "+CFUN", "+CPIN", "+CSMS", "+CPMS", "+CNMI", "+CREG", "+CGREG", "+CSCA", "E0V1Q0"],
)
@pytest.mark.parametrize("answer", [ERROR, b"\r\n+CMS ERROR: 303\r\n", b"\r\n+CME ERROR: 4\r\n", None])
def test_nothing_of_this_is_needed(run_scripted_modem, name, answer):
    """Each of these may be refused in any style, or ignored, and the module still receives and sends."""

    async def story(modem, script):
        for line in list(script.table):
            if line == "AT" + name or (name and line.startswith("AT" + name)):
                script.table[line] = answer
        began = now()
        await modem.initialise()
        assert now() - began < 70
        script.table["AT+CMGL=4"] = (
            b"\r\n+CMGL: 1,1,,17\r\n079144770009000004038100F000006290124131020002E834\r\n" + OK
        )
        (message,) = await modem.sweep()
        assert message.message.text == "hi"

    run_scripted_modem(story, initialise=False)


def test_what_was_tolerated_is_noted(run_scripted_modem):
    """A person who wonders finds it in the status."""

    async def story(modem, script):
        assert script.status.notes == (
            "AT+CMEE=1 refused (ERROR)",
            "AT+CSMS? refused (ERROR)",
            "AT+CSMS=1 refused: a message by direct delivery has no second copy",
        )

    run_scripted_modem(story, table={"AT+CMEE=1": ERROR, "AT+CSMS?": ERROR})


# A module that is not ready


@pytest.mark.parametrize("seconds", [20, 60])
@pytest.mark.parametrize("ready_line", [True, False])
def test_a_module_that_is_not_ready_is_waited_for(run_scripted_modem, seconds, ready_line):
    """SIM busy, SMS not ready, plain ERROR: all is waited out, without PIN or reset, and then it works."""

    async def story(modem, script):
        began = now()
        good = dict(script.table)

        def later(answer):
            return lambda line: good.get(line, OK) if now() - began > seconds else answer

        script.table |= {
            "AT+CMGF=0": later(ERROR),
            "AT+CMGF?": later(ERROR),
            "AT+CMGL=4": later(b"\r\n+CMS ERROR: 314\r\n"),
            "AT+CPMS?": later(b"\r\n+CMS ERROR: 314\r\n"),
            "AT+CPMS=?": later(b"\r\n+CMS ERROR: 314\r\n"),
            "AT+CSCA?": later(b"\r\n+CME ERROR: 14\r\n"),
            "AT+CSMS?": later(b"\r\n+CME ERROR: 515\r\n"),
            "AT+CNMI?": later(b"\r\n+CME ERROR: 515\r\n"),
            "AT+CPIN?": later(b"\r\n+CME ERROR: 14\r\n"),
        }
        if ready_line:
            asyncio.get_running_loop().call_later(seconds + 0.1, script.write, b"\r\nSMS Ready\r\n")
        await modem.initialise()
        assert now() - began < seconds + (0.5 if ready_line else 6)
        assert modem.status.store == "ME"
        assert modem.status.cnmi == (2, 1, 0, 0, 0)
        assert not any("CPIN=" in line or "CFUN=" in line for line in script.received_lines)

    run_scripted_modem(story, initialise=False)


def test_stores_that_are_refused_only_at_first(run_scripted_modem):
    """A plain ERROR to +CPMS may mean "not yet": the message format and listing tell it from "never"."""

    async def story(modem, script):
        began = now()
        script.table["AT+CMGF=0"] = OK
        for line in ("AT+CPMS?", "AT+CPMS=?", "AT+CMGL=4", "AT+CMGF=0"):
            good = script.table[line]
            script.table[line] = lambda _, good=good: good if now() - began > 20 else ERROR
        await modem.initialise()
        assert modem.status.store == "ME"
        assert modem.status.notes == ()

    run_scripted_modem(story, initialise=False)


def test_a_module_that_never_takes_the_format(run_scripted_modem):
    """Without PDU mode nothing can be read: after a minute at least, one sentence says so."""

    async def story(modem, script):
        began = now()
        with pytest.raises(
            ModemUnusable, match=r"does not accept this message format: AT\+CMGF=0 was refused"
        ):
            await modem.initialise()
        assert 60 <= now() - began < 120

    run_scripted_modem(story, initialise=False, table={"AT+CMGF?": info("+CMGF: 1"), "AT+CMGF=0": ERROR})


def test_a_booting_module_of_the_simulator(run_modem_bench):
    """A module that boots, reads its SIM and is then ready for messages is met in the middle of that."""

    async def story(stand):
        await stand.modem.initialise()
        assert stand.modem.status.store == "ME"
        assert stand.modem.is_notifying
        stand.deliver("hi")
        news = await stand.modem.next_event()
        assert (await stand.modem.read(news.slot)).message.text == "hi"

    run_modem_bench(
        story, initialise=False, boot_s=8.0, sim_ready_s=6.0, sms_ready_s=10.0, registration_s=5.0
    )


# SIM and radio


def test_a_sim_that_wants_its_pin(run_modem_bench):
    """The PIN is never guessed: one sentence, and nothing was tried."""

    async def story(stand):
        with pytest.raises(ModemUnusable, match="the SIM asks for SIM PIN"):
            await stand.modem.initialise()
        assert not any(line.startswith("+CPIN=") for line in stand.executed_lines)

    run_modem_bench(story, initialise=False, sim=SimCard(pin="1234"))


def test_no_sim(run_modem_bench):
    """A module may say so while it starts; after a while it is true."""

    async def story(stand):
        with pytest.raises(ModemUnusable, match="sees no SIM"):
            await stand.modem.initialise()
        assert stand.loop.time() > 1010

    run_modem_bench(story, initialise=False, sim=SimCard(present=False))


def test_the_radio_is_switched_on(run_modem_bench):
    """With the radio off everything works except the network."""

    async def story(stand):
        await stand.modem.initialise()
        assert "+CFUN=1" in stand.executed_lines
        assert stand.modem.status.notes == ("the radio was off (+CFUN: 4)",)
        assert (await stand.modem.query_registration()).can_send

    run_modem_bench(story, initialise=False, cfun=4)


def test_a_radio_that_takes_its_time(run_scripted_modem):
    """+CFUN=1 has a time of its own, longer than other settings."""
    state = [0]

    def on(_):
        state[0] = 1
        return [14, OK]

    async def story(modem, script):
        assert script.status.notes == ("the radio was off (+CFUN: 0)",)

    run_scripted_modem(story, table={"AT+CFUN?": lambda _: info(f"+CFUN: {state[0]}"), "AT+CFUN=1": on})


def test_a_radio_that_stays_off(run_scripted_modem):
    """It is told, and messages that are stored already are still read."""

    async def story(modem, script):
        assert script.status.notes == ("the radio was off (+CFUN: 4)", "the radio stays off")

    run_scripted_modem(story, table={"AT+CFUN?": info("+CFUN: 4"), "AT+CFUN=1": OK})


@pytest.mark.parametrize("answer", [b"\r\n+CME ERROR: 13\r\n", ERROR])
def test_a_radio_that_cannot_be_switched_on(run_scripted_modem, answer):
    """It is tried a few times, not for the patience that a starting SIM is due; whoever counts goes on."""

    async def story(modem, script):
        began = asyncio.get_running_loop().time()
        condition = await modem.initialise()
        assert asyncio.get_running_loop().time() - began < 6
        assert script.received_lines.count("AT+CFUN=1") == (1 if answer == ERROR else 3)
        assert condition.cfun == 0
        assert condition.notes[0] == "the radio was off (+CFUN: 0)"
        assert condition.notes[1].startswith("AT+CFUN=1 refused")

    table = {"AT+CFUN?": info("+CFUN: 0"), "AT+CFUN=1": answer}
    run_scripted_modem(story, initialise=False, table=table)


# Stores


@pytest.mark.parametrize(
    ("standing", "offered", "written", "store", "others"),
    [
        ('"SM",1,50,"SM",1,50,"ME",0,23', '("SM","ME"),("SM","ME"),("SM","ME")', "ME", "ME", ("SM",)),
        ('"SM",1,50,"SM",1,50,"SM",1,50', '("SM"),("SM"),("SM")', None, "SM", ()),
        (
            '"MT",0,73,"MT",0,73,"MT",0,73',
            '("ME","MT","SM"),("ME","MT","SM"),("ME","SM")',
            "ME",
            "ME",
            ("SM",),
        ),
        ('"MT",0,73,"MT",0,73,"MT",0,73', '("MT"),("MT"),("MT")', None, "MT", ()),
        ('"SM",0,10,"SM",0,10,"ME",0,23', "", "ME", "ME", ("SM",)),
        ('"ME",0,23,"SM",0,10,"SM",0,10', '("ME","SM"),("SM"),("SM")', "SM", "SM", ("ME",)),
        ('"SR",0,23,"SR",0,10,"SR",0,10', '("ME","SM","SR"),("ME","SM"),("ME","SM")', "ME", "ME", ("SM",)),
    ],
)
def test_all_memories_are_one(run_scripted_modem, standing, offered, written, store, others):
    """Where messages arrive is where they are read; other stores are known."""
    state = [standing]

    def write(line):
        name = line.partition("=")[2].partition(",")[0].strip('"')
        state[0] = ",".join([f'"{name}",0,20'] * 3)
        return info("+CPMS: 0,20,0,20,0,20")

    names = ("ME", "SM", "MT")
    table = {f'AT+CPMS="{name}","{name}","{name}"': write for name in names}
    table |= {f'AT+CPMS="{name}"': info("+CPMS: 0,20,0,20,0,20") for name in names}
    table["AT+CPMS?"] = lambda _: info(f"+CPMS: {state[0]}")
    table["AT+CPMS=?"] = info(f"+CPMS: {offered}") if offered else ERROR

    async def story(modem, script):
        condition = await modem.initialise()
        expected = [] if written is None else [f'AT+CPMS="{written}","{written}","{written}"']
        assert [line for line in script.received_lines if line.startswith('AT+CPMS="')] == expected
        assert (condition.store, condition.secondary_stores) == (store, others)

    run_scripted_modem(story, initialise=False, table=table)


def test_a_module_with_fewer_memories(run_scripted_modem):
    """Some know only one or two of the three."""
    state = ["SM"]

    def choose(_):
        state[0] = "ME"
        return info("+CPMS: 0,20,0,20")

    table = {
        "AT+CPMS?": lambda _: info(f'+CPMS: "{state[0]}",0,20,"{state[0]}",0,20'),
        "AT+CPMS=?": info('+CPMS: ("ME"),("ME")'),
        'AT+CPMS="ME","ME","ME"': ERROR,
        'AT+CPMS="ME","ME"': choose,
    }

    async def story(modem, script):
        assert script.status.store == "ME"

    run_scripted_modem(story, table=table)


def test_a_module_whose_store_cannot_be_chosen(run_scripted_modem):
    """+CPMS is unknown: messages are read from where they are, by the index that is told."""

    async def story(modem, script):
        assert script.status.store == ""
        assert script.status.notes == ("+CPMS refused: the module chooses its store",)
        script.table["AT+CMGR=3"] = (
            b"\r\n+CMGR: 0,,17\r\n079144770009000004038100F000006290124131020002E834\r\n" + OK
        )
        script.write(b'\r\n+CMTI: "SM",3\r\n')
        news = await modem.next_event()
        assert (await modem.read(news.slot)).message.text == "hi"
        assert script.received_lines == ["AT+CMGR=3"]

    run_scripted_modem(story, table={"AT+CPMS?": ERROR, "AT+CPMS=?": ERROR})


# Notifications


@pytest.mark.parametrize(
    ("offered", "accepted", "chosen"),
    [
        ("(0-3),(0-3),(0,2),(0-2),(0,1)", lambda value: True, "2,1,0,0,0"),
        ("(0-3),(0,1),(0,2,3),(0,2),(1)", lambda value: value.endswith(",1"), "2,1,0,0,1"),
        ("(0-2),(0-3),(0,2),(0,1),(0,1)", lambda value: value[0] == "1", "1,1,0,0,0"),
        ("(0,1),(0,1),(0),(0),(0)", lambda value: value[0] == "1", "1,1,0,0,0"),
        ("(3),(0-3),(0),(0-2),(0)", lambda value: True, "3,1,0,0,0"),
        (None, lambda value: True, "2,1,0,0,0"),
        (None, lambda value: value == "1,1", "1,1"),
        (None, lambda value: value == "3,1,0,0,1", "3,1,0,0,1"),
        ("(0-3),(0-3)", lambda value: True, "2,1,0,0,0"),
        ("(0-3),(0,3),(0,2),(0-2),(0,1)", lambda value: True, "2,3,0,0,0"),
        ("(0-3),(0,2),(0,2),(0-2),(0,1)", lambda value: True, "2,2,0,0,0"),
        ("(0-3),(0-3),(0,2),(0-2),(0,1)", lambda value: False, None),
    ],
)
def test_notifications_are_negotiated(run_scripted_modem, offered, accepted, chosen):
    """The value is chosen from what is offered, then from what others needed; without any, looking it is."""
    state = ["0,0,0,0,0"]

    async def story(modem, script):
        class Table(dict):
            def get(self, line, default=None):
                if line.startswith("AT+CNMI=") and "?" not in line:
                    value = line.partition("=")[2]
                    if not accepted(value):
                        return b"\r\n+CMS ERROR: 303\r\n"
                    state[0] = value
                    return OK
                return super().get(line, default)

        script.table = Table(script.table)
        script.table["AT+CNMI?"] = lambda _: info(f"+CNMI: {state[0]}")
        script.table["AT+CNMI=?"] = ERROR if offered is None else info(f"+CNMI: {offered}")
        condition = await modem.initialise()
        assert state[0] == (chosen or "0,0,0,0,0")
        assert modem.is_notifying is (chosen is not None)
        assert condition.cnmi == (tuple(map(int, chosen.split(","))) if chosen else ())
        if chosen is None:
            assert "the store is read every minute" in str(condition)

    run_scripted_modem(story, initialise=False)


def test_a_value_that_is_accepted_and_forgotten(run_scripted_modem):
    """What is read back counts, not the OK."""
    state = ["0,0,0,0,0"]

    def keep(line):
        state[0] = "1,1,0,0,0"
        return OK

    table = {
        "AT+CNMI?": lambda _: info(f"+CNMI: {state[0]}"),
        "AT+CNMI=?": info("+CNMI: (0-2),(0,1),(0),(0),(0)"),
        "AT+CNMI=2,1,0,0,0": OK,
        "AT+CNMI=1,1,0,0,0": keep,
    }

    async def story(modem, script):
        assert script.status.cnmi == (1, 1, 0, 0, 0)

    run_scripted_modem(story, table=table)


def test_an_answer_that_was_lost_is_no_refusal(run_scripted_modem):
    """The same value is tried once more before another one is."""
    state = ["0,0,0,0,0"]
    answers = [None, OK]

    def route(line):
        state[0] = line.partition("=")[2]
        return answers.pop(0)

    table = {
        "AT+CNMI?": lambda _: info(f"+CNMI: {state[0]}"),
        "AT+CNMI=?": info("+CNMI: (0-2),(0-3),(0),(0),(0)"),
        "AT+CNMI=2,1,0,0,0": route,
        "AT+CNMI=1,1,0,0,0": OK,
    }

    async def story(modem, script):
        assert script.status.cnmi == (2, 1, 0, 0, 0)

    run_scripted_modem(story, table=table)


def test_reports_are_asked_for_by_setting_only(run_modem_bench):
    """By default none are passed on; with the setting they are stored, where the module can."""

    async def off(stand):
        assert stand.module.settings.cnmi[3] == 0
        assert "SR" not in stand.status.secondary_stores

    async def on(stand):
        assert stand.module.settings.cnmi[3] == 2
        assert "SR" in stand.status.secondary_stores

    run_modem_bench(off)
    run_modem_bench(on, options={"status_reports": True})


def test_simcoms_rule(run_modem_bench):
    """Reports that are passed on directly need mode 1 there."""

    async def story(stand):
        assert stand.module.settings.cnmi[:4] == (1, 1, 0, 1)

    run_modem_bench(
        story,
        options={"status_reports": True},
        cnmi_allowed=((0, 1, 2), (0, 1, 2, 3), (0, 2), (0, 1), (0, 1)),
        cnmi_needs_mode=True,
        cnmi_refusal="ERROR",
    )


def test_a_module_without_stores(run_scripted_modem):
    """It hands messages over; they are acknowledged when they are safe."""
    state = ["0,0,0,0,0"]

    def route(line):
        state[0] = line.partition("=")[2]
        return OK

    refused = dict.fromkeys(("AT+CPMS?", "AT+CPMS=?", "AT+CMGL=4"), ERROR)
    table = refused | {
        "AT+CMGF=0": OK,
        "AT+CNMI?": lambda _: info(f"+CNMI: {state[0]}"),
        "AT+CNMI=?": ERROR,
        "AT+CNMI=2,2,0,0,0": ERROR,
        "AT+CNMI=3,2,0,0,0": route,
    }
    table |= dict.fromkeys(
        [f"AT+CNMI={mode},2,0,0,{flush}" for mode in (1, 2) for flush in (0, 1)], b"\r\n+CMS ERROR: 303\r\n"
    )

    async def story(modem, script):
        assert script.status.cnmi == (3, 2, 0, 0, 0)
        assert "by direct delivery" in str(script.status)
        assert modem.is_notifying
        assert await modem.sweep() == []
        assert script.received_lines == []

    run_scripted_modem(story, table=table)


# The state that a module was left in


def test_a_module_left_at_a_prompt(run_scripted_modem):
    """Text entry survives the death of whoever opened it: ESC closes it, Ctrl-Z is never written."""

    async def story(modem, script):
        script.is_text_entry = True
        script.table["esc"] = OK
        await modem.initialise()
        assert script.received_lines[0] == "esc"
        assert "body" not in " ".join(script.received_lines)

    run_scripted_modem(story, initialise=False)


def test_a_module_left_with_half_a_line(run_modem_bench):
    """What a dead program had begun to type does not spoil the first command."""

    async def story(stand):
        stand.module.receive(b"AT+CMGD=1,")
        await stand.modem.initialise()
        assert stand.modem.status.notes == ()

    run_modem_bench(story, initialise=False)


@pytest.mark.parametrize("line", ["ATV0", "ATQ1", "ATE1", "AT+CMEE=2", "AT+CMGF=1", "ATE1V0", "ATQ1E1V0"])
def test_settings_that_another_program_left(run_modem_bench, line):
    """Numbers for results, no results at all, echo, words, text mode: all is put right."""

    async def story(stand):
        stand.module.receive(f"{line}\r".encode())
        await stand.modem.initialise()
        stand.deliver("hi")
        news = await stand.modem.next_event()
        assert (await stand.modem.read(news.slot)).message.text == "hi"

    run_modem_bench(story, initialise=False)


def test_a_module_that_asks_to_be_woken(run_scripted_modem):
    """The first commands are lost on a module that sleeps or learns the speed of the line."""

    async def story(modem, script):
        began = now()
        for line in list(script.table):
            good = script.table[line]
            script.table[line] = lambda _, good=good: good if now() - began > 12 else None
        await modem.initialise()
        assert modem.status.notes == ()

    run_scripted_modem(story, initialise=False)


def test_nobody_there(run_scripted_modem):
    """One sentence, after some patience; the channel is lost with it."""

    async def story(modem, script):
        script.table = dict.fromkeys(script.table)
        began = now()
        with pytest.raises(ModemLost, match="no module answers: nothing came back"):
            await modem.initialise()
        assert 20 <= now() - began < 60

    run_scripted_modem(story, initialise=False)


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        (b"$GPGGA,123519,4807.038,N\r\n", "GNSS port"),
        (b"\r\nraspberrypi login: \r\n", "login console"),
        (b"\x00\xff\xf8\xe6\x80\x98\r\n", "non-text bytes"),
        (b'~\xff}#\xc0!}!}!} }4}"}&', "data mode"),
    ],
)
def test_the_wrong_port_is_described(run_scripted_modem, said, sentence):
    """What came instead of an answer tells a person which port this is."""

    async def story(modem, script):
        script.table = dict.fromkeys(script.table)
        for second in range(60):
            asyncio.get_running_loop().call_later(second, script.write, said)
        with pytest.raises(ModemLost, match=sentence):
            await modem.initialise()

    run_scripted_modem(story, initialise=False)


def test_data_mode_is_left_once(run_scripted_modem):
    """`+++` with silence before and after it, and AT only when that was answered."""

    async def story(modem, script):
        script.table = dict.fromkeys(script.table)
        script.write(b'~\xff}#\xc0!}!}!} }4}"}&')
        with pytest.raises(ModemLost, match="data mode"):
            await modem.initialise()
        assert script.unfinished == b"+++"
        assert not any(line.startswith("AT") for line in script.received_lines)

    run_scripted_modem(story, initialise=False)


def test_a_restart_in_between(run_modem_bench):
    """A module that restarts while it is being set up is set up again, within the same call."""

    async def story(stand):
        stand.module.faults.add("reboot-loud:command=+CNMI")
        condition = await stand.modem.initialise()
        assert stand.module.log.boot_count == 2
        assert stand.module.settings.cnmi[:2] == (2, 1)
        assert stand.module.settings.csms == 1
        assert stand.module.settings.cmee == 1
        assert not stand.module.settings.echo
        assert condition.cnmi[:2] == (2, 1)
        assert stand.modem.poll_event() is None

    run_modem_bench(story, initialise=False, boot_s=3.0)


def test_echo_that_cannot_be_switched_off(run_modem_bench):
    """It makes no difference."""

    async def story(stand):
        stand.module.faults.add("echo-stuck:for=0")
        await stand.modem.initialise()
        stand.deliver("hi")
        news = await stand.modem.next_event()
        assert (await stand.modem.read(news.slot)).message.text == "hi"
        assert stand.modem.poll_event() is None

    run_modem_bench(story, initialise=False)


def test_a_module_that_stops_answering_in_between(run_scripted_modem):
    """It is tried again from the beginning, and then one sentence says so."""
    answers = [None, OK]

    async def story(modem, script):
        script.table |= {
            "AT+CMGF?": info("+CMGF: 1"),
            "AT+CMGF=0": lambda _: answers.pop(0) if answers else OK,
        }
        await modem.initialise()
        assert answers == []
        script.table["AT+CMGF=0"] = None
        with pytest.raises(ModemUnusable, match="stopped answering during initialisation"):
            await modem.initialise()

    run_scripted_modem(story, initialise=False)


def test_an_unknown_message_format(run_modem_bench):
    """There are only so many."""

    async def story(stand):
        with pytest.raises(ModemUnusable, match="'morse' is unknown; use pdu"):
            Modem(stand.channel, ModemOptions(message_format="morse"))

    run_modem_bench(story)


def test_a_sim_that_is_slow(run_scripted_modem):
    """NOT READY is waited for, NOT INSERTED only for a while."""

    async def story(modem, script):
        began = now()
        script.table["AT+CPIN?"] = lambda _: info(
            "+CPIN: READY" if now() - began > 40 else "+CPIN: NOT READY"
        )
        await modem.initialise()
        assert modem.status.notes == ()
        script.table["AT+CPIN?"] = info("+CPIN: NOT INSERTED")
        with pytest.raises(ModemUnusable, match="sees no SIM"):
            await modem.initialise()

    run_scripted_modem(story, initialise=False)


def test_a_missing_service_centre_is_noted(run_scripted_modem):
    """Sending will be refused without its number."""

    async def story(modem, script):
        assert script.status.service_centre == ""
        assert any("+CSCA" in note for note in script.status.notes)

    run_scripted_modem(story, table={"AT+CSCA?": info('+CSCA: "",129')})


def test_memories_that_cannot_be_made_one(run_scripted_modem):
    """It is noted, and what can be read is read."""
    table = {
        "AT+CPMS?": info('+CPMS: "SM",0,10,"SM",0,10,"ME",0,20'),
        "AT+CPMS=?": info('+CPMS: ("SM"),("SM"),("ME")'),
    }

    async def story(modem, script):
        assert script.status.store == "SM"
        assert script.status.notes == ("+CPMS stays SM,SM,ME",)
        assert await modem.sweep() == []

    run_scripted_modem(story, table=table)
