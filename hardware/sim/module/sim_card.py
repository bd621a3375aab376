"""The SIM card: identity, PIN with its tries, service centre, and the few messages that it can keep.

All of this travels with the card and survives every restart of the module; only the entered PIN does not.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hardware.sim.module.errors import CommandError, cme_error
from hardware.sim.module.stores import FixedStore
from pdu import Address


@dataclass(slots=True)
class SimCard:
    """A SIM as the factory and its owner left it."""

    imsi: str = "234500000000001"
    iccid: str = "89440000000000000017"
    pin: str | None = None
    """None: no PIN is asked for."""
    puk: str = "12345678"
    pin_retries: int = 3
    puk_retries: int = 10
    service_centre: Address = field(default_factory=lambda: Address.parse("+447700900000"))
    message_capacity: int = 10
    """How many messages fit on it (EF_SMS); 10 to 50 in the field."""
    messages: FixedStore = field(init=False)
    """EF_SMS itself."""
    pin_enabled: bool = field(init=False)
    """Whether the PIN is asked for at every start; `+CLCK="SC"` changes it."""
    last_message_reference: int = 255
    """TP-MR of the last SUBMIT (EF_SMSS); the next one is this plus 1, modulo 256 (23.040 9.2.3.6)."""
    present: bool = True

    def __post_init__(self) -> None:
        self.messages = FixedStore(self.message_capacity)
        self.pin_enabled = self.pin is not None

    def next_message_reference(self) -> int:
        """TP-MR for the next SUBMIT; counts it as used."""
        self.last_message_reference = (self.last_message_reference + 1) % 256
        return self.last_message_reference


class SimAccess:
    """The module's dealings with its card: from power-up over the PIN to readiness (27.007 8.3)."""

    def __init__(self, sim: SimCard) -> None:
        self.sim = sim
        self.power_down()

    def power_down(self) -> None:
        """CFUN=0, or no power: an entered PIN is forgotten."""
        self._initialised = False
        self._unlocked = False

    def power_up(self) -> None:
        """The card has been read; without a PIN it is ready."""
        self._initialised = True
        self._unlocked = not self.sim.pin_enabled

    @property
    def is_ready(self) -> bool:
        """Whether nothing is asked for any more."""
        return self.sim.present and self._initialised and self._unlocked

    def pin_state(self) -> str:
        """What +CPIN? shows; raises the +CME ERROR of a card that is absent, not yet read or dead."""
        if not self.sim.present:
            raise cme_error(10)
        if not self._initialised:
            raise cme_error(14)
        if self.sim.puk_retries == 0:
            raise cme_error(13)
        if self.sim.pin_retries == 0:
            return "SIM PUK"
        return "READY" if self._unlocked else "SIM PIN"

    def require_ready(self) -> None:
        """Raises unless the card is ready."""
        match self.pin_state():
            case "SIM PIN":
                raise cme_error(11)
            case "SIM PUK":
                raise cme_error(12)

    def enter_pin(self, code: str, new_pin: str | None) -> None:
        """+CPIN=: the PIN, or the PUK and a new PIN; raises the +CME ERROR."""
        match self.pin_state():
            case "READY":
                raise cme_error(3)
            case "SIM PIN":
                if new_pin is not None:
                    raise cme_error(3)
                self.verify_pin(code)
            case _:
                self._unblock(code, new_pin)
        self._unlocked = True

    def verify_pin(self, pin: str) -> None:
        """Compare; a wrong PIN costs a try, a right one gives all back."""
        if self.sim.pin_retries == 0:
            raise cme_error(12)
        if pin != (self.sim.pin or ""):
            self.sim.pin_retries -= 1
            raise cme_error(16 if self.sim.pin_retries else 12)
        self.sim.pin_retries = 3

    def _unblock(self, puk: str, new_pin: str | None) -> None:
        if new_pin is None or not _is_valid_pin(new_pin):
            raise cme_error(12)
        if puk != self.sim.puk:
            self.sim.puk_retries -= 1
            raise cme_error(16 if self.sim.puk_retries else 13)
        self.sim.pin, self.sim.pin_retries, self.sim.puk_retries = new_pin, 3, 10

    def set_pin_enabled(self, pin: str, *, enabled: bool) -> None:
        """+CLCK="SC": ask for the PIN from now on, or no more."""
        self.verify_pin(pin)
        self.sim.pin_enabled = enabled

    def change_pin(self, old: str, new: str) -> None:
        """+CPWD="SC"."""
        if not _is_valid_pin(new):
            raise cme_error(16)
        self.verify_pin(old)
        self.sim.pin = new


CME_TO_CMS = {10: 310, 11: 311, 12: 316, 13: 313, 14: 314}
"""The same trouble with the card as the message commands report it (27.005 3.2.5)."""


def to_cms_error(error: CommandError) -> CommandError:
    """+CMS ERROR for a +CME ERROR about the card."""
    return CommandError("cms", CME_TO_CMS[error.code])


def _is_valid_pin(text: str) -> bool:
    return text.isdigit() and 4 <= len(text) <= 8
