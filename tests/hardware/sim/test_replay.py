"""Replay of a recorded conversation: in order, in an equivalent order, and with divergences."""

from __future__ import annotations

import pytest
from manual_scheduler import ManualScheduler

from hardware.recording import parse_recording
from hardware.sim.replay import ReplayedModule


class ReplayBench:
    """A replayed module with its output and divergences."""

    def __init__(self, lines, title="# modem-agent recording 1", **how):
        self.time = ManualScheduler()
        self.output = bytearray()
        self.hung_up = []
        self.divergences = []
        self.module = ReplayedModule(
            self.time,
            parse_recording("\n".join([title, *lines.strip().splitlines()])),
            self.output.extend,
            hang_up=lambda: self.hung_up.append(self.time.now),
            on_divergence=self.divergences.append,
            **how,
        )

    def take(self):
        output, self.output[:] = bytes(self.output).decode("latin-1"), b""
        return output

    def type(self, text):
        self.module.receive(text.encode("latin-1"))
        return self.take()

    def at(self, line):
        """A command line; the answer without line ends."""
        return self.type(f"AT{line}\r").replace("\r\n", " ").strip()

    @property
    def is_clean(self):
        return self.module.divergences == [] and self.module.unplayed_requests == []


READ = r"""
0.0 < \r\nRDY\r\n
1.0 > AT\r
1.1 < AT\r\r\nOK\r\n
2.0 > ATE0\r
2.1 < ATE0\r\r\nOK\r\n
3.0 > AT+CMEE=1\r
3.1 < \r\nOK\r\n
4.0 > AT+CNMI=2,1\r
4.1 < \r\nOK\r\n
60.0 < \r\n+CMTI: "ME",1\r\n
60.1 < \r\n+CMTI: "ME",2\r\n
61.0 > AT+CMGR=1\r
61.2 < \r\n+CMGR: 0,,17\r\n
61.4 < 0791\r\n\r\nOK\r\n
62.0 > AT+CMGD=1\r
62.5 < \r\nOK\r\n
63.0 > AT+CMGR=2\r
63.2 < \r\n+CMS ERROR: 321\r\n
"""


def test_same_conversation_gives_the_same_output():
    """Line by line; unsolicited output comes at the recorded place."""
    bench = ReplayBench(READ)
    bench.module.start()
    assert bench.take() == "\r\nRDY\r\n"
    assert bench.type("AT\r") == "AT\r\r\nOK\r\n"
    assert bench.at("E0") == "ATE0\r OK"
    assert bench.at("+CMEE=1") == "OK"
    assert bench.at("+CNMI=2,1") == 'OK  +CMTI: "ME",1  +CMTI: "ME",2'
    assert bench.at("+CMGR=1") == "+CMGR: 0,,17 0791  OK"
    assert not bench.module.is_finished
    assert bench.at("+CMGD=1") == "OK"
    assert bench.at("+CMGR=2") == "+CMS ERROR: 321"
    assert bench.module.is_finished
    assert bench.is_clean


def test_opening_output_waits_for_the_host():
    """Without `start` (no client has the port open yet) it is written at the first request."""
    bench = ReplayBench(READ)
    assert bench.type("AT\r") == "\r\nRDY\r\nAT\r\r\nOK\r\n"


def test_recorded_delays_are_kept():
    """From the command to the first octet, between chunks, and before unsolicited output."""
    bench = ReplayBench(READ, delays=True)
    for line in ("", "E0", "+CMEE=1", "+CNMI=2,1"):
        assert bench.at(line) == ("RDY" if not line else "")
        bench.time.advance(0.0999)
        assert bench.take() == ""
        bench.time.advance(0.0002)
        assert bench.take().endswith("OK\r\n")
    bench.time.advance(55.8)
    assert bench.take() == ""
    bench.time.advance(0.15)
    assert bench.take() == '\r\n+CMTI: "ME",1\r\n'
    assert bench.at("+CMGR=1") == '+CMTI: "ME",2'
    bench.time.advance(0.3)
    assert bench.take() == "\r\n+CMGR: 0,,17\r\n"
    bench.time.advance(0.2)
    assert bench.take() == "0791\r\n\r\nOK\r\n"
    bench.time.advance(100)
    assert bench.take() == ""


@pytest.mark.parametrize("delays", [True, False])
def test_chunks_of_the_host_do_not_matter(delays):
    """Octet by octet, or all lines at once: the requests are answered one after the other."""
    lines = "".join(
        f"AT{line}\r\n" for line in ("", "E0", "+CMEE=1", "+CNMI=2,1", "+CMGR=1", "+CMGD=1", "+CMGR=2")
    )
    whole, single = ReplayBench(READ, delays=delays), ReplayBench(READ, delays=delays)
    whole.module.receive(lines.encode())
    for octet in lines.encode():
        single.module.receive(bytes([octet]))
    whole.time.advance(1000)
    single.time.advance(1000)
    assert whole.output == single.output
    assert whole.output.count(b"OK\r\n") == 6
    assert whole.is_clean
    assert single.is_clean


def test_case_and_blanks_do_not_matter():
    """V.250 5.2.1; inside quotes they do."""
    bench = ReplayBench(
        r"""
0 > AT+CPMS="ME"\r
0 < \r\nOK\r\n
"""
    )
    assert bench.at(' +cpms = "me"') == "ERROR"
    assert bench.at(' +cpms = "ME"') == "OK"


def test_settings_may_come_in_another_order():
    """Each gets its own answer; none is left."""
    bench = ReplayBench(READ)
    bench.at("")
    assert bench.at("+CNMI=2,1").startswith("OK")
    assert bench.at("+CMEE=1") == "OK"
    assert bench.at("E0") == "ATE0\r OK"
    assert bench.at("+CMGR=1").endswith("OK")
    assert bench.at("+CMGR=2") == "+CMS ERROR: 321"
    assert bench.at("+CMGD=1") == "OK"
    assert bench.is_clean


def test_unsolicited_output_precedes_a_later_answer():
    """A host that skips a line gets the unsolicited output after it before the answer to a later one."""
    bench = ReplayBench(READ)
    bench.at("")
    assert bench.at("+CMGR=1") == '+CMTI: "ME",1  +CMTI: "ME",2  +CMGR: 0,,17 0791  OK'
    assert bench.module.unplayed_requests == [
        "line 5: ATE0 was not sent",
        "line 7: AT+CMEE=1 was not sent",
        "line 9: AT+CNMI=2,1 was not sent",
        "line 16: AT+CMGD=1 was not sent",
        "line 18: AT+CMGR=2 was not sent",
    ]


ORDERED = r"""
0 > AT+CMGR=1\r
0 < \r\none\r\nOK\r\n
1 > AT+CMGD=1\r
1 < \r\nOK\r\n
2 > AT+CMGR=1\r
2 < \r\n+CMS ERROR: 321\r\n
3 > AT+CPMS="SM"\r
3 < \r\nOK\r\n
4 > AT+CMGR=2\r
4 < \r\ntwo\r\nOK\r\n
"""


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("+CMGD=2", "line 2: the recording has AT+CMGR=1, but the host sent AT+CMGD=2"),
        ("+CMGR=2", "line 2: the recording has AT+CMGR=1, but the host sent AT+CMGR=2"),
        ("+CMGD=1", "line 2: the recording has AT+CMGR=1, but the host sent AT+CMGD=1"),
    ],
)
def test_forbidden_order_is_a_divergence(line, sentence):
    """Not across a change of the store, not past a line about the same message, not an unknown line."""
    bench = ReplayBench(ORDERED)
    assert bench.at(line) == "ERROR"
    assert bench.module.divergences == bench.divergences == [sentence]


def test_unchanged_context_may_be_skipped():
    """A line that only repeats the context in effect may be skipped."""
    bench = ReplayBench(
        r"""
0 > AT+CPMS="ME"\r
0 < \r\nOK\r\n
1 > AT+CPMS="ME"\r
1 < \r\nOK\r\n
2 > AT+CMGR=2\r
2 < \r\ntwo\r\nOK\r\n
"""
    )
    bench.at('+CPMS="ME"')
    assert bench.at("+CMGR=2") == "two OK"
    assert bench.module.divergences == []


def test_queries_may_be_repeated():
    """With the next answer if that is due, else with the latest; and earlier than recorded."""
    bench = ReplayBench(
        r"""
0 > AT+CPIN?\r
0 < \r\n+CME ERROR: 14\r\n
1 > AT+CPIN?\r
1 < \r\n+CPIN: READY\r\n\r\nOK\r\n
2 > AT+CMGF=0\r
2 < \r\nOK\r\n
3 > AT+CSQ\r
3 < \r\n+CSQ: 21,99\r\n\r\nOK\r\n
"""
    )
    assert [bench.at("+CPIN?") for _ in range(3)] == ["+CME ERROR: 14", *["+CPIN: READY  OK"] * 2]
    assert bench.at("+CSQ") == "+CSQ: 21,99  OK"
    assert bench.at("+CMGF=0") == "OK"
    assert bench.at("+CSQ") == "+CSQ: 21,99  OK"
    assert bench.at("+CREG?") == "ERROR"
    assert bench.divergences == ["the recording is over, but the host sent AT+CREG?"]


def test_slot_may_be_read_again_until_it_is_deleted():
    """How often an agent reads a slot before it deletes the message depends on when notifications come."""
    bench = ReplayBench(
        r"""
0.0 > AT+CMGR=2\r
0.1 < \r\n+CMGR: 0,,17\r\n0791\r\n\r\nOK\r\n
1.0 > AT+CMGD=1\r
1.1 < \r\nOK\r\n
2.0 > AT+CMGR=2\r
2.1 < \r\n+CMGR: 1,,17\r\n0791\r\n\r\nOK\r\n
3.0 > AT+CMGD=2\r
3.1 < \r\nOK\r\n
"""
    )
    bench.at("+CMGR=2")
    bench.at("+CMGD=1")
    bench.at("+CMGD=2")
    assert bench.is_clean  # the second read is left out
    bench = ReplayBench(
        r"""
0.0 > AT+CMGR=2\r
0.1 < \r\n+CMGR: 0,,17\r\n0791\r\n\r\nOK\r\n
1.0 > AT+CMGD=2\r
1.1 < \r\nOK\r\n
"""
    )
    assert bench.at("+CMGR=2") == bench.at("+CMGR=2") == "+CMGR: 0,,17 0791  OK"
    bench.at("+CMGD=2")
    assert bench.is_clean
    assert bench.at("+CMGR=2") == "ERROR"


def test_early_query_does_not_bring_urcs_forward():
    """A query that comes early does not bring unsolicited output forward."""
    bench = ReplayBench(READ + "\n70 > AT+CSQ\\r\n70 < \\r\\n+CSQ: 21,99\\r\\n\\r\\nOK\\r\\n")
    bench.at("")
    assert bench.at("+CSQ") == "+CSQ: 21,99  OK"


def test_query_is_not_answered_from_behind_a_urc():
    """A URC may be the reason why the later answer is different."""
    bench = ReplayBench(
        r"""
0 > AT+CREG?\r
0 < \r\n+CREG: 1,2\r\n\r\nOK\r\n
1 > AT+CSQ\r
1 < \r\n+CSQ: 21,99\r\n\r\nOK\r\n
5 < \r\n+CREG: 1\r\n
6 > AT+CREG?\r
6 < \r\n+CREG: 1,1\r\n\r\nOK\r\n
"""
    )
    assert [bench.at("+CREG?") for _ in range(2)] == ["+CREG: 1,2  OK"] * 2
    assert bench.at("+CSQ") == "+CSQ: 21,99  OK  +CREG: 1"
    assert bench.at("+CREG?") == "+CREG: 1,1  OK"


SEND = r"""
0 > AT+CMGS=17\r
0.1 < \r\n>\x20
0.2 > 0001\x1a
1.2 < 0001\x1a\r\n+CMGS: 7\r\n
1.3 < \r\nOK\r\n+CREG: 1\r\n
2 > AT+CMGS=18\r
2.1 < \r\n>\x20
2.2 > \x1b
2.3 < \r\nOK\r\n
"""


def test_sent_text_may_differ():
    """After the prompt the text and its length may differ; the echo is of the actual text."""
    bench = ReplayBench(SEND)
    assert bench.at("+CMGS=9") == ">"
    assert bench.type("00AT\r") == ""
    assert bench.type("02\x1a") == "00AT\r02\x1a\r\n+CMGS: 7\r\n\r\nOK\r\n+CREG: 1\r\n"
    assert bench.at("+CMGS=18") == ">"
    assert bench.type("\x1b") == "\r\nOK\r\n"
    assert bench.is_clean


def test_text_instead_of_escape_is_a_divergence():
    """And the other way round: reported, and the host can leave the prompt."""
    bench = ReplayBench(SEND)
    bench.at("+CMGS=9")
    assert bench.type("\x1b") == "\r\nOK\r\n"
    assert bench.divergences == [r"line 4: the recording has 0001\x1a, but the host sent \x1b"]
    assert bench.at("+CMGS=18") == "+CREG: 1  >"


def test_parallel_work_may_be_interleaved():
    """A host that does two things in parallel need not keep the recorded order."""
    bench = ReplayBench(SEND + "\n3 > AT+CMGR=5\\r\n3.1 < \\r\\nfive\\r\\n\\r\\nOK\\r\\n")
    assert bench.at("+CMGR=5") == "+CREG: 1  five  OK"
    assert bench.at("+CMGS=17") == ">"
    assert bench.type("0001\x1a").endswith("OK\r\n")
    bench.at("+CMGS=18")
    bench.type("\x1b")
    assert bench.is_clean


def test_missing_answer_is_replayed():
    """A command without a recorded answer gets none; ESC outside a text entry is ignored unless recorded."""
    bench = ReplayBench(
        r"""
0 > AT+CSQ\r
9 > \x1b
9.5 > AT\r
9.6 < \r\n+CSQ: 21,99\r\nOK\r\nOK\r\n
"""
    )
    assert bench.type("\x1b") == ""
    assert bench.at("+CSQ") == ""
    assert bench.type("\x1b") == ""
    assert bench.at("") == "+CSQ: 21,99 OK OK"
    assert bench.module.divergences == []


def test_any_pin_matches():
    """The recording does not contain the PIN."""
    bench = ReplayBench(
        r"""
0 > AT+CPIN="****"\r
0 < AT+CPIN="****"\r\r\nOK\r\n
"""
    )
    assert bench.type('AT+CPIN="4711"\r') == 'AT+CPIN="4711"\r\r\nOK\r\n'
    assert bench.is_clean


def test_any_number_matches_in_a_masked_recording():
    """In other recordings it does not."""
    lines = r"""
0 > AT+CSCA="+555555555551"\r
0 < \r\nOK\r\n
"""
    assert ReplayBench(lines, title="# modem-agent recording 1, masked").at('+CSCA="+447700900000"') == "OK"
    assert ReplayBench(lines).at('+CSCA="+447700900000"') == "ERROR"


TWICE = r"""
0 > AT+CMEE=1\r
0.1 < \r\nOK\r\n
0.2 > AT+CMGF=0\r
5 ! session ended
6 ! port
7 < \r\nRDY\r\n
8 > AT+CMEE=1\r
8.1 < \r\n+CME ERROR: 100\r\n
"""


@pytest.mark.parametrize("delays", [True, False])
def test_connection_ends_as_recorded(delays):
    """Once, after the output before it; on the next connection the conversation goes on."""
    bench = ReplayBench(TWICE, delays=delays)
    bench.at("+CMEE=1")
    bench.time.advance(0.1)
    bench.at("+CMGF=0")
    bench.time.advance(4.7)
    assert bench.hung_up == ([] if delays else [0.1])
    bench.time.advance(0.2)
    assert len(bench.hung_up) == 1
    bench.take()
    assert bench.at("+CMEE=1") == ("RDY" if delays else "RDY  +CME ERROR: 100")
    bench.time.advance(10)
    assert len(bench.hung_up) == 1
    assert bench.is_clean


def test_host_may_start_over():
    """The first line of the next connection means that the last one is over."""
    bench = ReplayBench(TWICE, delays=True)
    bench.at("+CMEE=1")
    bench.time.advance(0.1)
    bench.at("+CMGF=0")
    assert bench.take() == ""
    assert bench.at("+CMEE=1") == "RDY"
    bench.time.advance(10)
    assert bench.hung_up == []
    assert bench.is_clean


def test_numeric_result_ends_an_answer():
    """After ATV0."""
    bench = ReplayBench(
        r"""
0 > ATV0\r
0 < 0\r
9 < \r\n+CMTI: "ME",1\r\n
10 > AT+CSQ\r
10 < +CSQ: 1,99\r\n0\r
""",
        delays=True,
    )
    bench.module.receive(b"ATV0\rAT+CSQ\r")
    bench.time.advance(0)
    assert bench.take() == '0\r\r\n+CMTI: "ME",1\r\n+CSQ: 1,99\r\n0\r'


def test_requests_after_the_end():
    """Queries get their latest answer, anything else is a divergence."""
    bench = ReplayBench(READ)
    for line in ("", "E0", "+CMEE=1", "+CNMI=2,1", "+CMGR=1", "+CMGD=1", "+CMGR=2"):
        bench.at(line)
    assert bench.type("AT\r") == "AT\r\r\nOK\r\n"
    assert bench.at("+CMGL=4") == "ERROR"
    assert bench.divergences == ["the recording is over, but the host sent AT+CMGL=4"]


def test_endless_input_is_bounded():
    """The input buffer has a limit."""
    bench = ReplayBench(READ)
    for _ in range(100):
        bench.module.receive(b"x" * 1000)
    assert len(bench.module._input) <= 65536
