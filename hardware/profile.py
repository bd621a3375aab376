"""Loads module profiles: TOML files on how a module behaves (`[device]`) and is driven (`[driver]`).

The simulated module reads only `[device]` and the agent only `[driver]`, so that an error in one table is not
repeated by the other side. Each file names its sources; a value that has not been published is left out.
`same_as` names another profile whose values apply to every key that a file does not have, except those that
identify a module (`usb`, `models`).
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

from hardware.quirks import Quirk
from hardware.table import Limits, TableError, convert_table
from pdu.record import Record, fresh

TableT = TypeVar("TableT", bound=Record)
NumberStyle = Literal["plain", "padded", "spaced", "quoted"]


HexId = Annotated[str, Limits(pattern="[0-9a-f]{4}")]
InterfaceClass = Annotated[str, Limits(pattern="[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{2}")]
Seconds = Annotated[float, Limits(gt=0)]
PROFILE_FOLDER = Path(__file__).with_name("profiles")
"""Not found by `importlib.resources`, which imports tempfile, shutil and its compressors."""
NOT_INHERITED = ("usb", "models")
"""Keys that `same_as` does not inherit."""
_MODELS_PATTERN = re.compile(r"^models = \[(.*?)\]", re.MULTILINE | re.DOTALL)


class ProfileError(ValueError):
    """A profile does not exist or cannot be read; the text is one sentence that names it."""


class SimulatorProfile(Record, kw_only=True):
    """The behaviour of a module: the table `[device]`. The defaults follow 27.005 and 27.007.

    Refusals are written `ERROR`, `CME 14` or `CMS 302`. Times are in seconds.
    """

    # identity
    manufacturer: str = "Simulated"
    model: str = "Generic"
    revision: str = "1.0"
    imei: str = "359990000000008"
    iccid: dict[str, str] = fresh(
        lambda: {
            "+CCID": "+CCID:",
            "+QCCID": "+QCCID:",
            "+CICCID": "+ICCID:",
            "+ICCID": "+ICCID:",
        }
    )
    """Commands that show the ICCID, and the prefix of each answer; an empty prefix shows the bare digits."""

    # start and shutdown
    boot_urcs: tuple[str, ...] = ("RDY",)
    """URCs when the module starts to accept commands."""
    boot_sim: tuple[str, ...] = ("+CPIN: {sim}",)
    """Lines printed when the SIM has been read; `{sim}` is replaced by its state."""
    boot_sms: tuple[str, ...] = ("SMS DONE",)
    """URCs when the message service is ready."""
    boot_s: float = 0.0
    """Time from power-on until the module accepts commands."""
    sim_ready_s: float = 0.0
    """Time from accepting commands until the SIM has been read."""
    sms_ready_s: float = 0.0
    """Time from a ready SIM until message commands work."""
    registration_s: float = 0.0
    """Time from a ready SIM until registration."""
    cfun: int = 1
    """`<fun>` after power-on."""
    functions: tuple[int, ...] = (0, 1, 4)
    reset_functions: tuple[int, ...] = ()
    """Values of `<fun>` that restart the module."""
    restart_commands: tuple[str, ...] = ()
    power_off_commands: tuple[str, ...] = ()
    power_off_urc: str = ""
    """URC after the OK of a power-off command."""
    readiness_command: str = ""
    """Quectel's +QINISTAT; its answer is the sum of 1 (SIM ready), 2 (SMS ready) and 4 (phonebook ready)."""
    persistent_settings: tuple[str, ...] = ()
    """Settings that survive a restart without AT&W, by their name in `hardware.sim.module.settings`."""

    baud: int | None = None
    """Rate of its UART; 0 for autobauding (detected from the first `AT`); None if any rate works."""

    # responses
    cmee: int = 0
    cmee_rules_cms: bool = False
    """True if +CMEE=0 also turns +CMS ERROR into ERROR, and +CMEE=2 into text; 27.005 has no such switch."""
    unsupported_commands: tuple[str, ...] = ()
    """Commands that this module answers with ERROR."""
    answers: dict[str, str] = fresh(dict)
    """Further commands, with their values, and the information text of each."""
    number_style: NumberStyle = "plain"
    """The form of numbers in answers and URCs: plain, padded with zeros to three digits, with blanks
    around them, or in quotes (except in the headers of messages)."""
    ati: tuple[str, ...] = ("{manufacturer}", "{model}", "Revision: {revision}")
    """The lines of the answer to ATI; the names of the keys above are replaced by their values."""
    registration_levels: dict[str, int] = fresh(lambda: {"+CREG": 2, "+CGREG": 5, "+CEREG": 5})
    """Highest `<n>` of each command that reports the registration."""
    takes_list_mode: bool = True
    """True if +CMGL and +CMGR take a second value: 1 leaves the status of the messages as it is. 27.005 has
    none, but SIMCom's older modules and programs written for them have."""
    network_scan_s: float = 0.0
    """Duration of +COPS=?."""
    announces_pin_unlock: bool = False
    """True if `+CPIN: READY`, and later the URCs of `boot_sms`, follow the OK of the right PIN."""

    # stores
    stores: dict[str, int] = fresh(lambda: {"ME": 20, "SR": 10})
    """Capacity of the module's own message stores; that of SM belongs to the SIM."""
    memories: tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]] = (
        ("SM", "ME", "MT", "SR"),
        ("SM", "ME", "MT"),
        ("SM", "ME", "MT"),
    )
    """Values that +CPMS accepts for each of its three parameters."""
    store: str = "ME"
    """Factory value of the three parameters of +CPMS."""
    report_store: str = "SR"
    """Store for status reports with `<ds>` 2."""
    mt_is_combined: bool = True
    """True if MT is ME and SM together; else it is another name for ME."""
    sm_is_me: bool = False
    """True if SM and ME are two names of the module's memory."""
    delete_frees_read: bool = False
    """True if a delete also frees every other slot whose message was read."""
    joins_list_entries: bool = False
    """True if there is no line end between the entries of a list."""
    first_index: int = 1
    cpms_refusal: str = "CMS 302"
    cpms_counts: tuple[int, ...] = (1, 2, 3)
    """The numbers of stores that +CPMS takes at a time. Another number is refused with `cpms_refusal`."""
    notified_slot: str = '"{store}",{index}'
    """The slot in +CMTI and +CDSI. Without `{store}` or `{index}` it is a wrong one or none (`,-1`)."""
    store_full_urc: str = ""
    """URC when a message did not fit; `{store}` is replaced by the name of the store."""
    sms_not_ready_refusal: str = "CMS 314"
    """Refusal of message commands while the SIM is ready but the message service is not."""

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
    """Time to wait for +CNMA after direct delivery; 15 to 17 s in the field."""
    submit_s: float = 60.0
    """Time to wait for the network's answer to a message before +CMS ERROR 332."""
    class_0_direct: bool = True
    """True if class 0 messages are delivered by +CMT even if +CNMI requests storage."""
    empty_alpha: bool = False
    """True if an absent `<alpha>` is shown as an empty string."""
    prompt: str = "\r\n> "


class UsbLayout(Record, kw_only=True):
    """USB products of a module with the same interfaces, and which of these accept AT commands."""

    vendor: HexId
    """idVendor."""
    products: tuple[HexId, ...]
    """idProduct; a module has a different one for each USB composition."""
    at_interface: int | None = None
    """bInterfaceNumber of the port for AT commands."""
    second_at_interface: int | None = None
    """bInterfaceNumber of another port that accepts AT commands, often intended for the data connection."""
    at_interface_classes: tuple[InterfaceClass, ...] = ()
    """Class, subclass and protocol of the AT port, for makers whose interface numbers vary."""
    no_at: bool = False
    """True if this composition is known to have no AT port."""


class DriverProfile(Record, kw_only=True):
    """The data for finding and driving a module: the table `[driver]`. An unpublished value is None or empty.

    Times are in seconds; `..._timeout_s` is the maker's maximum response time for a command, not the usual
    time.
    """

    # identification
    usb: tuple[UsbLayout, ...] = ()
    models: tuple[str, ...] = ()
    """Beginning of a word in the answer to ATI or +CGMM; `*` and `?` are wildcards. See `identify`."""

    # UART
    inter_command_delay_s: Seconds | None = None
    """Delay between a final result code and the next command."""
    urc_port_command: str | None = None
    """Command that selects the port on which URCs appear."""

    # start
    boot_urcs: tuple[str, ...] = ()
    """URCs that indicate that the module has restarted."""
    ready_urc: str | None = None
    """URC after which message commands work."""
    ready_command: str | None = None
    """Command that queries whether message commands work."""
    ready_mask: int | None = None
    """Bit in the answer to `ready_command` that means that the message service is ready."""

    # SIM and network
    pin_tries_command: str | None = None
    """Command whose answer begins with the remaining PIN attempts, if +CPINR is not supported."""
    iccid_command: str | None = None
    iccid_prefix: str | None = None
    registration: tuple[str, ...] = ()
    """Those of +CREG, +CGREG and +CEREG that report the registration."""
    signal_command: Literal["AT+QCSQ", "AT+CPSI?"] | None = None
    """Command of the maker that reports more about the reception than +CSQ and +CESQ."""

    # messages
    stores: tuple[str, ...] = ()
    """Values that +CPMS accepts as its first parameter."""
    text_mode: bool | None = None
    cnmi: str | None = None
    """Parameters of +CNMI, if only these work."""
    cnma: str | None = None
    """Form of the acknowledgement, if only this one works."""
    cmgs_timeout_s: Seconds | None = None
    cmgr_timeout_s: Seconds | None = None
    cmgl_timeout_s: Seconds | None = None
    cmgd_timeout_s: Seconds | None = None
    cops_timeout_s: Seconds | None = None
    cfun_timeout_s: Seconds | None = None
    cpin_timeout_s: Seconds | None = None

    # restart and shutdown
    restart_command: str | None = None
    power_off_s: Seconds | None = None
    power_key_on_s: Seconds | None = None
    """Length of the pulse at the power key that switches on; a HAT may invert its polarity."""
    power_key_off_s: Seconds | None = None
    reset_line_s: Seconds | None = None

    quirks: tuple[Quirk, ...] = ()

    def usb_layouts(self, vendor: str, product: str) -> list[UsbLayout]:
        """Return the layouts of a USB product."""
        return [layout for layout in self.usb if layout.vendor == vendor and product in layout.products]


def list_profiles() -> list[str]:
    """Return the names of all profiles, sorted."""
    return sorted(path.stem for path in PROFILE_FOLDER.glob("*.toml"))


def load_simulator_profile(name: str = "generic") -> SimulatorProfile:
    """Return the table `[device]` of a profile. Raises ProfileError."""
    return _load_table(name, "device", SimulatorProfile)


def load_driver_profile(name: str = "generic") -> DriverProfile:
    """Return the table `[driver]` of a profile. Raises ProfileError."""
    return _load_table(name, "driver", DriverProfile)


def load_driver_profiles(*containing: str) -> dict[str, DriverProfile]:
    """Return the drivers of all profiles, or of those whose file contains one of these texts in any case.

    Raises ProfileError. Parsing one file takes 15 ms on a small device, so a caller that searches for a
    vendor id should pass it.
    """
    wanted = [mention.casefold() for mention in containing]
    return {
        name: load_driver_profile(name)
        for name in list_profiles()
        if not wanted or any(mention in _read_profile_text(name).casefold() for mention in wanted)
    }


@functools.cache
def load_model_patterns() -> Mapping[str, tuple[str, ...]]:
    """Return the `models` of each profile, without parsing 27 TOML files (0.4 s on a small device).

    The result is cached: each session needs it, also if the host has no file descriptors left.
    """
    found = {name: _MODELS_PATTERN.search(_read_profile_text(name)) for name in list_profiles()}
    known = {name: tuple(re.findall(r'"([^"]+)"', line[1])) for name, line in found.items() if line}
    return MappingProxyType(known)


def parse_profile(text: str, name: str) -> tuple[SimulatorProfile, DriverProfile]:
    """Return both tables of a profile that is not installed. Raises ProfileError; `name` is for its text."""
    try:
        file = convert_table(tomllib.loads(text), _ProfileFile)
        return convert_table(file.device, SimulatorProfile), convert_table(file.driver, DriverProfile)
    except (tomllib.TOMLDecodeError, TableError) as error:
        raise ProfileError(f"profile {name}: {error}") from error


def _read_profile_text(name: str) -> str:
    return (PROFILE_FOLDER / f"{name}.toml").read_text(encoding="utf-8")


def _load_table(name: str, table: str, table_type: type[TableT]) -> TableT:
    try:
        return convert_table(_load_merged_table(name, table), table_type)
    except (tomllib.TOMLDecodeError, TableError) as error:
        raise ProfileError(f"profile {name}, table {table}: {error}") from error


def _load_merged_table(name: str, table: str) -> dict[str, Any]:
    """Return a table of a profile, merged over that of its `same_as` profile."""
    if name not in list_profiles():
        raise ProfileError(f'there is no profile "{name}"; there are {", ".join(list_profiles())}')
    file = convert_table(tomllib.loads(_read_profile_text(name)), _ProfileFile)
    own: dict[str, Any] = getattr(file, table)
    if file.same_as is None:
        return own
    if file.same_as == name:
        raise ProfileError(f'profile {name}: same_as = "{name}" refers to the profile itself')
    shared = _load_merged_table(file.same_as, table)
    return {key: value for key, value in shared.items() if key not in NOT_INHERITED} | own


class _ProfileFile(Record):
    same_as: str | None = None
    device: dict[str, Any] = fresh(dict)
    driver: dict[str, Any] = fresh(dict)
