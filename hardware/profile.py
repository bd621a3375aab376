"""Profiles of modules: TOML files with what a module is (`[device]`) and how it is driven (`[driver]`).

The simulated module reads `[device]` and nothing else, the agent reads `[driver]` and nothing else, so that
a mistake in the one is not repeated by the other. Each file names its sources; a value that nobody has
published is left out. `same_as` names another profile whose tables hold where a file says nothing itself,
except for what a module is known by (`usb`, `models`).
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from importlib import resources
from types import MappingProxyType
from typing import Annotated, Any, TypeVar

import msgspec

from hardware.quirks import Quirk

TableT = TypeVar("TableT")


HexId = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{4}$")]
InterfaceClass = Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{2}$")]
Seconds = Annotated[float, msgspec.Meta(gt=0)]
NOT_INHERITED = ("usb", "models")
"""What `same_as` does not bring along."""
_MODELS_PATTERN = re.compile(r"^models = \[(.*?)\]", re.MULTILINE | re.DOTALL)


class ProfileError(ValueError):
    """A profile that does not exist or cannot be read; the text is one sentence that names it."""


class SimulatorProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
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
    boot_urcs: tuple[str, ...] = ("RDY",)
    """Lines said as soon as the module hears its terminal."""
    boot_sim: tuple[str, ...] = ("+CPIN: {sim}",)
    """Lines printed when the SIM has been read; `{sim}` is replaced by its state."""
    boot_sms: tuple[str, ...] = ("SMS DONE",)
    """Lines said when the message service is ready."""
    boot_s: float = 0.0
    """From power-on until the module hears its terminal."""
    sim_ready_s: float = 0.0
    """From then until the card has been read."""
    sms_ready_s: float = 0.0
    """From the card's readiness until the message commands work."""
    registration_s: float = 0.0
    """From the card's readiness until registration."""
    cfun: int = 1
    """`<fun>` after power-on."""
    functions: tuple[int, ...] = (0, 1, 4)
    reset_functions: tuple[int, ...] = ()
    """Values of `<fun>` that restart the module."""
    restart_commands: tuple[str, ...] = ()
    power_off_commands: tuple[str, ...] = ()
    power_off_urc: str = ""
    """What is said after the OK of a power-off command."""
    readiness_command: str = ""
    """Quectel's +QINISTAT: a sum of 1 card ready, 2 messages ready, 4 phonebook ready."""
    persistent_settings: tuple[str, ...] = ()
    """Settings that survive a restart without AT&W, by their name in `hardware.sim.module.settings`."""

    baud: int | None = None
    """Rate of its UART, 0 where it learns it from the first `AT`; None: it has no rate, or takes any."""

    # answers
    cmee: int = 0
    cmee_rules_cms: bool = False
    """Whether +CMEE=0 turns +CMS ERROR into ERROR and +CMEE=2 into words; 27.005 knows no such switch."""
    unsupported_commands: tuple[str, ...] = ()
    """Commands that this module does not have."""
    answers: dict[str, str] = msgspec.field(default_factory=dict)
    """Further commands, written out with their values, and the text that each answers before OK."""
    network_scan_s: float = 0.0
    """Duration of +COPS=?."""
    announces_pin_unlock: bool = False
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
    mt_is_combined: bool = True
    """Whether MT is ME and SM together; else it is ME under another name."""
    first_index: int = 1
    cpms_refusal: str = "CMS 302"
    store_full_urc: str = ""
    """What is said when a message did not fit; `{store}` is the store's name."""
    sms_not_ready_refusal: str = "CMS 314"
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


class UsbLayout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Some USB products of a module, and which of their interfaces take AT commands."""

    vendor: HexId
    """idVendor."""
    products: tuple[HexId, ...]
    """idProduct; a module has another one for each composition of its interfaces."""
    at_interface: int | None = None
    """bInterfaceNumber of the AT port that is meant for commands."""
    second_at_interface: int | None = None
    """That of a further port that takes AT commands; often meant for the data connection."""
    at_interface_classes: tuple[InterfaceClass, ...] = ()
    """Class, subclass and protocol of the AT port, where a maker keeps to them and not to numbers."""
    no_at: bool = False
    """Whether this composition is known to have no AT port at all."""


class DriverProfile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a module is found and driven. A value that nobody has published is None or empty.

    Times are in seconds; `..._timeout_s` is the maker's longest time for a command, not what is usual.
    """

    # what it is known by
    usb: tuple[UsbLayout, ...] = ()
    models: tuple[str, ...] = ()
    """What a word of ATI's or +CGMM's answer begins with, `*` and `?` as in file names; see `identify`."""

    # the line
    baud: int | None = None
    """Rate of the UART from the factory; 0 for autobauding."""
    autobaud_rates: tuple[int, ...] = ()
    inter_command_delay_s: Seconds | None = None
    """From a final result to the next command."""
    urc_port_command: str | None = None
    """Chooses the port out of which unsolicited codes come."""
    sleep_command: str | None = None

    # start
    boot_urcs: tuple[str, ...] = ()
    """Unsolicited lines that say that the module has restarted."""
    ready_urc: str | None = None
    """The line after which message commands work."""
    ready_command: str | None = None
    """The command that tells the same when asked."""
    ready_mask: int | None = None
    """The bit of its answer that stands for the message service."""
    start_s: Seconds | None = None
    """From power-on until the port answers."""

    # card and network
    pin_tries_command: str | None = None
    """Tells the remaining tries of the PIN, as the first number of its answer, where +CPINR does not."""
    iccid_command: str | None = None
    iccid_prefix: str | None = None
    registration: tuple[str, ...] = ()
    """Which of +CREG, +CGREG and +CEREG tell something."""

    # messages
    stores: tuple[str, ...] = ()
    """What +CPMS takes as its first value."""
    first_index: int | None = None
    text_mode: bool | None = None
    cnmi: str | None = None
    """The values that +CNMI must have, where only these work."""
    cnma: str | None = None
    """The acknowledgement, where only this form works."""
    cmgs_timeout_s: Seconds | None = None
    cmgr_timeout_s: Seconds | None = None
    cmgl_timeout_s: Seconds | None = None
    cmgd_timeout_s: Seconds | None = None
    cops_timeout_s: Seconds | None = None
    cfun_timeout_s: Seconds | None = None
    cpin_timeout_s: Seconds | None = None

    # end and new start
    restart_command: str | None = None
    restart_s: Seconds | None = None
    """From there until it is ready again."""
    power_off_command: str | None = None
    power_off_urc: str | None = None
    power_off_s: Seconds | None = None
    power_key_on_s: Seconds | None = None
    """Pulse at the module's power key; a HAT may turn its polarity round."""
    power_key_off_s: Seconds | None = None
    reset_line_s: Seconds | None = None

    quirks: tuple[Quirk, ...] = ()
    sources: tuple[str, ...] = ()
    """Tags, resolved in profiles/README.md."""


def list_profiles() -> list[str]:
    """All profiles there are."""
    folder = resources.files("hardware") / "profiles"
    return sorted(
        entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml")
    )


def load_simulator_profile(name: str = "generic") -> SimulatorProfile:
    """What the module of that name is; raises ProfileError."""
    return _load_table(name, "device", SimulatorProfile)


def load_driver_profile(name: str = "generic") -> DriverProfile:
    """How the module of that name is driven; raises ProfileError."""
    return _load_table(name, "driver", DriverProfile)


def load_driver_profiles(*containing: str) -> dict[str, DriverProfile]:
    """All drivers, or those whose file contains one of these texts in any case; raises ProfileError.

    Reading TOML takes a small device 15 ms a file: who looks for one vendor need not read them all.
    """
    wanted = [mention.casefold() for mention in containing]
    return {
        name: load_driver_profile(name)
        for name in list_profiles()
        if not wanted or any(mention in _read_profile_text(name).casefold() for mention in wanted)
    }


@functools.cache
def load_model_patterns() -> Mapping[str, tuple[str, ...]]:
    """What each module is known by, without parsing its file: 27 of them would take a small device 0.4 s.

    Read once: every session asks, and a host that has run out of files has none to read it from again.
    """
    found = {name: _MODELS_PATTERN.search(_read_profile_text(name)) for name in list_profiles()}
    known = {name: tuple(re.findall(r'"([^"]+)"', line[1])) for name, line in found.items() if line}
    return MappingProxyType(known)


def _read_profile_text(name: str) -> str:
    return (resources.files("hardware") / "profiles" / f"{name}.toml").read_text(encoding="utf-8")


def _load_table(name: str, table: str, table_type: type[TableT]) -> TableT:
    try:
        return msgspec.convert(_load_merged_table(name, table), table_type)
    except (tomllib.TOMLDecodeError, msgspec.ValidationError) as error:
        raise ProfileError(f"profile {name}, table {table}: {error}") from error


def _load_merged_table(name: str, table: str) -> dict[str, Any]:
    """A table of a profile, with that of the profile it is the same as below it."""
    if name not in list_profiles():
        raise ProfileError(f'there is no profile "{name}"; known are {", ".join(list_profiles())}')
    file = msgspec.convert(tomllib.loads(_read_profile_text(name)), _ProfileFile)
    own: dict[str, Any] = getattr(file, table)
    if file.same_as is None:
        return own
    if file.same_as == name:
        raise ProfileError(f"profile {name} is the same as itself")
    shared = _load_merged_table(file.same_as, table)
    return {key: value for key, value in shared.items() if key not in NOT_INHERITED} | own


class _ProfileFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    same_as: str | None = None
    device: dict[str, Any] = msgspec.field(default_factory=dict)
    driver: dict[str, Any] = msgspec.field(default_factory=dict)
