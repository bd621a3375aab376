"""The SIM card: identity, PIN and retry counters, service centre, and the messages stored on it.

All of this stays on the card and survives a restart of the module; only the PIN must be entered again.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from hardware.sim.module.errors import CommandError, cme_error
from hardware.sim.module.phonebook import INTERNATIONAL, Phonebook, PhonebookEntry
from hardware.sim.module.stores import FixedStore
from pdu import Address


@dataclass(slots=True)
class SimCard:
    """The contents of a SIM card."""

    imsi: str = "234500000000001"
    iccid: str = "89440000000000000017"
    phone_number: str = "447700900001"
    """Telephone number (EF_MSISDN), digits; from the range reserved for fiction."""
    provider_name: str = "Simulated"
    """Name of the service provider (EF_SPN)."""
    mnc_digits: int = 2
    """Number of digits of the mobile network code in the IMSI (EF_AD)."""
    pin: str | None = None
    """None: the SIM has no PIN."""
    puk: str = "12345678"
    pin_retries: int = 3
    puk_retries: int = 10
    service_centre: Address = field(default_factory=lambda: Address.parse("+447700900000"))
    message_capacity: int = 10
    """Number of messages that fit on the SIM (EF_SMS); 10 to 50 on real cards."""
    contacts: Phonebook = field(default_factory=lambda: Phonebook(250))
    """The phonebook SM (EF_ADN), empty at first."""
    own_numbers: Phonebook = field(init=False)
    """The phonebook ON (EF_MSISDN)."""
    messages: FixedStore = field(init=False)
    """The messages on the SIM (EF_SMS)."""
    pin_enabled: bool = field(init=False)
    """True if the PIN is required at every start; `+CLCK="SC"` changes it."""
    last_message_reference: int = 255
    """TP-MR of the last SUBMIT (EF_SMSS); the next one is this plus 1, modulo 256 (23.040 9.2.3.6)."""
    present: bool = True

    def __post_init__(self) -> None:
        self.messages = FixedStore(self.message_capacity)
        self.own_numbers = Phonebook(1, {1: PhonebookEntry(self.phone_number, INTERNATIONAL)})
        self.pin_enabled = self.pin is not None

    def next_message_reference(self) -> int:
        """Return TP-MR for the next SUBMIT and count it as used."""
        self.last_message_reference = (self.last_message_reference + 1) % 256
        return self.last_message_reference


class SimAccess:
    """The module's access to its SIM: power-up, PIN verification, readiness (27.007 8.3)."""

    def __init__(self, sim: SimCard) -> None:
        self.sim = sim
        self.selected_file: int | None = None
        """The file that +CSIM has selected."""
        self._initialised = False
        self._unlocked = False

    def power_down(self) -> None:
        """Power the SIM down (+CFUN=0, or no power); the PIN must be entered again."""
        self._initialised = False
        self._unlocked = False
        self.selected_file = None

    def power_up(self) -> None:
        """Note that the SIM has been read; without a PIN it is ready."""
        self._initialised = True
        self._unlocked = not self.sim.pin_enabled

    @property
    def is_ready(self) -> bool:
        """True if the SIM is present, read and unlocked."""
        return self.sim.present and self._initialised and self._unlocked

    def pin_state(self) -> str:
        """Return the answer to +CPIN?; raises the +CME ERROR of a SIM that is absent, unread or blocked."""
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
        """Raise the +CME ERROR unless the SIM is ready."""
        match self.pin_state():
            case "SIM PIN":
                raise cme_error(11)
            case "SIM PUK":
                raise cme_error(12)

    def enter_pin(self, code: str, new_pin: str | None) -> None:
        """Process +CPIN= with the PIN, or the PUK and a new PIN; raises the +CME ERROR."""
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
        """Check the PIN: a wrong one uses up a retry, the right one restores all; raises the +CME ERROR."""
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
        """Process +CLCK="SC": require the PIN at every start, or no longer; raises the +CME ERROR."""
        self.verify_pin(pin)
        self.sim.pin_enabled = enabled

    def change_pin(self, old: str, new: str) -> None:
        """Process +CPWD="SC"; raises the +CME ERROR."""
        if not _is_valid_pin(new):
            raise cme_error(16)
        self.verify_pin(old)
        self.sim.pin = new


CME_TO_CMS = {10: 310, 11: 311, 12: 316, 13: 313, 14: 314}
"""+CMS ERROR for the +CME ERROR of a SIM that is not ready (27.005 3.2.5)."""


def to_cms_error(error: CommandError) -> CommandError:
    """Return the +CMS ERROR for a +CME ERROR of the SIM."""
    return CommandError("cms", CME_TO_CMS[error.code])


def _is_valid_pin(text: str) -> bool:
    return text.isdigit() and 4 <= len(text) <= 8
