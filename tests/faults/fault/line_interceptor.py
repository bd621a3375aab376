"""Intercepts the line between the agent and the simulated module, and puts the exact octets of a fault on it.

Octets to which no rule applies pass unchanged. A rule matches the last command line of the agent with a
regular expression (`AT\\+CMGR=3`, full match) and applies as often as `times` says (0: always):

    answer(command, output)            the module does not receive the command; `output` is the response
    rewrite(command, pattern, output)  in the module's response `pattern` is replaced by `output`
    insert(command, position, output)  `output` is inserted at one of the INSERT_POSITIONS of the response
    send_to_agent(output)              sends `output` now, as a URC

`output` is octets, or a list of octets and pauses in seconds: [b">", 0.05, b" "]. The order is kept: octets
after a pause wait for it.
"""

import re
from dataclasses import dataclass

INSERT_POSITIONS = ("before echo", "after echo", "before header", "after header", "after PDU", "after OK")
"""Positions in a response with information text. At "after echo" the octets are a write of their own,
before the module begins its response. At "after OK" they are part of the same write."""

LINE_ENDS = re.compile(rb"[\r\x1b]")
FINAL_RESULT = re.compile(rb"\r\n(OK|ERROR|\+CM[ES] ERROR: .*?)\r\n\Z")


@dataclass
class Rule:
    """An action for the response to matching commands."""

    kind: str
    command: re.Pattern
    output: bytes | list
    pattern: re.Pattern | None = None
    position: str = ""
    remaining: int = 1
    applied: int = 0

    def matches(self, kind, line):
        return self.kind == kind and self.remaining != 0 and self.command.fullmatch(line) is not None

    def apply(self):
        self.remaining -= 1
        self.applied += 1
        return self.output


class LineInterceptor:
    """The two directions of the line: the port passes the agent's octets to it, the module its output."""

    def __init__(self, world):
        self._loop = world.loop
        self._port = world.port
        self._module = world.module
        self._port.module = self
        self._module.context.output_batch.sink = self._on_module_output
        self._rules = []
        self._input = bytearray()
        self._output_free_at = 0.0
        self.last_command = ""
        """The last command line of the agent, without its line end."""
        self.commands = []
        """Time and text of every command line of the agent."""
        self.agent_octets = bytearray()
        """All octets that the agent wrote."""
        self.filter_to_module = lambda data: data
        """Returns the octets that the module receives of those that the agent writes."""
        self.filter_to_agent = lambda data: data
        """Returns the octets that the agent receives, after the rules were applied."""

    def commands_matching(self, command=""):
        """Return the command lines so far that match, oldest first."""
        return [line for _, line in self.commands if re.fullmatch(command or ".*", line)]

    # Rules

    def answer(self, command, output, times=1):
        """Respond to the command instead of the module."""
        return self._add_rule("answer", command, output, times)

    def rewrite(self, command, pattern, output, times=1):
        """Replace `pattern`, octets or a compiled expression, in the response to the command."""
        pattern = pattern if isinstance(pattern, re.Pattern) else re.compile(re.escape(pattern))
        return self._add_rule("rewrite", command, output, times, pattern=pattern)

    def insert(self, command, position, output, times=1):
        """Insert octets into the response to the command."""
        assert position in INSERT_POSITIONS, position
        return self._add_rule("insert", command, output, times, position=position)

    def send_to_agent(self, output):
        """Send octets to the agent, with the pauses that `output` has."""
        for piece in output if isinstance(output, list) else [output]:
            if isinstance(piece, bytes):
                self._send(piece)
            else:
                self._output_free_at = max(self._output_free_at, self._loop.time()) + piece

    def clear_rules(self):
        """Remove all rules."""
        self._rules.clear()

    def _add_rule(self, kind, command, output, times, **more):
        rule = Rule(kind, re.compile(command), output, remaining=times or -1, **more)
        self._rules.append(rule)
        return rule

    # From the agent to the module

    def receive(self, data):
        """Process octets that the agent writes. Called by the port."""
        self.agent_octets += data
        data = self.filter_to_module(data)
        at = 0
        while at < len(data):
            at = self._handle_input(data, at)

    def _handle_input(self, data, at):
        """Process the rest of a command line, or one octet of a body; return the offset of the next octet."""
        if self._module.command_reader.is_text_entry_open:
            self._module.receive(data[at : at + 1])
            return at + 1
        end = LINE_ENDS.search(data, at)
        if end is None:
            self._input += data[at:]
            return len(data)
        self._input += data[at : end.end()]
        if end[0] == b"\x1b":
            self._forward_input()
            return end.end()
        self.last_command = self._input[:-1].decode("latin-1").lstrip("\x1a\x1b\n ")
        self.commands.append((self._loop.time(), self.last_command))
        rule = self._find_rule("answer")
        if rule is None:
            self._forward_input()
        else:
            self._input.clear()
            self.send_to_agent(rule.apply())
        return end.end()

    def _forward_input(self):
        octets, self._input = bytes(self._input), bytearray()
        self._module.receive(octets)

    # From the module to the agent

    def _on_module_output(self, data):
        while (rule := self._find_rule("rewrite", data)) is not None:
            match = rule.pattern.search(data)
            self._apply_insertions(data[: match.start()])
            self.send_to_agent(rule.apply())
            data = data[match.end() :]
        self._apply_insertions(data)

    def _apply_insertions(self, data):
        rules = [rule for rule in self._rules if rule.matches("insert", self.last_command)]
        if not rules or FINAL_RESULT.search(data) is None:
            self._send(data)
            return
        offsets = _position_offsets(data, self.last_command.encode("latin-1"))
        done = 0
        for position in INSERT_POSITIONS:
            for rule in rules:
                if rule.position == position and rule.remaining:
                    self._send(data[done : offsets[position]])
                    done = offsets[position]
                    self.send_to_agent(rule.apply())
        self._send(data[done:])

    def _find_rule(self, kind, data=None):
        return next(
            (
                rule
                for rule in self._rules
                if rule.matches(kind, self.last_command) and (data is None or rule.pattern.search(data))
            ),
            None,
        )

    def _send(self, data):
        data = self.filter_to_agent(data)
        if not data:
            return
        if self._output_free_at > self._loop.time():
            self._loop.call_at(self._output_free_at, self._port.send_from_module, data)
        else:
            self._port.send_from_module(data)


def _position_offsets(data, command):
    """Return the offset of each of the INSERT_POSITIONS."""
    echo = len(command) + 1 if data.startswith(command + b"\r") else 0
    final = FINAL_RESULT.search(data).start()
    header = data.find(b"\r\n", data.find(b"\r\n", echo) + 2)
    return {
        "before echo": 0,
        "after echo": echo,
        "before header": echo,
        "after header": header + 2 if 0 <= header < final else final,
        "after PDU": final,
        "after OK": len(data),
    }
