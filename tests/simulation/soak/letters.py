"""What people send to the device, and what must come of it: the truth that the ledger is checked against."""

from dataclasses import dataclass, field
from datetime import timedelta

import pdu
from hardware.sim.network.line import Terminated
from soak.world import Plan

LONG = "abcdefghij" * 30
REPEATABLE, ACTING, BINARY = "again", "act", b"\x01"
PLAIN = ("led", "pump", "blink")


@dataclass(eq=False)
class Sheet:
    """One SMS of it, whatever the number of its deliveries."""

    letter: "Letter"
    deliver: object
    """pdu.Deliver; None for octets that are none."""
    octets: bytes
    """The TPDU without its first octet, in which the network changes a bit from one attempt to the next."""
    offers: list = field(default_factory=list)
    """When it reached a module that heard it."""
    taken: list = field(default_factory=list)
    """(time, how) for each time that the module answered for it; `Air.taken` says what how is."""


@dataclass(eq=False)
class Letter:
    """What somebody wanted to say, in one SMS or in several."""

    kind: str
    content: str | bytes
    """What a handler gets to see; of a stray what it says."""
    commands: bool
    """Whether it commands the device."""
    sid: str | None = None
    sheets: list[Sheet] = field(default_factory=list)
    at: float = 0.0
    stamped: object = None
    """Its service centre time stamp; None where that is no date."""
    answerable: bool = True

    @property
    def whole(self):
        """Whether the module has taken all of it."""
        return bool(self.sheets) and all(sheet.taken for sheet in self.sheets)

    @property
    def repeatable(self):
        """Whether its handler may run more than once."""
        return isinstance(self.content, str) and self.content.split(" ")[0] in {REPEATABLE, "ping"}


class Letters:
    """Writes and posts them."""

    def __init__(self, world, random):
        self._world = world
        self._random = random
        self._numbers = 0
        self.all: list[Letter] = []
        self.sheets: dict[bytes, Sheet] = {}
        world.air.offered = self._offered
        world.air.taken = self._taken

    def _offered(self, tpdu):
        if sheet := self.sheets.get(tpdu[1:]):
            sheet.offers.append(self._world.loop.time())

    def _taken(self, tpdu, how):
        if sheet := self.sheets.get(tpdu[1:]):
            sheet.taken.append((self._world.loop.time(), how))

    # What is written

    def arrive(self):
        """Somebody sends something."""
        kinds = dict(_KINDS)
        if not self._world.service.binary:
            kinds.pop(Letters.binary)
        chosen = self._random.choices(list(kinds), list(kinds.values()))[0]
        chosen(self)

    def plain(self):
        """A Command without a SID."""
        self._post(self._letter("plain", self._words(self._random.choice(PLAIN)), plan=self._plan()))

    def named(self):
        """One with a SID in its text."""
        content = self._words(self._random.choice((*PLAIN, ACTING)))
        plan = self._acting() if content.startswith(ACTING) else self._plan()
        letter = self._letter("named", content, sid=self._sid(), plan=plan)
        whole = f"{letter.sid} {content}" if self._random.random() < 0.5 else f"{content} {letter.sid}"
        self._post(letter, text=whole)

    def repeatable(self):
        """One whose handler may run again."""
        content = self._words(REPEATABLE)
        sid = self._sid() if self._random.random() < 0.5 else None
        letter = self._letter("repeatable", content, sid=sid, plan=self._plan(repeatable=True))
        self._post(letter, text=content if sid is None else f"{sid} {content}")

    def acting(self):
        """One whose handler acts after the answer."""
        self._post(self._letter("acting", self._words(ACTING), plan=self._acting()))

    def binary(self):
        """Octets."""
        self._numbers += 1
        self._post(self._letter("binary", BINARY + self._numbers.to_bytes(3, "big"), plan=self._plan()))

    def long(self):
        """One of several parts, in any order; some never come."""
        content = f"{self._words(self._random.choice(PLAIN))} {LONG[: self._random.randint(170, 280)]}"
        letter = self._letter("long", content, plan=self._plan())
        sid = self._sid() if self._random.random() < 0.4 else None
        letter.sid = sid
        parts = list(
            pdu.segment(f"{sid} {content}" if sid else content, reference=self._numbers % 256, wide=False)
        )
        self._random.shuffle(parts)
        missing = self._random.random() < 0.15
        delay = 0.0
        for part in parts:
            sheet = self._sheet(letter, self._deliver(part, letter))
            if missing and part is parts[-1]:
                continue
            self._world.call_later(delay, self._put, sheet)
            delay += self._random.choice((0.0, 0.0, 1.0, 20.0, 900.0))

    def twin(self):
        """The same text once more, without a SID: another Command, unless it comes in the same second."""
        earlier = [each for each in self.all if each.kind == "plain" and each.sid is None]
        if not earlier:
            return self.plain()
        letter = Letter("plain", self._random.choice(earlier).content, commands=True)
        return self._post(letter)

    def again(self):
        """Something is delivered again, octet by octet the same."""
        earlier = [sheet for sheet in self.sheets.values() if sheet.offers and sheet.deliver is not None]
        if earlier:
            self._put(self._random.choice(earlier))

    def usurper(self):
        """A SID that came before, with another body: it commands nothing."""
        earlier = [each for each in self.all if each.kind in {"named", "usurper"} and each.whole]
        if not earlier:
            return self.named()
        before = self._random.choice(earlier)
        letter = self._letter("usurper", self._words("led"), sid=before.sid)
        letter.commands = False
        return self._post(letter, text=f"{letter.sid} {letter.content}")

    def stranger(self):
        """Somebody else, perhaps with a number that looks like the service's."""
        number = self._world.service.number
        sender = self._random.choice(("+15551234567", f"1{number}", f"{number}0", f"0{number}", number[:-1]))
        letter = self._letter("stray", self._words("led"), commands=False)
        self._post(letter, sender=pdu.Address.parse(sender))

    def word(self):
        """An alphanumeric sender: no number at all."""
        letter = self._letter("stray", self._words("pump"), commands=False)
        sender = pdu.Address(self._world.service.number, pdu.TypeOfNumber.ALPHANUMERIC)
        self._post(letter, sender=sender)

    def damaged(self):
        """Octets that are no message, or the beginning of one."""
        letter = self._letter("damaged", self._words("led"), commands=False)
        octets = pdu.encode(self._deliver(pdu.segment(letter.content)[0], letter), sca=False).octets
        cut = octets[: self._random.randint(3, len(octets) - 2)]
        letter.sheets.append(Sheet(letter, None, cut[1:]))
        self.sheets[cut[1:]] = letter.sheets[0]
        self.all.append(letter)
        self._numbers += 1
        self._world.module.deliver(1000 + self._numbers, self._world.network.service_centre, cut)

    def empty(self):
        """Nothing at all."""
        self._post(self._letter("empty", ""))

    def old(self):
        """One that was long on its way."""
        letter = self._letter("old", self._words("led"), plan=self._plan())
        self._post(letter, ago=self._random.choice((3600.0, 5 * 3600.0, 30 * 3600.0, 90 * 86400.0)))

    def dateless(self):
        """A time stamp that is no date."""
        letter = self._letter("dateless", self._words("led"), plan=self._plan())
        self._post(letter, timestamp=pdu.Timestamp(bytes.fromhex("62311131240080")))

    def immediate(self):
        """Class 0: for the display, of which there is none."""
        letter = self._letter("immediate", self._words("blink"), plan=self._plan())
        self._post(letter, scheme=0x10)

    def foreign(self):
        """Characters outside GSM 03.38."""
        letter = self._letter("foreign", f"{self._words('led')} да", plan=self._plan())
        self._post(letter)

    def unknown(self):
        """A word that nobody has a handler for."""
        self._post(self._letter("unknown", self._words(self._random.choice(("zzz", "Led7", "../led")))))

    def error(self):
        """An answer of another automaton: never answered."""
        letter = self._letter("error", self._words("ERR what is"))
        letter.answerable = False
        self._post(letter)

    def ping(self):
        """What the agent answers by itself."""
        self._post(self._letter("builtin", self._words("ping")))

    def plain_and_quick(self):
        """A Command that must work at once."""
        self._post(self._letter("proof", self._words("led"), plan=Plan()))

    def burst(self, count):
        """Very many at once; most want no answer."""
        for _ in range(count):
            does = "nothing" if self._random.random() < 0.9 else "ok"
            letter = self._letter("plain", self._words("led"), plan=Plan([(0.1, does)]))
            self._post(letter)

    # How it is written

    def _words(self, first):
        self._numbers += 1
        return f"{first} {self._numbers}"

    def _sid(self):
        return self._world.service.sid_prefix + f"{self._random.getrandbits(128):032x}"

    def _letter(self, kind, content, *, commands=True, sid=None, plan=None):
        if plan is not None:
            self._world.plans[content] = plan
        return Letter(kind, content, commands, sid)

    def _plan(self, *, repeatable=False):
        quick = round(self._random.uniform(0.05, 2.0), 2)
        does = self._random.choices(list(_DOES), list(_DOES.values()))[0]
        if repeatable and self._random.random() < 0.5:
            return Plan(self._random.choice(_AGAIN))
        match does:
            case "slow":
                return Plan([(self._random.uniform(5, 25), "ok")])
            case "hang":
                return Plan([(1e6, "hang")])
            case "kill":
                return Plan([(quick, "kill"), (quick, self._random.choice(("ok", "kill")))])
        return Plan([(quick, does)])

    def _acting(self):
        does = "then" if self._random.random() < 0.85 else "fail"
        act = self._random.choice(((0.1, "ok"), (0.1, "ok"), (3.0, "fail"), (0.5, "kill")))
        return Plan([(self._random.uniform(0.1, 3.0), does)], act)

    def _deliver(self, user_data, letter, *, sender=None, timestamp=None, ago=0.0, scheme=None):
        if timestamp is None:
            time = self._world.true_time() - timedelta(seconds=ago)
            timestamp = pdu.Timestamp.of(time)
            letter.stamped = letter.stamped or timestamp.time
        return pdu.Deliver(
            originating_address=sender or pdu.Address.parse(self._world.service.number),
            service_centre_timestamp=timestamp,
            user_data=user_data,
            data_coding_scheme=user_data.data_coding_scheme if scheme is None else scheme,
        )

    def _post(self, letter, text=None, **written):
        user_data = pdu.segment(letter.content if text is None else text)[0]
        self._put(self._sheet(letter, self._deliver(user_data, letter, **written)))

    def _sheet(self, letter, deliver):
        octets = pdu.encode(deliver, sca=False).octets[1:]
        if (known := self.sheets.get(octets)) is not None:
            return known  # the same words in the same second are the same message
        if not letter.sheets:
            letter.at = self._world.loop.time()
            self.all.append(letter)
        sheet = Sheet(letter, deliver, octets)
        letter.sheets.append(sheet)
        self.sheets[octets] = sheet
        return sheet

    def _put(self, sheet):
        deliver = sheet.deliver
        line = self._world.network._lines[self._world.sim.imsi]
        line.put(
            Terminated(tpdu=deliver, number=str(deliver.originating_address), body=repr(sheet.letter.content))
        )


_DOES = {
    "ok": 60,
    "slow": 12,
    "nothing": 6,
    "fail": 5,
    "later": 3,
    "hang": 3,
    "kill": 3,
    "stuck": 1,
}
_AGAIN = (
    [(0.5, "later"), (0.5, "ok")],
    [(0.5, "later"), (0.5, "later"), (0.5, "later")],
    [(0.5, "kill"), (0.5, "ok")],
    [(0.5, "kill"), (0.5, "kill"), (0.5, "kill")],
    [(0.5, "kill"), (0.5, "later"), (0.5, "ok")],
)
_KINDS = {
    Letters.plain: 28,
    Letters.named: 22,
    Letters.repeatable: 10,
    Letters.acting: 6,
    Letters.binary: 4,
    Letters.long: 7,
    Letters.twin: 4,
    Letters.again: 12,
    Letters.usurper: 5,
    Letters.stranger: 4,
    Letters.word: 1,
    Letters.damaged: 2,
    Letters.empty: 1,
    Letters.old: 2,
    Letters.dateless: 1,
    Letters.immediate: 2,
    Letters.foreign: 2,
    Letters.unknown: 2,
    Letters.error: 1,
    Letters.ping: 2,
}
