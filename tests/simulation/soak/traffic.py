"""What people send to the device, and what must come of it: the truth that the ledger is checked against."""

from dataclasses import dataclass, field
from datetime import timedelta

import pdu
from hardware.sim.network.subscriber_queue import MtMessage
from hardware.sim.service.product import PRODUCTS
from soak.world import HandlerPlan

LONG_TEXT = "abcdefghij" * 30
REPEATABLE, ACTING, BINARY = "again", "act", b"\x01"
PLAIN = ("led", "pump", "blink")


@dataclass(eq=False)
class InboundSegment:
    """One SMS of it, whatever the number of its deliveries."""

    message: "InboundMessage"
    deliver: object
    """pdu.Deliver; None for octets that are none."""
    tpdu_tail: bytes
    """The TPDU without its first octet, in which the network changes a bit from one attempt to the next."""
    offered_at: list = field(default_factory=list)
    """When it reached a module that heard it."""
    accepted: list = field(default_factory=list)
    """(time, how) for each time that the module answered for it; `Air.taken` says what how is."""


@dataclass(eq=False)
class InboundMessage:
    """What somebody wanted to say, in one SMS or in several."""

    kind: str
    content: str | bytes
    """What a handler gets to see; of a stray what it says."""
    is_command: bool
    """Whether it commands the device."""
    sid: str | None = None
    segments: list[InboundSegment] = field(default_factory=list)
    created_at: float = 0.0
    sent_at: object = None
    """Its service centre time stamp; None where that is no date."""
    is_answerable: bool = True

    @property
    def is_accepted(self):
        """Whether the module has taken all of it."""
        return bool(self.segments) and all(sheet.accepted for sheet in self.segments)

    @property
    def is_repeatable(self):
        """Whether its handler may run more than once."""
        return isinstance(self.content, str) and self.content.split(" ")[0] in {REPEATABLE, "ping"}


class TrafficGenerator:
    """Writes and posts them."""

    def __init__(self, world, rng):
        self._world = world
        self._rng = rng
        self._count = 0
        self.messages: list[InboundMessage] = []
        self.segments: dict[bytes, InboundSegment] = {}
        world.radio.on_offered = self._on_offered
        world.radio.on_accepted = self._on_accepted

    def _on_offered(self, tpdu):
        if sheet := self.segments.get(tpdu[1:]):
            sheet.offered_at.append(self._world.loop.time())

    def _on_accepted(self, tpdu, how):
        if sheet := self.segments.get(tpdu[1:]):
            sheet.accepted.append((self._world.loop.time(), how))

    # What is written

    def send_random(self):
        """Somebody sends something."""
        kinds = dict(_KIND_WEIGHTS)
        if not self._world.service.supports_binary:
            kinds.pop(TrafficGenerator.send_binary)
        chosen = self._rng.choices(list(kinds), list(kinds.values()))[0]
        chosen(self)

    def send_plain(self):
        """A Command without a SID."""
        self._send(
            self._make_message("plain", self._numbered(self._rng.choice(PLAIN)), plan=self._random_plan())
        )

    def send_with_sid(self):
        """One with a SID in its text."""
        content = self._numbered(self._rng.choice((*PLAIN, ACTING)))
        plan = self._action_plan() if content.startswith(ACTING) else self._random_plan()
        letter = self._make_message("named", content, sid=self._new_sid(), plan=plan)
        whole = f"{letter.sid} {content}" if self._rng.random() < 0.5 else f"{content} {letter.sid}"
        self._send(letter, text=whole)

    def send_repeatable(self):
        """One whose handler may run again."""
        content = self._numbered(REPEATABLE)
        sid = self._new_sid() if self._rng.random() < 0.5 else None
        letter = self._make_message("repeatable", content, sid=sid, plan=self._random_plan(repeatable=True))
        self._send(letter, text=content if sid is None else f"{sid} {content}")

    def send_with_action(self):
        """One whose handler acts after the answer."""
        self._send(self._make_message("acting", self._numbered(ACTING), plan=self._action_plan()))

    def send_binary(self):
        """Octets."""
        self._count += 1
        self._send(
            self._make_message("binary", BINARY + self._count.to_bytes(3, "big"), plan=self._random_plan())
        )

    def send_long(self):
        """One of several parts, in any order; some never come."""
        content = f"{self._numbered(self._rng.choice(PLAIN))} {LONG_TEXT[: self._rng.randint(170, 280)]}"
        letter = self._make_message("long", content, plan=self._random_plan())
        sid = self._new_sid() if self._rng.random() < 0.4 else None
        letter.sid = sid
        parts = list(
            pdu.segment(f"{sid} {content}" if sid else content, reference=self._count % 256, wide=False)
        )
        self._rng.shuffle(parts)
        missing = self._rng.random() < 0.15
        delay = 0.0
        for part in parts:
            sheet = self._make_segment(letter, self._make_deliver(part, letter))
            if missing and part is parts[-1]:
                continue
            self._world.call_later(delay, self._enqueue, sheet)
            delay += self._rng.choice((0.0, 0.0, 1.0, 20.0, 900.0))

    def send_same_text(self):
        """The same text once more, without a SID: another Command, unless it comes in the same second."""
        earlier = [each for each in self.messages if each.kind == "plain" and each.sid is None]
        if not earlier:
            return self.send_plain()
        letter = InboundMessage("plain", self._rng.choice(earlier).content, is_command=True)
        return self._send(letter)

    def redeliver(self):
        """Something is delivered again, octet by octet the same."""
        earlier = [
            sheet for sheet in self.segments.values() if sheet.offered_at and sheet.deliver is not None
        ]
        if earlier:
            self._enqueue(self._rng.choice(earlier))

    def send_reused_sid(self):
        """A SID that came before, with another body: it commands nothing."""
        earlier = [each for each in self.messages if each.kind in {"named", "usurper"} and each.is_accepted]
        if not earlier:
            return self.send_with_sid()
        before = self._rng.choice(earlier)
        letter = self._make_message("usurper", self._numbered("led"), sid=before.sid)
        letter.is_command = False
        return self._send(letter, text=f"{letter.sid} {letter.content}")

    def send_from_other_number(self):
        """Somebody else, perhaps with a number that looks like the service's."""
        number = self._world.service.number
        sender = self._rng.choice(("+15551234567", f"1{number}", f"{number}0", f"0{number}", number[:-1]))
        letter = self._make_message("stray", self._numbered("led"), is_command=False)
        self._send(letter, sender=pdu.Address.parse(sender))

    def send_from_alphanumeric(self):
        """An alphanumeric sender: no number at all."""
        letter = self._make_message("stray", self._numbered("pump"), is_command=False)
        sender = pdu.Address(self._world.service.number, pdu.TypeOfNumber.ALPHANUMERIC)
        self._send(letter, sender=sender)

    def send_truncated(self):
        """Octets that are no message, or the beginning of one."""
        letter = self._make_message("damaged", self._numbered("led"), is_command=False)
        octets = pdu.encode(self._make_deliver(pdu.segment(letter.content)[0], letter), sca=False).octets
        cut = octets[: self._rng.randint(3, len(octets) - 2)]
        letter.segments.append(InboundSegment(letter, None, cut[1:]))
        self.segments[cut[1:]] = letter.segments[0]
        self.messages.append(letter)
        self._count += 1
        self._world.module.deliver(1000 + self._count, self._world.network.service_centre, cut)

    def send_empty(self):
        """Nothing at all."""
        self._send(self._make_message("empty", ""))

    def send_delayed(self):
        """One that was long on its way."""
        letter = self._make_message("old", self._numbered("led"), plan=self._random_plan())
        self._send(letter, age_s=self._rng.choice((3600.0, 5 * 3600.0, 30 * 3600.0, 90 * 86400.0)))

    def send_without_date(self):
        """A time stamp that is no date."""
        letter = self._make_message("dateless", self._numbered("led"), plan=self._random_plan())
        self._send(letter, timestamp=pdu.Timestamp(bytes.fromhex("62311131240080")))

    def send_class_0(self):
        """Class 0: for the display, of which there is none."""
        letter = self._make_message("immediate", self._numbered("blink"), plan=self._random_plan())
        self._send(letter, scheme=0x10)

    def send_ucs2(self):
        """Characters outside GSM 03.38."""
        letter = self._make_message("foreign", f"{self._numbered('led')} да", plan=self._random_plan())
        self._send(letter)

    def send_unknown_word(self):
        """A word that nobody has a handler for."""
        self._send(self._make_message("unknown", self._numbered(self._rng.choice(("zzz", "Led7", "../led")))))

    def send_error_text(self):
        """An answer of another automaton: never answered."""
        letter = self._make_message("error", self._numbered("ERR what is"))
        letter.is_answerable = False
        self._send(letter)

    def send_ping(self):
        """What the agent answers by itself."""
        self._send(self._make_message("builtin", self._numbered("ping")))

    def send_liveness_check(self):
        """A Command that must work at once."""
        self._send(self._make_message("proof", self._numbered("led"), plan=HandlerPlan()))

    def send_burst(self, count):
        """Very many at once; most want no answer."""
        for _ in range(count):
            does = "nothing" if self._rng.random() < 0.9 else "ok"
            letter = self._make_message("plain", self._numbered("led"), plan=HandlerPlan([(0.1, does)]))
            self._send(letter)

    # How it is written

    def _numbered(self, first):
        self._count += 1
        return f"{first} {self._count}"

    def _new_sid(self):
        return PRODUCTS[self._world.service.name].sid_prefix + f"{self._rng.getrandbits(128):032x}"

    def _make_message(self, kind, content, *, is_command=True, sid=None, plan=None):
        if plan is not None:
            self._world.plans[content] = plan
        return InboundMessage(kind, content, is_command, sid)

    def _random_plan(self, *, repeatable=False):
        quick = round(self._rng.uniform(0.05, 2.0), 2)
        does = self._rng.choices(list(_OUTCOME_WEIGHTS), list(_OUTCOME_WEIGHTS.values()))[0]
        if repeatable and self._rng.random() < 0.5:
            return HandlerPlan(self._rng.choice(_RETRY_PLANS))
        match does:
            case "slow":
                return HandlerPlan([(self._rng.uniform(5, 25), "ok")])
            case "hang":
                return HandlerPlan([(1e6, "hang")])
            case "kill":
                return HandlerPlan([(quick, "kill"), (quick, self._rng.choice(("ok", "kill")))])
        return HandlerPlan([(quick, does)])

    def _action_plan(self):
        does = "then" if self._rng.random() < 0.85 else "fail"
        act = self._rng.choice(((0.1, "ok"), (0.1, "ok"), (3.0, "fail"), (0.5, "kill")))
        return HandlerPlan([(self._rng.uniform(0.1, 3.0), does)], act)

    def _make_deliver(self, user_data, message, *, sender=None, timestamp=None, age_s=0.0, scheme=None):
        if timestamp is None:
            time = self._world.true_time() - timedelta(seconds=age_s)
            timestamp = pdu.Timestamp.of(time)
            message.sent_at = message.sent_at or timestamp.time
        return pdu.Deliver(
            originating_address=sender or pdu.Address.parse(self._world.service.number),
            service_centre_timestamp=timestamp,
            user_data=user_data,
            data_coding_scheme=user_data.data_coding_scheme if scheme is None else scheme,
        )

    def _send(self, message, text=None, **written):
        user_data = pdu.segment(message.content if text is None else text)[0]
        self._enqueue(self._make_segment(message, self._make_deliver(user_data, message, **written)))

    def _make_segment(self, message, deliver):
        octets = pdu.encode(deliver, sca=False).octets[1:]
        if (known := self.segments.get(octets)) is not None:
            return known  # the same words in the same second are the same message
        if not message.segments:
            message.created_at = self._world.loop.time()
            self.messages.append(message)
        sheet = InboundSegment(message, deliver, octets)
        message.segments.append(sheet)
        self.segments[octets] = sheet
        return sheet

    def _enqueue(self, segment):
        deliver = segment.deliver
        line = self._world.network._queues[self._world.sim.imsi]
        line.enqueue(
            MtMessage(
                tpdu=deliver, sender=str(deliver.originating_address), body=repr(segment.message.content)
            )
        )


_OUTCOME_WEIGHTS = {
    "ok": 60,
    "slow": 12,
    "nothing": 6,
    "fail": 5,
    "later": 3,
    "hang": 3,
    "kill": 3,
    "stuck": 1,
}
_RETRY_PLANS = (
    [(0.5, "later"), (0.5, "ok")],
    [(0.5, "later"), (0.5, "later"), (0.5, "later")],
    [(0.5, "kill"), (0.5, "ok")],
    [(0.5, "kill"), (0.5, "kill"), (0.5, "kill")],
    [(0.5, "kill"), (0.5, "later"), (0.5, "ok")],
)
_KIND_WEIGHTS = {
    TrafficGenerator.send_plain: 28,
    TrafficGenerator.send_with_sid: 22,
    TrafficGenerator.send_repeatable: 10,
    TrafficGenerator.send_with_action: 6,
    TrafficGenerator.send_binary: 4,
    TrafficGenerator.send_long: 7,
    TrafficGenerator.send_same_text: 4,
    TrafficGenerator.redeliver: 12,
    TrafficGenerator.send_reused_sid: 5,
    TrafficGenerator.send_from_other_number: 4,
    TrafficGenerator.send_from_alphanumeric: 1,
    TrafficGenerator.send_truncated: 2,
    TrafficGenerator.send_empty: 1,
    TrafficGenerator.send_delayed: 2,
    TrafficGenerator.send_without_date: 1,
    TrafficGenerator.send_class_0: 2,
    TrafficGenerator.send_ucs2: 2,
    TrafficGenerator.send_unknown_word: 2,
    TrafficGenerator.send_error_text: 1,
    TrafficGenerator.send_ping: 2,
}
