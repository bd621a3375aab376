"""Puts the rooms together: the only place that knows them all, and the seams that it hands down."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import sqlite3
from functools import partial
from pathlib import Path

from agent.asking import Desk
from agent.at.channel import Channel
from agent.at.holder import others
from agent.at.opening import opener
from agent.at.port import PortOpener
from agent.at.wire import Opener
from agent.cards import CardBook
from agent.config import Config
from agent.control import ControlServer
from agent.dispatcher import Dispatcher, RunningRules
from agent.handlers.catalogue import load
from agent.health import Health
from agent.intake import Intake
from agent.journal.actions import Actions
from agent.journal.cards import Cards
from agent.journal.forgetting import Forgetting
from agent.journal.inbox import Inbox
from agent.journal.journal import Journal
from agent.journal.outbox import Outbox as Queue
from agent.journal.resets import Budget, Resets
from agent.journal.skin import insist
from agent.mending import Means, Mender, Neighbours
from agent.modem.card import Holder
from agent.modem.modem import Modem
from agent.outbox import Outbox, SendingRules
from agent.quiet import Quiet
from agent.recovery import Ladder, SendPause
from agent.seams import Seams
from agent.service.compose import ReplyRules
from agent.service.profile import PROFILES
from agent.session import Session
from agent.stopping import unless_stopped
from agent.story import Step, Tell, Weight
from agent.supervisor import Supervisor
from agent.version import VERSION
from agent.waiting import Waiting
from hardware.power import PowerUnusable, switch

__all__ = ["Agent", "GaveUp", "Seams"]

HANDLERS_S = 3.0
"""What running handlers get when the agent stops."""
MANNERS_S = 1.0
"""What everything else gets after that."""
INCOMPLETE_S = 3600.0
"""Between two looks for messages whose parts did not all come."""
PRUNE_AT = 24
"""Each so manieth look is a whole round."""


class GaveUp(Exception):  # noqa: N818  (reads as the sentence it is)
    """Nothing helped for long: another process may. The text says what was wrong."""


class Agent:
    """One agent: one module, one service, one journal."""

    def __init__(self, config: Config, tell: Tell, seams: Seams | None = None) -> None:
        self._config = config
        self._tell = tell
        self._seams = seams or Seams()
        self._service = PROFILES[config.service.name]
        self._reply_rules = ReplyRules(
            config.service.reply_sid, config.service.max_parts, config.service.allow_ucs2
        )
        self._stop = asyncio.Event()
        self._queued = asyncio.Event()
        self._budget = Budget(config.recovery.resets_per_hour, config.recovery.resets_per_day)
        self._sending = SendPause(self._seams.random)
        self._gave_up = ""
        self._waiting = Waiting()

    def stop(self) -> None:
        """Ask `run` to end; safe to call at any time on the loop."""
        self._stop.set()

    async def run(self) -> None:
        """Run until `stop`.

        Raises what makes starting impossible: JournalUnusable, JournalHeld, CatalogueError,
        ControlUnusable; GaveUp and HostExhausted, where it should be started anew; each with its
        sentence.
        """
        loop = asyncio.get_running_loop()
        seams, config = self._seams, self._config
        self._tell = Quiet(self._tell, loop.time)
        self._health = Health(loop.time)
        journal = self._kept = Journal(
            config.journal.path,
            seams.wall,
            loop.time,
            lambda text: loop.call_soon_threadsafe(partial(self._damaged, text)),
        )
        try:
            async with contextlib.AsyncExitStack() as stack:
                self._skin = seams.skin()
                stack.callback(self._skin.close)
                self._runner = seams.runner(self._tell)
                stack.push_async_callback(self._runner.close)
                if not await unless_stopped(self._stop, self._build(journal)):
                    return
                control = ControlServer(
                    config.control.socket,
                    {"status": self._desk.status, "send": self._desk.send, "at": self._desk.at},
                    self._tell,
                )
                await control.start()
                stack.push_async_callback(control.stop)
                await self._live()
        finally:
            journal.close()
        if self._gave_up:
            raise GaveUp(self._gave_up)

    async def _build(self, journal: Journal) -> bool:
        """Put the rooms together. A handler file that takes a minute to load delays no end."""
        seams, config = self._seams, self._config
        catalogue = await load(config.handlers.directory, self._runner)
        for remark in catalogue.remarks:
            self._tell(Step("note", remark, weight=Weight.WARNING))
        self._queue = Queue(journal)
        self._inbox = Inbox(journal, self._queue, dedup_without_sid=config.journal.dedup_without_sid)
        self._dispatcher = Dispatcher(
            self._skin,
            self._inbox,
            self._queue,
            Actions(journal),
            catalogue,
            self._runner,
            self._service,
            RunningRules(config.handlers.timeout_s, config.handlers.max_age_s, config.handlers.at_once),
            self._reply_rules,
            seams.wall,
            seams.random,
            self._tell,
            self._health,
            self._queued.set,
            self._status_line,
        )
        self._cards = CardBook(self._skin, Cards(journal), seams.random, self._tell)
        self._open_port = open_port = seams.opener or opener(config.modem.port, config.modem.baud)
        self._mender = self._recovery(journal, open_port)
        self._supervisor = Supervisor(
            open_port,
            self._modem,
            self._session,
            self._mender,
            self._sending,
            self._give_up,
            self._tell,
            lambda text: seams.notify(f"STATUS={text}"),
            self._health,
            seams.trace,
        )
        self._desk = Desk(
            journal.path,
            self._skin,
            self._inbox,
            self._queue,
            self._service,
            self._reply_rules,
            self._budget,
            self._supervisor,
            self._mender,
            self._dispatcher,
            self._health,
            seams.random,
            self._queued.set,
        )
        return True

    def _recovery(self, journal: Journal, open_port: Opener) -> Mender:
        """What looks after a module that does not work."""
        seams, rules = self._seams, self._config.recovery
        neighbours = Neighbours(open_port)
        power = seams.power
        try:
            power = power or switch(rules, neighbours.port, Path(f"{self._kept.path}.usb-off"))
        except PowerUnusable as error:
            text = f"{error}; the module's power is not switched"
            self._tell(Step("note", text, weight=Weight.WARNING))
        return Mender(
            Ladder(seams.random, power=power is not None),
            Means(power, rules.may_drop_data, seams.in_use or neighbours.user),
            Resets(journal, self._budget),
            self._skin,
            open_port,
            self._tell,
            self._health,
        )

    def _others(self) -> str:
        """Who else may be on the port, as a sentence; may block."""
        node = self._open_port.node if isinstance(self._open_port, PortOpener) else None
        return others(str(node or self._config.modem.port), os.getpid())

    def _give_up(self, why: str) -> None:
        """End with a failure, so that whoever started this process starts another one."""
        self._gave_up = why
        self.stop()

    def _modem(self, channel: Channel) -> Modem:
        """The modem over a channel that has just been opened."""
        config, line = self._config, self._config.modem
        return Modem(
            channel,
            line.message_format,
            status_reports=config.service.status_reports,
            profile=line.profile,
            place=self._open_port.place() if isinstance(self._open_port, PortOpener) else None,
            holder=Holder(self._cards, self._seams.pin, line.service_centre or ""),
        )

    def _session(self, modem: Modem) -> Session:
        """The tasks over a modem that has just been initialised."""
        rules = self._config.service
        intake = Intake(
            modem,
            self._skin,
            self._inbox,
            self._service,
            self._tell,
            self._health,
            self._dispatcher.wake,
            self._others,
            run_first=self._config.journal.first_start == "run",
        )
        outbox = Outbox(
            modem,
            self._skin,
            self._queue,
            SendingRules(
                rules.max_per_minute,
                rules.max_per_day,
                rules.status_reports,
                rules.resend_unknown,
                rules.max_answer_age_s,
            ),
            self._waiting,
            self._seams.random,
            self._tell,
            self._health,
            self._reply_settled,
            self._queued,
            self._sending,
        )
        return Session(modem, intake, outbox)

    def _status_line(self) -> str:
        """For the built-in handler `status`: what fits into one answer."""
        session = self._supervisor.connection.session
        if session is None:
            return f"modem-agent {VERSION}"
        return (
            f"modem-agent {VERSION}, {session.registration or 'registration unknown'}, {session.signal or ''}"
        )

    async def _live(self) -> None:
        async with asyncio.TaskGroup() as group:
            supervisor = group.create_task(self._connect(), name="supervisor")
            dispatcher = group.create_task(self._dispatcher.run(), name="dispatcher")
            others = [group.create_task(self._forget(), name="forget")]
            if self._seams.watchdog_s is not None:
                others.append(group.create_task(self._feed(self._seams.watchdog_s), name="watchdog"))
            self._seams.notify("READY=1")
            self._tell(Step("ready", f"modem-agent {VERSION}, {self._service.name}"))
            await self._stop.wait()
            self._seams.notify("STOPPING=1")
            for task in others:
                task.cancel()
            self._dispatcher.stop()
            self._supervisor.stop()
            await asyncio.wait((supervisor, dispatcher), timeout=HANDLERS_S)
            await self._runner.close()
            await asyncio.wait((supervisor, dispatcher), timeout=MANNERS_S)
            for task in (supervisor, dispatcher):
                # A journal that cannot commit, say, holds it: the next start finds it as after a crash.
                task.cancel()

    async def _connect(self) -> None:
        """Settle what the last start left, then keep a session going."""
        for number in await insist(self._skin, self._tell, self._queue.interrupted):
            reason = "the agent ended while it was being sent; left alone"
            self._tell(Step("unknown", reason, reply=number, weight=Weight.WARNING))
        await self._supervisor.run()

    async def _forget(self) -> None:
        """Give up incomplete messages each hour, prune the journal once a day.

        A little at a time: others want to commit meanwhile.
        """
        days = self._config.journal
        for look in itertools.count():
            whole = look % PRUNE_AT == 0
            forgetting = Forgetting(
                self._kept, self._inbox.parts, days.keep_days, days.dedup_days, whole=whole
            )
            with contextlib.suppress(sqlite3.Error):  # whoever needs a commit will say so
                while await self._skin.run(forgetting.step):  # others get their turn between two steps
                    pass
            if forgetting.count:
                self._tell(Step("pruned", f"{forgetting.count} old rows"))
            if forgetting.incomplete:
                count = forgetting.incomplete
                which = "a message is" if count == 1 else f"{count} messages are"
                text = f"{which} given up, as not all parts came within a day; see inbox --strays"
                self._tell(Step("incomplete", text, weight=Weight.WARNING))
            await asyncio.sleep(INCOMPLETE_S)

    def _damaged(self, text: str) -> None:
        self._tell(Step("journal damaged", text, weight=Weight.ERROR))

    async def _feed(self, interval_s: float) -> None:
        """Tell systemd's watchdog that everybody keeps their own deadlines; silence is what it acts on."""
        said: list[str] = []
        while True:
            if late := self._health.late():
                if late != said:
                    self._tell(Step("stuck", f"{', '.join(late)}: systemd will start the agent anew"))
            else:
                self._seams.notify("WATCHDOG=1")
            said = late
            await asyncio.sleep(interval_s)

    def _reply_settled(self) -> None:
        """A message was sent, refused or is unknown: actions and people may wait for it."""
        self._dispatcher.wake()
        self._desk.settled()
