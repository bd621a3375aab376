"""A lost answer about the stores does not leave a session without them."""

import asyncio
import itertools

import pytest

from agent.modem.cpms import MAX_RETRIES, RETRY_INTERVAL_S
from agent.modem.stored_message import UNKNOWN_SLOT, Slot

OK = b"\r\nOK\r\n"
ERROR = b"\r\nERROR\r\n"
HI = "079144770009000004038100F000006290124131020002E834"
CPMS_READ = b'\r\n+CPMS: "ME",0,20,"ME",0,20,"ME",0,20\r\n' + OK
CPMS_TEST = b'\r\n+CPMS: ("ME","SM"),("ME","SM"),("ME","SM")\r\n' + OK


class LostAnswers:
    """Loses an answer a number of times, then returns it."""

    def __init__(self, times, answer, lost=None):
        self.lost_count, self.answer, self.lost, self.queries = times, answer, lost, 0

    def __call__(self, line):
        self.queries += 1
        return self.answer if self.queries > self.lost_count else self.lost


def memories(name):
    return ("\r\n+CPMS: " + ",".join([f'"{name}",0,20'] * 3) + "\r\n").encode() + OK


def stores(status):
    return status.store, status.secondary_stores


@pytest.mark.parametrize("lost", [None, OK], ids=["nothing", "its OK alone"])
@pytest.mark.parametrize(("lost_reads", "lost_tests"), [(2, 2), (0, 1), (1, 1), (2, 0)], ids=str)
def test_lost_answer_about_stores_is_queried_again(run_scripted_modem, lost_reads, lost_tests, lost):
    """The first sweep knows the stores, and no setting that is already right is written."""
    table = {
        "AT+CPMS?": LostAnswers(lost_reads, CPMS_READ, lost),
        "AT+CPMS=?": LostAnswers(lost_tests, CPMS_TEST, lost),
        'AT+CPMS="ME","ME","ME"': OK,
        'AT+CPMS="SM"': OK,
        'AT+CPMS="ME"': OK,
    }

    async def scenario(modem, script):
        script.received_lines.clear()
        await modem.sweep()
        assert stores(modem.status) == ("ME", ("SM",))
        assert [line for line in script.received_lines if "CMGL" in line or line == 'AT+CPMS="SM"'] == [
            "AT+CMGL=4",
            'AT+CPMS="SM"',
            "AT+CMGL=4",
        ]
        script.received_lines.clear()
        await modem.sweep()
        assert script.received_lines == ["AT+CMGL=4"]

    run_scripted_modem(scenario, table=table)


def test_stores_lost_twice_are_queried_after_an_interval(run_scripted_modem):
    """Until the next query, the store that is known is read."""
    table = {"AT+CPMS=?": LostAnswers(2, CPMS_TEST), 'AT+CPMS="SM"': OK, 'AT+CPMS="ME"': OK}

    async def scenario(modem, script):
        for others in ((), (), ("SM",)):
            await modem.sweep()
            assert stores(modem.status) == ("ME", others)
            await asyncio.sleep(RETRY_INTERVAL_S / 2)

    run_scripted_modem(scenario, table=table)


def test_notification_while_stores_are_unknown(run_scripted_modem):
    """The slot is unknown at first.

    The following sweep queries the stores and finds the message in any of them.
    """
    table = {
        "AT+CPMS?": LostAnswers(2, CPMS_READ),
        "AT+CPMS=?": LostAnswers(2, CPMS_TEST),
        'AT+CPMS="ME"': OK,
        "AT+CMGR=3": b"\r\n+CMS ERROR: 321\r\n",
    }

    async def scenario(modem, script):
        current = {"store": "ME"}

        def choose(line):
            current["store"] = line.split('"')[1]
            return OK

        def listing(line):
            entry = f"\r\n+CMGL: 3,0,,17\r\n{HI}\r\n".encode() if current["store"] == "SM" else b""
            return entry + OK

        script.table |= {'AT+CPMS="SM"': choose, 'AT+CPMS="ME"': choose, "AT+CMGL=4": listing}
        script.transport.write(b'\r\n+CMTI: "SM",3\r\n')
        event = await modem.next_event()
        assert event.slot == UNKNOWN_SLOT
        assert await modem.read(event.slot) is None
        assert [message.slot for message in await modem.sweep()] == [Slot("SM", 3)]
        script.transport.write(b'\r\n+CMTI: "SM",4\r\n')
        assert (await modem.next_event()).slot == Slot("SM", 4)

    run_scripted_modem(scenario, table=table)


BUSY = b"\r\n+CMS ERROR: 314\r\n"


def test_busy_sim_does_not_count_as_refusal(run_scripted_modem):
    """The stores are queried again when the SIM is ready."""
    sim = {"busy": True}

    def unless_busy(answer):
        return lambda line: BUSY if sim["busy"] else answer

    table = {
        "AT+CPMS?": unless_busy(CPMS_READ),
        "AT+CPMS=?": CPMS_TEST,
        'AT+CPMS="ME","ME","ME"': unless_busy(OK),
        'AT+CPMS="SM"': OK,
        'AT+CPMS="ME"': OK,
    }

    async def scenario(modem, script):
        assert stores(modem.status) == ("", ())
        sim["busy"] = False
        await modem.sweep()
        assert stores(modem.status) == ("ME", ("SM",))

    run_scripted_modem(scenario, table=table)


def test_module_that_chooses_its_store_has_no_secondary_stores(run_scripted_modem):
    """No other store is selected, since the first one could not be selected again."""
    table = {
        "AT+CPMS?": ERROR,
        "AT+CPMS=?": CPMS_TEST,
        **{
            f"AT+CPMS={','.join([chr(34) + name + chr(34)] * n)}": ERROR
            for name in ("ME", "SM")
            for n in (1, 2, 3)
        },
        "AT+CMGL=4": f"\r\n+CMGL: 1,1,,17\r\n{HI}\r\n".encode() + OK,
    }

    async def scenario(modem, script):
        script.received_lines.clear()
        assert [message.slot for message in await modem.sweep()] == [Slot("", 1)]
        assert script.received_lines.count("AT+CMGL=4") == 1

    run_scripted_modem(scenario, table=table)


@pytest.mark.parametrize("lost", [None, OK])
def test_queries_of_unknown_stores_are_limited(run_scripted_modem, lost):
    """They are repeated at growing intervals, six times in a session.

    Messages in the known store are read.
    """
    table = {
        "AT+CPMS?": lost,
        "AT+CPMS=?": lost,
        "AT+CMGL=4": f"\r\n+CMGL: 1,1,,17\r\n{HI}\r\n".encode() + OK,
    }

    async def scenario(modem, script):
        times = []
        for second in range(0, 6 * 3600, 60):
            script.received_lines.clear()
            assert [message.slot for message in await modem.sweep()] == [Slot("", 1)]
            if "AT+CPMS?" in script.received_lines:
                times.append(second)
            await asyncio.sleep(60)
        assert len(times) == MAX_RETRIES
        pauses = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert pauses == sorted(pauses)
        assert pauses[0] >= RETRY_INTERVAL_S
        assert pauses[-1] >= 16 * RETRY_INTERVAL_S

    run_scripted_modem(scenario, table=table)


def test_refusal_is_final(run_scripted_modem):
    """A module that refuses +CPMS is not queried again."""

    async def scenario(modem, script):
        await modem.sweep()
        assert script.received_lines == ["AT+CMGL=4"]

    run_scripted_modem(scenario, table={"AT+CPMS?": ERROR, "AT+CPMS=?": ERROR})


def test_lost_answer_to_setting_a_store(run_scripted_modem):
    """The store may be set: no other store is tried, and the next sweep queries it."""
    state = {"name": "MT"}

    def choose(line):
        state["name"] = "ME"
        return None if state.pop("lose", True) else OK

    table = {
        "AT+CPMS?": lambda _: memories(state["name"]),
        "AT+CPMS=?": CPMS_TEST,
        'AT+CPMS="ME","ME","ME"': choose,
        'AT+CPMS="SM","SM","SM"': OK,
        'AT+CPMS="SM"': OK,
        'AT+CPMS="ME"': OK,
    }

    async def scenario(modem, script):
        await modem.initialise()
        await modem.sweep()
        assert stores(modem.status) == ("ME", ("SM",))
        assert 'AT+CPMS="SM","SM","SM"' not in script.received_lines
        assert not [note for note in modem.status.notes if "CPMS" in note]

    run_scripted_modem(scenario, initialise=False, table=table)
