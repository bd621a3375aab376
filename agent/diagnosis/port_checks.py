"""Checks the port of the module without opening it: where it is, who may open it, who has it open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.diagnosis.finding import Check, Finding, Level, skip
from hardware import serial_console
from hardware.header_uart import explain_debug_plug
from hardware.port_finder import PortFinder, PortSelectionError
from hardware.port_users import (
    SystemUser,
    describe_other_user,
    explain_busy_port,
    explain_modem_manager,
    explain_permissions,
    find_holders,
    own_user,
)
from hardware.serial_device import explain_absent, explain_not_serial
from hardware.supply_voltage import explain_undervoltage

AGAIN = "then modem-agent doctor again"
AFTER_PORT = (Check.RIGHTS, Check.HOLDER, Check.MODEM_MANAGER)


@dataclass(frozen=True, slots=True)
class PortChecks:
    """Checks one port on the file system below `root`."""

    port: str
    """As configured: "auto", a device path or `socket://host:port`."""
    root: Path
    agent_user: SystemUser | None
    """The user of the service; None if it does not exist, so that this process is meant."""
    agent_pid: int | None
    """The process of the running agent, which has the port open."""

    def run(self) -> Iterator[Finding]:
        """Yield the findings from the port to the power."""
        if self.port.startswith("socket://"):
            yield Finding(Check.PORT, Level.OK, f"the module is at {self.port}")
            yield from skip(AFTER_PORT, f"{self.port} is no port of this machine")
        else:
            node = self.find_node()
            if isinstance(node, Finding):
                yield node
                yield from skip(AFTER_PORT, "there is no port")
            else:
                yield Finding(Check.PORT, Level.OK, f"the port is {node}")
                yield self._check_rights(node)
                yield self._check_holder(node)
                yield self._check_modem_manager(node)
        yield self._check_power()

    def find_node(self) -> Path | Finding:
        """Return the device path of the port, or why there is none."""
        if self.port == "auto":
            try:
                return PortFinder(self.root).find(0)
            except PortSelectionError as error:
                step = f"plug the module in and switch it on, or name its port in agent.toml, {AGAIN}"
                return Finding(Check.PORT, Level.WRONG, str(error), step)
        node = Path(self.port)
        if debug_plug := explain_debug_plug(node, self.root):
            return Finding(Check.PORT, Level.WRONG, debug_plug, "sudo modem-agent setup --port /dev/ttyAMA0")
        if reason := explain_not_serial(self.port, self.root):
            return Finding(Check.PORT, Level.WRONG, reason, "sudo modem-agent setup finds it")
        if not os.path.exists(node):  # noqa: PTH110  (Path.exists raises if a folder may not be searched)
            step = f"ls -l /dev/serial/by-id shows the ports; sudo modem-agent setup chooses one, {AGAIN}"
            return Finding(Check.PORT, Level.WRONG, explain_absent(self.port, self.root), step)
        return node

    def _check_rights(self, node: Path) -> Finding:
        """Check whether the agent's user may open the port; `sudo modem-agent doctor` may open any."""
        try:
            allowed = (self.agent_user or own_user()).may_use(str(node))
        except OSError as error:
            return Finding(Check.RIGHTS, Level.WRONG, f"port {node}: {error.strerror}", "use sudo")
        if allowed:
            return Finding(Check.RIGHTS, Level.OK, "the agent's user may open the port")
        reason = explain_permissions(str(node), self.agent_user)
        step = "sudo usermod -aG dialout modem-agent && sudo systemctl restart modem-agent"
        return Finding(Check.RIGHTS, Level.WRONG, reason, step)

    def _check_holder(self, node: Path) -> Finding:
        if unit := serial_console.find_login_console(node, self.root):
            reason = f"port {node} is a login console ({unit})"
            step = f"sudo systemctl disable --now {unit}"
            return Finding(Check.HOLDER, Level.WRONG, reason, step)
        if serial_console.has_kernel_console(node, self.root):
            reason = f"the kernel writes its log to port {node}"
            step = f"{serial_console.fix_hint(node, self.root)}"
            return Finding(Check.HOLDER, Level.WRONG, reason, step)
        own = {os.getpid(), self.agent_pid}
        others = [holder for holder in find_holders(str(node), self.root) if holder[0] not in own]
        if others:
            step = f"sudo fuser -v {node}, and stop that program"
            return Finding(Check.HOLDER, Level.WRONG, explain_busy_port(str(node), self.root), step)
        if self.agent_pid is None:
            return Finding(Check.HOLDER, Level.OK, "no other program has the port open")
        reason = "only the agent has the port open"
        if user := describe_other_user(node, self.agent_pid, self.root):
            reason += f"; {user}"
        return Finding(Check.HOLDER, Level.OK, reason)

    def _check_modem_manager(self, node: Path) -> Finding:
        if reason := explain_modem_manager(node, self.root):
            step = (
                "sudo modem-agent setup installs the rule; then sudo udevadm control --reload && "
                "sudo udevadm trigger --subsystem-match=tty && sudo systemctl restart ModemManager"
            )
            return Finding(Check.MODEM_MANAGER, Level.WARNING, reason, step)
        return Finding(Check.MODEM_MANAGER, Level.OK, "ModemManager does not run, or leaves the port alone")

    def _check_power(self) -> Finding:
        if reason := explain_undervoltage(self.root):
            step = "use a power supply of 3 A or more and a short cable; a module draws peaks of 2 A"
            return Finding(Check.POWER, Level.WARNING, reason, step)
        return Finding(Check.POWER, Level.OK, "the system reports no low voltage")
