"""Runs one handler as the agent would, without the agent: for `modem-agent handlers test`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pdu
from agent.common.config import Config
from agent.common.events import Event
from agent.forwarding.targets import list_specs
from agent.handlers import builtin
from agent.handlers.api import Command
from agent.handlers.registry import HandlerRegistry, load_registry
from agent.handlers.results import Failed, Finished, HandlerResult, NotStarted, RetryLater, TimedOut
from agent.handlers.runner import ProcessRunner
from agent.handlers.spec import HandlerSpec
from agent.pipeline.composer import MessageComposer
from agent.pipeline.error_text import describe_failure, describe_no_handler
from agent.service.classify import ERROR_REPLY_PREFIX
from agent.service.compose import ComposeError, ReplyConfig
from agent.service.profile import SERVICE_PROFILES

GSM7_LENGTH, UCS2_LENGTH, OCTET_LENGTH = 160, 70, 140
"""Capacity of one SMS: septets, UCS-2 characters, octets (23.038, 23.040 9.2.3.16)."""
ANY_SID = "HC" + "0" * 32
"""The SID of a Command whose reply begins with it, if none is given: it has the right length."""


@dataclass(frozen=True, slots=True)
class Trial:
    """What a run did, as JSON values; None for what does not apply."""

    handler: str | None
    location: str | None
    succeeded: bool
    result: str
    seconds: float
    stderr: str
    reply: str | None
    """The text as it would be sent, or hexadecimal digits of octets."""
    length: str | None
    messages: int
    omitted: int
    """The number of characters at the end of the reply that are not sent."""
    reply_to: str | None
    then: str | None
    """The result of the action after the reply, or that there is one."""


class _TrialRun:
    """The parts of one run."""

    def __init__(self, config: Config, command: Command) -> None:
        self._config = config
        self._command = command
        self._log: list[str] = []
        service = config.service
        self._composer = MessageComposer(
            SERVICE_PROFILES[service.name],
            ReplyConfig(
                reply_sid=service.reply_sid, max_parts=service.max_parts, allow_ucs2=service.allow_ucs2
            ),
        )

    async def run(self, environment: Mapping[str, str], *, with_action: bool) -> Trial:
        """Load the handlers and run the one for the Command."""
        runner = ProcessRunner(self._on_event, environment)
        try:
            registry = await load_registry(
                self._config.handlers.directory, runner, forwarding=list_specs(self._config)
            )
            spec = registry.match(self._command)
            if spec is None or spec.error:
                return self._describe_missing(spec, registry)
            began = _now()
            result = await self._run_handler(spec, registry, runner)
            seconds = _now() - began
            then = result.then if isinstance(result, Finished) else None
            if then is not None:
                then = await self._run_action(spec, then, runner) if with_action else f"{then} would run"
        finally:
            await runner.close()
        return self._describe(spec, result, seconds, then)

    def _on_event(self, event: Event) -> None:
        self._log.append(event.message)

    async def _run_handler(
        self, spec: HandlerSpec, registry: HandlerRegistry, runner: ProcessRunner
    ) -> HandlerResult:
        if spec.kind == "builtin":
            names, unusable = registry.trigger_names, registry.unusable
            return builtin.run(spec, self._command, lambda: "(what the running agent knows)", names, unusable)
        if spec.kind == "forwarding":
            return Failed(f"it is forwarded ({spec.location}), which is not done here: send the Command")
        return await runner.run(spec, self._command, self._timeout_s(spec))

    async def _run_action(self, spec: HandlerSpec, action: str, runner: ProcessRunner) -> str:
        result = await runner.run_action(spec, action, self._command, self._timeout_s(spec))
        return f"{action}: {self._describe_result(spec, result)}"

    def _timeout_s(self, spec: HandlerSpec) -> float:
        return self._config.handlers.timeout_s if spec.timeout_s is None else spec.timeout_s

    def _describe_missing(self, spec: HandlerSpec | None, registry: HandlerRegistry) -> Trial:
        """Return the trial of a Command without a handler that can be used."""
        problem = "" if spec is None else spec.error
        result = problem or f"no handler; there are handlers for {', '.join(registry.trigger_names)}"
        if registry.unread_files and not problem:
            result += f"; not usable: {', '.join(registry.unread_files)}"
        reply = self._compose(
            f"{ERROR_REPLY_PREFIX}{describe_no_handler(self._command, problem)}", spec, error=True
        )
        name, location = (None, None) if spec is None else (spec.name, spec.location)
        return Trial(
            name, location, succeeded=False, result=result, seconds=0.0, stderr="", then=None, **reply
        )

    def _describe(self, spec: HandlerSpec, result: HandlerResult, seconds: float, then: str | None) -> Trial:
        error_text = ""
        match result:
            case Finished():
                reply: dict[str, Any] = self._compose(result.reply, spec, omitted=result.omitted)
                error_text = reply.pop("error", "")
            case NotStarted():
                reply = self._compose(None, spec)
            case Failed() | RetryLater() | TimedOut():
                details = self._config.handlers.error_details
                text = describe_failure(spec, result, with_details=details)
                reply = self._compose(f"{ERROR_REPLY_PREFIX}{text}", spec, error=True)
        return Trial(
            spec.name,
            spec.location,
            succeeded=isinstance(result, Finished) and not error_text,
            result=error_text or self._describe_result(spec, result),
            seconds=round(seconds, 3),
            stderr="\n".join(line.removeprefix(f"{spec.file and spec.file.name}: ") for line in self._log),
            then=then,
            **reply,
        )

    def _describe_result(self, spec: HandlerSpec, result: HandlerResult) -> str:
        match result:
            case Finished():
                return "exit status 0" if spec.kind == "executable" else "returned"
            case TimedOut():
                return f"killed at its time limit of {self._timeout_s(spec):g} s"
            case RetryLater(reason):
                return f"{reason}: the agent would run it again later"
            case Failed(reason) | NotStarted(reason):
                return reason

    def _compose(
        self, content: str | bytes | None, spec: HandlerSpec | None, *, error: bool = False, omitted: int = 0
    ) -> dict[str, Any]:
        """Return the fields of the trial about the reply; `error` if it cannot be sent."""
        nothing = {"reply": None, "length": None, "messages": 0, "omitted": 0, "reply_to": None}
        if not content:
            return nothing
        destination = None if spec is None or error else spec.reply_to
        try:
            messages = self._composer.compose(
                content,
                sid=self._command.sid or ANY_SID,
                reference=0,
                destination=destination,
                error_reply=error,
                omitted=omitted,
            )
        except ComposeError as problem:
            error_reply = self._compose(f"{ERROR_REPLY_PREFIX}answer", spec, error=True)
            return error_reply | {"error": f"the reply cannot be sent: {problem}"}
        is_text = isinstance(content, str)
        text = "".join(each.user_data.text or "" for each in messages)
        return {
            "reply": text if is_text else content.hex().upper() if isinstance(content, bytes) else None,
            "length": _describe_length(text) if is_text else f"{len(content)} of {OCTET_LENGTH} octets",
            "messages": len(messages),
            "omitted": messages[-1].omitted,
            "reply_to": messages[0].destination,
        }


def _describe_length(text: str) -> str:
    septets = pdu.septets(text)
    if septets is None:
        return f"{len(text)} of {UCS2_LENGTH} characters (UCS-2)"
    return f"{septets} of {GSM7_LENGTH} characters"


async def run_trial(
    config: Config,
    command: Command,
    environment: Mapping[str, str] = os.environ,
    *,
    with_action: bool = False,
) -> Trial:
    """Run the handler for a Command once, and with `with_action` the action that follows its reply.

    Raises HandlerConfigError and ResourceExhausted.
    """
    return await _TrialRun(config, command).run(environment, with_action=with_action)


def _now() -> float:
    return asyncio.get_running_loop().time()
