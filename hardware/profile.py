"""Profiles of modules: TOML files with what a module is (`[device]`) and how it is driven (`[driver]`).

The simulated module reads `[device]` and nothing else, the agent reads `[driver]` and nothing else, so that
a mistake in the one is not repeated by the other. Each file names its sources; a value that nobody has
published is left out.
"""

from __future__ import annotations

import tomllib
from importlib import resources
from typing import TypeVar

import msgspec

Table = TypeVar("Table")


class ProfileError(ValueError):
    """A profile that does not exist or cannot be read; the text is one sentence that names it."""


class DeviceProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a module behaves. The defaults are those of the plain module of 27.005 and 27.007.

    Refusals are written `ERROR`, `CME 14` or `CMS 302`. Times are in seconds.
    """

    # identity
    manufacturer: str = "Simulated"
    model: str = "Generic"
    revision: str = "1.0"
    imei: str = "359990000000008"
    iccid: dict[str, str] = msgspec.field(
        default_factory=lambda: {
            "+CCID": "+CCID:",
            "+QCCID": "+QCCID:",
            "+CICCID": "+ICCID:",
            "+ICCID": "+ICCID:",
        }
    )
    """Commands that show the ICCID, and the prefix of each answer; an empty prefix shows the bare digits."""

    # start and end
    boot: tuple[str, ...] = ("RDY",)
    """Lines said as soon as the module hears its terminal."""
    boot_card: tuple[str, ...] = ("+CPIN: {card}",)
    """Lines said when the card has been read; `{card}` is its state."""
    boot_messages: tuple[str, ...] = ("SMS DONE",)
    """Lines said when the message service is ready."""
    boot_s: float = 0.0
    """From power-on until the module hears its terminal."""
    card_s: float = 0.0
    """From then until the card has been read."""
    messages_s: float = 0.0
    """From the card's readiness until the message commands work."""
    register_s: float = 0.0
    """From the card's readiness until registration."""
    cfun: int = 1
    """`<fun>` after power-on."""
    functions: tuple[int, ...] = (0, 1, 4)
    reset_functions: tuple[int, ...] = ()
    """Values of `<fun>` that restart the module."""
    restart_commands: tuple[str, ...] = ()
    power_off_commands: tuple[str, ...] = ()
    power_off_code: str = ""
    """What is said after the OK of a power-off command."""
    readiness_command: str = ""
    """Quectel's +QINISTAT: a sum of 1 card ready, 2 messages ready, 4 phonebook ready."""
    saves: tuple[str, ...] = ()
    """Settings that survive a restart without AT&W, by their name in `hardware.sim.module.settings`."""

    # answers
    cmee: int = 0
    cmee_rules_cms: bool = False
    """Whether +CMEE=0 turns +CMS ERROR into ERROR and +CMEE=2 into words; 27.005 knows no such switch."""
    without: tuple[str, ...] = ()
    """Commands that this module does not have."""
    answers: dict[str, str] = msgspec.field(default_factory=dict)
    """Further commands, written out with their values, and the text that each answers before OK."""
    scan_s: float = 0.0
    """Duration of +COPS=?."""
    tells_unlocking: bool = False
    """Whether `+CPIN: READY`, and in time the lines of `boot_messages`, follow the OK of the right PIN."""

    # stores
    stores: dict[str, int] = msgspec.field(default_factory=lambda: {"ME": 20, "SR": 10})
    """Capacity of the module's own memories; that of SM is the card's."""
    memories: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]] = (
        ("SM", "ME", "MT", "SR"),
        ("SM", "ME", "MT"),
        ("SM", "ME", "MT"),
    )
    """Names that +CPMS takes for each of its three values."""
    store: str = "ME"
    """Factory value of all three."""
    report_store: str = "SR"
    """Where `<ds>` 2 puts status reports."""
    joins_memories: bool = True
    """Whether MT is ME and SM together; else it is ME under another name."""
    first_index: int = 1
    cpms_refusal: str = "CMS 302"
    full_code: str = ""
    """What is said when a message did not fit; `{store}` is the store's name."""
    messages_not_ready: str = "CMS 314"
    """Refusal of message commands between the card's readiness and theirs."""

    # messages
    cmgf: int = 0
    text_mode: bool = True
    charsets: tuple[str, ...] = ("IRA", "GSM", "UCS2", "HEX", "8859-1")
    """Values of +CSCS, the factory's first."""
    csms: int = 0
    cgsms: int = 1
    cnmi: tuple[int, int, int, int, int] = (0, 0, 0, 0, 0)
    cnmi_allowed: tuple[
        tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...], tuple[int, ...]
    ] = ((0, 1, 2, 3), (0, 1, 2, 3), (0, 2), (0, 1, 2), (0, 1))
    cnmi_needs_mode: bool = False
    """SIMCom's rule: mt 3 and ds 1 need mode 1, mt 2 needs mode 1 or 2."""
    cnmi_refusal: str = "CMS 303"
    cnma_s: float = 15.0
    """How long a message that was handed over waits for +CNMA; 15 to 17 s in the field."""
    submit_s: float = 60.0
    """How long the network's answer to a message is awaited before +CMS ERROR 332."""
    class_0_direct: bool = True
    """Whether class 0 is handed over by +CMT although +CNMI says store."""
    empty_alpha: bool = False
    """Whether an absent `<alpha>` is shown as an empty string."""
    prompt: str = "\r\n> "


class DriverProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a module is found and driven. A value that nobody has published is None or empty."""

    vendor_id: str | None = None
    """USB idVendor, four hexadecimal digits."""
    product_ids: tuple[str, ...] = ()
    """USB idProduct, likewise."""
    at_interface: int | None = None
    """USB bInterfaceNumber of the AT port."""
    models: tuple[str, ...] = ()
    """What +CGMM begins with."""
    baud: int | None = None
    """Rate from the factory; 0 for autobauding."""
    boot_codes: tuple[str, ...] = ()
    """Unsolicited lines that say that the module has restarted."""
    ready_code: str | None = None
    """The line after which message commands work."""
    ready_command: str | None = None
    """The command that tells the same when asked."""
    iccid_command: str | None = None
    restart_command: str | None = None
    power_off_command: str | None = None
    cmgs_timeout_s: float | None = None
    """The maker's longest time for +CMGS."""
    sources: tuple[str, ...] = ()


def names() -> list[str]:
    """All profiles there are."""
    folder = resources.files("hardware") / "profiles"
    return sorted(
        entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")
    )


def device(name: str = "generic") -> DeviceProfile:
    """What the module of that name is; raises ProfileError."""
    return _table(name, "device", DeviceProfile)


def driver(name: str = "generic") -> DriverProfile:
    """How the module of that name is driven; raises ProfileError."""
    return _table(name, "driver", DriverProfile)


def _table(name: str, table: str, kind: type[Table]) -> Table:
    if name not in names():
        raise ProfileError(f'there is no profile "{name}"; known are {", ".join(names())}')
    text = (resources.files("hardware") / "profiles" / f"{name}.toml").read_text(encoding="utf-8")
    try:
        return msgspec.convert(tomllib.loads(text).get(table, {}), kind)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ProfileError(f"profile {name}, table {table}: {error}") from error
