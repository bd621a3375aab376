import pdu
from agent.journal.models import OutgoingMessage


def ended(desk, make):
    kept = desk.store(make.command("reboot"))
    desk.inbox.mark_running(kept.command_id, "reboot", repeatable=False)
    replies = [OutgoingMessage("2936", pdu.UserData.of("rebooting"), 1, 1)]
    desk.inbox.finish(kept.command_id, "done", None, replies, ("reboot", "then"))
    return desk.outbox.next_queued().id


def test_an_action_waits_for_the_fate_of_its_answer(journal_env, factories):
    """Settled when the answer is sent, refused or unknown; its age counts for the impatient."""
    reply = ended(journal_env, factories)
    [waiting] = journal_env.actions.list_pending()
    assert (waiting.handler, waiting.action, waiting.reply_settled) == ("reboot", "then", False)
    assert waiting.command.body == "reboot"
    journal_env.advance(20)
    assert journal_env.actions.list_pending()[0].age_s == 20
    journal_env.outbox.mark_sending(reply)
    assert not journal_env.actions.list_pending()[0].reply_settled
    journal_env.outbox.finish(reply, "unknown", "no result")
    assert journal_env.actions.list_pending()[0].reply_settled


def test_a_clock_that_is_set_back_holds_no_action_up(journal_env, factories):
    """How long it waits is reckoned by the running time alone."""
    journal_env.wall += 86400 * 40
    ended(journal_env, factories)
    journal_env.wall -= 86400 * 40
    journal_env.advance(20)
    assert journal_env.actions.list_pending()[0].age_s == 20


def test_an_action_is_never_begun_twice(journal_env, factories):
    """It rebooted the device: at the next start it has been done."""
    ended(journal_env, factories)
    [action] = journal_env.actions.list_pending()
    journal_env.actions.mark_running(action.id)
    assert journal_env.actions.list_pending() == []
    journal_env.restart()
    assert journal_env.actions.list_pending() == []
    assert [each.id for each in journal_env.actions.close_interrupted()] == [action.id]
    assert journal_env.actions.close_interrupted() == []
