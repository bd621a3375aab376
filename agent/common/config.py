"""Reads and validates agent.toml. Each error is one sentence that contains the path of its key.

The keys are documented in `config/agent.toml`, the annotated example. The defaults are defined here.
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from hardware.table import Limits, TableError, convert_value, field_types, format_value
from pdu.record import Record

ServiceName = Literal["super-sim", "programmable-wireless", "super-sim-beta"]
SERVICE_NAMES: tuple[ServiceName, ...] = get_args(ServiceName)
PositiveFloat = Annotated[float, Limits(gt=0)]
PhoneNumber = Annotated[str, Limits(pattern=r"\+?[0-9]{3,20}", title='a number like "+447700900000"')]
GpioChip = Annotated[
    str,
    Limits(pattern=r"/dev/[^\0]+|[^/\0]+", title='a device such as "/dev/gpiochip0" or the label of a chip'),
]
Price = Annotated[
    str, Limits(pattern=r"[0-9]+(\.[0-9]+)? [A-Z]{3}", title='a price and a currency like "0.05 USD"')
]
GatewayName = Annotated[
    str, Limits(pattern=r"[A-Za-z0-9_-]{0,64}", title="a name of at most 64 letters, digits, - and _")
]
LoopbackAddress = Annotated[
    str,
    Limits(
        pattern=r"(127(\.\d{1,3}){3}|localhost|\[::1\]):[1-9]\d{0,4}",
        title='an address of this device with a port, such as "127.0.0.1:9866"',
    ),
]
"""Metrics are served without a password, so only to programs on the same device."""
DEFAULT_CONFIG_PATH = Path("/etc/modem-agent/agent.toml")
BROKER_SCHEMES = ("mqtt", "mqtts", "ws", "wss")
WEBHOOK_SCHEMES = ("https", "http")
_PIN_HINT = "a PIN belongs in a file of its own: pin_file, or the systemd credential sim-pin"
_MQTT_HINT = "a password belongs in a file of its own: password_file, or the systemd credential mqtt-password"
_WEBHOOK_HINT = (
    "a secret belongs in a file of its own: secret_file or authorization_file, or a systemd credential"
)
SECRET_KEYS = {
    **{("modem", key): _PIN_HINT for key in ("pin", "sim_pin", "puk")},
    ("mqtt", "password"): _MQTT_HINT,
    **{("webhook", key): _WEBHOOK_HINT for key in ("secret", "token", "authorization", "password")},
}
"""Keys that are often tried for secrets, which agent.toml does not hold; and where these belong."""


class ModemConfig(Record, kw_only=True):
    """``[modem]``: the connection to the module."""

    port: str = "auto"
    baud: Annotated[int, Limits(ge=300, le=4_000_000)] | Literal["auto"] = 115_200
    profile: str = "auto"
    message_format: Literal["pdu", "text"] = "pdu"
    pin_file: Path | None = None
    service_centre: PhoneNumber | None = None
    init: tuple[str, ...] = ()


class ServiceConfig(Record, kw_only=True):
    """``[service]``: the service that sends Commands, and how replies are sent."""

    name: ServiceName = "super-sim"
    reply_sid: Literal["none", "start"] = "none"
    max_parts: Annotated[int, Limits(ge=1, le=10)] = 1
    allow_ucs2: bool = False
    status_reports: bool = False
    resend_unknown: bool = False
    max_per_minute: Annotated[int, Limits(ge=1)] = 10
    max_per_day: Annotated[int, Limits(ge=1)] = 200
    max_answer_age_s: PositiveFloat = 86_400.0
    price_per_message: Price | None = None
    reply_spread_s: Annotated[float, Limits(ge=0, le=3600)] = 0.0


class HandlersConfig(Record, kw_only=True):
    """``[handlers]``: the handlers that run Commands."""

    directory: Path = Path("/etc/modem-agent/handlers")
    timeout_s: PositiveFloat = 30.0
    max_age_s: PositiveFloat | None = None
    max_concurrent: Annotated[int, Limits(ge=1, le=64)] = 4
    error_details: bool = False


class JournalConfig(Record, kw_only=True):
    """``[journal]``: the database, its retention and deduplication."""

    path: Path = Path("/var/lib/modem-agent/journal.db")
    keep_days: PositiveFloat = 31.0
    dedup_days: Annotated[float, Limits(ge=2)] = 31.0
    dedup_without_sid: bool = True
    first_start: Literal["run", "skip"] = "run"
    allow_volatile: bool = False


class ControlConfig(Record, kw_only=True):
    """``[control]``: the socket on which the running agent accepts requests."""

    socket: Path = Path("/run/modem-agent/control.sock")


class AlarmConfig(Record, kw_only=True):
    """``[alarm]``: the program that is called when Commands cannot be received or answered."""

    command: tuple[str, ...] = ()
    after_s: Annotated[float, Limits(ge=60)] = 900.0
    timeout_s: Annotated[float, Limits(gt=0, le=600)] = 30.0


class RecoveryConfig(Record, kw_only=True):
    """``[recovery]``: which actions are allowed when the module does not work."""

    may_drop_data: bool = False
    resets_per_hour: Annotated[int, Limits(ge=0, le=60)] = 3
    resets_per_day: Annotated[int, Limits(ge=0, le=1000)] = 12
    power: Literal["none", "gpio", "usb", "command"] = "none"
    gpio_chip: GpioChip = "/dev/gpiochip0"
    gpio_line: Annotated[int, Limits(ge=-1)] = -1
    gpio_active_low: bool = False
    gpio_drives: Literal["power-key", "reset"] = "power-key"
    pulse_on_s: Annotated[float, Limits(ge=0, le=60)] = 0.0
    pulse_off_s: Annotated[float, Limits(ge=0, le=60)] = 0.0
    power_command: tuple[str, ...] = ()
    power_command_drives: Literal["supply", "power-key"] = "supply"
    power_command_timeout_s: Annotated[float, Limits(gt=0, le=60)] = 30.0


class MqttConfig(Record, kw_only=True):
    """``[mqtt]``: Commands that are forwarded to an MQTT broker."""

    broker: str = ""
    commands: tuple[str, ...] = ("*",)
    gateway: GatewayName = ""
    base_topic: str = "modem-agent"
    user: str = ""
    password_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    reply_timeout_s: Annotated[float, Limits(ge=0, le=86_400)] = 600.0
    require_subscriber: bool = True
    max_age_s: PositiveFloat | None = None
    keepalive_s: Annotated[int, Limits(ge=5, le=3600)] = 60
    publish_state: bool = False
    home_assistant: bool = False


class WebhookConfig(Record, kw_only=True):
    """``[webhook]``: Commands that are forwarded to a web server."""

    url: str = ""
    commands: tuple[str, ...] = ("*",)
    gateway: GatewayName = ""
    secret_file: Path | None = None
    authorization_file: Path | None = None
    ca_file: Path | None = None
    certificate_file: Path | None = None
    key_file: Path | None = None
    timeout_s: Annotated[float, Limits(gt=0, le=120)] = 15.0
    max_age_s: PositiveFloat | None = None


class MetricsConfig(Record, kw_only=True):
    """``[metrics]``: metrics for Prometheus."""

    listen: LoopbackAddress | None = None
    textfile: Path | None = None
    textfile_interval_s: Annotated[float, Limits(ge=1)] = 60.0


class Config(Record, kw_only=True):
    """All tables of agent.toml."""

    modem: ModemConfig = ModemConfig()
    service: ServiceConfig = ServiceConfig()
    handlers: HandlersConfig = HandlersConfig()
    journal: JournalConfig = JournalConfig()
    control: ControlConfig = ControlConfig()
    alarm: AlarmConfig = AlarmConfig()
    recovery: RecoveryConfig = RecoveryConfig()
    mqtt: MqttConfig = MqttConfig()
    webhook: WebhookConfig = WebhookConfig()
    metrics: MetricsConfig = MetricsConfig()

    def tables(self) -> dict[str, Record]:
        """Return the tables by their names."""
        return {name: table for name, table in self.as_dict().items() if isinstance(table, Record)}


class ConfigError(Exception):
    """agent.toml cannot be used. `errors` holds one sentence for each error."""

    def __init__(self, *errors: str) -> None:
        super().__init__("\n".join(errors))
        self.errors = errors


def load_config(path: Path) -> Config:
    """Read and validate agent.toml. Raises ConfigError with all errors found."""
    try:
        text = path.read_bytes().decode()
    except OSError as error:
        match error:
            case FileNotFoundError():
                advice = "copy the annotated example there or name another file with --config FILE"
            case IsADirectoryError():
                advice = "name a file in this directory with --config FILE"
            case _:
                advice = "use sudo, or make it readable by the user that runs modem-agent"
        raise ConfigError(f"{path}: {error.strerror or error}; {advice}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: octet {error.start} is not valid UTF-8; save the file as UTF-8") from None
    try:
        tables = tomllib.loads(text)
    except RecursionError:
        raise ConfigError(f"{path}: not usable: brackets are nested too deeply") from None
    except ValueError as error:  # TOMLDecodeError, or Python's limit on the digits of a number
        raise ConfigError(f"{path}: not valid TOML: {error}") from None
    return parse_config(tables, str(path), path.parent.absolute())


def parse_config(tables: dict[str, Any], source: str, base_dir: Path = Path("/")) -> Config:
    """Validate the tables of a file. `source` names it in errors; relative paths start at `base_dir`.

    Raises ConfigError.
    """
    errors: list[str] = []
    kinds = field_types(Config)
    known = tuple(kinds)
    sections: dict[str, Any] = {}
    for name, value in tables.items():
        if name not in known:
            errors.append(f"{source}: unknown table [{name}]; the tables are {_join_names(known)}")
        elif not isinstance(value, dict):
            errors.append(f"{source}: {name} must be a table: write [{name}] on a line of its own")
    for name, kind in kinds.items():
        values = tables.get(name)
        if isinstance(values, dict):
            sections[name] = _parse_table(kind, name, values, source, base_dir, errors)
    config = Config(**sections)
    port = config.modem.port
    if port != "auto" and (not port.startswith(("/", "socket://")) or "\0" in port):
        errors.append(
            f'{source}: modem.port must be "auto", an absolute path such as "/dev/ttyUSB2", or '
            f'"socket://host:port", not {format_value(port)}'
        )
    if config.modem.message_format == "text" and config.service.max_parts > 1:
        errors.append(
            f'{source}: service.max_parts must be 1 with modem.message_format "text": '
            "multipart messages need PDU mode"
        )
    if config.service.reply_spread_s >= config.service.max_answer_age_s:
        errors.append(
            f"{source}: service.reply_spread_s must be less than service.max_answer_age_s, "
            f"{config.service.max_answer_age_s:g}: otherwise replies are given up while they wait"
        )
    if config.recovery.power == "gpio" and config.recovery.gpio_line < 0:
        errors.append(
            f'{source}: recovery.gpio_line must be set with recovery.power "gpio": the line to which the '
            "module's power key or reset input is connected"
        )
    if config.recovery.power == "command" and not config.recovery.power_command:
        errors.append(
            f'{source}: recovery.power_command must be set with recovery.power "command": the program '
            "that is called with on, off or press"
        )
    errors += _check_program_words(source, "recovery.power_command", config.recovery.power_command)
    errors += _check_program_words(source, "alarm.command", config.alarm.command)
    if config.recovery.power == "usb" and config.modem.port.startswith("socket://"):
        errors.append(
            f'{source}: recovery.power must be "none", "gpio" or "command" with modem.port '
            f'"{config.modem.port}": a module behind a socket has no USB device'
        )
    if config.modem.profile != "auto":
        errors += _check_profile(config.modem.profile, source)
    errors += [f"{source}: {error}" for error in _check_forwarding(config)]
    if errors:
        raise ConfigError(*errors)
    return config


def _check_program_words(source: str, key: str, words: tuple[str, ...]) -> list[str]:
    """Return the error of a program that is not given as an absolute path and its arguments."""
    if words and (not words[0].startswith("/") or "\0" in "".join(words)):
        return [f"{source}: {key} must begin with an absolute path, not {format_value(words[0])}"]
    return []


def _check_forwarding(config: Config) -> list[str]:
    """Return a sentence for each error in [mqtt] and [webhook]."""
    mqtt, webhook = config.mqtt, config.webhook
    errors = []
    if mqtt.broker:
        errors += _check_url("mqtt.broker", mqtt.broker, BROKER_SCHEMES, "user and password_file")
    if webhook.url:
        errors += _check_url("webhook.url", webhook.url, WEBHOOK_SCHEMES, "authorization_file")
    if (
        not mqtt.base_topic
        or mqtt.base_topic.strip("/") != mqtt.base_topic
        or set(mqtt.base_topic) & set("+#\0")
    ):
        errors.append(
            "mqtt.base_topic must be a topic without + and # that neither begins nor ends with /, "
            f"not {format_value(mqtt.base_topic)}"
        )
    for name, table in (("mqtt", mqtt), ("webhook", webhook)):
        for word in table.commands:
            if word.split() != [word] or "=" in word[1:] or "\0" in word:
                errors.append(
                    f'{name}.commands must hold first words, or "*" for all Commands that no handler takes, '
                    f"not {format_value(word)}"
                )
        if (table.certificate_file is None) != (table.key_file is None):
            errors.append(f"{name}.certificate_file and {name}.key_file are needed together")
    if mqtt.broker and webhook.url:
        mqtt_words, webhook_words = ({word.casefold() for word in each.commands} for each in (mqtt, webhook))
        errors += [
            f'mqtt.commands and webhook.commands both have "{word}": a Command goes to one of them'
            for word in sorted(mqtt_words & webhook_words)
        ]
    return errors


def _check_url(key: str, url: str, schemes: tuple[str, ...], secrets: str) -> list[str]:
    from urllib.parse import urlsplit  # noqa: PLC0415  (only those who forward Commands need it)

    try:
        parts = urlsplit(url)
        usable = parts.scheme in schemes and bool(parts.hostname) and parts.port != 0 and url.isascii()
        (parts.hostname or "").encode("idna")  # as the resolver does
    except ValueError:  # the port is no number, brackets are missing, or a label of the host is too long
        return [f"{key} is not a valid URL: {format_value(url)}"]
    if not usable or url.split() != [url]:
        return [f"{key} must begin with {' or '.join(f'{each}://' for each in schemes)} and name a host"]
    if parts.username is not None or parts.password is not None:
        return [f"{key} must not contain a password: use {secrets}"]
    return []


def _check_profile(name: str, source: str) -> list[str]:
    from hardware.profile import list_profiles  # noqa: PLC0415  (slow; the CLI starts without the profiles)

    known = list_profiles()
    if name in known:
        return []
    return [f'{source}: modem.profile must be "auto" or one of {_join_names(tuple(known))}, not "{name}"']


def _parse_table(
    table_type: type[Any],
    name: str,
    values: dict[str, Any],
    source: str,
    base_dir: Path,
    errors: list[str],
) -> Any:
    """Validate a table key by key, so that one error does not hide the next; append to `errors`."""
    valid: dict[str, Any] = {}
    types = field_types(table_type)
    for key, value in values.items():
        if key not in types:
            hint = SECRET_KEYS.get((name, key)) or f"[{name}] has {_join_names(tuple(types))}"
            errors.append(f"{source}: unknown key {name}.{key}; {hint}")
            continue
        if value == "" and type(None) in get_args(types[key]):
            valid[key] = None
            continue
        try:  # relative paths start at the directory of the file
            valid[key] = convert_value(
                value, types[key], key=f"{name}.{key}", resolve_path=lambda path: base_dir / path
            )
        except TableError as error:
            errors.append(f"{source}: {error}")
    return table_type(**valid)


def _join_names(names: tuple[str, ...]) -> str:
    return ", ".join(names)
