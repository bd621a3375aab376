"""How a module tells of messages: not as asked, not at all, or by handing them over."""

import re

import msgspec
import pytest

from fault.catalogue import PLAIN_SID_START, SID
from fault.fault_world import FaultWorld, make_pdu
from hardware import profile
from soak.world import HandlerPlan

REFUSED = b"\r\n+CMS ERROR: 303\r\n"


def module(**changes):
    """A module that differs from the plain one."""
    return msgspec.structs.replace(profile.load_simulator_profile("generic"), **changes)


def routing(*allowed):
    """One that takes these values of +CNMI."""
    return module(cnmi_allowed=tuple(allowed))


RANGES = {
    "as given": ((0, 1, 2, 3), (0, 1), (0, 2, 3), (0, 2), (1,)),
    "mode 1 only": ((0, 1), (0, 1), (0,), (0,), (0,)),
    "mode 3 only": ((3,), (0, 1), (0,), (0,), (0, 1)),
    "class 3 handed over": ((0, 1, 2), (0, 3), (0,), (0, 1), (0,)),
}


@pytest.mark.parametrize("ranges", RANGES.values(), ids=RANGES)
@pytest.mark.parametrize("tells", ["tells its ranges", "refuses =? too"])
async def test_f16_a_value_is_refused(tmp_path, message_format, ranges, tells):
    """Another is chosen from what is offered, or from a list: messages are told of, the choice is known."""
    async with FaultWorld(tmp_path, message_format, device=routing(*ranges)) as scene:
        scene.interceptor.answer(r"AT\+CNMI=2,1,0,0,0", REFUSED, times=0)
        if tells == "refuses =? too":
            scene.interceptor.answer(r"AT\+CNMI=\?", b"\r\nERROR\r\n", times=0)
        elif ranges == RANGES["as given"]:
            given = b"\r\n+CNMI: (0-3),(0,1),(0,2,3),(0,2),(1)\r\n\r\nOK\r\n"
            scene.interceptor.answer(r"AT\+CNMI=\?", given, times=0)
        await scene.start_and_settle()
        chosen = scene.modem.status.cnmi
        assert chosen[:2] == scene.module.settings.cnmi[:2]
        assert chosen[0] != 0
        assert any("+CNMI " + ",".join(map(str, chosen)) in line for line in scene.log_lines())
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(5)
        assert scene.executed == ["led on"]
        if tells == "tells its ranges":
            assert len(scene.interceptor.commands_matching(r"AT\+CNMI=\d.*")) <= 2


@pytest.mark.parametrize("refusal", [REFUSED, b"\r\nERROR\r\n", b"\r\nOK\r\n"], ids=["303", "ERROR", "a lie"])
async def test_f16_every_value_is_refused(tmp_path, message_format, refusal):
    """Or taken and ignored: then the stores are looked at each minute, and status says so."""
    async with FaultWorld(tmp_path, message_format) as scene:
        scene.interceptor.answer(r"AT\+CNMI=.*", refusal, times=0)
        await scene.start_and_settle()
        assert not scene.modem.is_notifying
        for number in range(3):
            scene.deliver_pdu(make_pdu(f"led {number}"))
            await scene.advance(61)
            assert len(scene.executed) == number + 1


@pytest.mark.deviation(
    "The design holds: a sweep is one +CMGL, which on an empty store costs no more than +CPMS? would; every"
    " 300 s, and every 60 s once it is known that notifications do not come."
)
async def test_f23_notifications_never_come(tmp_path, message_format):
    """+CNMI stands and nothing is told: each of 5 is found by a sweep, from the second on within a minute."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        assert scene.modem.is_notifying
        scene.module.faults.add("code-lost:command=+CMTI,times=0")
        for number in range(5):
            scene.deliver_pdu(make_pdu(f"led {number}"))
            begun, written = scene.loop.time(), len(scene.interceptor.commands)
            await scene.advance(301 if number < 1 else 61)
            assert len(scene.executed) == number + 1
            assert scene.handler_runs[-1].started_at - begun <= (301 if number < 1 else 61)
            assert len(scene.interceptor.commands) - written < 20
        assert not scene.modem.is_notifying
        assert (
            scene.current_run.agent.components.supervisor.connection.session.describe()["notifications"]
            is False
        )


@pytest.mark.deviation(
    "The design holds: READY does not wait for the module; the drain begins with the session."
)
async def test_f24_what_came_while_nobody_listened(tmp_path, message_format):
    """12 in ME from index 0 on, read and unread mixed, 2 in SM, no code: all are handled, doubles deleted."""
    async with FaultWorld(tmp_path, message_format, device=module(first_index=0)) as scene:
        await scene.start_and_settle()
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(10)
        assert scene.executed == ["led on"]
        await scene.current_run.stop()
        texts = []
        for number, index in enumerate((0, 1, *range(3, 13))):
            texts.append(f"led {index}")
            stamp = f"26/11/21,22:{40 + number}:00+00"
            scene.store_pdu(index, make_pdu(texts[-1], timestamp=stamp), number % 2)
        scene.store_pdu(2, PLAIN_SID_START, 1)
        for index in (0, 5):
            texts.append(f"pump {index}")
            scene.store_pdu(index, make_pdu(texts[-1]), index % 2, store="SM")
        scene.store_pdu(6, PLAIN_SID_START.replace("62111222", "62111232"), store="SM")
        await scene.start_and_settle(150)
        assert sorted(scene.executed[1:]) == sorted(texts)
        assert scene.stored_indices() == scene.stored_indices("SM") == []
        assert scene.query_journal("SELECT duplicates FROM commands WHERE sid = ?", SID) == [(2,)]
        assert len(scene.sent_bodies) == 1 + len(texts)


DIRECT = ((0, 1, 2, 3), (0, 2), (0,), (0, 1), (0, 1))


async def test_f30_stored_is_preferred(tmp_path, message_format):
    """A module that can do both is asked to store and tell, even if it stood at handing over."""
    async with FaultWorld(tmp_path, message_format, device=module(cnmi=(2, 2, 0, 0, 0), csms=1)) as scene:
        await scene.start_and_settle()
        assert scene.module.settings.cnmi[1] == 1


async def test_f30_handed_over_and_acknowledged(tmp_path, message_format):
    """Committed, then +CNMA, at once, also while a handler is busy; nothing comes twice."""
    async with FaultWorld(tmp_path, message_format, device=routing(*DIRECT)) as scene:
        scene.plans = {"led on": HandlerPlan([(25, "ok")])}
        committed = []
        scene.on_kill_point = lambda point, life: (
            committed.append(scene.loop.time()) if "after a commit" in point else None
        )
        await scene.start_and_settle()
        scene.deliver_pdu(PLAIN_SID_START)
        await scene.advance(1)
        scene.deliver_pdu(make_pdu("led 2"))
        scene.deliver_pdu(make_pdu("pump 3"))
        await scene.advance(60)
        assert sorted(scene.executed) == ["led 2", "led on", "pump 3"]
        acknowledged = [at for at, line in scene.interceptor.commands if line.startswith("AT+CNMA")]
        assert len(acknowledged) == 3
        assert acknowledged[-1] - acknowledged[0] < 2
        assert [cause for _, cause in scene.module.log.delivery_answers] == [None] * 3
        assert all(
            any(acknowledge - 1 < at <= acknowledge for at in committed) for acknowledge in acknowledged
        )


@pytest.mark.parametrize("point", ["before a commit", "in a commit", "after a commit", "after a write"])
async def test_f30_killed_around_the_acknowledgement(tmp_path, message_format, point):
    """The network delivers again what was not acknowledged: it is run once whenever the agent was killed."""
    async with FaultWorld(tmp_path, message_format, device=routing(*DIRECT)) as scene:
        scene.plans = {"led 7": HandlerPlan([(20, "ok")])}
        await scene.start_and_settle()
        scene.send("led 7", sid=SID)
        seen = []

        def kill(reached, life):
            if reached == point and b"+CMT:" in b"".join(octets for _, _, octets in scene.port.trace):
                seen.append(reached)
                if len(seen) == 1:
                    life.kill(point)

        scene.on_kill_point = kill
        await scene.advance(30)
        assert not scene.current_run.is_alive
        scene.on_kill_point = lambda point, life: None
        await scene.start_and_settle(400)
        assert scene.executed == ["led 7"]


@pytest.mark.parametrize(
    "result", [b"\r\n+CMS ERROR: 340\r\n", b"\r\nERROR\r\n", b"\r\n+CME ERROR: 4\r\n", b""]
)
async def test_f30_the_acknowledgement_is_refused(tmp_path, message_format, result):
    """340 and its kin are harmless: the message is run once, and the next one comes too."""
    async with FaultWorld(tmp_path, message_format, device=routing(*DIRECT)) as scene:
        await scene.start_and_settle()
        scene.interceptor.answer(r"AT\+CNMA.*", result)
        scene.interceptor.answer(r"AT\+CNMA.*", result)
        scene.send("led 1", sid=SID)
        await scene.advance(100)
        scene.send("led 2")
        await scene.advance(400)
        assert scene.executed == ["led 1", "led 2"]
        assert scene.sent_bodies == ["did led 1", "did led 2"]


async def test_f30_a_module_without_csms(tmp_path, message_format):
    """+CSMS=0 only: nothing is acknowledged, each is run once."""
    async with FaultWorld(tmp_path, message_format, device=routing(*DIRECT)) as scene:
        scene.interceptor.answer(r"AT\+CSMS=.*", b"\r\n+CMS ERROR: 303\r\n", times=0)
        await scene.start_and_settle()
        scene.send("led 1", sid=SID)
        await scene.advance(5)
        scene.send("led 2")
        await scene.advance(50)
        assert scene.executed == ["led 1", "led 2"]
        assert not [line for line in scene.interceptor.commands_matching() if re.match(r"AT\+CNMA", line)]


async def test_f30_the_octets_as_given(tmp_path, message_format):
    """`+CMT: ,51`, though nobody asked for it: taken, and acknowledged where +CSMS is 1."""
    async with FaultWorld(tmp_path, message_format) as scene:
        await scene.start_and_settle()
        scene.interceptor.send_to_agent(b"\r\n+CMT: ,51\r\n" + PLAIN_SID_START.encode() + b"\r\n")
        await scene.advance(17)
        assert scene.executed == ["led on"]
        assert len(scene.interceptor.commands_matching(r"AT\+CNMA.*")) == 1  # 340: the module expected none
