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

PLACES = ("before echo", "after echo", "before header", "after header", "after PDU", "after OK")
"""Of an answer with information text. After the echo the module has not begun its answer: what comes in
there is a write of its own. After OK it is in the same write."""

LINE_ENDS = re.compile(rb"[\r\x1b]")
FINAL = re.compile(rb"\r\n(OK|ERROR|\+CM[ES] ERROR: .*?)\r\n\Z")


@dataclass
class Rule:
    """One thing to do, so often."""

    kind: str
    command: re.Pattern
    says: bytes | list
    old: re.Pattern | None = None
    place: str = ""
    left: int = 1
    struck: int = 0

    def fits(self, kind, line):
        return self.kind == kind and self.left != 0 and self.command.fullmatch(line) is not None

    def strike(self):
        self.left -= 1
        self.struck += 1
        return self.says


class Opponent:
    """It has the port's two ends: `port` hands it what the agent writes, the module what it says."""

    def __init__(self, world):
        self._loop = world.loop
        self._port = world.port
        self._module = world.module
        self._port.module = self
        self._module._write = self._said
        self._rules = []
        self._typed = bytearray()
        self._free_at = 0.0
        self.command = ""
        """The command line that the agent wrote last, without its end."""
        self.written = []
        """(time, line) of every command line of the agent."""
        self.octets = bytearray()
        """Everything that it wrote."""
        self.hears = lambda data: data
        """What arrives of what the agent writes."""
        self.tells = lambda data: data
        """What arrives of what is said to the agent, rules applied."""

    def lines(self, command=""):
        """The command lines so far that fit, oldest first."""
        return [line for _, line in self.written if re.fullmatch(command or ".*", line)]

    # Rules

    def answer(self, command, says, times=1):
        return self._rule("answer", command, says, times)

    def rewrite(self, command, old, says, times=1):
        """`old` is octets, or a compiled expression over them."""
        old = old if isinstance(old, re.Pattern) else re.compile(re.escape(old))
        return self._rule("rewrite", command, says, times, old=old)

    def insert(self, command, place, says, times=1):
        assert place in PLACES, place
        return self._rule("insert", command, says, times, place=place)

    def say(self, says):
        for piece in says if isinstance(says, list) else [says]:
            if isinstance(piece, bytes):
                self._speak(piece)
            else:
                self._free_at = max(self._free_at, self._loop.time()) + piece

    def clear(self):
        """No rule stands any more."""
        self._rules.clear()

    def _rule(self, kind, command, says, times, **more):
        rule = Rule(kind, re.compile(command), says, left=times or -1, **more)
        self._rules.append(rule)
        return rule

    # What the agent writes

    def receive(self, data):
        self.octets += data
        data = self.hears(data)
        at = 0
        while at < len(data):
            at = self._hear(data, at)

    def _hear(self, data, at):
        """Hear the rest of a command line, or one octet of a body; returns where what follows begins."""
        if self._module.terminal.entering:
            self._module.receive(data[at : at + 1])
            return at + 1
        end = LINE_ENDS.search(data, at)
        if end is None:
            self._typed += data[at:]
            return len(data)
        self._typed += data[at : end.end()]
        if end[0] == b"\x1b":
            self._pass_on()
            return end.end()
        self.command = self._typed[:-1].decode("latin-1").lstrip("\x1a\x1b\n ")
        self.written.append((self._loop.time(), self.command))
        rule = self._find("answer")
        if rule is None:
            self._pass_on()
        else:
            self._typed.clear()
            self.say(rule.strike())
        return end.end()

    def _pass_on(self):
        typed, self._typed = bytes(self._typed), bytearray()
        self._module.receive(typed)

    # What the module says

    def _said(self, data):
        while (rule := self._find("rewrite", data)) is not None:
            match = rule.old.search(data)
            self._inserted(data[: match.start()])
            self.say(rule.strike())
            data = data[match.end() :]
        self._inserted(data)

    def _inserted(self, data):
        rules = [rule for rule in self._rules if rule.fits("insert", self.command)]
        if not rules or FINAL.search(data) is None:
            self._speak(data)
            return
        cuts = _cuts(data, self.command.encode("latin-1"))
        done = 0
        for place in PLACES:
            for rule in rules:
                if rule.place == place and rule.left:
                    self._speak(data[done : cuts[place]])
                    done = cuts[place]
                    self.say(rule.strike())
        self._speak(data[done:])

    def _find(self, kind, data=None):
        return next(
            (
                rule
                for rule in self._rules
                if rule.fits(kind, self.command) and (data is None or rule.old.search(data))
            ),
            None,
        )

    def _speak(self, data):
        data = self.tells(data)
        if not data:
            return
        if self._free_at > self._loop.time():
            self._loop.call_at(self._free_at, self._port.say, data)
        else:
            self._port.say(data)


def _cuts(data, command):
    """Where each place is."""
    echo = len(command) + 1 if data.startswith(command + b"\r") else 0
    final = FINAL.search(data).start()
    header = data.find(b"\r\n", data.find(b"\r\n", echo) + 2)
    return {
        "before echo": 0,
        "after echo": echo,
        "before header": echo,
        "after header": header + 2 if 0 <= header < final else final,
        "after PDU": final,
        "after OK": len(data),
    }
