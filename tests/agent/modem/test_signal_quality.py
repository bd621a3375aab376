"""The reception of a module and its operator, as modules report them."""

import pytest

from agent.modem.network_operator import NetworkOperator
from agent.modem.signal_quality import SignalQuality

OK = b"\r\nOK\r\n"


def info(text):
    return f"\r\n{text}\r\n".encode() + OK


QUECTEL = {"profile": "ec25"}
SIM7600 = {"profile": "sim7600"}
ANSWERS = {
    "LTE": ({}, {"AT+CSQ": "+CSQ: 18,99", "AT+CESQ": "+CESQ: 99,99,255,255,20,58"},
            SignalQuality(-77, rsrp_dbm=-83, rsrq_db=-10)),
    "LTE without +CSQ": ({}, {"AT+CSQ": "+CSQ: 99,99", "AT+CESQ": "+CESQ: 99,99,255,255,34,97"},
                         SignalQuality(rsrp_dbm=-44, rsrq_db=-3)),
    "UMTS": ({}, {"AT+CSQ": "+CSQ: 18,99", "AT+CESQ": "+CESQ: 99,99,40,30,255,255"},
             SignalQuality(-77, rscp_dbm=-81, ecno_db=-9.5)),
    "GSM": ({}, {"AT+CSQ": "+CSQ: 99,99", "AT+CESQ": "+CESQ: 40,0,255,255,255,255"}, SignalQuality(-71)),
    "no network": ({}, {"AT+CSQ": "+CSQ: 99,99", "AT+CESQ": "+CESQ: 99,99,255,255,255,255"}, SignalQuality()),
    "no +CESQ": ({}, {"AT+CSQ": "+CSQ: 31,99"}, SignalQuality(-51)),
    "odd answer": ({}, {"AT+CSQ": "+CSQ: 31,99", "AT+CESQ": "+CESQ: ,x"}, SignalQuality(-51)),
    "Quectel": (QUECTEL, {"AT+CSQ": "+CSQ: 18,99", "AT+QCSQ": '+QCSQ: "LTE",-52,-81,195,-10'},
                SignalQuality(-52, rsrp_dbm=-81, rsrq_db=-10, sinr_db=19)),
    "Quectel, GSM": (QUECTEL, {"AT+CSQ": "+CSQ: 18,99", "AT+QCSQ": '+QCSQ: "GSM",-75'}, SignalQuality(-77)),
    "Quectel, no service": (QUECTEL, {"AT+CSQ": "+CSQ: 99,99", "AT+QCSQ": '+QCSQ: "NOSERVICE"'},
                            SignalQuality()),
    "SIM7600": (SIM7600, {"AT+CSQ": "+CSQ: 18,99",
                "AT+CPSI?": "+CPSI: LTE,Online,404-45,0x2,3,453,EUTRAN-BAND40,39275,4,4,-168,-1126,-773,7"},
                SignalQuality(-77, rsrp_dbm=-112.6, rsrq_db=-16.8, sinr_db=7)),
    "SIM7000": (SIM7600, {"AT+CSQ": "+CSQ: 99,99",
                "AT+CPSI?": "+CPSI: LTE CAT-M1,Online,310-410,0x1,1,1,EUTRAN-BAND4,2175,3,3,-11,-84,-57,16"},
                SignalQuality(-57, rsrp_dbm=-84, rsrq_db=-11, sinr_db=16)),
    "SIM7600, no service": (SIM7600, {"AT+CSQ": "+CSQ: 99,99", "AT+CPSI?": "+CPSI: NO SERVICE,Online"},
                            SignalQuality()),
}  # fmt: skip


@pytest.mark.parametrize(("options", "answers", "expected"), ANSWERS.values(), ids=ANSWERS)
def test_values_of_each_kind_of_network(run_scripted_modem, options, answers, expected):
    """What a module does not report is None; what it refused once is not asked again."""

    async def scenario(modem, script):
        for _ in range(2):
            assert await modem.query_signal_quality() == expected
        refused = {"AT+CESQ", "AT+QCSQ", "AT+CPSI?"} - set(answers)
        assert all(script.received_lines.count(line) <= 1 for line in refused)
        assert all(script.received_lines.count(line) == 2 for line in answers)

    run_scripted_modem(scenario, table={line: info(text) for line, text in answers.items()}, options=options)


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (info('+COPS: 0,0,"KPN",7'), NetworkOperator("KPN", "LTE")),
        (info('+COPS: 0,2,"20408"'), NetworkOperator("20408")),
        (info("+COPS: 0"), NetworkOperator()),
        (info('+COPS: 0,0,"x",99'), NetworkOperator("x")),
        (b"\r\nERROR\r\n", NetworkOperator()),
    ],
)
def test_operator(run_scripted_modem, answer, expected):
    """Name and access technology, if the module reports them."""

    async def scenario(modem, script):
        assert await modem.query_operator() == expected

    run_scripted_modem(scenario, table={"AT+COPS?": answer})
