"""The invariants have no violation after a correct run, and one for every broken promise."""

import pytest

from crash.invariants import CrashInvariants
from crash.kill_plan import PlannedMessage, draw_plan


def command(number, kind, state="done", handler=None, attempt=1, reason=None):
    return {
        "id": number, "state": state, "mode": "text", "body": f"{kind} {number}", "attempts": attempt,
        "handler": handler or kind, "reason": reason, "duplicates": 0,
    }  # fmt: skip


def reply(number, text, state="sent", part=1):
    return {"command": number, "text": text, "state": state, "part": part, "reason": None}


MESSAGES = [
    PlannedMessage(1, 0, "plain"),
    PlannedMessage(2, 0, "again"),
    PlannedMessage(3, 0, "answer"),
    PlannedMessage(4, 0, "slow"),
    PlannedMessage(5, 0, "other sender", sender="29360"),
]


def correct_run():
    """A run with one of each; Command 2 was interrupted once, Command 4 for good."""
    return CrashInvariants(
        messages=list(MESSAGES),
        audit_log=[
            *[("begin", 1, 1, 0), ("end", 1, 1, 0), ("begin", 2, 1, 0), ("begin", 2, 2, 0), ("end", 2, 2, 0)],
            *[("begin", 3, 1, 0), ("end", 3, 1, 0), ("act", 3, 1, 0), ("begin", 4, 1, 0)],
        ],
        sent_bodies=["plain 1", "again 2", "answer 3"],
        inbox=[
            command(1, "plain"),
            command(2, "again", attempt=2),
            command(3, "answer"),
            command(4, "slow", state="failed", reason="interrupted"),
        ],
        outbox=[
            reply(1, "plain 1"),
            reply(2, "again 2", "unknown"),
            reply(3, "answer 3"),
            reply(4, "ERR interrupted", "unknown"),
        ],
        ignored=[{"text": "plain 5", "reason": "not from 2936"}],
        actions=[(3, "done", None)],
        open_counts={"in the module's stores": 0},
    )


def test_correct_run_has_no_violations():
    """Interrupted runs, unknown outcomes and repetitions are allowed where the journal shows them."""
    assert correct_run().check() == []


def change(key, at, **values):
    def apply(invariants):
        getattr(invariants, key)[at] |= values

    return apply


def add(key, *values):
    return lambda invariants: getattr(invariants, key).extend(values)


def drop(key, at):
    return lambda invariants: getattr(invariants, key).pop(at)


VIOLATIONS = {
    "a lost Command": (drop("inbox", 0), "plain 1 is in the journal 0 times"),
    "a Command stored twice": (add("inbox", command(1, "plain")), "plain 1 is in the journal 2 times"),
    "an invented Command": (add("inbox", command(9, "plain")), "Command 9 in the journal was never sent"),
    "a second run": (add("audit_log", ("begin", 1, 2, 0)), "ran 2 times"),
    "a fourth run": (add("audit_log", ("begin", 2, 3, 0), ("begin", 2, 4, 0)), "ran 4 times"),
    "the same attempt twice": (add("audit_log", ("begin", 2, 2, 0)), "as attempts [1, 2, 2]"),
    "no run": (drop("audit_log", 1), "plain 1 is done but did not run"),
    "a Command left running": (change("inbox", 0, state="running"), "plain 1 is still running"),
    "a Command that failed without reason": (
        change("inbox", 0, state="failed", reason="bug"),
        "plain 1 failed: bug",
    ),
    "a Command given up early": (change("inbox", 1, state="failed", reason="interrupted"), "2 of 3 attempts"),
    "the wrong handler": (change("inbox", 0, handler="slow"), "went to the handler slow"),
    "an ignored message that ran": (
        add("audit_log", ("begin", 5, 1, 0)),
        "other sender 5 was treated as a Command",
    ),
    "an ignored message lost": (drop("ignored", 0), "other sender 5 was not stored"),
    "a Command among the ignored": (
        add("ignored", {"text": "plain 1", "reason": "x"}),
        "a Command was ignored",
    ),
    "no reply": (drop("outbox", 0), "plain 1 is done and is answered []"),
    "the reply of another Command": (change("outbox", 0, text="plain 7"), "is answered ['plain 7']"),
    "a reply twice": (add("sent_bodies", "plain 1"), "reached the network 2 times"),
    "a reply with unknown outcome twice": (add("sent_bodies", "again 2"), "reached the network 2 times"),
    "a reply that was not sent": (drop("sent_bodies", 0), "reached the network 0 times"),
    "an unknown reply": (add("sent_bodies", "hello"), "'hello' reached the network 1 times"),
    "a reply left queued": (change("outbox", 0, state="queued"), "is queued"),
    "an interrupted run without a reply": (drop("outbox", 3), "was interrupted and has 0 replies"),
    "an action twice": (add("audit_log", ("act", 3, 1, 0)), "acted 2 times"),
    "no action": (drop("audit_log", 7), "acted 0 times"),
    "an action left running": (
        lambda invariants: invariants.actions.__setitem__(0, (3, "running", None)),
        "running",
    ),
    "a message left in a store": (
        lambda invariants: invariants.open_counts.update({"in a store": 1}),
        "1 left in a store",
    ),
}


@pytest.mark.parametrize("which", VIOLATIONS)
def test_broken_promise_is_a_violation(which):
    """A violation names the broken promise."""
    breaking, sentence = VIOLATIONS[which]
    invariants = correct_run()
    breaking(invariants)
    assert any(sentence in violation for violation in invariants.check()), invariants.violations


def test_plan_depends_on_the_seed_only():
    """The same seed gives the same plan, another seed another plan."""
    assert list(draw_plan(7, 30)) == list(draw_plan(7, 30)) != list(draw_plan(8, 30))
