"""Takes changes of the handlers and of ``[handlers]`` in agent.toml while the agent runs (SIGHUP).

What is running ends with the code and the limits with which it began; what waits is run by the new handlers.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from agent.common.config import Config, ConfigError
from agent.common.events import Event, EventKind, EventSink, Severity
from agent.common.sd_notify import SdNotify
from agent.handlers.registry import HandlerConfigError, HandlerRegistry, load_registry
from agent.handlers.results import ResourceExhausted
from agent.pipeline.post_reply_actions import Handlers

_TAKEN_TABLE = "handlers"
"""The table of agent.toml whose changes need no restart."""


class Reloader:
    """The task that reads the handlers and agent.toml again when it is requested."""

    def __init__(
        self,
        *,
        config: Config,
        read_config: Callable[[], Config],
        handlers: Handlers,
        emit: EventSink,
        notify: SdNotify,
        on_replaced: Callable[[], None],
    ) -> None:
        """`config` is what the agent started with. `on_replaced` is called when `handlers` were replaced."""
        self._config = config
        self._read_config = read_config
        self._handlers = handlers
        self._emit = emit
        self._notify = notify
        self._on_replaced = on_replaced

    async def run(self, requested: asyncio.Event) -> None:
        """Reload after each request. Requests that arrive meanwhile cause one further reload."""
        while True:
            await requested.wait()
            requested.clear()
            # sd_notify(3): systemd takes a reload as finished at the next READY=1.
            self._notify(f"RELOADING=1\nMONOTONIC_USEC={int(asyncio.get_running_loop().time() * 1e6)}")
            try:
                self._emit(Event(EventKind.RELOADED, await self._replace_handlers()))
            except (ConfigError, HandlerConfigError, ResourceExhausted) as error:
                text = f"nothing was changed: {'; '.join(str(error).splitlines())}"
                self._emit(Event(EventKind.NOT_RELOADED, text, severity=Severity.ERROR))
            self._notify("READY=1")

    async def _replace_handlers(self) -> str:
        """Use the new handlers and return what was done. An exception says why nothing was changed."""
        config, handlers = self._read_config(), self._handlers
        registry = await load_registry(
            config.handlers.directory,
            handlers.runner,
            handlers.registry,
            forwarding=[target.spec for target in handlers.targets],
        )
        handlers.replace(registry, config.handlers)
        self._on_replaced()
        log_mistakes(registry, self._emit)
        text = f"handlers {', '.join(registry.trigger_names)}"
        if registry.unusable:
            text += f"; with mistakes: {', '.join(registry.unusable)}"
        if changed := _changed_keys(self._config, config):
            verb = "has" if len(changed) == 1 else "have"
            text += f"; {', '.join(changed)} {verb} changed: restart the agent to use the new value"
        return text


def log_mistakes(registry: HandlerRegistry, emit: EventSink) -> None:
    """Log the mistakes in the directory of handlers."""
    for errors in registry.unusable.values():
        for error in errors:  # to a sink that does not throttle: the sentences may differ by a number only
            emit(Event(EventKind.HANDLER_UNUSABLE, error, severity=Severity.ERROR))
    for warning in registry.warnings:
        emit(Event(EventKind.WARNING, warning, severity=Severity.WARNING))


def _changed_keys(old: Config, new: Config) -> list[str]:
    """Return the keys with other values, except those that a reload takes."""
    return [
        f"{name}.{key}"
        for name, table in old.tables().items()
        if name != _TAKEN_TABLE
        for key, value in table.as_dict().items()
        if value != getattr(getattr(new, name), key)
    ]
