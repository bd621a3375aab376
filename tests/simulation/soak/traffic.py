"""Generates the messages to the device and records what each must lead to, for `invariants.py`."""

from dataclasses import dataclass, field
from datetime import timedelta

import pdu
from hardware.sim.network.subscriber_queue import SERVICE_CENTRE, MtMessage
from hardware.sim.service.product import PRODUCTS
from soak.world import HandlerPlan

LONG_TEXT = "abcdefghij" * 30
REPEATABLE, WITH_ACTION, BINARY_PREFIX = "again", "act", b"\x01"
PLAIN = ("led", "pump", "blink")


@dataclass(eq=False)
class InboundSegment:
    """One SMS of a message, however often it is delivered."""

    message: "InboundMessage"
    deliver: object
    """The `pdu.Deliver`; None for octets that do not decode."""
    tpdu_tail: bytes
    """The TPDU without its first octet: the network changes a bit of that octet between attempts."""
    offered_at: list = field(default_factory=list)
    """Times at which it reached a running module."""
    accepted: list = field(default_factory=list)
    """(time, how) of each time that the module accepted it; see `RadioLink.on_accepted` for `how`."""


@dataclass(eq=False)
class InboundMessage:
    """A whole message, in one SMS or in several."""

    kind: str
    content: str | bytes
    """The content that a handler receives, or the text of a message that is not a Command."""
    is_command: bool
    """True if the message is a Command of the service."""
    sid: str | None = None
    segments: list[InboundSegment] = field(default_factory=list)
    created_at: float = 0.0
    sent_at: object = None
    """Its service centre time stamp; None if that is not a valid date."""
    is_answerable: bool = True

    @property
    def is_accepted(self):
        """Return True if the module has accepted every segment."""
        return bool(self.segments) and all(segment.accepted for segment in self.segments)

    @property
    def is_repeatable(self):
        """Return True if its handler may run more than once."""
        return isinstance(self.content, str) and self.content.split(" ")[0] in {REPEATABLE, "ping"}


class TrafficGenerator:
    """Creates random messages and puts them into the network's queue."""

    def __init__(self, world, rng):
        self._world = world
        self._rng = rng
        self._count = 0
        self.messages: list[InboundMessage] = []
        self.segments: dict[bytes, InboundSegment] = {}
        world.radio.on_offered = self._on_offered
        world.radio.on_accepted = self._on_accepted

    def _on_offered(self, tpdu):
        if segment := self.segments.get(tpdu[1:]):
            segment.offered_at.append(self._world.loop.time())

    def _on_accepted(self, tpdu, how):
        if segment := self.segments.get(tpdu[1:]):
            segment.accepted.append((self._world.loop.time(), how))

    # Kinds of message

    def send_random(self):
        """Send a message of a random kind."""
        kinds = dict(_KIND_WEIGHTS)
        if not self._world.service.supports_binary:
            kinds.pop(TrafficGenerator.send_binary)
        chosen = self._rng.choices(list(kinds), list(kinds.values()))[0]
        chosen(self)

    def send_plain(self):
        """Send a Command without a SID."""
        self._send(
            self._make_message("plain", self._numbered(self._rng.choice(PLAIN)), plan=self._random_plan())
        )

    def send_with_sid(self):
        """Send a Command with a SID in its text."""
        content = self._numbered(self._rng.choice((*PLAIN, WITH_ACTION)))
        plan = self._action_plan() if content.startswith(WITH_ACTION) else self._random_plan()
        message = self._make_message("with SID", content, sid=self._new_sid(), plan=plan)
        text = f"{message.sid} {content}" if self._rng.random() < 0.5 else f"{content} {message.sid}"
        self._send(message, text=text)

    def send_repeatable(self):
        """Send a Command whose handler is repeatable."""
        content = self._numbered(REPEATABLE)
        sid = self._new_sid() if self._rng.random() < 0.5 else None
        message = self._make_message("repeatable", content, sid=sid, plan=self._random_plan(repeatable=True))
        self._send(message, text=content if sid is None else f"{sid} {content}")

    def send_with_action(self):
        """Send a Command whose handler asks for an action after its reply."""
        self._send(self._make_message("with action", self._numbered(WITH_ACTION), plan=self._action_plan()))

    def send_binary(self):
        """Send a binary Command."""
        self._count += 1
        self._send(
            self._make_message(
                "binary", BINARY_PREFIX + self._count.to_bytes(3, "big"), plan=self._random_plan()
            )
        )

    def send_long(self):
        """Send a multipart Command, its parts in random order; sometimes one part never arrives."""
        content = f"{self._numbered(self._rng.choice(PLAIN))} {LONG_TEXT[: self._rng.randint(170, 280)]}"
        message = self._make_message("long", content, plan=self._random_plan())
        sid = self._new_sid() if self._rng.random() < 0.4 else None
        message.sid = sid
        parts = list(
            pdu.segment(f"{sid} {content}" if sid else content, reference=self._count % 256, wide=False)
        )
        self._rng.shuffle(parts)
        missing = self._rng.random() < 0.15
        delay = 0.0
        for part in parts:
            segment = self._make_segment(message, self._make_deliver(part, message))
            if missing and part is parts[-1]:
                continue
            self._world.call_later(delay, self._enqueue, segment)
            delay += self._rng.choice((0.0, 0.0, 1.0, 20.0, 900.0))

    def send_same_text(self):
        """Send an earlier text again without a SID: a new Command, unless the time stamp is the same."""
        earlier = [each for each in self.messages if each.kind == "plain" and each.sid is None]
        if not earlier:
            return self.send_plain()
        message = InboundMessage("plain", self._rng.choice(earlier).content, is_command=True)
        return self._send(message)

    def redeliver(self):
        """Deliver an earlier segment again with the same octets."""
        earlier = [
            segment
            for segment in self.segments.values()
            if segment.offered_at and segment.deliver is not None
        ]
        if earlier:
            self._enqueue(self._rng.choice(earlier))

    def send_reused_sid(self):
        """Send an earlier SID with another body; this is not a Command."""
        earlier = [
            each for each in self.messages if each.kind in {"with SID", "reused SID"} and each.is_accepted
        ]
        if not earlier:
            return self.send_with_sid()
        before = self._rng.choice(earlier)
        message = self._make_message("reused SID", self._numbered("led"), sid=before.sid)
        message.is_command = False
        return self._send(message, text=f"{message.sid} {message.content}")

    def send_from_other_number(self):
        """Send from another number, perhaps one that resembles the service's."""
        number = self._world.service.number
        sender = self._rng.choice(("+15551234567", f"1{number}", f"{number}0", f"0{number}", number[:-1]))
        message = self._make_message("other sender", self._numbered("led"), is_command=False)
        self._send(message, sender=pdu.Address.parse(sender))

    def send_from_alphanumeric(self):
        """Send from an alphanumeric address."""
        message = self._make_message("other sender", self._numbered("pump"), is_command=False)
        sender = pdu.Address(self._world.service.number, pdu.TypeOfNumber.ALPHANUMERIC)
        self._send(message, sender=sender)

    def send_to_port(self, rng):
        """Send a message of the service to an application port, for example a WAP push."""
        self._count += 1
        content = f"led {self._count}" if rng.random() < 0.5 else b"\x01port %d" % self._count
        text = content if isinstance(content, str) else content.hex().upper()
        message = self._make_message("to a port", text, is_command=False)
        ports = pdu.Ports(rng.choice((2948, 9200, 9204, 16998)), rng.choice((0, 9200)))
        user_data = pdu.segment(content, ports=ports)[0]
        self._enqueue(self._make_segment(message, self._make_deliver(user_data, message)))

    def send_truncated(self):
        """Deliver the beginning of a TPDU."""
        message = self._make_message("truncated", self._numbered("led"), is_command=False)
        octets = pdu.encode(self._make_deliver(pdu.segment(message.content)[0], message), sca=False).octets
        cut = octets[: self._rng.randint(3, len(octets) - 2)]
        message.segments.append(InboundSegment(message, None, cut[1:]))
        self.segments[cut[1:]] = message.segments[0]
        self.messages.append(message)
        self._count += 1
        self._world.module.deliver(1000 + self._count, SERVICE_CENTRE, cut)

    def send_empty(self):
        """Send an empty text."""
        self._send(self._make_message("empty", ""))

    def send_delayed(self):
        """Send a Command with an old time stamp."""
        message = self._make_message("delayed", self._numbered("led"), plan=self._random_plan())
        self._send(message, age_s=self._rng.choice((3600.0, 5 * 3600.0, 30 * 3600.0, 90 * 86400.0)))

    def send_without_date(self):
        """Send a Command whose time stamp is not a valid date."""
        message = self._make_message("no date", self._numbered("led"), plan=self._random_plan())
        self._send(message, timestamp=pdu.Timestamp(bytes.fromhex("62311131240080")))

    def send_class_0(self):
        """Send a Command of message class 0 (for immediate display)."""
        message = self._make_message("class 0", self._numbered("blink"), plan=self._random_plan())
        self._send(message, scheme=0x10)

    def send_ucs2(self):
        """Send a Command with characters outside the GSM default alphabet."""
        message = self._make_message("UCS-2", f"{self._numbered('led')} да", plan=self._random_plan())
        self._send(message)

    def send_unknown_word(self):
        """Send a Command whose first word has no handler."""
        self._send(
            self._make_message("unknown word", self._numbered(self._rng.choice(("zzz", "Led7", "../led"))))
        )

    def send_error_text(self):
        """Send an error reply, as another automaton would; it must not be answered."""
        message = self._make_message("error text", self._numbered("ERR what is"))
        message.is_answerable = False
        self._send(message)

    def send_ping(self):
        """Send a ping, which the agent answers without a handler."""
        self._send(self._make_message("ping", self._numbered("ping")))

    def send_liveness_check(self):
        """Send a Command that must be handled promptly."""
        self._send(self._make_message("liveness", self._numbered("led"), plan=HandlerPlan()))

    def send_burst(self, count):
        """Send many Commands at once; most have no reply."""
        for _ in range(count):
            outcome = "nothing" if self._rng.random() < 0.9 else "ok"
            message = self._make_message("plain", self._numbered("led"), plan=HandlerPlan([(0.1, outcome)]))
            self._send(message)

    # Construction

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
        outcome = self._rng.choices(list(_OUTCOME_WEIGHTS), list(_OUTCOME_WEIGHTS.values()))[0]
        if repeatable and self._rng.random() < 0.5:
            return HandlerPlan(self._rng.choice(_RETRY_PLANS))
        match outcome:
            case "slow":
                return HandlerPlan([(self._rng.uniform(5, 25), "ok")])
            case "hang":
                return HandlerPlan([(1e6, "hang")])
            case "kill":
                return HandlerPlan([(quick, "kill"), (quick, self._rng.choice(("ok", "kill")))])
        return HandlerPlan([(quick, outcome)])

    def _action_plan(self):
        outcome = "then" if self._rng.random() < 0.85 else "fail"
        act = self._rng.choice(((0.1, "ok"), (0.1, "ok"), (3.0, "fail"), (0.5, "kill")))
        return HandlerPlan([(self._rng.uniform(0.1, 3.0), outcome)], act)

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
            return known  # the same text with the same time stamp is the same message
        if not message.segments:
            message.created_at = self._world.loop.time()
            self.messages.append(message)
        segment = InboundSegment(message, deliver, octets)
        message.segments.append(segment)
        self.segments[octets] = segment
        return segment

    def _enqueue(self, segment):
        deliver = segment.deliver
        queue = self._world.network._queues[self._world.sim.imsi]
        queue.enqueue(
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
