"""Registration, signal and identity."""

import pytest

from agent.modem.status_queries import Identity, Registration, parse_registration

OK = b"\r\nOK\r\n"
ERROR = b"\r\nERROR\r\n"


def info(text):
    return f"\r\n{text}\r\n".encode() + OK


@pytest.mark.parametrize(
    ("states", "can_send", "text"),
    [
        ((1, None, None), True, "registered, home"),
        ((5, 5, 5), True, "registered, roaming"),
        ((3, 5, 5), True, "registered, roaming (registration denied: circuit)"),
        ((6, None, None), True, "registered, home"),
        ((7, 0, 0), True, "registered, roaming"),
        ((3, 2, None), False, "registration denied"),
        ((0, 2, 0), False, "searching"),
        ((11, None, None), False, "emergency calls only"),
        ((8, 0, 0), False, "emergency calls only"),
        ((0, 0, 0), False, "not registered"),
        ((4, 0, 0), False, "registration unknown"),
        ((None, None, None), True, "registration unknown"),
    ],
)
def test_registration_states(states, can_send, text):
    """Messages can be sent if any domain carries them, even if it carries nothing else."""
    registration = Registration(*states)
    assert registration.can_send is can_send
    assert str(registration) == text


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ("+CREG: 0,1", 1),
        ("+CREG: 1,5", 5),
        ('+CREG: 2,5,"1A2B","0012C0DE",7', 5),
        ("+CREG: 2,5,1A2B,12C0DE,7", 5),
        ("+CREG:2, 5", 5),
        ("+CREG: 2,11", 11),
        ('+CREG: 3,3,"","",0,0,13', 3),
    ],
)
def test_registration_answer_variants(run_scripted_modem, answer, state):
    """<n> comes first, whatever else follows."""

    async def scenario(modem, script):
        script.table["AT+CREG?"] = b'\r\n+CREG: 2,"1A2B","0012C0DE",7\r\n\r\n+CREG: 4\r\n' + info(answer)
        assert (await modem.query_registration()).circuit == state

    run_scripted_modem(scenario)


@pytest.mark.parametrize(
    ("domain", "answer", "state"),
    [
        ("+CGREG", "+CGREG: 0,1", 1),
        ("+CGREG", '+CGREG: 2,5,"1A2B","0012C0DE",7,"01"', 5),
        ("+CGREG", '+CGREG: 2,5,"00C3","  1A2B",7', 5),
        ("+CGREG", "+CGREG: 1, 0", 0),
        ("+CEREG", '+CEREG: 2,1,"1A2B","0012C0DE",9', 1),
        ("+CEREG", '+CEREG: 2,1,"1A2B","01","0012C0DE",7', 1),
        ("+CEREG", "+CEREG: 3,3,,,,0,15", 3),
        ("+CEREG", '+CEREG: 4,5,"1A2B","0012C0DE",7,,,"00000110","11100000"', 5),
        ("+CEREG", '+CEREG: 5,1,"1A2B","0012C0DE",8,0,0,,', 1),
        ("+CEREG", "+CEREG: 4,8", 8),
    ],
)
def test_registration_answer_variants_of_packet_domains(run_scripted_modem, domain, answer, state):
    """Routing area, causes and power saving timers may follow, quoted, empty or absent."""

    async def scenario(modem, script):
        script.write(f'\r\n{domain}: 2,"1A2B","0012C0DE",7\r\n'.encode())
        registration = await modem.query_registration()
        assert (registration.packet if domain == "+CGREG" else registration.eps) == state

    run_scripted_modem(scenario, table={f"AT{domain}?": info(answer)})


@pytest.mark.parametrize(
    ("code", "state"),
    [
        ("+CREG: 6", 6),
        ('+CREG: 7,"1A2B","0012C0DE",7', 7),
        ("+CREG: 9,1A2B,0012C0DE", 9),
        ('+CREG: 3,"","",0,0,13', 3),
        ("+CREG:1", 1),
    ],
)
def test_registration_urc_variants(run_scripted_modem, code, state):
    """<stat> comes first."""

    async def scenario(modem, script):
        script.write(f"\r\n{code}\r\n".encode())
        event = await modem.next_event()
        assert event.registration.circuit == state
        assert modem.status.registration.circuit == state

    run_scripted_modem(scenario, table={"AT+CREG?": info("+CREG: 1,2")})


def test_malformed_registration_answer_keeps_the_state(run_scripted_modem):
    """The session continues."""

    async def scenario(modem, script):
        script.table["AT+CREG?"] = info("+CREG: ,")
        assert (await modem.query_registration()).circuit == 1
        assert (await modem.query_signal()).dbm == -71

    run_scripted_modem(scenario, table={"AT+CSQ": info("+CSQ: 21,99")})


def test_all_supported_domains_are_queried(run_modem_bench):
    """Each domain that the module supports is queried."""

    async def scenario(bench):
        registration = await bench.modem.query_registration()
        assert registration == Registration(1, 1, 1)
        bench.module.registration.set_stat(6)
        assert await bench.modem.query_registration() == Registration(6, 1, 1)

    run_modem_bench(scenario)


@pytest.mark.parametrize(("rssi", "dbm"), [(0, -113), (21, -71), (31, -51), (99, None), (199, None)])
def test_signal_strength(run_scripted_modem, rssi, dbm):
    """99 means unknown."""

    async def scenario(modem, script):
        signal = await modem.query_signal()
        assert signal.dbm == dbm
        assert str(signal) == ("signal unknown" if dbm is None else f"signal {dbm} dBm")

    run_scripted_modem(scenario, table={"AT+CSQ": info(f"+CSQ: {rssi},99")})


def test_module_without_csq(run_scripted_modem):
    """The signal is unknown, which is not an error."""

    async def scenario(modem, script):
        assert (await modem.query_signal()).dbm is None

    run_scripted_modem(scenario)


def test_identity(run_modem_bench):
    """The identity of the module and its SIM."""

    async def scenario(bench):
        identity = await bench.modem.query_identity()
        assert identity.model == "Generic"
        assert identity.imei == "359990000000008"
        assert identity.imsi == bench.module.sim.imsi
        assert identity.iccid == bench.module.sim.iccid

    run_modem_bench(scenario)


def test_identity_variants_of_vendors(run_scripted_modem):
    """Prefixes, quotes and the padding of the ICCID are removed; what is refused stays empty."""
    table = {
        "AT+CGMI": b"\r\nQuectel\r\n" + OK,
        "AT+CGMM": info("+CGMM: EG25-G"),
        "AT+CGMR": b"\r\nRevision: EG25GGBR07A08M2G\r\n" + OK,
        "AT+CGSN": info('+CGSN: "866758041234567"'),
        "AT+QCCID": info("+QCCID: 89883030000010123456F"),
    }

    async def scenario(modem, script):
        assert await modem.query_identity() == Identity(
            "Quectel", "EG25-G", "EG25GGBR07A08M2G", "866758041234567", "", "89883030000010123456"
        )
        assert "AT+CCID" not in script.received_lines

    run_scripted_modem(scenario, table=table)


def test_identity_of_a_module_that_refuses_everything(run_scripted_modem):
    """Every query may be refused."""

    async def scenario(modem, script):
        assert await modem.query_identity() == Identity()

    run_scripted_modem(scenario)


@pytest.mark.parametrize(
    ("line", "state"),
    [
        ("+CREG: 5", 5),
        ("+CEREG:3", 3),
        ('+CREG: 2,"1A2B","0012C0DE",7', 2),
        ("+CREG: 1,1A2B,0012C0DE", 1),
        ("+CREG: 1, 0A2B, 0012C0DE", 1),
        ("+CREG: 5,2011,4711", 5),
        ("+CREG: 0,1", 1),
        ("+CGREG: 2, 5", 5),
        ('+CREG: 2,5,"1A2B","0012C0DE",7', 5),
        ("+CREG: ", None),
        ('+CREG: "', None),
    ],
)
def test_registration_state_of_a_urc(line, state):
    """<stat> is found in the form of a URC, and in an answer that comes after its OK."""
    assert parse_registration(line)[1] == state
