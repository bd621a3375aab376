"""Delivery of messages to the module: every <mt> and <ds>, classes, acknowledgement, full stores."""

from __future__ import annotations

import pytest

from hardware.sim.module.sim_card import SimCard

OK = "\r\nOK\r\n"
CENTRE = "0791447700090000"
HI = "04038100F000006290124131020002E834"
PLAN = "0404819263000062901241310200047076D80D"
REPORT = "0607038100F0629012413102006290124131320000"


def with_coding(coding, protocol=0):
    """The message "hi" with another TP-DCS and TP-PID."""
    return f"04038100F0{protocol:02X}{coding:02X}6290124131020002E834"


def direct(tpdu):
    return f"\r\n+CMT: ,{len(tpdu) // 2}\r\n{CENTRE}{tpdu}\r\n"


STORED, NOTHING, ON_CARD = '\r\n+CMTI: "ME",1\r\n', "", '\r\n+CMTI: "SM",1\r\n'


@pytest.mark.parametrize(
    ("coding", "outputs"),
    [
        # mt: 0        1         2         3
        (0x00, (NOTHING, STORED, "direct", STORED)),
        (0x10, (NOTHING, "direct", "direct", "direct")),  # class 0
        (0xF0, (NOTHING, "direct", "direct", "direct")),
        (0x11, (NOTHING, STORED, "direct", STORED)),  # class 1
        (0x12, (NOTHING, ON_CARD, ON_CARD, ON_CARD)),  # class 2
        (0xF6, (NOTHING, ON_CARD, ON_CARD, ON_CARD)),
        (0x13, (NOTHING, STORED, "direct", "direct")),  # class 3
        (0xC8, (NOTHING, STORED, "direct", STORED)),  # message waiting, discard
        (0xD8, (NOTHING, STORED, STORED, STORED)),  # message waiting, store
        (0xE0, (NOTHING, STORED, STORED, STORED)),
        (0x80, (NOTHING, STORED, "direct", STORED)),  # reserved
    ],
)
@pytest.mark.parametrize("mt", range(4))
def test_message_routing_by_mt(make_running_bench, coding, outputs, mt):
    """27.005 3.4.1: what each <mt> does with each class; the network always gets an answer."""
    bench = make_running_bench()
    bench.at(f"+CNMI=1,{mt}")
    tpdu = with_coding(coding)
    expected = outputs[mt]
    assert bench.deliver(tpdu) == (direct(tpdu) if expected == "direct" else expected)
    assert bench.delivery_causes() == [None]
    stored = sum(len(bench.module.stores[name]) for name in ("ME", "SM"))
    assert stored == (0 if expected == "direct" else 1)


def test_class_0_may_be_stored(make_running_bench):
    """Some modules store class 0 instead of delivering it directly."""
    bench = make_running_bench(class_0_direct=False)
    bench.at("+CNMI=2,1")
    assert bench.deliver(with_coding(0x10)) == STORED


@pytest.mark.parametrize(
    ("ds", "output"), [(0, ""), (1, f"\r\n+CDS: 21\r\n{CENTRE}{REPORT}\r\n"), (2, '\r\n+CDSI: "SR",1\r\n')]
)
def test_status_report_routing_by_ds(module_bench, ds, output):
    """<ds> 0 drops, 1 delivers directly, 2 stores in SR."""
    module_bench.at(f"+CNMI=2,1,0,{ds},0")
    assert module_bench.deliver(REPORT) == output
    assert module_bench.delivery_causes() == [None]
    assert len(module_bench.module.stores["SR"]) == (ds == 2)


def test_unknown_message_type_is_refused(module_bench):
    """RP cause 97, message type not implemented."""
    assert module_bench.deliver("01") == ""
    assert module_bench.delivery_causes() == [97]


def test_silent_message_is_only_acknowledged(module_bench):
    """Type 0 and data for the SIM are acknowledged and not shown."""
    module_bench.at("+CNMI=2,1")
    assert module_bench.deliver(with_coding(0, protocol=0x40)) == ""
    assert module_bench.deliver(with_coding(0xF6, protocol=0x7F)) == ""
    assert module_bench.delivery_causes() == [None, None]
    assert len(module_bench.module.stores["MT"]) == 0


def test_replace_type_overwrites_its_slot(module_bench):
    """It overwrites the message of the same type and originator."""
    module_bench.at("+CNMI=2,1")
    module_bench.deliver()
    assert module_bench.deliver(with_coding(0, protocol=0x41)) == '\r\n+CMTI: "ME",2\r\n'
    assert module_bench.deliver(with_coding(0, protocol=0x42)) == '\r\n+CMTI: "ME",3\r\n'
    assert module_bench.at("+CMGR=2").startswith("\r\n+CMGR: 0,")
    other = with_coding(4, protocol=0x41)
    assert module_bench.deliver(other) == '\r\n+CMTI: "ME",2\r\n'
    assert module_bench.at("+CMGR=2") == f"\r\n+CMGR: 0,,17\r\n{CENTRE}{other}\r\n" + OK


def test_replacement_in_a_combined_store(module_bench):
    """It also works if MT is preferred, in the store that has the message."""
    module_bench.at('+CNMI=2,1;+CPMS="SM","SM","SM"')
    module_bench.deliver(with_coding(0, protocol=0x41))
    module_bench.at('+CPMS="MT","MT","MT"')
    assert module_bench.deliver(with_coding(4, protocol=0x41)) == '\r\n+CMTI: "MT",21\r\n'
    assert len(module_bench.sim.messages) == 1
    assert module_bench.at("+CMGR=21").startswith(f"\r\n+CMGR: 0,,17\r\n{CENTRE}04038100F04104")


def test_undecodable_message_is_stored(module_bench):
    """The module passes on octets that it does not understand."""
    module_bench.at("+CNMI=2,1")
    assert module_bench.deliver("04FF") == STORED
    assert module_bench.at("+CMGR=1") == f"\r\n+CMGR: 0,,2\r\n{CENTRE}04FF\r\n" + OK
    module_bench.at("+CMGF=1")
    assert module_bench.at("+CMGR=1") == "\r\n+CMS ERROR: 320\r\n"


# with service 1


@pytest.fixture
def cnma_bench(module_bench):
    """Direct delivery of messages and reports, each to be acknowledged."""
    module_bench.at("+CSMS=1;+CNMI=2,2,0,1,0")
    return module_bench


def test_direct_delivery_waits_for_cnma(cnma_bench):
    """Before +CNMA the network gets no answer, and the next message waits."""
    bench = cnma_bench
    assert bench.deliver() == direct(HI)
    assert bench.deliver(REPORT) == ""
    assert bench.deliver(PLAN) == ""
    assert bench.delivery_causes() == []
    assert bench.at("+CNMA") == OK + f"\r\n+CDS: 21\r\n{CENTRE}{REPORT}\r\n"
    assert bench.delivery_causes() == [None]
    assert bench.at("+CNMA=0") == OK + direct(PLAN)
    assert bench.at("+CNMA=1") == OK
    assert bench.delivery_causes() == [None, None, None]


def test_cnma_refuses_with_cause(cnma_bench):
    """n = 2 becomes an RP-ERROR; a DELIVER-REPORT gives the cause."""
    bench = cnma_bench
    bench.deliver()
    assert bench.at("+CNMA=2") == OK
    bench.deliver()
    assert bench.at("+CNMA=2,3") == "\r\n> "
    assert bench.type("00D300\x1a") == OK
    bench.deliver()
    assert bench.at("+CNMA=1,2") == "\r\n> "
    assert bench.type("00\x1a") == "\r\n+CMS ERROR: 304\r\n"
    assert bench.at("+CNMA=1,2") == "\r\n> "
    assert bench.type("0000\x1a") == OK
    assert bench.delivery_causes() == [111, 0xD3, None]


def test_missing_cnma_ends_direct_delivery(cnma_bench):
    """After 15 s the network gets an error, <mt> and <ds> become 0; waiting messages are stored silently."""
    bench = cnma_bench
    bench.deliver()
    bench.deliver(PLAN)
    bench.time.advance(14.9)
    assert bench.delivery_causes() == []
    bench.time.advance(0.2)
    assert bench.delivery_causes() == [111, None]
    assert bench.at("+CNMI?") == "\r\n+CNMI: 2,0,0,0,0\r\n" + OK
    assert bench.at("+CNMA") == "\r\n+CMS ERROR: 340\r\n"
    assert bench.at("+CPMS?").startswith('\r\n+CPMS: "ME",1,20')


def test_cnma_in_time_stops_the_timer(cnma_bench):
    """No failure follows."""
    cnma_bench.deliver()
    cnma_bench.at("+CNMA")
    cnma_bench.time.advance(100)
    assert cnma_bench.delivery_causes() == [None]
    assert cnma_bench.at("+CNMI?") == "\r\n+CNMI: 2,2,0,1,0\r\n" + OK


def test_cnma_is_refused_under_csms_0(module_bench):
    """The module acknowledges by itself; +CNMA is refused."""
    module_bench.at("+CNMI=2,2")
    assert module_bench.deliver() == direct(HI)
    assert module_bench.delivery_causes() == [None]
    assert module_bench.at("+CNMA") == "\r\n+CMS ERROR: 340\r\n"


def test_forms_of_cnma(cnma_bench):
    """Text mode accepts only the form without parameters; the test form shows the difference."""
    bench = cnma_bench
    assert bench.at("+CNMA=?") == "\r\n+CNMA: (0-2)\r\n" + OK
    assert bench.at("+CNMA=3") == "\r\nERROR\r\n"
    bench.at("+CMGF=1")
    assert bench.at("+CNMA=?") == OK
    bench.deliver()
    assert bench.at("+CNMA=1") == "\r\nERROR\r\n"
    assert bench.at("+CNMA") == OK


def test_delivery_during_text_entry_is_buffered(cnma_bench):
    """The module answers the network itself; each URC that follows still needs its +CNMA."""
    bench = cnma_bench
    bench.type("AT+CMGS=15\r")
    assert bench.deliver() == ""
    assert bench.deliver(PLAN) == ""
    assert bench.delivery_causes() == [None, None]
    assert bench.type("\x1b") == OK + direct(HI)
    assert bench.at("+CNMA") == OK + direct(PLAN)
    assert bench.at("+CNMA") == OK
    assert bench.at("+CNMA") == "\r\n+CMS ERROR: 340\r\n"
    assert bench.delivery_causes() == [None, None]


# buffering


def test_mode_0_buffers_urcs(module_bench):
    """They follow the OK of mode 1 to 3, in order."""
    module_bench.at("+CNMI=0,1,0,2")
    assert module_bench.deliver() == ""
    assert module_bench.deliver(REPORT) == ""
    assert module_bench.at("+CNMI=2,1,0,2,0") == OK + '\r\n+CMTI: "ME",1\r\n\r\n+CDSI: "SR",1\r\n'
    assert module_bench.at("+CNMI=2,1,0,2,0") == OK


def test_mode_0_with_direct_delivery(cnma_bench):
    """The module answers the network; the terminal must send one +CNMA for each."""
    bench = cnma_bench
    bench.at("+CNMI=0,2,0,1,0")
    bench.deliver()
    bench.deliver(PLAN)
    assert bench.delivery_causes() == [None, None]
    assert bench.at("+CNMI=1,2,0,1,0") == OK + direct(HI)
    assert bench.at("+CNMA") == OK + direct(PLAN)


def test_bfr_1_drops_buffered_urcs(module_bench):
    """Buffered URCs are dropped."""
    module_bench.at("+CNMI=0,1")
    module_bench.deliver()
    assert module_bench.at("+CNMI=2,1,0,0,1") == OK
    assert module_bench.at("+CNMI=2,1,0,0,0") == OK


def test_buffered_urcs_are_bounded(module_bench):
    """The module buffers only a few; the oldest is lost."""
    module_bench.at('+CNMI=0,1;+CPMS="MT","MT","MT"')
    for _ in range(25):
        module_bench.deliver()
    output = module_bench.at("+CNMI=2,1")
    assert output.startswith(OK + '\r\n+CMTI: "MT",6\r\n')
    assert output.count("+CMTI") == 20


# full


def test_full_store_is_reported_to_the_network(make_running_bench):
    """The network keeps the message and is notified once when there is room; nothing is lost."""
    bench = make_running_bench(stores={"ME": 2, "SR": 1}, store_full_urc='+QIND: "smsfull","{store}"')
    bench.at("+CNMI=2,1")
    bench.deliver()
    bench.deliver()
    assert bench.deliver() == '\r\n+QIND: "smsfull","ME"\r\n'
    assert bench.deliver() == ""
    assert bench.delivery_causes() == [None, None, 22, 22]
    assert "memory available" not in bench.network.log
    assert bench.at("+CMGD=1") == OK
    assert bench.network.log.count("memory available") == 1
    assert bench.deliver(PLAN) == '\r\n+CMTI: "ME",1\r\n'
    bench.at("+CMGD=2")
    assert bench.network.log.count("memory available") == 1


def test_message_in_a_freed_slot_survives_the_deletion(make_running_bench):
    """A delivery that arrives during the deletion of several messages is not deleted."""
    bench = make_running_bench(stores={"ME": 3, "SR": 1})
    bench.at("+CNMI=2,1")
    for _ in range(4):
        bench.deliver()
    bench.network.memory_available = lambda station: bench.module.deliver(
        99, bench.sim.service_centre, bytes.fromhex(PLAN)
    )
    assert bench.at("+CMGD=1,4") == OK + '\r\n+CMTI: "ME",1\r\n'
    assert len(bench.module.stores["ME"]) == 1


def test_full_sim_refuses_class_2(make_running_bench):
    """Class 2 can be stored nowhere else: (U)SIM storage full."""
    bench = make_running_bench(sim=SimCard(message_capacity=1))
    bench.deliver(with_coding(0x12))
    bench.deliver(with_coding(0x12))
    assert bench.delivery_causes() == [None, 0xD0]


def test_delivery_inside_an_acknowledgement(module_bench):
    """A network may answer an acknowledgement with the next message; the URCs stay in order."""
    module_bench.at("+CNMI=2,1")
    waiting = [PLAN, HI]

    def acknowledge(station, reference, cause):
        if waiting:
            station.deliver(reference + 1, module_bench.sim.service_centre, bytes.fromhex(waiting.pop(0)))

    module_bench.network.acknowledge = acknowledge
    assert module_bench.deliver() == "".join(f'\r\n+CMTI: "ME",{index}\r\n' for index in (1, 2, 3))


def test_module_that_is_off_receives_nothing(module_bench):
    """It gives no answer to the network either."""
    module_bench.module.power_off()
    assert module_bench.deliver() == ""
    assert module_bench.delivery_causes() == []
