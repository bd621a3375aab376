"""The SIM card: identity, PIN with its tries, service centre, and the few messages that it can keep.

All of this travels with the card and survives every restart of the module; only the entered PIN does not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hardware.sim.module.memory import Slots
from hardware.sim.module.refusal import RefusedError, cme
from pdu import Address


@dataclass(slots=True)
class Sim:
    """A SIM as the factory and its owner left it."""

    imsi: str = "234500000000001"
    iccid: str = "89440000000000000017"
    pin: str | None = None
    """None: no PIN is asked for."""
    puk: str = "12345678"
    pin_tries: int = 3
    puk_tries: int = 10
    service_centre: Address = field(default_factory=lambda: Address.parse("+447700900000"))
    message_slots: int = 10
    """How many messages fit on it (EF_SMS); 10 to 50 in the field."""
    messages: Slots = field(init=False)
    """EF_SMS itself."""
    asks_pin: bool = field(init=False)
    """Whether the PIN is asked for at every start; `+CLCK="SC"` changes it."""
    last_message_reference: int = 255
    """TP-MR of the last SUBMIT (EF_SMSS); the next one is this plus 1, modulo 256 (23.040 9.2.3.6)."""
    present: bool = True

    def __post_init__(self) -> None:
        self.messages = Slots(self.message_slots)
        self.asks_pin = self.pin is not None

    def next_message_reference(self) -> int:
        """TP-MR for the next SUBMIT; counts it as used."""
        self.last_message_reference = (self.last_message_reference + 1) % 256
        return self.last_message_reference


class CardReader:
    """The module's dealings with its card: from power-up over the PIN to readiness (27.007 8.3)."""

    def __init__(self, sim: Sim) -> None:
        self.sim = sim
        self.power_down()

    def power_down(self) -> None:
        """CFUN=0, or no power: an entered PIN is forgotten."""
        self._started = False
        self._unlocked = False

    def power_up(self) -> None:
        """The card has been read; without a PIN it is ready."""
        self._started = True
        self._unlocked = not self.sim.asks_pin

    @property
    def ready(self) -> bool:
        """Whether nothing is asked for any more."""
        return self.sim.present and self._started and self._unlocked

    def state(self) -> str:
        """What +CPIN? shows; raises the +CME ERROR of a card that is absent, not yet read or dead."""
        if not self.sim.present:
            raise cme(10)
        if not self._started:
            raise cme(14)
        if self.sim.puk_tries == 0:
            raise cme(13)
        if self.sim.pin_tries == 0:
            return "SIM PUK"
        return "READY" if self._unlocked else "SIM PIN"

    def demand(self) -> None:
        """Raises unless the card is ready."""
        match self.state():
            case "SIM PIN":
                raise cme(11)
            case "SIM PUK":
                raise cme(12)

    def enter(self, code: str, new: str | None) -> None:
        """+CPIN=: the PIN, or the PUK and a new PIN; raises the +CME ERROR."""
        match self.state():
            case "READY":
                raise cme(3)
            case "SIM PIN":
                if new is not None:
                    raise cme(3)
                self.verify(code)
            case _:
                self._unblock(code, new)
        self._unlocked = True

    def verify(self, pin: str) -> None:
        """Compare; a wrong PIN costs a try, a right one gives all back."""
        if self.sim.pin_tries == 0:
            raise cme(12)
        if pin != (self.sim.pin or ""):
            self.sim.pin_tries -= 1
            raise cme(16 if self.sim.pin_tries else 12)
        self.sim.pin_tries = 3

    def _unblock(self, puk: str, new: str | None) -> None:
        if new is None or not _is_pin(new):
            raise cme(12)
        if puk != self.sim.puk:
            self.sim.puk_tries -= 1
            raise cme(16 if self.sim.puk_tries else 13)
        self.sim.pin, self.sim.pin_tries, self.sim.puk_tries = new, 3, 10

    def lock(self, pin: str, *, on: bool) -> None:
        """+CLCK="SC": ask for the PIN from now on, or no more."""
        self.verify(pin)
        self.sim.asks_pin = on

    def change(self, old: str, new: str) -> None:
        """+CPWD="SC"."""
        if not _is_pin(new):
            raise cme(16)
        self.verify(old)
        self.sim.pin = new


AS_CMS = {10: 310, 11: 311, 12: 316, 13: 313, 14: 314}
"""The same trouble with the card as the message commands report it (27.005 3.2.5)."""


def as_message_error(refusal: RefusedError) -> RefusedError:
    """+CMS ERROR for a +CME ERROR about the card."""
    return RefusedError("cms", AS_CMS[refusal.code])


def _is_pin(text: str) -> bool:
    return text.isdigit() and 4 <= len(text) <= 8
