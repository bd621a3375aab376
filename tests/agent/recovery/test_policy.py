"""The ladder: which step comes after which trouble, how long it rests, and what is never done."""

from itertools import pairwise
from math import inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.modem.initialiser import WAKE_TIMEOUT_S
from agent.recovery.policy import (
    DENIED_ACTION_INTERVAL_S,
    EXIT_AFTER_S,
    MAX_ACTION_INTERVAL_S,
    MAX_FAILED_SESSIONS,
    MIN_ACTION_INTERVAL_S,
    PORT_BACKOFF,
    REGISTRATION_TIMEOUT_S,
    SESSION_BACKOFF,
    SIM_BUSY_TIMEOUT_S,
    STABLE_AFTER_S,
    STORE_UNREADABLE_TIMEOUT_S,
    Failure,
    RecoveryAction,
    RecoveryPolicy,
)


class FixedRandom(Random):
    """Chance that is none."""

    def random(self):
        return 0.5


def run_failures(ladder, trouble, hours, *, session_s=30.0, now=0.0):
    """The remedies of so many hours of one trouble, each carried out: (minute, remedy)."""
    taken = []
    end = now + hours * 3600
    while now < end:
        now += session_s
        plan = ladder.on_session_failed(trouble, now)
        if plan.action is not None:
            taken.append((round(now / 60), plan.action))
            ladder.on_action_done(plan.action, trouble, now)
        now += plan.delay_s
    return taken


def run_unregistered(ladder, trouble, hours, now=0.0):
    """The remedies of so many hours without a network, looked at each minute."""
    taken = []
    for minute in range(int(hours * 60)):
        if (remedy := ladder.check_registration(trouble, now + minute * 60)) is not None:
            taken.append((minute, remedy))
            ladder.on_action_done(remedy, trouble, now + minute * 60)
    return taken


def names(taken):
    return [remedy.name for _, remedy in taken]


@pytest.mark.parametrize("trouble", [Failure.PORT_UNAVAILABLE, Failure.SESSION_LOST, Failure.PIN_REQUIRED])
def test_some_troubles_are_only_waited_for(trouble):
    """A port that is not there, a session that ended, a person who must act: nothing is restarted."""
    assert run_failures(RecoveryPolicy(FixedRandom(), has_power_switch=True), trouble, 72) == []


def test_a_mute_module_is_restarted_then_switched():
    """After some sessions without an answer, not at the first; the rests double."""
    taken = run_failures(RecoveryPolicy(FixedRandom(), has_power_switch=True), Failure.NO_RESPONSE, 24)
    assert names(taken) == ["RESTART_MODULE"] + ["CYCLE_POWER"] * (len(taken) - 1)
    assert 1 <= taken[0][0] <= 4
    rests = [later - earlier for (earlier, _), (later, _) in pairwise(taken)]
    assert rests[0] >= MIN_ACTION_INTERVAL_S / 60
    assert all(later > earlier for earlier, later in pairwise(rests[:6]))
    assert all(MAX_ACTION_INTERVAL_S / 60 <= rest <= MAX_ACTION_INTERVAL_S / 60 + 10 for rest in rests[6:])
    assert len(taken) < 12


def test_without_a_switch_the_restart_is_tried_again():
    """There is nothing harder."""
    assert set(names(run_failures(RecoveryPolicy(FixedRandom()), Failure.NO_RESPONSE, 24))) == {
        "RESTART_MODULE"
    }


def test_one_answer_lets_the_silences_begin_anew():
    """A module that answers now and then is not mute."""
    ladder = RecoveryPolicy(FixedRandom())
    now = 0.0
    for _ in range(20):
        for _ in range(MAX_FAILED_SESSIONS - 1):
            now += 30
            assert ladder.on_session_failed(Failure.NO_RESPONSE, now).action is None
        ladder.on_session_started(now)


def test_after_a_pulse_the_key_is_pressed_once_more():
    """It may have gone off by it: whether nothing answers or the port has vanished. Then the rest counts."""
    for after in (Failure.NO_RESPONSE, Failure.PORT_UNAVAILABLE):
        ladder = RecoveryPolicy(FixedRandom(), has_power_switch=True)
        ladder.on_action_done(RecoveryAction.RESTART_MODULE, Failure.NO_RESPONSE, 0)
        ladder.on_action_done(RecoveryAction.CYCLE_POWER, Failure.NO_RESPONSE, 1000)
        ladder.on_power_key_pressed(1000)
        assert ladder.on_session_failed(after, 1030).action is None
        assert ladder.on_session_failed(after, 1070).action is RecoveryAction.PRESS_POWER_KEY
        ladder.on_action_done(RecoveryAction.PRESS_POWER_KEY, after, 1070)
        ladder.on_power_key_pressed(1070)
        assert [ladder.on_session_failed(after, 1140 + 10 * n).action for n in range(10)] == [None] * 10


def test_a_press_that_is_not_to_be_had_is_not_asked_for_all_the_time():
    """Each asking reads the budget from disk."""
    ladder = RecoveryPolicy(FixedRandom(), has_power_switch=True)
    ladder.on_action_done(RecoveryAction.CYCLE_POWER, Failure.NO_RESPONSE, 0)
    ladder.on_power_key_pressed(0)
    assert ladder.on_session_failed(Failure.PORT_UNAVAILABLE, 100).action is RecoveryAction.PRESS_POWER_KEY
    ladder.on_action_deferred(Failure.PORT_UNAVAILABLE, 100)
    assert ladder.on_session_failed(Failure.PORT_UNAVAILABLE, 300).action is None
    assert (
        ladder.on_session_failed(Failure.PORT_UNAVAILABLE, 100 + MIN_ACTION_INTERVAL_S).action
        is RecoveryAction.PRESS_POWER_KEY
    )


def test_a_module_that_answers_after_a_pulse_needs_no_press():
    """It is on."""
    ladder = RecoveryPolicy(FixedRandom(), has_power_switch=True)
    ladder.on_action_done(RecoveryAction.CYCLE_POWER, Failure.NO_RESPONSE, 0)
    ladder.on_power_key_pressed(0)
    ladder.on_session_started(30)
    assert ladder.on_session_failed(Failure.PORT_UNAVAILABLE, 1000).action is None


def test_a_module_that_could_never_be_used_is_not_restarted_for_ever():
    """Each step once: it may be one without messages. One that could be used is helped on."""
    assert names(run_failures(RecoveryPolicy(FixedRandom()), Failure.INIT_FAILED, 72)) == ["RESTART_MODULE"]
    assert names(
        run_failures(RecoveryPolicy(FixedRandom(), has_power_switch=True), Failure.INIT_FAILED, 72)
    ) == ["RESTART_MODULE", "CYCLE_POWER"]
    ladder = RecoveryPolicy(FixedRandom(), has_power_switch=True)
    ladder.on_session_started(0)
    assert names(run_failures(ladder, Failure.INIT_FAILED, 6))[:4] == [
        "RESTART_MODULE",
        "CYCLE_POWER",
        "CYCLE_POWER",
        "CYCLE_POWER",
    ]


def test_a_lost_sim_gets_its_radio_cycled_at_once():
    """That alone brings it back most times; then harder, with rests, and never the end of the process."""
    ladder = RecoveryPolicy(FixedRandom(), has_power_switch=True)
    ladder.on_session_started(0)
    taken = run_failures(ladder, Failure.NO_SIM, 48)
    assert names(taken)[:4] == ["CYCLE_RADIO", "RESTART_MODULE", "CYCLE_POWER", "CYCLE_RADIO"]
    assert taken[0][0] <= 1
    assert "EXIT_PROCESS" not in names(taken)
    assert len(taken) < 20


def test_nobody_registered_for_long_goes_up_three_rungs():
    """Nothing for ten minutes; then network, radio, restart, with at least ten minutes between."""
    taken = run_unregistered(RecoveryPolicy(FixedRandom()), Failure.NO_NETWORK, 12)
    assert names(taken)[:4] == ["RESELECT_NETWORK", "CYCLE_RADIO", "RESTART_MODULE", "CYCLE_RADIO"]
    assert [minute for minute, _ in taken[:3]] == [10, 20, 40]
    rests = [later - earlier for (earlier, _), (later, _) in pairwise(taken)]
    assert rests == sorted(rests)
    assert "CYCLE_POWER" not in names(taken)


def test_denied_registration_is_asked_again_at_most_once_an_hour():
    """However long it lasts, and also where the module is seen searching in between."""
    taken = run_unregistered(RecoveryPolicy(FixedRandom()), Failure.REGISTRATION_DENIED, 24)
    assert taken[0][0] == REGISTRATION_TIMEOUT_S / 60
    assert (
        min(later - earlier for (earlier, _), (later, _) in pairwise(taken)) >= DENIED_ACTION_INTERVAL_S / 60
    )
    ladder = RecoveryPolicy(FixedRandom())
    ladder.check_registration(Failure.NO_NETWORK, 0)
    assert ladder.check_registration(Failure.NO_NETWORK, 600) is RecoveryAction.RESELECT_NETWORK
    ladder.on_action_done(RecoveryAction.RESELECT_NETWORK, Failure.NO_NETWORK, 600)
    assert ladder.check_registration(Failure.REGISTRATION_DENIED, 1300) is None
    assert (
        ladder.check_registration(Failure.REGISTRATION_DENIED, 600 + DENIED_ACTION_INTERVAL_S)
        is RecoveryAction.CYCLE_RADIO
    )


def test_a_sim_that_stays_busy_is_one_that_is_lost():
    """Not while it starts; the steps and their rests are the same."""
    ladder = RecoveryPolicy(FixedRandom())
    assert ladder.check_sim(0, busy=True) is None
    assert ladder.check_sim(100, busy=False) is None
    assert ladder.check_sim(200, busy=True) is None
    assert ladder.check_sim(200 + SIM_BUSY_TIMEOUT_S, busy=True) is RecoveryAction.CYCLE_RADIO
    ladder.on_action_done(RecoveryAction.CYCLE_RADIO, Failure.SIM_BUSY, 500)
    assert ladder.check_sim(560, busy=True) is None
    assert ladder.on_session_failed(Failure.NO_SIM, 600).action is None
    assert (
        ladder.on_session_failed(Failure.NO_SIM, 500 + MIN_ACTION_INTERVAL_S).action
        is RecoveryAction.RESTART_MODULE
    )


def run_unreadable(ladder, hours, *, sessions_s=inf):
    """What is done, and when, while each look at the messages is refused."""
    taken, begun = [], 0.0
    for now in range(0, hours * 3600, 60):
        if remedy := ladder.check_store(now, unreadable=True):
            taken.append((now, remedy.name))
            ladder.on_action_done(remedy, Failure.STORE_UNREADABLE, now)
            ladder.on_session_started(now)
        if now - begun >= sessions_s:
            ladder.on_session_failed(Failure.SESSION_LOST, now, now - begun)
            begun = now
    return taken


def test_a_store_that_stays_unreadable():
    """Not at the first refusal: a new session, then restarts with rests that grow. No power, no end."""
    taken = run_unreadable(RecoveryPolicy(FixedRandom(), has_power_switch=True), 72)
    names = [name for _, name in taken]
    assert taken[0] == (STORE_UNREADABLE_TIMEOUT_S, "NEW_SESSION")
    assert set(names[1:]) == {"RESTART_MODULE"}
    rests = [later - sooner for (sooner, _), (later, _) in pairwise(taken)]
    assert rests == sorted(rests)
    assert min(rests) >= STORE_UNREADABLE_TIMEOUT_S
    assert len(taken) <= 25


def test_a_session_that_lasts_is_no_sign_of_a_readable_store():
    """All else works, perhaps for days: what was tried is not forgotten for that."""
    taken = run_unreadable(RecoveryPolicy(FixedRandom()), 24, sessions_s=2 * STABLE_AFTER_S)
    assert [name for _, name in taken].count("NEW_SESSION") == 1


def test_a_store_that_is_readable_again():
    """A look that is answered ends the time; after a quarter of an hour of them the ladder begins anew."""
    ladder = RecoveryPolicy(FixedRandom())
    assert ladder.check_store(0, unreadable=True) is None
    assert ladder.check_store(STORE_UNREADABLE_TIMEOUT_S - 1, unreadable=False) is None
    assert ladder.check_store(STORE_UNREADABLE_TIMEOUT_S, unreadable=True) is None
    assert ladder.check_store(2 * STORE_UNREADABLE_TIMEOUT_S, unreadable=True) is RecoveryAction.NEW_SESSION
    ladder.on_action_done(
        RecoveryAction.NEW_SESSION, Failure.STORE_UNREADABLE, 2 * STORE_UNREADABLE_TIMEOUT_S
    )
    assert "its messages cannot be read, actions taken: 1" in ladder.describe()
    for now, tried in (
        (10_000, RecoveryAction.RESTART_MODULE),
        (20_000 + STABLE_AFTER_S, RecoveryAction.NEW_SESSION),
    ):
        ladder.check_store(now, unreadable=True)
        assert ladder.check_store(now + STORE_UNREADABLE_TIMEOUT_S, unreadable=True) is tried
        ladder.check_store(20_000, unreadable=False)
        ladder.check_store(20_000 + STABLE_AFTER_S, unreadable=False)
    assert ladder.describe() == ""


def test_no_power_is_switched_in_a_session():
    """A pulse takes long, and a session must be able to end at once."""
    ladder = RecoveryPolicy(FixedRandom(), has_power_switch=True)
    now, seen = 0.0, set()
    while now < 2 * 86_400:
        now += 60
        if remedy := ladder.check_sim(now, busy=True):
            seen.add(remedy)
            ladder.on_action_done(remedy, Failure.SIM_BUSY, now)
    assert seen == {RecoveryAction.CYCLE_RADIO, RecoveryAction.RESTART_MODULE}


def test_a_network_that_is_found_ends_it():
    """Counted anew after that; the rungs are forgotten after a quarter of an hour."""
    ladder = RecoveryPolicy(FixedRandom())
    run_unregistered(ladder, Failure.NO_NETWORK, 1)
    ladder.check_registration(None, 3600)
    assert ladder.check_registration(Failure.NO_NETWORK, 3660) is None
    ladder.check_registration(None, 3700)
    ladder.check_registration(None, 3700 + STABLE_AFTER_S)
    ladder.check_registration(Failure.NO_NETWORK, 10_000)
    assert (
        ladder.check_registration(Failure.NO_NETWORK, 10_000 + REGISTRATION_TIMEOUT_S)
        is RecoveryAction.RESELECT_NETWORK
    )


def test_a_new_session_has_its_own_ten_minutes():
    """A module that has just started looks for its network first."""
    ladder = RecoveryPolicy(FixedRandom())
    ladder.check_registration(Failure.NO_NETWORK, 0)
    ladder.on_session_started(7200)
    assert ladder.check_registration(Failure.NO_NETWORK, 7260) is None


@pytest.mark.parametrize(("trouble", "ends"), [(Failure.INTERNAL_ERROR, True), (Failure.NO_RESPONSE, True)])
def test_the_end_comes_last(trouble, ends):
    """Only after everything else has been tried, and after an hour at least."""
    ladder = RecoveryPolicy(FixedRandom(), has_power_switch=True)
    ladder.on_session_started(0)
    taken = run_failures(ladder, trouble, 6)
    first = next(minute for minute, remedy in taken if remedy is RecoveryAction.EXIT_PROCESS)
    assert first >= EXIT_AFTER_S / 60
    if trouble is Failure.NO_RESPONSE:
        assert names(taken)[:2] == ["RESTART_MODULE", "CYCLE_POWER"]


def test_the_end_waits_for_what_was_not_to_be_had():
    """However long it has lasted: power is switched before, even where the budget came late."""
    ladder = RecoveryPolicy(FixedRandom(), has_power_switch=True)
    ladder.on_session_started(0)
    now, asked = 0.0, []
    while now < 6 * 3600:
        now += 60
        if remedy := ladder.on_session_failed(Failure.NO_RESPONSE, now).action:
            if now < 2 * 3600:
                assert remedy is RecoveryAction.RESTART_MODULE
                ladder.on_action_deferred(Failure.NO_RESPONSE, now)
            else:
                asked.append(remedy.name)
                ladder.on_action_done(remedy, Failure.NO_RESPONSE, now)
    assert asked[:3] == ["RESTART_MODULE", "CYCLE_POWER", "EXIT_PROCESS"]


def test_a_module_that_was_never_heard_ends_no_process():
    """The next one would hear as little: a wrong port in agent.toml, say."""
    assert "EXIT_PROCESS" not in names(run_failures(RecoveryPolicy(FixedRandom()), Failure.NO_RESPONSE, 72))


def test_a_quiet_quarter_of_an_hour_shortens_the_waits():
    """A session that worked for a minute lets none grow; one that worked for less is a failure."""
    ladder = RecoveryPolicy(FixedRandom())
    pauses = [ladder.on_session_failed(Failure.SESSION_LOST, now, 10).delay_s for now in range(10)]
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[3]
    assert ladder.on_session_failed(Failure.SESSION_LOST, 100, 100).delay_s == pauses[-1]
    assert ladder.on_session_failed(Failure.SESSION_LOST, 2000, STABLE_AFTER_S).delay_s == pauses[0]


def test_what_is_shown():
    """Nothing while all is well."""
    ladder = RecoveryPolicy(FixedRandom())
    assert ladder.describe() == ""
    ladder.on_session_failed(Failure.NO_RESPONSE, 0)
    ladder.on_action_done(RecoveryAction.RESTART_MODULE, Failure.NO_RESPONSE, 1)
    assert ladder.describe() == "failures in a row: 1; the module does not answer, actions taken: 1"


INPUTS = st.lists(
    st.tuples(
        st.sampled_from([*Failure, "worked", None]),
        st.floats(0, 2000),
        st.sampled_from(["done", "held"]),
    ),
    max_size=80,
)


@given(INPUTS, st.booleans(), st.booleans(), st.integers())
def test_whatever_happens(happenings, power, key, seed):
    """Waits stay within their cap and spread; nothing hard is done for what is only to be waited for;
    nothing is switched that is not there; two steps against one trouble never come without a rest."""
    ladder = RecoveryPolicy(Random(seed), has_power_switch=power)
    now, last = 0.0, {}
    pulsed = False
    for trouble, seconds, outcome in happenings:
        now += seconds
        if trouble == "worked":
            ladder.on_session_started(now)
            pulsed = False
            continue
        if trouble in (None, Failure.NO_NETWORK, Failure.REGISTRATION_DENIED):
            remedy = ladder.check_registration(trouble, now)
            assert remedy in (
                None,
                RecoveryAction.RESELECT_NETWORK,
                RecoveryAction.CYCLE_RADIO,
                RecoveryAction.RESTART_MODULE,
            )
            assert trouble is not None or remedy is None
        else:
            plan = ladder.on_session_failed(trouble, now, seconds / 4)
            cap = max(PORT_BACKOFF.max_s, SESSION_BACKOFF.max_s) * 1.25
            assert 0 < plan.delay_s <= cap
            remedy = plan.action
        assert power or remedy not in (RecoveryAction.CYCLE_POWER, RecoveryAction.PRESS_POWER_KEY)
        if trouble in (Failure.PORT_UNAVAILABLE, Failure.SESSION_LOST, Failure.PIN_REQUIRED):
            assert remedy is None or (remedy is RecoveryAction.PRESS_POWER_KEY and pulsed)
        if remedy is RecoveryAction.EXIT_PROCESS or remedy is None:
            continue
        if remedy is not RecoveryAction.PRESS_POWER_KEY and trouble in last and seconds < STABLE_AFTER_S:
            assert now - last[trouble] >= min(MIN_ACTION_INTERVAL_S, STABLE_AFTER_S)
        if outcome == "done":
            ladder.on_action_done(remedy, trouble, now)
            pulsed = key and remedy in (RecoveryAction.CYCLE_POWER, RecoveryAction.PRESS_POWER_KEY)
            if pulsed:
                ladder.on_power_key_pressed(now)
            last[trouble] = now
        else:
            ladder.on_action_deferred(trouble, now)


@given(st.integers(), st.integers(1, 2000))
def test_what_comes_back_after_days_is_seen_soon(seed, failures):
    """A port within half a minute; a module that answers again within two minutes, a try just missed and the
    time to set it up included."""
    assert PORT_BACKOFF.delay(failures, Random(seed)) <= 30
    assert WAKE_TIMEOUT_S + SESSION_BACKOFF.delay(failures, Random(seed)) + 30 <= 120


def test_a_sim_that_is_busy_from_the_first_moment_on():
    """Time may begin at nought."""
    ladder = RecoveryPolicy(FixedRandom())
    assert ladder.check_sim(0, busy=True) is None
    assert ladder.check_sim(SIM_BUSY_TIMEOUT_S, busy=True) is RecoveryAction.CYCLE_RADIO


def test_a_steady_session_forgets_all_but_the_steps_for_a_network():
    """It shows that the module works, not that there is a network: those end once one has stayed for long."""
    ladder = RecoveryPolicy(FixedRandom())
    ladder.on_action_done(RecoveryAction.RESTART_MODULE, Failure.NO_RESPONSE, 0)
    ladder.on_action_done(RecoveryAction.CYCLE_RADIO, Failure.NO_SIM, 0)
    ladder.on_action_done(RecoveryAction.RESELECT_NETWORK, Failure.NO_NETWORK, 0)
    ladder.on_session_failed(Failure.SESSION_LOST, 2 * STABLE_AFTER_S, STABLE_AFTER_S)
    assert ladder.describe() == "failures in a row: 1; no network, actions taken: 1"
