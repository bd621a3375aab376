"""F16 F23 F24 F30: refused or missing notifications, stored messages, and direct delivery."""

import re

import pytest

from fault.catalogue import PLAIN_SID_START, SID
from fault.fault_world import FaultWorld, changed_module, make_pdu
from soak.world import HandlerPlan

REFUSED = b"\r\n+CMS ERROR: 303\r\n"


def module_with_cnmi(*allowed):
    """Return a module that accepts these values of +CNMI."""
    return changed_module(cnmi_allowed=tuple(allowed))


RANGES = {
    "as given": ((0, 1, 2, 3), (0, 1), (0, 2, 3), (0, 2), (1,)),
    "mode 1 only": ((0, 1), (0, 1), (0,), (0,), (0,)),
    "mode 3 only": ((3,), (0, 1), (0,), (0,), (0, 1)),
    "class 3 delivered directly": ((0, 1, 2), (0, 3), (0,), (0, 1), (0,)),
}


@pytest.mark.parametrize("ranges", RANGES.values(), ids=RANGES)
@pytest.mark.parametrize("test_command", ["answers =?", "refuses =?"])
async def test_f16_refused_cnmi_value_is_replaced(tmp_path, message_format, ranges, test_command):
    """Another value is chosen from the offered ranges or a list, and notifications arrive."""
    async with FaultWorld(tmp_path, message_format, device=module_with_cnmi(*ranges)) as world:
        world.interceptor.answer(r"AT\+CNMI=2,1,0,0,0", REFUSED, times=0)
        if test_command == "refuses =?":
            world.interceptor.answer(r"AT\+CNMI=\?", b"\r\nERROR\r\n", times=0)
        elif ranges == RANGES["as given"]:
            response = b"\r\n+CNMI: (0-3),(0,1),(0,2,3),(0,2),(1)\r\n\r\nOK\r\n"
            world.interceptor.answer(r"AT\+CNMI=\?", response, times=0)
        await world.start_and_settle()
        chosen = world.modem.status.cnmi
        assert chosen[:2] == world.module.settings.cnmi[:2]
        assert chosen[0] != 0
        assert any("+CNMI " + ",".join(map(str, chosen)) in line for line in world.log_lines())
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(5)
        assert world.executed == ["led on"]
        if test_command == "answers =?":
            assert len(world.interceptor.commands_matching(r"AT\+CNMI=\d.*")) <= 2


@pytest.mark.parametrize(
    "refusal", [REFUSED, b"\r\nERROR\r\n", b"\r\nOK\r\n"], ids=["303", "ERROR", "OK without effect"]
)
async def test_f16_sweep_replaces_refused_notifications(tmp_path, message_format, refusal):
    """If every +CNMI value is refused or ignored, the stores are swept each minute."""
    async with FaultWorld(tmp_path, message_format) as world:
        world.interceptor.answer(r"AT\+CNMI=.*", refusal, times=0)
        await world.start_and_settle()
        assert not world.modem.is_notifying
        for number in range(3):
            world.deliver_pdu(make_pdu(f"led {number}"))
            await world.advance(61)
            assert len(world.executed) == number + 1


@pytest.mark.deviation(
    "A sweep is one +CMGL, which costs no more than +CPMS? on an empty store. It runs every 300 s, and every"
    " 60 s when it is known that notifications do not arrive."
)
async def test_f23_missing_notifications_shorten_the_sweep_interval(tmp_path, message_format):
    """Each message is found by a sweep, from the second on within a minute."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        assert world.modem.is_notifying
        world.module.faults.add("code-lost:command=+CMTI,times=0")
        for number in range(5):
            world.deliver_pdu(make_pdu(f"led {number}"))
            started_at, written = world.loop.time(), len(world.interceptor.commands)
            await world.advance(301 if number < 1 else 61)
            assert len(world.executed) == number + 1
            assert world.handler_runs[-1].started_at - started_at <= (301 if number < 1 else 61)
            assert len(world.interceptor.commands) - written < 20
        assert not world.modem.is_notifying
        assert world.connection.session.describe()["notifications"] is False


@pytest.mark.deviation("READY does not wait for the module; the stores are read when the session begins.")
async def test_f24_messages_stored_before_the_start_are_executed(tmp_path, message_format):
    """Messages of both stores, read and unread, are executed, and duplicates are deleted."""
    async with FaultWorld(tmp_path, message_format, device=changed_module(first_index=0)) as world:
        await world.start_and_settle()
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(10)
        assert world.executed == ["led on"]
        await world.current_run.stop()
        texts = []
        for number, index in enumerate((0, 1, *range(3, 13))):
            texts.append(f"led {index}")
            timestamp = f"26/11/21,22:{40 + number}:00+00"
            world.store_pdu(index, make_pdu(texts[-1], timestamp=timestamp), number % 2)
        world.store_pdu(2, PLAIN_SID_START, 1)
        for index in (0, 5):
            texts.append(f"pump {index}")
            world.store_pdu(index, make_pdu(texts[-1]), index % 2, store="SM")
        world.store_pdu(6, PLAIN_SID_START.replace("62111222", "62111232"), store="SM")
        await world.start_and_settle(150)
        assert sorted(world.executed[1:]) == sorted(texts)
        assert world.stored_indices() == world.stored_indices("SM") == []
        assert world.query_journal("SELECT duplicates FROM commands WHERE sid = ?", SID) == [(2,)]
        assert len(world.sent_bodies) == 1 + len(texts)


DIRECT_DELIVERY = ((0, 1, 2, 3), (0, 2), (0,), (0, 1), (0, 1))


async def test_f30_storing_is_preferred_to_direct_delivery(tmp_path, message_format):
    """A module that can do both is set to store and notify."""
    async with FaultWorld(
        tmp_path, message_format, device=changed_module(cnmi=(2, 2, 0, 0, 0), csms=1)
    ) as world:
        await world.start_and_settle()
        assert world.module.settings.cnmi[1] == 1


async def test_f30_direct_delivery_is_committed_then_acknowledged(tmp_path, message_format):
    """+CNMA follows the commit at once, also while a handler is busy, and nothing is delivered twice."""
    async with FaultWorld(tmp_path, message_format, device=module_with_cnmi(*DIRECT_DELIVERY)) as world:
        world.plans = {"led on": HandlerPlan([(25, "ok")])}
        committed_at = []
        world.on_kill_point = lambda point, agent_run: (
            committed_at.append(world.loop.time()) if "after a commit" in point else None
        )
        await world.start_and_settle()
        world.deliver_pdu(PLAIN_SID_START)
        await world.advance(1)
        world.deliver_pdu(make_pdu("led 2"))
        world.deliver_pdu(make_pdu("pump 3"))
        await world.advance(60)
        assert sorted(world.executed) == ["led 2", "led on", "pump 3"]
        acknowledged_at = [at for at, line in world.interceptor.commands if line.startswith("AT+CNMA")]
        assert len(acknowledged_at) == 3
        assert acknowledged_at[-1] - acknowledged_at[0] < 2
        assert [cause for _, cause in world.module.log.delivery_answers] == [None] * 3
        assert all(any(moment - 1 < at <= moment for at in committed_at) for moment in acknowledged_at)


@pytest.mark.parametrize("point", ["before a commit", "in a commit", "after a commit", "after a write"])
async def test_f30_kill_around_the_acknowledgement(tmp_path, message_format, point):
    """The network redelivers what was not acknowledged, and the Command is not executed twice.

    From the commit on it counts as interrupted, which is the answer.
    """
    async with FaultWorld(tmp_path, message_format, device=module_with_cnmi(*DIRECT_DELIVERY)) as world:
        world.plans = {"led 7": HandlerPlan([(20, "ok")])}
        await world.start_and_settle()
        world.send("led 7", sid=SID)
        kills = []

        def kill(reached, agent_run):
            if reached == point and b"+CMT:" in b"".join(octets for _, _, octets in world.port.trace):
                kills.append(reached)
                if len(kills) == 1:
                    agent_run.kill(point)

        world.on_kill_point = kill
        await world.advance(30)
        assert not world.current_run.is_alive
        world.on_kill_point = lambda point, agent_run: None
        started_before = len(world.executed)
        await world.start_and_settle(400)
        if point == "before a commit":
            assert (started_before, world.executed, world.sent_bodies) == (0, ["led 7"], ["did led 7"])
        else:
            assert started_before == (point == "after a write")
            assert len(world.executed) == started_before
            assert world.sent_bodies == ["ERR interrupted"]


@pytest.mark.parametrize(
    "result", [b"\r\n+CMS ERROR: 340\r\n", b"\r\nERROR\r\n", b"\r\n+CME ERROR: 4\r\n", b""]
)
async def test_f30_refused_acknowledgement_is_harmless(tmp_path, message_format, result):
    """The message is executed once, and the next one arrives."""
    async with FaultWorld(tmp_path, message_format, device=module_with_cnmi(*DIRECT_DELIVERY)) as world:
        await world.start_and_settle()
        world.interceptor.answer(r"AT\+CNMA.*", result)
        world.interceptor.answer(r"AT\+CNMA.*", result)
        world.send("led 1", sid=SID)
        await world.advance(100)
        world.send("led 2")
        await world.advance(400)
        assert world.executed == ["led 1", "led 2"]
        assert world.sent_bodies == ["did led 1", "did led 2"]


async def test_f30_module_without_phase_2_plus(tmp_path, message_format):
    """The module has only +CSMS=0: nothing is acknowledged, and each message is executed once."""
    async with FaultWorld(tmp_path, message_format, device=module_with_cnmi(*DIRECT_DELIVERY)) as world:
        world.interceptor.answer(r"AT\+CSMS=.*", b"\r\n+CMS ERROR: 303\r\n", times=0)
        await world.start_and_settle()
        world.send("led 1", sid=SID)
        await world.advance(5)
        world.send("led 2")
        await world.advance(50)
        assert world.executed == ["led 1", "led 2"]
        assert not [line for line in world.interceptor.commands_matching() if re.match(r"AT\+CNMA", line)]


async def test_f30_unrequested_cmt_is_accepted(tmp_path, message_format):
    """A `+CMT: ,51` that was not requested is executed, and acknowledged if +CSMS is 1."""
    async with FaultWorld(tmp_path, message_format) as world:
        await world.start_and_settle()
        world.interceptor.send_to_agent(b"\r\n+CMT: ,51\r\n" + PLAIN_SID_START.encode() + b"\r\n")
        await world.advance(17)
        assert world.executed == ["led on"]
        assert (
            len(world.interceptor.commands_matching(r"AT\+CNMA.*")) == 1
        )  # the module refuses it with 340, because it expects none
