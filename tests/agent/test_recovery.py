"""The ladder: which step comes after which trouble, how long it rests, and what is never done."""

from itertools import pairwise
from math import inf
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.modem.preparing import WAKE_S
from agent.recovery import (
    BROWN_OUT_WAITS,
    BUSY_S,
    DEADLINES,
    DENIED_REST_S,
    END_S,
    PORT_WAITS,
    REST_CAP_S,
    REST_S,
    SESSION_WAITS,
    STEADY_S,
    UNREADABLE_S,
    UNREGISTERED_S,
    Ladder,
    Remedy,
    SendPause,
    Trouble,
)


class Halves(Random):
    """Chance that is none."""

    def random(self):
        return 0.5


def climb(ladder, trouble, hours, *, session_s=30.0, now=0.0):
    """The remedies of so many hours of one trouble, each carried out: (minute, remedy)."""
    taken = []
    end = now + hours * 3600
    while now < end:
        now += session_s
        plan = ladder.failed(trouble, now)
        if plan.remedy is not None:
            taken.append((round(now / 60), plan.remedy))
            ladder.done(plan.remedy, trouble, now)
        now += plan.pause_s
    return taken


def adrift(ladder, trouble, hours, now=0.0):
    """The remedies of so many hours without a network, looked at each minute."""
    taken = []
    for minute in range(int(hours * 60)):
        if (remedy := ladder.fares(trouble, now + minute * 60)) is not None:
            taken.append((minute, remedy))
            ladder.done(remedy, trouble, now + minute * 60)
    return taken


def names(taken):
    return [remedy.name for _, remedy in taken]


@pytest.mark.parametrize("trouble", [Trouble.ABSENT, Trouble.LOST, Trouble.LOCKED])
def test_some_troubles_are_only_waited_for(trouble):
    """A port that is not there, a session that ended, a person who must act: nothing is restarted."""
    assert climb(Ladder(Halves(), power=True), trouble, 72) == []


def test_a_mute_module_is_restarted_then_switched():
    """After some sessions without an answer, not at the first; the rests double."""
    taken = climb(Ladder(Halves(), power=True), Trouble.SILENT, 24)
    assert names(taken) == ["RESTART"] + ["POWER"] * (len(taken) - 1)
    assert 1 <= taken[0][0] <= 4
    rests = [later - earlier for (earlier, _), (later, _) in pairwise(taken)]
    assert rests[0] >= REST_S / 60
    assert all(later > earlier for earlier, later in pairwise(rests[:6]))
    assert all(REST_CAP_S / 60 <= rest <= REST_CAP_S / 60 + 10 for rest in rests[6:])
    assert len(taken) < 12


def test_without_a_switch_the_restart_is_tried_again():
    """There is nothing harder."""
    assert set(names(climb(Ladder(Halves()), Trouble.SILENT, 24))) == {"RESTART"}


def test_one_answer_lets_the_silences_begin_anew():
    """A module that answers now and then is not mute."""
    ladder = Ladder(Halves())
    now = 0.0
    for _ in range(20):
        for _ in range(DEADLINES - 1):
            now += 30
            assert ladder.failed(Trouble.SILENT, now).remedy is None
        ladder.worked(now)


def test_after_a_pulse_the_key_is_pressed_once_more():
    """It may have gone off by it: whether nothing answers or the port has vanished. Then the rest counts."""
    for after in (Trouble.SILENT, Trouble.ABSENT):
        ladder = Ladder(Halves(), power=True)
        ladder.done(Remedy.RESTART, Trouble.SILENT, 0)
        ladder.done(Remedy.POWER, Trouble.SILENT, 1000)
        ladder.pulsed(1000)
        assert ladder.failed(after, 1030).remedy is None
        assert ladder.failed(after, 1070).remedy is Remedy.PRESS
        ladder.done(Remedy.PRESS, after, 1070)
        ladder.pulsed(1070)
        assert [ladder.failed(after, 1140 + 10 * n).remedy for n in range(10)] == [None] * 10


def test_a_press_that_is_not_to_be_had_is_not_asked_for_all_the_time():
    """Each asking reads the budget from disk."""
    ladder = Ladder(Halves(), power=True)
    ladder.done(Remedy.POWER, Trouble.SILENT, 0)
    ladder.pulsed(0)
    assert ladder.failed(Trouble.ABSENT, 100).remedy is Remedy.PRESS
    ladder.held(Trouble.ABSENT, 100)
    assert ladder.failed(Trouble.ABSENT, 300).remedy is None
    assert ladder.failed(Trouble.ABSENT, 100 + REST_S).remedy is Remedy.PRESS


def test_a_module_that_answers_after_a_pulse_needs_no_press():
    """It is on."""
    ladder = Ladder(Halves(), power=True)
    ladder.done(Remedy.POWER, Trouble.SILENT, 0)
    ladder.pulsed(0)
    ladder.worked(30)
    assert ladder.failed(Trouble.ABSENT, 1000).remedy is None


def test_a_module_that_could_never_be_used_is_not_restarted_for_ever():
    """Each step once: it may be one without messages. One that could be used is helped on."""
    assert names(climb(Ladder(Halves()), Trouble.UNUSABLE, 72)) == ["RESTART"]
    assert names(climb(Ladder(Halves(), power=True), Trouble.UNUSABLE, 72)) == ["RESTART", "POWER"]
    ladder = Ladder(Halves(), power=True)
    ladder.worked(0)
    assert names(climb(ladder, Trouble.UNUSABLE, 6))[:4] == ["RESTART", "POWER", "POWER", "POWER"]


def test_a_lost_sim_gets_its_radio_cycled_at_once():
    """That alone brings it back most times; then harder, with rests, and never the end of the process."""
    ladder = Ladder(Halves(), power=True)
    ladder.worked(0)
    taken = climb(ladder, Trouble.NO_SIM, 48)
    assert names(taken)[:4] == ["RADIO", "RESTART", "POWER", "RADIO"]
    assert taken[0][0] <= 1
    assert "END" not in names(taken)
    assert len(taken) < 20


def test_nobody_registered_for_long_goes_up_three_rungs():
    """Nothing for ten minutes; then network, radio, restart, with at least ten minutes between."""
    taken = adrift(Ladder(Halves()), Trouble.SEARCHING, 12)
    assert names(taken)[:4] == ["RESELECT", "RADIO", "RESTART", "RADIO"]
    assert [minute for minute, _ in taken[:3]] == [10, 20, 40]
    rests = [later - earlier for (earlier, _), (later, _) in pairwise(taken)]
    assert rests == sorted(rests)
    assert "POWER" not in names(taken)


def test_denied_registration_is_asked_again_at_most_once_an_hour():
    """However long it lasts, and also where the module is seen searching in between."""
    taken = adrift(Ladder(Halves()), Trouble.DENIED, 24)
    assert taken[0][0] == UNREGISTERED_S / 60
    assert min(later - earlier for (earlier, _), (later, _) in pairwise(taken)) >= DENIED_REST_S / 60
    ladder = Ladder(Halves())
    ladder.fares(Trouble.SEARCHING, 0)
    assert ladder.fares(Trouble.SEARCHING, 600) is Remedy.RESELECT
    ladder.done(Remedy.RESELECT, Trouble.SEARCHING, 600)
    assert ladder.fares(Trouble.DENIED, 1300) is None
    assert ladder.fares(Trouble.DENIED, 600 + DENIED_REST_S) is Remedy.RADIO


def test_a_sim_that_stays_busy_is_one_that_is_lost():
    """Not while it starts; the steps and their rests are the same."""
    ladder = Ladder(Halves())
    assert ladder.sim(0, busy=True) is None
    assert ladder.sim(100, busy=False) is None
    assert ladder.sim(200, busy=True) is None
    assert ladder.sim(200 + BUSY_S, busy=True) is Remedy.RADIO
    ladder.done(Remedy.RADIO, Trouble.SIM_BUSY, 500)
    assert ladder.sim(560, busy=True) is None
    assert ladder.failed(Trouble.NO_SIM, 600).remedy is None
    assert ladder.failed(Trouble.NO_SIM, 500 + REST_S).remedy is Remedy.RESTART


def unreadable(ladder, hours, *, sessions_s=inf):
    """What is done, and when, while each look at the messages is refused."""
    taken, begun = [], 0.0
    for now in range(0, hours * 3600, 60):
        if remedy := ladder.store(now, refuses=True):
            taken.append((now, remedy.name))
            ladder.done(remedy, Trouble.UNREADABLE, now)
            ladder.worked(now)
        if now - begun >= sessions_s:
            ladder.failed(Trouble.LOST, now, now - begun)
            begun = now
    return taken


def test_a_store_that_stays_unreadable():
    """Not at the first refusal: a new session, then restarts with rests that grow. No power, no end."""
    taken = unreadable(Ladder(Halves(), power=True), 72)
    names = [name for _, name in taken]
    assert taken[0] == (UNREADABLE_S, "ANEW")
    assert set(names[1:]) == {"RESTART"}
    rests = [later - sooner for (sooner, _), (later, _) in pairwise(taken)]
    assert rests == sorted(rests)
    assert min(rests) >= UNREADABLE_S
    assert len(taken) <= 25


def test_a_session_that_lasts_is_no_sign_of_a_readable_store():
    """All else works, perhaps for days: what was tried is not forgotten for that."""
    taken = unreadable(Ladder(Halves()), 24, sessions_s=2 * STEADY_S)
    assert [name for _, name in taken].count("ANEW") == 1


def test_a_store_that_is_readable_again():
    """A look that is answered ends the time; after a quarter of an hour of them the ladder begins anew."""
    ladder = Ladder(Halves())
    assert ladder.store(0, refuses=True) is None
    assert ladder.store(UNREADABLE_S - 1, refuses=False) is None
    assert ladder.store(UNREADABLE_S, refuses=True) is None
    assert ladder.store(2 * UNREADABLE_S, refuses=True) is Remedy.ANEW
    ladder.done(Remedy.ANEW, Trouble.UNREADABLE, 2 * UNREADABLE_S)
    assert "its messages cannot be read, steps taken: 1" in ladder.describe()
    for now, tried in ((10_000, Remedy.RESTART), (20_000 + STEADY_S, Remedy.ANEW)):
        ladder.store(now, refuses=True)
        assert ladder.store(now + UNREADABLE_S, refuses=True) is tried
        ladder.store(20_000, refuses=False)
        ladder.store(20_000 + STEADY_S, refuses=False)
    assert ladder.describe() == ""


def test_no_power_is_switched_in_a_session():
    """A pulse takes long, and a session must be able to end at once."""
    ladder = Ladder(Halves(), power=True)
    now, seen = 0.0, set()
    while now < 2 * 86_400:
        now += 60
        if remedy := ladder.sim(now, busy=True):
            seen.add(remedy)
            ladder.done(remedy, Trouble.SIM_BUSY, now)
    assert seen == {Remedy.RADIO, Remedy.RESTART}


def test_a_network_that_is_found_ends_it():
    """Counted anew after that; the rungs are forgotten after a quarter of an hour."""
    ladder = Ladder(Halves())
    adrift(ladder, Trouble.SEARCHING, 1)
    ladder.fares(None, 3600)
    assert ladder.fares(Trouble.SEARCHING, 3660) is None
    ladder.fares(None, 3700)
    ladder.fares(None, 3700 + STEADY_S)
    ladder.fares(Trouble.SEARCHING, 10_000)
    assert ladder.fares(Trouble.SEARCHING, 10_000 + UNREGISTERED_S) is Remedy.RESELECT


def test_a_new_session_has_its_own_ten_minutes():
    """A module that has just started looks for its network first."""
    ladder = Ladder(Halves())
    ladder.fares(Trouble.SEARCHING, 0)
    ladder.worked(7200)
    assert ladder.fares(Trouble.SEARCHING, 7260) is None


@pytest.mark.parametrize(("trouble", "ends"), [(Trouble.MISTAKE, True), (Trouble.SILENT, True)])
def test_the_end_comes_last(trouble, ends):
    """Only after everything else has been tried, and after an hour at least."""
    ladder = Ladder(Halves(), power=True)
    ladder.worked(0)
    taken = climb(ladder, trouble, 6)
    first = next(minute for minute, remedy in taken if remedy is Remedy.END)
    assert first >= END_S / 60
    if trouble is Trouble.SILENT:
        assert names(taken)[:2] == ["RESTART", "POWER"]


def test_the_end_waits_for_what_was_not_to_be_had():
    """However long it has lasted: power is switched before, even where the budget came late."""
    ladder = Ladder(Halves(), power=True)
    ladder.worked(0)
    now, asked = 0.0, []
    while now < 6 * 3600:
        now += 60
        if remedy := ladder.failed(Trouble.SILENT, now).remedy:
            if now < 2 * 3600:
                assert remedy is Remedy.RESTART
                ladder.held(Trouble.SILENT, now)
            else:
                asked.append(remedy.name)
                ladder.done(remedy, Trouble.SILENT, now)
    assert asked[:3] == ["RESTART", "POWER", "END"]


def test_a_module_that_was_never_heard_ends_no_process():
    """The next one would hear as little: a wrong port in agent.toml, say."""
    assert "END" not in names(climb(Ladder(Halves()), Trouble.SILENT, 72))


def test_a_quiet_quarter_of_an_hour_shortens_the_waits():
    """A session that worked for a minute lets none grow; one that worked for less is a failure."""
    ladder = Ladder(Halves())
    pauses = [ladder.failed(Trouble.LOST, now, 10).pause_s for now in range(10)]
    assert pauses == sorted(pauses)
    assert pauses[0] < pauses[3]
    assert ladder.failed(Trouble.LOST, 100, 100).pause_s == pauses[-1]
    assert ladder.failed(Trouble.LOST, 2000, STEADY_S).pause_s == pauses[0]


def test_what_is_shown():
    """Nothing while all is well."""
    ladder = Ladder(Halves())
    assert ladder.describe() == ""
    ladder.failed(Trouble.SILENT, 0)
    ladder.done(Remedy.RESTART, Trouble.SILENT, 1)
    assert ladder.describe() == "failures in a row: 1; the module does not answer, steps taken: 1"


HAPPENINGS = st.lists(
    st.tuples(
        st.sampled_from([*Trouble, "worked", None]),
        st.floats(0, 2000),
        st.sampled_from(["done", "held"]),
    ),
    max_size=80,
)


@given(HAPPENINGS, st.booleans(), st.booleans(), st.integers())
def test_whatever_happens(happenings, power, key, seed):
    """Waits stay within their cap and spread; nothing hard is done for what is only to be waited for;
    nothing is switched that is not there; two steps against one trouble never come without a rest."""
    ladder = Ladder(Random(seed), power=power)
    now, last = 0.0, {}
    pulsed = False
    for trouble, seconds, outcome in happenings:
        now += seconds
        if trouble == "worked":
            ladder.worked(now)
            pulsed = False
            continue
        if trouble in (None, Trouble.SEARCHING, Trouble.DENIED):
            remedy = ladder.fares(trouble, now)
            assert remedy in (None, Remedy.RESELECT, Remedy.RADIO, Remedy.RESTART)
            assert trouble is not None or remedy is None
        else:
            plan = ladder.failed(trouble, now, seconds / 4)
            cap = max(PORT_WAITS.cap_s, SESSION_WAITS.cap_s) * 1.25
            assert 0 < plan.pause_s <= cap
            remedy = plan.remedy
        assert power or remedy not in (Remedy.POWER, Remedy.PRESS)
        if trouble in (Trouble.ABSENT, Trouble.LOST, Trouble.LOCKED):
            assert remedy is None or (remedy is Remedy.PRESS and pulsed)
        if remedy is Remedy.END or remedy is None:
            continue
        if remedy is not Remedy.PRESS and trouble in last and seconds < STEADY_S:
            assert now - last[trouble] >= min(REST_S, STEADY_S)
        if outcome == "done":
            ladder.done(remedy, trouble, now)
            pulsed = key and remedy in (Remedy.POWER, Remedy.PRESS)
            if pulsed:
                ladder.pulsed(now)
            last[trouble] = now
        else:
            ladder.held(trouble, now)


# Sending that takes the module down


def test_one_loss_after_a_message_is_chance():
    """Two in a row are not: sending rests, longer with each further one, up to a cap."""
    rest, now, pauses = SendPause(Halves()), 0.0, []
    for _ in range(9):
        rest.left(now)
        pauses.append(rest.lost(now + 5))
        now += 30_000
    assert pauses[:4] == [None, 300, 600, 1200]
    assert pauses[-1] == BROWN_OUT_WAITS.cap_s


def test_messages_of_one_moment_are_one_trial():
    """The module is lost after the last of them."""
    rest = SendPause(Halves())
    for now in (0, 100):
        for number in range(5):
            rest.left(now + number / 10)
        lost = rest.lost(now + 1)
    assert lost == 300


def test_it_rests_for_its_time():
    """And then is tried again."""
    rest = SendPause(Halves())
    for now in (0, 100):
        rest.left(now)
        rest.lost(now + 1)
    assert rest.remaining(101) == 300
    assert rest.remaining(400) == 1
    assert rest.remaining(401) == 0


@pytest.mark.parametrize("between", ["a message that did no harm", "a loss much later", "another loss"])
def test_only_losses_right_after_messages_count(between):
    """And only in a row."""
    rest = SendPause(Halves())
    rest.left(0)
    assert rest.lost(5) is None
    if between == "a message that did no harm":
        rest.left(100)
    elif between == "a loss much later":
        rest.left(100)
        rest.lost(150)
    else:
        rest.lost(100)
    rest.left(200)
    assert (rest.lost(205) is None) == (between != "another loss")


@given(st.integers(), st.integers(1, 2000))
def test_what_comes_back_after_days_is_seen_soon(seed, failures):
    """A port within half a minute; a module that answers again within two minutes, a try just missed and the
    time to set it up included."""
    assert PORT_WAITS.after(failures, Random(seed)) <= 30
    assert WAKE_S + SESSION_WAITS.after(failures, Random(seed)) + 30 <= 120


def test_a_sim_that_is_busy_from_the_first_moment_on():
    """Time may begin at nought."""
    ladder = Ladder(Halves())
    assert ladder.sim(0, busy=True) is None
    assert ladder.sim(BUSY_S, busy=True) is Remedy.RADIO
