"""The reception of a module that no agent uses."""

from agent.diagnosis.agent_exchange import AgentExchange
from agent.diagnosis.signal_reader import SignalReader


class Module:
    """Answers each AT command from a table, and refuses all others."""

    def __init__(self):
        self.lines = []
        self.answers = {
            "AT+CGMM": "EC25",
            "AT+CREG?": "+CREG: 0,2",
            "AT+CSQ": "+CSQ: 18,99",
            "AT+COPS?": '+COPS: 0,0,"KPN",7',
            "AT+QCSQ": '+QCSQ: "LTE",-52,-81,195,-10',
        }

    async def request(self, values):
        self.lines.append(values["line"])
        answer = self.answers.get(values["line"])
        return {"lines": [], "result": "ERROR"} if answer is None else {"lines": [answer], "result": "OK"}


async def test_reading_has_what_the_agent_would_answer():
    """The profile's command is used; the operator is queried when the registration changes."""
    module = Module()
    reader = SignalReader(AgentExchange(module.request), "ec25")
    first = await reader.read()
    assert (first["registration"], first["rsrp_dbm"], first["sinr_db"]) == ("searching", -81, 19)
    module.answers["AT+CREG?"] = "+CREG: 0,1"
    for _ in range(3):
        reading = await reader.read()
    assert (reading["registration"], reading["operator"]) == ("registered, home", "KPN")
    assert module.lines.count("AT+COPS?") == 2
    assert module.lines.count("AT+QCSQ") == 4


async def test_reading_changes_nothing_in_the_module():
    """Only read forms are written."""
    module = Module()
    await SignalReader(AgentExchange(module.request), "auto").read()
    assert [line for line in module.lines if "=" in line and not line.endswith("=?")] == []
