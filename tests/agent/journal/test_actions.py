import pdu
from agent.journal.models import OutgoingMessage


def ended(env, factories):
    kept = env.store(factories.command("reboot"))
    env.inbox.mark_running(kept.command_id, "reboot", repeatable=False)
    replies = [OutgoingMessage("2936", pdu.UserData.of("rebooting"), 1, 1)]
    env.inbox.finish(kept.command_id, "done", None, replies, ("reboot", "then"))
    return env.outbox.next_queued().id


def test_action_is_ready_once_its_reply_is_settled(journal_env, factories):
    """A reply is settled when it is sent, refused or unknown; the age counts from the request."""
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


def test_action_age_ignores_the_wall_clock(journal_env, factories):
    """A clock that is set back delays no action: its age is uptime."""
    journal_env.wall += 86400 * 40
    ended(journal_env, factories)
    journal_env.wall -= 86400 * 40
    journal_env.advance(20)
    assert journal_env.actions.list_pending()[0].age_s == 20


def test_action_is_never_started_twice(journal_env, factories):
    """It has rebooted the device: at the next start it counts as done."""
    ended(journal_env, factories)
    [action] = journal_env.actions.list_pending()
    journal_env.actions.mark_running(action.id)
    assert journal_env.actions.list_pending() == []
    journal_env.restart()
    assert journal_env.actions.list_pending() == []
    assert [each.id for each in journal_env.actions.close_interrupted()] == [action.id]
    assert journal_env.actions.close_interrupted() == []
