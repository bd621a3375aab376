"""The sandbox in a test: a simulated module, network and service that synchronous code starts and uses.

    from hardware.testing import LocalSandbox

    with LocalSandbox() as sandbox:
        sim = sandbox.sim()
        command = sim.send_command("ping")
        ...                                     # a program that opens sim.port and answers
        command.wait_for_status("delivered")
        assert sim.wait_for_message().body == "pong"

With pytest, `hardware.pytest_plugin` has these objects as fixtures. The sandbox runs on an event loop in a
thread of its own, not in a process: tests reach all of it without another protocol, it starts in the time of
its imports, no process is left behind when a test run is killed, and a test that blocks does not block it.
All methods may be called from any thread. Those that wait raise `WaitTimedOut`; in a test with an event loop
they are called as `await asyncio.to_thread(command.wait_for_status, "delivered")`.
"""

from hardware.testing.local_sandbox import LocalClock, LocalSandbox
from hardware.testing.local_sim import LocalSim, SentCommand
from hardware.testing.loop_thread import WaitTimedOut
from hardware.testing.options import SandboxOptions
from hardware.testing.webhook_receiver import ReceivedWebhook, WebhookReceiver

__all__ = [
    "LocalClock",
    "LocalSandbox",
    "LocalSim",
    "ReceivedWebhook",
    "SandboxOptions",
    "SentCommand",
    "WaitTimedOut",
    "WebhookReceiver",
]
