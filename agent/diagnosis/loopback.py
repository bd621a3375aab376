"""Sends a real message to the service through the running agent, which shows whether replies can leave."""

from __future__ import annotations

from agent.daemon.control_client import ControlError
from agent.diagnosis.agent_exchange import AgentRequest
from agent.diagnosis.finding import Check, Finding, Level

TEXT = "modem-agent doctor"
"""The text of the message. The service lists it as one from the SIM."""


async def check_loopback(request: AgentRequest) -> Finding:
    """Send a message and wait for its result, five minutes at most."""
    try:
        sent = await request({"do": "send", "text": TEXT})
    except ControlError as error:
        return Finding(Check.LOOPBACK, Level.WRONG, str(error), "modem-agent outbox shows it later")
    message = sent["messages"][0]
    if message["state"] == "sent":
        reason = f"the network accepted a message to {sent['to']}"
        step = f'look for "{TEXT}" among the messages from the SIM in the console of the service'
        return Finding(Check.LOOPBACK, Level.OK, reason, step)
    reason = f"the message to {sent['to']} has the state {message['state']}: {message['reason']}"
    return Finding(Check.LOOPBACK, Level.WRONG, reason, "modem-agent outbox; check the plan of the SIM")
