"""Reading scenarios: times, and one sentence for everything that is wrong."""

from __future__ import annotations

import pytest

from hardware.sim.scenario.steps import ScenarioError, parse_scenario

SIMS = ("meter", "gate")


def parse(text):
    return parse_scenario(text, SIMS)


def test_times_of_steps():
    """Numbers and durations count from the start, "+" from the step before; repetitions may have a range."""
    scenario = parse("""
        title = "t"
        step = [
            {at = 12.5, action = "attach"},
            {at = "+1h", action = "detach", sim = "gate", for = "PT10M"},
            {at = "+30s", action = "command", text = "x", every = "1m-10m"},
            {action = "command", text = "x", every = 5, times = 3},
        ]
    """)
    assert [step.at_s for step in scenario.steps] == [12.5, 3612.5, 3642.5, 0]
    assert [step.every_s for step in scenario.steps] == [None, None, (60, 600), (5, 5)]
    assert [step.times for step in scenario.steps] == [1, 1, 0, 3]
    assert scenario.steps[1].duration_s == 600


def step(**keys):
    """Return the TOML of two steps, of which the second one has these keys."""
    lines = "\n".join(f"{key.removesuffix('_')} = {value}" for key, value in keys.items())
    return f'[[step]]\naction = "attach"\n[[step]]\n{lines}'


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("title = 5", "title must be text"),
        ("title = ", "it is not TOML: "),
        ("", "a scenario needs at least one [[step]]"),
        ("steps = []", "there is no key steps; a scenario has title and [[step]]"),
        ("step = [1]", "step 1: it must be a table"),
        (step(at=5), "step 2: action is missing; the actions are command, message"),
        (step(action='"explode"'), "step 2: action must be one of command, message"),
        (step(action='["x"]'), "step 2: action must be one of command, message"),
        (step(action='"attach"', at='"soon"'),
         'step 2 (attach): at: it must be seconds, or a duration such as "24h"'),
        (step(action='"attach"', at="true"),
         "step 2 (attach): [[step]].at must be a number or text, not true"),
        (step(action='"attach"', at='"+"'), "step 2 (attach): at: it must be seconds"),
        (step(action='"attach"', at=-1), "step 2 (attach): at: it must be a duration from 0 to ten years"),
        (step(action='"attach"', sim='"garage"'),
         'step 2 (attach): sim: there is no SIM "garage"; the SIMs are meter'),
        (step(action='"attach"', text='"x"'),
         "step 2 (attach): there is no key text; the keys of this action are"),
        (step(action='"attach"', times=3), "step 2 (attach): times needs every"),
        (step(action='"attach"', every=1, times=0), "step 2 (attach): [[step]].times must be a whole number"),
        (step(action='"attach"', every=0), "step 2 (attach): every must be 0.1 s or more"),
        (step(action='"attach"', every='"9m-1m"'),
         "step 2 (attach): every must be 0.1 s or more, or a range"),
        (step(action='"attach"', every='"9m-"'), None),
        (step(action='"detach"', for_='"long"'), "step 2 (detach): for: it must be seconds"),
        (step(action='"command"'), "step 2 (command): text is missing"),
        (step(action='"command"', text='"x"', parameters="{Sim = 5}"),
         "step 2 (command): [[step]].parameters.Sim"),
        (step(action='"message"', text='"x"'), "step 2 (message): from is missing"),
        (step(action='"message"', from_='"1"'), "step 2 (message): a message has either text or hex"),
        (step(action='"message"', from_='"1"', hex='"0x"'), "step 2 (message): hex must be pairs"),
        (step(action='"message"', from_='"Mr. Twelve Letters"', text='"x"'), "step 2 (message): from: "),
        (step(action='"fault"', fault='"sunspots"'), 'step 2 (fault): fault: there is no fault "sunspots"'),
        (step(action='"fault"', fault='"mute:for=x"'),
         "step 2 (fault): fault: fault mute: for must be a number"),
        (step(action='"service-fault"', fault='"mute"'),
         'step 2 (service-fault): fault: there is no fault "mute"'),
    ],
)  # fmt: skip
def test_errors_are_one_sentence(text, sentence):
    """It names the step, its action and the key."""
    if sentence is None:
        parse(text)
        return
    with pytest.raises(ScenarioError) as caught:
        parse(text)
    assert str(caught.value).startswith(sentence)
    assert "\n" not in str(caught.value)
