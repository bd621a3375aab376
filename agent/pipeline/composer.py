"""Composes the messages to queue in the journal, both replies and messages of `modem-agent send`."""

from __future__ import annotations

from agent.journal.models import OutgoingMessage
from agent.service.compose import ReplyConfig, compose
from agent.service.profile import ServiceProfile


class MessageComposer:
    """Composes messages for one service, within the limits that the operator has set."""

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
        error_reply: bool = False,
        omitted: int = 0,
    ) -> list[OutgoingMessage]:
        """Return the messages that carry a text or octets; more than one if they are concatenated.

        `sid` is that of the Command that the reply belongs to. `reference` (0 to 255) is the reference number
        of a concatenated message (23.040 9.2.3.24.1). The default destination is the service. `omitted` is
        the number of characters that the content has lost already. An error reply is one message. Raises
        ComposeError if the service cannot carry the content.
        """
        config = self._config.replace(max_parts=1) if error_reply else self._config
        composed = compose(content, sid, self.service, config, reference)
        total = len(composed.parts)
        return [
            OutgoingMessage(
                destination or self.service.number,
                part,
                number,
                total,
                error_reply,
                omitted=omitted + composed.omitted if number == total else 0,
            )
            for number, part in enumerate(composed.parts, 1)
        ]
