"""Who sits between the agent and the simulated module, and gets the exact octets of a fault onto the line.

What no rule speaks of passes through. Rules look at the command that the agent has written last, as a regular
expression over its whole line (`AT\\+CMGR=3`), and strike as often as they are told (0: always):

    answer(command, says)        the module never hears the command; `says` comes in its place
    rewrite(command, old, says)  in what the module says to it, `old` becomes `says`
    insert(command, where, says) `says` comes in at one of the PLACES of its answer
    say(says)                    unsolicited, now

`says` is octets, or a list of octets and seconds between them: [b">", 0.05, b" "]. Everything is said in
order: what comes after a pause waits for it.
"""

import re
from dataclasses import dataclass

INSERT_POSITIONS = ("before echo", "after echo", "before header", "after header", "after PDU", "after OK")
"""Of an answer with information text. After the echo the module has not begun its answer: what comes in
there is a write of its own. After OK it is in the same write."""

LINE_ENDS = re.compile(rb"[\r\x1b]")
FINAL_RESULT = re.compile(rb"\r\n(OK|ERROR|\+CM[ES] ERROR: .*?)\r\n\Z")


@dataclass
class Rule:
    """One thing to do, so often."""

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
    """It has the port's two ends: `port` hands it what the agent writes, the module what it says."""

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
        """The command line that the agent wrote last, without its end."""
        self.commands = []
        """(time, line) of every command line of the agent."""
        self.agent_octets = bytearray()
        """Everything that it wrote."""
        self.filter_to_module = lambda data: data
        """What arrives of what the agent writes."""
        self.filter_to_agent = lambda data: data
        """What arrives of what is said to the agent, rules applied."""

    def commands_matching(self, command=""):
        """The command lines so far that fit, oldest first."""
        return [line for _, line in self.commands if re.fullmatch(command or ".*", line)]

    # Rules

    def answer(self, command, output, times=1):
        return self._add_rule("answer", command, output, times)

    def rewrite(self, command, pattern, output, times=1):
        """`old` is octets, or a compiled expression over them."""
        pattern = pattern if isinstance(pattern, re.Pattern) else re.compile(re.escape(pattern))
        return self._add_rule("rewrite", command, output, times, pattern=pattern)

    def insert(self, command, position, output, times=1):
        assert position in INSERT_POSITIONS, position
        return self._add_rule("insert", command, output, times, position=position)

    def send_to_agent(self, output):
        for piece in output if isinstance(output, list) else [output]:
            if isinstance(piece, bytes):
                self._send(piece)
            else:
                self._output_free_at = max(self._output_free_at, self._loop.time()) + piece

    def clear_rules(self):
        """No rule stands any more."""
        self._rules.clear()

    def _add_rule(self, kind, command, output, times, **more):
        rule = Rule(kind, re.compile(command), output, remaining=times or -1, **more)
        self._rules.append(rule)
        return rule

    # What the agent writes

    def receive(self, data):
        self.agent_octets += data
        data = self.filter_to_module(data)
        at = 0
        while at < len(data):
            at = self._handle_input(data, at)

    def _handle_input(self, data, at):
        """Hear the rest of a command line, or one octet of a body; returns where what follows begins."""
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
        typed, self._input = bytes(self._input), bytearray()
        self._module.receive(typed)

    # What the module says

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
        cuts = _position_offsets(data, self.last_command.encode("latin-1"))
        done = 0
        for place in INSERT_POSITIONS:
            for rule in rules:
                if rule.position == place and rule.remaining:
                    self._send(data[done : cuts[place]])
                    done = cuts[place]
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
    """Where each place is."""
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
