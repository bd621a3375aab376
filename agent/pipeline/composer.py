"""Composes the messages to queue in the journal, for replies and for what `modem-agent send` asks for."""

from __future__ import annotations

from agent.journal.models import OutgoingMessage
from agent.service.compose import ReplyConfig, compose
from agent.service.profile import ServiceProfile


class MessageComposer:
    """Composes messages for one service, within the limits that the operator set."""

    def __init__(self, service: ServiceProfile, config: ReplyConfig) -> None:
        self.service = service
        self._config = config

    def compose(
        self,
        content: str | bytes,
        *,
        sid: str | None,
        reference: int,
        destination: str | None = None,
        error_answer: bool = False,
    ) -> list[OutgoingMessage]:
        """Return the messages that carry a text or octets; more than one if they are concatenated.

        `sid` is that of the answered Command. `reference` (0 to 255) is that of the concatenated message
        (23.040 9.2.3.24.1). Without a destination they go to the service. Raises ComposeError if the service
        cannot carry the content.
        """
        parts = compose(content, sid, self.service, self._config, reference)
        return [
            OutgoingMessage(destination or self.service.number, part, number, len(parts), error_answer)
            for number, part in enumerate(parts, 1)
        ]
