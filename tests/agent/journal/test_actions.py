import pdu
from agent.journal.rows import Outgoing


def ended(desk, make):
    kept = desk.keep(make.command("reboot"))
    desk.inbox.begin(kept.command, "reboot", repeatable=False)
    replies = [Outgoing("2936", pdu.UserData.of("rebooting"), 1, 1)]
    desk.inbox.finish(kept.command, "done", None, replies, ("reboot", "then"))
    return desk.outbox.next().id


def test_an_action_waits_for_the_fate_of_its_answer(desk, make):
    """Settled when the answer is sent, refused or unknown; its age counts for the impatient."""
    reply = ended(desk, make)
    [waiting] = desk.actions.waiting()
    assert (waiting.handler, waiting.action, waiting.settled) == ("reboot", "then", False)
    assert waiting.command.body == "reboot"
    desk.pass_time(20)
    assert desk.actions.waiting()[0].age_s == 20
    desk.outbox.sending(reply)
    assert not desk.actions.waiting()[0].settled
    desk.outbox.end(reply, "unknown", "no result")
    assert desk.actions.waiting()[0].settled


def test_a_clock_that_is_set_back_holds_no_action_up(desk, make):
    """How long it waits is reckoned by the running time alone."""
    desk.wall += 86400 * 40
    ended(desk, make)
    desk.wall -= 86400 * 40
    desk.pass_time(20)
    assert desk.actions.waiting()[0].age_s == 20


def test_an_action_is_never_begun_twice(desk, make):
    """It rebooted the device: at the next start it has been done."""
    ended(desk, make)
    [action] = desk.actions.waiting()
    desk.actions.begin(action.id)
    assert desk.actions.waiting() == []
    desk.restart()
    assert desk.actions.waiting() == []
    assert [each.id for each in desk.actions.interrupted()] == [action.id]
    assert desk.actions.interrupted() == []
