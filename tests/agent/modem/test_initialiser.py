"""Initialisation: what is written, what is tolerated, what is fatal, how long a module is waited for."""

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
    """The setting commands that the module received, without those that last until the next restart only."""
    return [line for line in heard if "?" not in line and line not in {"AT", "esc", "ATE0V1Q0", "AT+CMEE=1"}]


# Correct settings are not written


def test_correct_settings_are_not_written(run_scripted_modem):
    """Some modules save each setting to flash: only what differs is written."""

    async def scenario(modem, script):
        assert set_commands(script.received_lines) == []
        assert str(script.status) == "profile generic, messages in ME, +CNMI 2,1,0,0,0, registered, home"
        assert script.status.message_service == 1
        assert script.status.service_centre == "+447700900000"
        assert modem.is_notifying

    async def first(modem, script):
        script.status = await modem.initialise()
        await scenario(modem, script)

    run_scripted_modem(first, initialise=False)


def test_second_initialisation_writes_nothing(run_modem_bench):
    """After the first initialisation there is nothing left to write."""

    async def scenario(bench):
        assert set_commands(f"AT{line}" for line in bench.executed_lines) == []
        await bench.modem.initialise()
        assert [line for line in bench.executed_lines if "=" in line and "?" not in line] == ["+CMEE=1"]
        assert bench.module.settings.cnmi[:2] == (2, 1)
        assert bench.module.settings.csms == 1
        assert not bench.module.settings.text_mode

    run_modem_bench(scenario)


# Settings that may be refused or ignored


@pytest.mark.parametrize(
    "name",
    ["", "+CMEE", "+CFUN", "+CPIN", "+CSMS", "+CPMS", "+CNMI", "+CREG", "+CGREG", "+CSCA", "E0V1Q0"],
)
@pytest.mark.parametrize("answer", [ERROR, b"\r\n+CMS ERROR: 303\r\n", b"\r\n+CME ERROR: 4\r\n", None])
def test_refused_or_ignored_optional_setting(run_scripted_modem, name, answer):
    """Each of these may be refused in any form, or ignored, and the module still receives and sends."""

    async def scenario(modem, script):
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

    run_scripted_modem(scenario, initialise=False)


def test_refused_settings_are_noted_in_the_status(run_scripted_modem):
    """The operator finds in the status what the module refused."""

    async def scenario(modem, script):
        assert script.status.notes == (
            "AT+CMEE=1 refused (ERROR)",
            "AT+CSMS? refused (ERROR)",
            "AT+CSMS=1 refused: a message by direct delivery has no second copy",
        )

    run_scripted_modem(scenario, table={"AT+CMEE=1": ERROR, "AT+CSMS?": ERROR})


# A module that is not ready


@pytest.mark.parametrize("seconds", [20, 60])
@pytest.mark.parametrize("ready_line", [True, False])
def test_module_that_is_not_ready_is_retried(run_scripted_modem, seconds, ready_line):
    """SIM busy, SMS not ready and plain ERROR are retried without PIN or reset until the module works."""

    async def scenario(modem, script):
        began = now()
        normal = dict(script.table)

        def later(answer):
            return lambda line: normal.get(line, OK) if now() - began > seconds else answer

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

    run_scripted_modem(scenario, initialise=False)


def test_stores_refused_at_first_are_queried_again(run_scripted_modem):
    """A plain ERROR to +CPMS may be temporary: the message format and the list show it."""

    async def scenario(modem, script):
        began = now()
        script.table["AT+CMGF=0"] = OK
        for line in ("AT+CPMS?", "AT+CPMS=?", "AT+CMGL=4", "AT+CMGF=0"):
            normal = script.table[line]
            script.table[line] = lambda _, normal=normal: normal if now() - began > 20 else ERROR
        await modem.initialise()
        assert modem.status.store == "ME"
        assert modem.status.notes == ()

    run_scripted_modem(scenario, initialise=False)


def test_message_format_that_is_never_accepted(run_scripted_modem):
    """Without PDU mode nothing can be read: after more than a minute one sentence is reported."""

    async def scenario(modem, script):
        began = now()
        with pytest.raises(
            ModemUnusable, match=r"does not accept this message format: AT\+CMGF=0 was refused"
        ):
            await modem.initialise()
        assert 60 <= now() - began < 120

    run_scripted_modem(scenario, initialise=False, table={"AT+CMGF?": info("+CMGF: 1"), "AT+CMGF=0": ERROR})


def test_initialisation_of_a_booting_simulated_module(run_modem_bench):
    """A module that boots, reads its SIM and then becomes ready for messages is initialised meanwhile."""

    async def scenario(bench):
        await bench.modem.initialise()
        assert bench.modem.status.store == "ME"
        assert bench.modem.is_notifying
        bench.deliver("hi")
        event = await bench.modem.next_event()
        assert (await bench.modem.read(event.slot)).message.text == "hi"

    run_modem_bench(
        scenario, initialise=False, boot_s=8.0, sim_ready_s=6.0, sms_ready_s=10.0, registration_s=5.0
    )


# SIM and radio


def test_sim_that_requires_a_pin(run_modem_bench):
    """The PIN is never guessed: one sentence, and nothing was tried."""

    async def scenario(bench):
        with pytest.raises(ModemUnusable, match="the SIM asks for SIM PIN"):
            await bench.modem.initialise()
        assert not any(line.startswith("+CPIN=") for line in bench.executed_lines)

    run_modem_bench(scenario, initialise=False, sim=SimCard(pin="1234"))


def test_absent_sim(run_modem_bench):
    """A module may report a good SIM as absent while it starts; after a while the SIM counts as absent."""

    async def scenario(bench):
        with pytest.raises(ModemUnusable, match="sees no SIM"):
            await bench.modem.initialise()
        assert bench.loop.time() > 1010

    run_modem_bench(scenario, initialise=False, sim=SimCard(present=False))


def test_radio_is_switched_on(run_modem_bench):
    """With the radio off everything works except the network."""

    async def scenario(bench):
        await bench.modem.initialise()
        assert "+CFUN=1" in bench.executed_lines
        assert bench.modem.status.notes == ("the radio was off (+CFUN: 4)",)
        assert (await bench.modem.query_registration()).can_send

    run_modem_bench(scenario, initialise=False, cfun=4)


def test_slow_cfun_command(run_scripted_modem):
    """+CFUN=1 has a longer timeout than other settings."""
    state = [0]

    def on(_):
        state[0] = 1
        return [14, OK]

    async def scenario(modem, script):
        assert script.status.notes == ("the radio was off (+CFUN: 0)",)

    run_scripted_modem(scenario, table={"AT+CFUN?": lambda _: info(f"+CFUN: {state[0]}"), "AT+CFUN=1": on})


def test_radio_that_stays_off_is_noted(run_scripted_modem):
    """It is noted, and stored messages are still read."""

    async def scenario(modem, script):
        assert script.status.notes == ("the radio was off (+CFUN: 4)", "the radio stays off")

    run_scripted_modem(scenario, table={"AT+CFUN?": info("+CFUN: 4"), "AT+CFUN=1": OK})


@pytest.mark.parametrize("answer", [b"\r\n+CME ERROR: 13\r\n", ERROR])
def test_cfun_is_retried_a_few_times_only(run_scripted_modem, answer):
    """The full retry time of a starting SIM is not spent on it; the recovery policy continues from here."""

    async def scenario(modem, script):
        began = asyncio.get_running_loop().time()
        status = await modem.initialise()
        assert asyncio.get_running_loop().time() - began < 6
        assert script.received_lines.count("AT+CFUN=1") == (1 if answer == ERROR else 3)
        assert status.cfun == 0
        assert status.notes[0] == "the radio was off (+CFUN: 0)"
        assert status.notes[1].startswith("AT+CFUN=1 refused")

    table = {"AT+CFUN?": info("+CFUN: 0"), "AT+CFUN=1": answer}
    run_scripted_modem(scenario, initialise=False, table=table)


# Stores


@pytest.mark.parametrize(
    ("current", "offered", "written", "store", "others"),
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
def test_all_memories_are_set_to_one_store(run_scripted_modem, current, offered, written, store, others):
    """Messages are read from the store in which they arrive; the other stores are known."""
    state = [current]

    def write(line):
        name = line.partition("=")[2].partition(",")[0].strip('"')
        state[0] = ",".join([f'"{name}",0,20'] * 3)
        return info("+CPMS: 0,20,0,20,0,20")

    names = ("ME", "SM", "MT")
    table = {f'AT+CPMS="{name}","{name}","{name}"': write for name in names}
    table |= {f'AT+CPMS="{name}"': info("+CPMS: 0,20,0,20,0,20") for name in names}
    table["AT+CPMS?"] = lambda _: info(f"+CPMS: {state[0]}")
    table["AT+CPMS=?"] = info(f"+CPMS: {offered}") if offered else ERROR

    async def scenario(modem, script):
        status = await modem.initialise()
        expected = [] if written is None else [f'AT+CPMS="{written}","{written}","{written}"']
        assert [line for line in script.received_lines if line.startswith('AT+CPMS="')] == expected
        assert (status.store, status.secondary_stores) == (store, others)

    run_scripted_modem(scenario, initialise=False, table=table)


def test_module_with_fewer_memories(run_scripted_modem):
    """Some modules know only one or two of the three memories."""
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

    async def scenario(modem, script):
        assert script.status.store == "ME"

    run_scripted_modem(scenario, table=table)


def test_module_whose_store_cannot_be_selected(run_scripted_modem):
    """+CPMS is unknown: messages are read from the current store by the index that is notified."""

    async def scenario(modem, script):
        assert script.status.store == ""
        assert script.status.notes == ("+CPMS refused: the module chooses its store",)
        script.table["AT+CMGR=3"] = (
            b"\r\n+CMGR: 0,,17\r\n079144770009000004038100F000006290124131020002E834\r\n" + OK
        )
        script.write(b'\r\n+CMTI: "SM",3\r\n')
        event = await modem.next_event()
        assert (await modem.read(event.slot)).message.text == "hi"
        assert script.received_lines == ["AT+CMGR=3"]

    run_scripted_modem(scenario, table={"AT+CPMS?": ERROR, "AT+CPMS=?": ERROR})


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
def test_cnmi_value_is_chosen_from_the_offered_ones(run_scripted_modem, offered, accepted, chosen):
    """The value is chosen from the offered ones, then from those that other families need.

    Without any, the store is polled.
    """
    state = ["0,0,0,0,0"]

    async def scenario(modem, script):
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
        status = await modem.initialise()
        assert state[0] == (chosen or "0,0,0,0,0")
        assert modem.is_notifying is (chosen is not None)
        assert status.cnmi == (tuple(map(int, chosen.split(","))) if chosen else ())
        if chosen is None:
            assert "the store is read every minute" in str(status)

    run_scripted_modem(scenario, initialise=False)


def test_cnmi_value_that_is_accepted_and_ignored(run_scripted_modem):
    """The value that is read back counts, not the OK."""
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

    async def scenario(modem, script):
        assert script.status.cnmi == (1, 1, 0, 0, 0)

    run_scripted_modem(scenario, table=table)


def test_cnmi_value_is_retried_after_a_lost_answer(run_scripted_modem):
    """The same value is tried once more before another one."""
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

    async def scenario(modem, script):
        assert script.status.cnmi == (2, 1, 0, 0, 0)

    run_scripted_modem(scenario, table=table)


def test_status_reports_are_enabled_by_option_only(run_modem_bench):
    """By default none are passed on; with the option they are stored if the module can."""

    async def off(bench):
        assert bench.module.settings.cnmi[3] == 0
        assert "SR" not in bench.status.secondary_stores

    async def on(bench):
        assert bench.module.settings.cnmi[3] == 2
        assert "SR" in bench.status.secondary_stores

    run_modem_bench(off)
    run_modem_bench(on, options={"status_reports": True})


def test_status_reports_of_simcom_need_mode_1(run_modem_bench):
    """On SIMCom modules directly delivered status reports need <mode> 1."""

    async def scenario(bench):
        assert bench.module.settings.cnmi[:4] == (1, 1, 0, 1)

    run_modem_bench(
        scenario,
        options={"status_reports": True},
        cnmi_allowed=((0, 1, 2), (0, 1, 2, 3), (0, 2), (0, 1), (0, 1)),
        cnmi_needs_mode=True,
        cnmi_refusal="ERROR",
    )


def test_module_without_stores_delivers_directly(run_scripted_modem):
    """Directly delivered messages are acknowledged after they are committed."""
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

    async def scenario(modem, script):
        assert script.status.cnmi == (3, 2, 0, 0, 0)
        assert "by direct delivery" in str(script.status)
        assert modem.is_notifying
        assert await modem.sweep() == []
        assert script.received_lines == []

    run_scripted_modem(scenario, table=table)


# Modules left in an unusual state


def test_module_left_in_text_entry(run_scripted_modem):
    """Text entry outlives the program that opened it: ESC closes it, Ctrl-Z is never written."""

    async def scenario(modem, script):
        script.is_text_entry = True
        script.table["esc"] = OK
        await modem.initialise()
        assert script.received_lines[0] == "esc"
        assert "body" not in " ".join(script.received_lines)

    run_scripted_modem(scenario, initialise=False)


def test_module_left_with_an_incomplete_line(run_modem_bench):
    """A partial line of another program does not corrupt the first command."""

    async def scenario(bench):
        bench.module.receive(b"AT+CMGD=1,")
        await bench.modem.initialise()
        assert bench.modem.status.notes == ()

    run_modem_bench(scenario, initialise=False)


@pytest.mark.parametrize("line", ["ATV0", "ATQ1", "ATE1", "AT+CMEE=2", "AT+CMGF=1", "ATE1V0", "ATQ1E1V0"])
def test_settings_of_another_program_are_corrected(run_modem_bench, line):
    """Numeric results, no results, echo, errors in words and text mode are all corrected."""

    async def scenario(bench):
        bench.module.receive(f"{line}\r".encode())
        await bench.modem.initialise()
        bench.deliver("hi")
        event = await bench.modem.next_event()
        assert (await bench.modem.read(event.slot)).message.text == "hi"

    run_modem_bench(scenario, initialise=False)


def test_sleeping_module_is_woken(run_scripted_modem):
    """The first commands are lost on a module that sleeps or detects the baud rate."""

    async def scenario(modem, script):
        began = now()
        for line in list(script.table):
            normal = script.table[line]
            script.table[line] = lambda _, normal=normal: normal if now() - began > 12 else None
        await modem.initialise()
        assert modem.status.notes == ()

    run_scripted_modem(scenario, initialise=False)


def test_no_module_answers(run_scripted_modem):
    """One sentence after the wake timeout; the connection is lost then."""

    async def scenario(modem, script):
        script.table = dict.fromkeys(script.table)
        began = now()
        with pytest.raises(ModemLost, match="no module answers: nothing came back"):
            await modem.initialise()
        assert 20 <= now() - began < 60

    run_scripted_modem(scenario, initialise=False)


@pytest.mark.parametrize(
    ("received", "sentence"),
    [
        (b"$GPGGA,123519,4807.038,N\r\n", "GNSS port"),
        (b"\r\nraspberrypi login: \r\n", "login console"),
        (b"\x00\xff\xf8\xe6\x80\x98\r\n", "non-text bytes"),
        (b'~\xff}#\xc0!}!}!} }4}"}&', "data mode"),
    ],
)
def test_wrong_port_is_described(run_scripted_modem, received, sentence):
    """The error describes what was received instead of a response, so the operator sees which port it is."""

    async def scenario(modem, script):
        script.table = dict.fromkeys(script.table)
        for second in range(60):
            asyncio.get_running_loop().call_later(second, script.write, received)
        with pytest.raises(ModemLost, match=sentence):
            await modem.initialise()

    run_scripted_modem(scenario, initialise=False)


def test_data_mode_is_left_once(run_scripted_modem):
    """`+++` is written with silence before and after it, and AT only when it was answered."""

    async def scenario(modem, script):
        script.table = dict.fromkeys(script.table)
        script.write(b'~\xff}#\xc0!}!}!} }4}"}&')
        with pytest.raises(ModemLost, match="data mode"):
            await modem.initialise()
        assert script.unfinished == b"+++"
        assert not any(line.startswith("AT") for line in script.received_lines)

    run_scripted_modem(scenario, initialise=False)


def test_restart_during_initialisation(run_modem_bench):
    """A module that restarts while it is being initialised is initialised again within the same call."""

    async def scenario(bench):
        bench.module.faults.add("reboot-loud:command=+CNMI")
        status = await bench.modem.initialise()
        assert bench.module.log.boot_count == 2
        assert bench.module.settings.cnmi[:2] == (2, 1)
        assert bench.module.settings.csms == 1
        assert bench.module.settings.cmee == 1
        assert not bench.module.settings.echo
        assert status.cnmi[:2] == (2, 1)
        assert bench.modem.poll_event() is None

    run_modem_bench(scenario, initialise=False, boot_s=3.0)


def test_echo_that_cannot_be_switched_off(run_modem_bench):
    """The module works with its echo."""

    async def scenario(bench):
        bench.module.faults.add("echo-stuck:for=0")
        await bench.modem.initialise()
        bench.deliver("hi")
        event = await bench.modem.next_event()
        assert (await bench.modem.read(event.slot)).message.text == "hi"
        assert bench.modem.poll_event() is None

    run_modem_bench(scenario, initialise=False)


def test_module_that_stops_answering_during_initialisation(run_scripted_modem):
    """Initialisation is repeated, and finally one sentence is reported."""
    answers = [None, OK]

    async def scenario(modem, script):
        script.table |= {
            "AT+CMGF?": info("+CMGF: 1"),
            "AT+CMGF=0": lambda _: answers.pop(0) if answers else OK,
        }
        await modem.initialise()
        assert answers == []
        script.table["AT+CMGF=0"] = None
        with pytest.raises(ModemUnusable, match="stopped answering during initialisation"):
            await modem.initialise()

    run_scripted_modem(scenario, initialise=False)


def test_unknown_message_format_is_refused(run_modem_bench):
    """The error names the known formats."""

    async def scenario(bench):
        with pytest.raises(ModemUnusable, match="'morse' is unknown; use pdu"):
            Modem(bench.client, ModemOptions(message_format="morse"))

    run_modem_bench(scenario)


def test_slow_sim(run_scripted_modem):
    """NOT READY is waited for, NOT INSERTED only for a while."""

    async def scenario(modem, script):
        began = now()
        script.table["AT+CPIN?"] = lambda _: info(
            "+CPIN: READY" if now() - began > 40 else "+CPIN: NOT READY"
        )
        await modem.initialise()
        assert modem.status.notes == ()
        script.table["AT+CPIN?"] = info("+CPIN: NOT INSERTED")
        with pytest.raises(ModemUnusable, match="sees no SIM"):
            await modem.initialise()

    run_scripted_modem(scenario, initialise=False)


def test_missing_service_centre_is_noted(run_scripted_modem):
    """Without its number sending will be refused."""

    async def scenario(modem, script):
        assert script.status.service_centre == ""
        assert any("+CSCA" in note for note in script.status.notes)

    run_scripted_modem(scenario, table={"AT+CSCA?": info('+CSCA: "",129')})


def test_memories_that_cannot_be_set_to_one_store(run_scripted_modem):
    """It is noted, and the store that can be read is read."""
    table = {
        "AT+CPMS?": info('+CPMS: "SM",0,10,"SM",0,10,"ME",0,20'),
        "AT+CPMS=?": info('+CPMS: ("SM"),("SM"),("ME")'),
    }

    async def scenario(modem, script):
        assert script.status.store == "SM"
        assert script.status.notes == ("+CPMS stays SM,SM,ME",)
        assert await modem.sweep() == []

    run_scripted_modem(scenario, table=table)
