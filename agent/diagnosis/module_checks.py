"""Judges what a module answered. Pure functions: the answers and the status of the agent in, findings out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agent.diagnosis.finding import MODULE_CHECKS, Check, Finding, Level, skip
from agent.diagnosis.module_answers import ModuleAnswers
from agent.modem.settings_negotiation import NO_SERVICE_CENTRE
from agent.modem.sim import MAX_PIN_TRIES, NO_PIN, explain_last_try
from agent.modem.sim_status import SimState
from agent.modem.status_queries import REJECT_CAUSES, SMS_CAPABLE_STATES, Registration, RegistrationState

SMS_ONLY_STATES = {RegistrationState.SMS_ONLY_HOME, RegistrationState.SMS_ONLY_ROAMING}
ALMOST_FULL = 0.8
"""Share of a store from which on a burst of Commands may fill it."""
WEAK_SIGNAL_DBM = -105
"""Below this messages often fail; 27.007 8.5 ends at -113."""


def check_module(
    answers: ModuleAnswers, *, status: Mapping[str, Any] | None, has_pin: bool, service_centre: str
) -> Iterator[Finding]:
    """Yield the findings from the module itself to its message store.

    `status`: what the running agent reports about its session; None if no agent runs. `has_pin`: a PIN is
    configured. `service_centre`: the configured number, or "".
    """
    yield _check_answers(answers, status)
    sim = _check_sim(answers, has_pin=has_pin)
    yield sim
    if sim.level is Level.WRONG or not answers.sim.may_be_unlocked:
        yield from skip(MODULE_CHECKS[1:], "it needs a SIM that is ready")
        return
    yield check_registration(answers)
    yield _check_message_service(answers, service_centre)
    yield _check_notifications(answers, status)
    yield _check_stores(answers, status)


def _check_answers(answers: ModuleAnswers, status: Mapping[str, Any] | None) -> Finding:
    identity = answers.identity
    name = " ".join(filter(None, (identity.manufacturer, identity.model))) or "a module without a name"
    details = (
        f"profile {answers.profile}",
        *((f"revision {identity.revision}",) if identity.revision else ()),
        *(f"note: {note}" for note in (status or {}).get("notes", ())),
    )
    if answers.functionality not in {None, 1}:
        reason = f"the radio of the module is switched off (+CFUN: {answers.functionality})"
        if status is None:
            next_step = "start the agent, which switches it on: sudo systemctl start modem-agent"
            return Finding(Check.MODULE, Level.WARNING, reason, next_step, details)
        next_step = "find the program that switched it off; the agent switches it on again"
        return Finding(Check.MODULE, Level.WRONG, reason, next_step, details)
    if answers.unanswered:
        reason = f"{name} answers, but not to {', '.join(answers.unanswered)}"
        next_step = "modem-agent doctor --bundle FILE records it for a report"
        return Finding(Check.MODULE, Level.WARNING, reason, next_step, details)
    return Finding(Check.MODULE, Level.OK, f"{name} answers", "", details)


def _check_sim(answers: ModuleAnswers, *, has_pin: bool) -> Finding:
    sim, tries = answers.sim, answers.pin_tries
    tries_text = () if tries is None else (f"{tries} of {MAX_PIN_TRIES} tries left",)
    if reason := sim.reason_unusable:
        next_step = {
            SimState.ABSENT: "switch the device off, put the SIM into its holder, switch it on again",
            SimState.FAILED: "switch the device off, clean the SIM and put it in again; try it in a phone",
            SimState.PUK_REQUIRED: "put the SIM into a phone and enter the PUK from its letter or console",
        }.get(sim.state, "put the SIM into a phone and switch the lock off")
        return Finding(Check.SIM, Level.WRONG, reason, next_step)
    if sim.state is SimState.PIN_REQUIRED:
        if tries is not None and tries < 2:
            next_step = "put the SIM into a phone and enter the PIN there"
            return Finding(Check.SIM, Level.WRONG, explain_last_try(tries), next_step)
        if not has_pin:
            return Finding(Check.SIM, Level.WRONG, NO_PIN, "sudo modem-agent setup --pin", tries_text)
        reason = "the SIM asks for its PIN, which is configured and entered by the agent when it starts"
        return Finding(Check.SIM, Level.OK, reason, "sudo systemctl start modem-agent", tries_text)
    if sim.state is SimState.NOT_READY:
        reason = f"the module is still reading its SIM, or has switched it off ({sim.evidence})"
        return Finding(Check.SIM, Level.WRONG, reason, "wait a minute, then modem-agent doctor again")
    if sim.state is SimState.UNKNOWN and sim.refusal is not None:
        reason = (
            "the module sees no SIM, or is still reading it: it refuses AT+CPIN? "
            f"({sim.refusal.result.text}) and gives no number of an error"
            if sim.refusal.code is None
            else f"the module does not tell the state of its SIM: {sim.evidence}"
        )
        next_step = "wait a minute, then modem-agent doctor again; then check the SIM in its holder"
        return Finding(Check.SIM, Level.WRONG, reason, next_step)
    if sim.state is SimState.UNKNOWN:
        return Finding(Check.SIM, Level.WARNING, "the module does not tell the state of its SIM")
    return Finding(Check.SIM, Level.OK, "the SIM is ready")


def check_registration(answers: ModuleAnswers) -> Finding:
    """Return the finding on the registration, with the state of each domain."""
    registration, signal = answers.registration, answers.signal
    details = [*(_describe_domain(name, state, answers) for name, state in _domains(registration))]
    details.append(str(signal))
    if answers.extended_error:
        details.append(f"the module's last error is {answers.extended_error} (+CEER)")
    if not registration.can_send:
        denied = RegistrationState.DENIED in registration.states
        causes = {REJECT_CAUSES.get(cause, "see 24.008") for cause in answers.reject_causes.values()}
        numbers = sorted(set(answers.reject_causes.values()))
        why = f" (cause {', '.join(map(str, numbers))}: {'; '.join(sorted(causes))})" if numbers else ""
        next_step = (
            "activate the SIM in the console of its service, and check that its plan has this network"
            if denied
            else "check the antenna and the coverage; after switching on, wait some minutes"
        )
        reason = f"{registration}{why}: there is no network"
        return Finding(Check.REGISTRATION, Level.WRONG, reason, next_step, tuple(details))
    circuit, eps = registration.circuit, registration.eps
    if circuit in SMS_ONLY_STATES:
        reason = f"{registration}, for SMS only (+CREG: {circuit}): messages work, calls do not"
    elif circuit is not None and circuit not in SMS_CAPABLE_STATES and eps in SMS_CAPABLE_STATES:
        reason = (
            f"{registration} on LTE only (+CEREG: {eps}, +CREG: {circuit}): such a network carries SMS by "
            "IMS, or by SGs after a combined attach, and perhaps not at all"
        )
        next_step = "try it: modem-agent doctor --send; ask the operator for SMS over SGs"
        return Finding(Check.REGISTRATION, Level.WARNING, reason, next_step, tuple(details))
    else:
        reason = str(registration)
    if signal.dbm is not None and signal.dbm < WEAK_SIGNAL_DBM:
        reason = f"{reason}, but with a weak signal ({signal.dbm} dBm)"
        return Finding(Check.REGISTRATION, Level.WARNING, reason, "move the antenna", tuple(details))
    return Finding(Check.REGISTRATION, Level.OK, reason, "", tuple(details))


def _domains(registration: Registration) -> list[tuple[str, int]]:
    states = (("+CREG", registration.circuit), ("+CGREG", registration.packet), ("+CEREG", registration.eps))
    return [(name, state) for name, state in states if state is not None]


def _describe_domain(name: str, state: int, answers: ModuleAnswers) -> str:
    cause = answers.reject_causes.get(name)
    why = "" if cause is None else f", cause {cause}: {REJECT_CAUSES.get(cause, 'see 24.008')}"
    only = ", SMS only" if state in SMS_ONLY_STATES else ""
    words = {"+CREG": "circuit", "+CGREG": "packet", "+CEREG": "LTE"}
    return f"{words[name]} ({name}: {state}): {Registration(state)}{only}{why}"


def _check_message_service(answers: ModuleAnswers, service_centre: str) -> Finding:
    if answers.message_format_refusal and not answers.message_types:
        reason = f"the module has no messages: {answers.message_format_refusal}, and so was AT+CSMS?"
        next_step = "ask the seller: some variants of a module have no SMS, which no firmware changes"
        return Finding(Check.MESSAGE_SERVICE, Level.WRONG, reason, next_step)
    names = ("receive", "send")
    lacking = [name for name, able in zip(names, answers.message_types, strict=False) if not able]
    if lacking:
        reason = f"the module cannot {' or '.join(lacking)} messages (+CSMS?)"
        next_step = "ask the seller for a variant of the module with SMS"
        return Finding(Check.MESSAGE_SERVICE, Level.WRONG, reason, next_step)
    if not answers.service_centre and answers.service_centre is not None and not service_centre:
        next_step = "ask the service for the number of its service centre"
        return Finding(Check.MESSAGE_SERVICE, Level.WRONG, NO_SERVICE_CENTRE, next_step)
    if answers.service_centre:
        reason = "messages can be received and sent"
        return Finding(
            Check.MESSAGE_SERVICE, Level.OK, reason, "", (f"service centre {answers.service_centre}",)
        )
    shown = "the configured one is written when it starts" if service_centre else "it is not shown"
    return Finding(
        Check.MESSAGE_SERVICE, Level.OK, f"messages can be received and sent; service centre: {shown}"
    )


def _check_notifications(answers: ModuleAnswers, status: Mapping[str, Any] | None) -> Finding:
    values = ",".join(map(str, answers.notifications))
    if status is not None and not status.get("notifications", True):
        reason = f"the module announces no messages (+CNMI: {values or 'refused'})"
        next_step = "nothing: the agent reads the message store every minute; Commands come that much later"
        return Finding(Check.NOTIFICATIONS, Level.WARNING, reason, next_step)
    if not answers.notifications:
        reason = "the module refuses +CNMI?, so it may announce no messages"
        next_step = "nothing: the agent reads the message store every minute if none is announced"
        return Finding(Check.NOTIFICATIONS, Level.WARNING, reason, next_step)
    if len(answers.notifications) > 1 and answers.notifications[1]:
        return Finding(Check.NOTIFICATIONS, Level.OK, f"new messages are announced (+CNMI: {values})")
    if answers.offered_mt and not answers.offered_mt & {"1", "2", "3"}:
        reason = f"the module offers no way to announce messages (+CNMI: {values})"
        next_step = "nothing: the agent reads the message store every minute"
        return Finding(Check.NOTIFICATIONS, Level.WARNING, reason, next_step)
    reason = f"new messages are not announced now (+CNMI: {values}); the agent switches it on when it starts"
    return Finding(Check.NOTIFICATIONS, Level.OK, reason)


def _check_stores(answers: ModuleAnswers, status: Mapping[str, Any] | None) -> Finding:
    shown = tuple(f"{name} {used} of {total}" for name, used, total in answers.stores)
    if status is not None and status.get("read_error"):
        reason = f"the module refuses to read its messages: {status['read_error']}"
        return Finding(Check.STORE, Level.WRONG, reason, "wait: the agent restarts the module", shown)
    full = [name for name, used, total in answers.stores if total and used >= total]
    if full:
        reason = (
            f"message store {' and '.join(full)} is full ({', '.join(shown)}): the network keeps new messages"
        )
        if status is None:
            next_step = "start the agent, which reads and deletes them: sudo systemctl start modem-agent"
        else:
            next_step = "see why the agent deletes nothing: modem-agent status; journalctl -u modem-agent"
        return Finding(
            Check.STORE, Level.WARNING if status is None else Level.WRONG, reason, next_step, shown
        )
    almost = [name for name, used, total in answers.stores if total and used >= ALMOST_FULL * total]
    if almost:
        reason = f"message store {' and '.join(almost)} is almost full ({', '.join(shown)})"
        next_step = "modem-agent at AT+CMGL=4 shows the messages; the agent deletes those that it has stored"
        return Finding(Check.STORE, Level.WARNING, reason, next_step, shown)
    if answers.stores:
        return Finding(Check.STORE, Level.OK, f"there is room for messages ({', '.join(shown)})")
    if answers.stores_refusal:
        reason = f"the module reports no message store: {answers.stores_refusal}"
        next_step = "nothing: the agent then asks for direct delivery, which may lose messages of a burst"
        return Finding(Check.STORE, Level.WARNING, reason, next_step)
    return Finding(Check.STORE, Level.WARNING, "the module does not answer +CPMS? in a known form")
