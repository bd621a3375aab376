"""What people ask of the running agent: how it is, to send something, one AT command. Behind the socket."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any, ParamSpec, TypeVar

import pdu
from agent.at.error import AtError
from agent.control import ANSWER_S, ControlError
from agent.dispatcher import Dispatcher
from agent.health import Health
from agent.journal.inbox import Inbox
from agent.journal.outbox import Outbox as Queue
from agent.journal.rescue import kept_aside
from agent.journal.resets import Budget
from agent.journal.rows import Outgoing
from agent.journal.skin import Skin
from agent.mending import Mender
from agent.service.compose import CannotCompose, ReplyRules, compose
from agent.service.profile import ServiceProfile
from agent.supervisor import Supervisor
from agent.version import VERSION

P = ParamSpec("P")
R = TypeVar("R")
PATIENCE_S = ANSWER_S - 5
"""How long the fate of a message is waited for: less than whoever asked waits."""


class Desk:
    """Answers each question with what the rooms know. Each answer raises ControlError with a sentence."""

    def __init__(
        self,
        path: Path,
        skin: Skin,
        inbox: Inbox,
        queue: Queue,
        service: ServiceProfile,
        reply_rules: ReplyRules,
        budget: Budget,
        supervisor: Supervisor,
        mender: Mender,
        dispatcher: Dispatcher,
        health: Health,
        random: Random,
        queued: Callable[[], None],
    ) -> None:
        """`path` is the journal's; `queued` is called when a message was queued."""
        self._path = path
        self._skin = skin
        self._inbox = inbox
        self._queue = queue
        self._service = service
        self._reply_rules = reply_rules
        self._budget = budget
        self._supervisor = supervisor
        self._mender = mender
        self._dispatcher = dispatcher
        self._health = health
        self._random = random
        self._queued = queued
        self._settled = asyncio.Event()

    def settled(self) -> None:
        """A message was sent, refused or is unknown: somebody may wait for it."""
        self._settled.set()
        self._settled = asyncio.Event()

    async def status(self, _request: Mapping[str, Any]) -> Mapping[str, Any]:
        connection = self._supervisor.connection
        session = connection.session
        modem: dict[str, Any] = {"state": connection.state, "sessions": connection.sessions}
        if session is not None:
            modem |= session.describe()
        await self._mender.look()
        used, budget = self._mender.used, self._budget
        return {
            "version": VERSION,
            "service": self._service.name,
            "number": self._service.number,
            "modem": modem,
            "recovery": {
                "state": self._mender.ladder.describe(),
                "resets_hour": used.hour,
                "resets_day": used.day,
                "resets_per_hour": budget.per_hour,
                "resets_per_day": budget.per_day,
            },
            "held": None if session is None else session.held,
            "damaged": [each.name for each in kept_aside(self._path)],
            "commands": await self._journal(self._inbox.counts),
            "replies": await self._journal(self._queue.counts),
            "running": self._dispatcher.running,
            "late": self._health.late(),
        }

    async def send(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Queue a message and wait until it has met its fate."""
        content = _content(request)
        end = asyncio.get_running_loop().time() + PATIENCE_S
        try:
            destination = str(pdu.Address.parse(str(request.get("to") or self._service.number)))
            parts = compose(content, None, self._service, self._reply_rules, self._random.randrange(256))
        except (CannotCompose, pdu.PduError) as error:
            raise ControlError(str(error)) from None
        messages = [Outgoing(destination, part, number, len(parts)) for number, part in enumerate(parts, 1)]
        numbers = await self._journal(self._queue.queue, messages)
        self._queued()
        while True:
            settled = self._settled
            states = await self._journal(self._queue.states, numbers)
            if not {"queued", "sending"} & {state for state, _ in states}:
                break
            if request.get("wait") is False:
                break
            try:
                await asyncio.wait_for(settled.wait(), end - asyncio.get_running_loop().time())
            except TimeoutError:
                raise ControlError(
                    f"not sent within {PATIENCE_S:.0f} s; it stays queued and is sent when it can be: see "
                    "modem-agent outbox"
                ) from None
        return {
            "to": destination,
            "text": None if isinstance(content, bytes) else "".join(part.text or "" for part in parts),
            "messages": [
                {"reply": number, "state": state, "reason": reason}
                for number, (state, reason) in zip(numbers, states, strict=True)
            ],
        }

    async def at(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """One AT command of a person's."""
        session = self._supervisor.connection.session
        if session is None:
            raise ControlError(f"there is no session with the module: {self._supervisor.connection.state}")
        try:
            return {"lines": await session.modem.at(str(request.get("line", "")).strip())}
        except AtError as error:
            raise ControlError(str(error)) from None

    async def _journal(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> R:
        """For people: what is wrong with the disk is an answer."""
        try:
            return await self._skin.run(function, *args, **kwargs)
        except sqlite3.Error as error:
            raise ControlError(f"the journal cannot be used now: {error}") from None


def _content(request: Mapping[str, Any]) -> str | bytes:
    if isinstance(text := request.get("text"), str) and text:
        return text
    if isinstance(octets := request.get("hex"), str) and octets:
        try:
            return bytes.fromhex(octets)
        except ValueError:
            raise ControlError("--hex takes pairs of hexadecimal digits, for example 01FF") from None
    raise ControlError("there is nothing to send: give a text or --hex")
