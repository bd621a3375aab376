"""agent.toml: read, checked, every mistake said in one sentence with the path of its key.

The keys and what they do stand in `config/agent.toml`, the annotated example; defaults stand here.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
from msgspec import Meta, Struct, field

PositiveFloat = Annotated[float, Meta(gt=0)]
PhoneNumber = Annotated[str, Meta(pattern=r"^\+?[0-9]{3,20}$", title='a number like "+447700900000"')]
DEFAULT_CONFIG_PATH = Path("/etc/modem-agent/agent.toml")
SECRET_KEYS = {"pin", "sim_pin", "puk"}
"""Keys that people may write into [modem]."""
MAX_SHOWN_CHARS = 80
"""Characters of a value that are shown in a sentence."""


class _ConfigTable(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A table of agent.toml."""


class ModemConfig(_ConfigTable, frozen=True):
    """``[modem]``: the line to the module."""

    port: str = "auto"
    baud: Annotated[int, Meta(ge=300, le=4_000_000)] | Literal["auto"] = 115_200
    profile: str = "auto"
    message_format: Literal["pdu", "text"] = "pdu"
    pin_file: Path | None = None
    service_centre: PhoneNumber | None = None


class ServiceConfig(_ConfigTable, frozen=True):
    """``[service]``: who commands the device and how it answers."""

    name: Literal["super-sim", "programmable-wireless", "super-sim-beta"] = "super-sim"
    reply_sid: Literal["none", "start"] = "none"
    max_parts: Annotated[int, Meta(ge=1, le=10)] = 1
    allow_ucs2: bool = False
    status_reports: bool = False
    resend_unknown: bool = False
    max_per_minute: Annotated[int, Meta(ge=1)] = 10
    max_per_day: Annotated[int, Meta(ge=1)] = 200
    max_answer_age_s: PositiveFloat = 86_400.0


class HandlersConfig(_ConfigTable, frozen=True):
    """``[handlers]``: what carries Commands out."""

    directory: Path = Path("/etc/modem-agent/handlers")
    timeout_s: PositiveFloat = 30.0
    max_age_s: PositiveFloat | None = None
    max_concurrent: Annotated[int, Meta(ge=1, le=64)] = 4


class JournalConfig(_ConfigTable, frozen=True):
    """``[journal]``: what is remembered."""

    path: Path = Path("/var/lib/modem-agent/journal.db")
    keep_days: PositiveFloat = 31.0
    dedup_days: Annotated[float, Meta(ge=2)] = 31.0
    dedup_without_sid: bool = True
    first_start: Literal["run", "skip"] = "run"


class ControlConfig(_ConfigTable, frozen=True):
    """``[control]``: the one way to talk to a running agent."""

    socket: Path = Path("/run/modem-agent/control.sock")


class RecoveryConfig(_ConfigTable, frozen=True):
    """``[recovery]``: what may be done about a module that does not work."""

    may_drop_data: bool = False
    resets_per_hour: Annotated[int, Meta(ge=0, le=60)] = 3
    resets_per_day: Annotated[int, Meta(ge=0, le=1000)] = 12
    power: Literal["none", "gpio", "usb"] = "none"
    gpio_chip: Path = Path("/dev/gpiochip0")
    gpio_line: Annotated[int, Meta(ge=-1)] = -1
    gpio_active_low: bool = False
    gpio_drives: Literal["power-key", "reset"] = "power-key"
    pulse_on_s: Annotated[float, Meta(ge=0, le=60)] = 0.0
    pulse_off_s: Annotated[float, Meta(ge=0, le=60)] = 0.0


class Config(_ConfigTable, frozen=True):
    """The whole file."""

    modem: ModemConfig = field(default_factory=ModemConfig)
    service: ServiceConfig = field(default_factory=ServiceConfig)
    handlers: HandlersConfig = field(default_factory=HandlersConfig)
    journal: JournalConfig = field(default_factory=JournalConfig)
    control: ControlConfig = field(default_factory=ControlConfig)
    recovery: RecoveryConfig = field(default_factory=RecoveryConfig)


class ConfigError(Exception):
    """Agent.toml cannot be used. `sentences` holds one sentence for each mistake."""

    def __init__(self, *errors: str) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


def load_config(path: Path) -> Config:
    """Read agent.toml. Raises ConfigError with every mistake at once."""
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        match error:
            case FileNotFoundError():
                advice = "copy the annotated example there or name another with --config FILE"
            case IsADirectoryError():
                advice = "name a file in it with --config FILE"
            case _:
                advice = "make it readable for the user that runs modem-agent"
        raise ConfigError(f"{path}: {error.strerror or error}; {advice}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: octet {error.start} is no UTF-8; save the file as UTF-8") from None
    try:
        tables = tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{path}: no usable TOML: brackets within brackets, too deep to be read") from None
    except (
        ValueError
    ) as error:  # TOMLDecodeError; and a number of thousands of digits is read by Python itself
        raise ConfigError(f"{path}: no valid TOML: {error}") from None
    return parse_config(tables, str(path), path.parent.absolute())


def parse_config(tables: dict[str, Any], source: str, base_dir: Path = Path("/")) -> Config:
    """Check the tables of a file; `source` names it in the sentences, relative paths start at `folder`."""
    mistakes: list[str] = []
    known = Config.__struct_fields__
    sections: dict[str, _ConfigTable] = {}
    for name, value in tables.items():
        if name not in known:
            mistakes.append(f"{source}: unknown table [{name}]; there are {_join_names(known)}")
        elif not isinstance(value, dict):
            mistakes.append(f"{source}: {name} must be a table: write [{name}] on a line of its own")
    for name, section in Config.__annotations__.items():
        values = tables.get(name)
        if isinstance(values, dict):
            kind: type[_ConfigTable] = globals()[section] if isinstance(section, str) else section
            sections[name] = _parse_table(kind, name, values, source, base_dir, mistakes)
    config = Config(**sections)  # type: ignore[arg-type]  # each was made from the annotation of its name
    port = config.modem.port
    if port != "auto" and not port.startswith(("/", "socket://")):
        mistakes.append(
            f'{source}: modem.port must be "auto", a path from the root such as "/dev/ttyUSB2", or '
            f'"socket://host:port", not {_format_value(port)}'
        )
    if config.modem.message_format == "text" and config.service.max_parts > 1:
        mistakes.append(
            f'{source}: service.max_parts must be 1 with modem.message_format "text": '
            "text mode sends no message of several parts"
        )
    if config.recovery.power == "gpio" and config.recovery.gpio_line < 0:
        mistakes.append(
            f'{source}: recovery.gpio_line must name a line with recovery.power "gpio": the one that the '
            "module's power key or reset line is connected to"
        )
    if config.recovery.power == "usb" and config.modem.port.startswith("socket://"):
        mistakes.append(
            f'{source}: recovery.power must be "none" or "gpio" with modem.port "{config.modem.port}": '
            "a socket is on no USB"
        )
    if config.modem.profile != "auto":
        mistakes += _check_profile(config.modem.profile, source)
    if mistakes:
        raise ConfigError(*mistakes)
    return config


def _check_profile(name: str, source: str) -> list[str]:
    from hardware.profile import list_profiles  # noqa: PLC0415  (the shell starts without profiles)

    known = list_profiles()
    if name in known:
        return []
    return [f'{source}: modem.profile must be "auto" or one of {_join_names(tuple(known))}, not "{name}"']


def _parse_table(
    table_type: type[_ConfigTable],
    name: str,
    values: dict[str, Any],
    source: str,
    base_dir: Path,
    errors: list[str],
) -> _ConfigTable:
    """Check a table key by key, so that one mistake does not hide the next."""
    good: dict[str, Any] = {}
    types = {each.name: each.type for each in msgspec.structs.fields(table_type)}
    for key, value in values.items():
        if key not in types:
            hint = f"[{name}] has {_join_names(tuple(types))}"
            if name == "modem" and key in SECRET_KEYS:
                hint = "a PIN stands in a file of its own: pin_file, or the systemd credential sim-pin"
            errors.append(f"{source}: unknown key {name}.{key}; {hint}")
            continue
        if value == "" and type(None) in get_args(types[key]):
            good[key] = None
            continue
        try:
            good[key] = msgspec.convert(
                value, types[key], dec_hook=lambda _, path: _resolve_path(path, base_dir)
            )
        except msgspec.ValidationError:
            errors.append(
                f"{source}: {name}.{key} must be {_describe_type(types[key])}, not {_format_value(value)}"
            )
    return table_type(**good)


def _resolve_path(value: object, base_dir: Path) -> Path:
    """Paths stand as text in the file; relative ones start at its folder."""
    if isinstance(value, str) and value and "\0" not in value:
        return base_dir / value
    raise msgspec.ValidationError


def _describe_type(kind: Any) -> str:
    """What a key takes, as an operator would say it."""
    limits = ""
    for meta in getattr(kind, "__metadata__", ()):
        if meta.title is not None:
            return str(meta.title)
        limits += "" if meta.gt is None else f" above {meta.gt:g}"
        limits += "" if meta.ge is None else f" of {meta.ge} or more"
        limits += "" if meta.le is None else f" and {meta.le} or less"
        kind = kind.__origin__
    if get_origin(kind) is Literal:
        return " or ".join(f'"{choice}"' for choice in get_args(kind))
    if get_args(kind):  # optional: what it takes when it is there
        return " or ".join(_describe_type(each) for each in get_args(kind) if each is not type(None))
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false", Path: "a path"}
    return names[kind] + limits


def _format_value(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    shown = str(value)
    if len(shown) > MAX_SHOWN_CHARS:
        shown = f"{shown[:MAX_SHOWN_CHARS]}..."
    return f'"{shown}"' if isinstance(value, str) else shown


def _join_names(names: tuple[str, ...]) -> str:
    return ", ".join(names)
