"""The handlers of config/handlers, each with its rights and without them."""

import enum
import importlib.util
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.at.command_line import split_command_line
from agent.handlers.api import Command
from agent.handlers.registry import load_registry
from agent.handlers.runner import ProcessRunner
from agent.installation.ready_handlers import copy_handler, list_ready_handlers

CONFIG = Path(__file__).parents[2] / "config"
READY = list_ready_handlers(CONFIG / "handlers")
EXAMPLES = {"led", "device", "registers"}


class Device:
    """A directory of handlers, and programs that stand in for those of the device."""

    def __init__(self, folder):
        self.folder = folder
        self.handlers = folder / "handlers"
        self.handlers.mkdir(mode=0o755)
        (folder / "bin").mkdir()
        self.environment = os.environ | {"PATH": f"{folder / 'bin'}:{os.environ['PATH']}"}

    def enable(self, name):
        copy_handler(READY[name], self.handlers)

    def program(self, name, script):
        """Write a program that the handlers find first."""
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        return path

    def file(self, variable, text):
        """Write a file that a handler finds by an environment variable."""
        path = self.folder / variable.lower()
        path.write_text(text)
        self.environment[variable] = str(path)

    def run(self, text, suffix=""):
        """Run the executable for a Command as the agent does, but without its processes in between."""
        word, *arguments = text.split()
        return subprocess.run(
            [self.handlers / f"{word}{suffix}", *arguments],
            input=text,
            capture_output=True,
            text=True,
            env=self.environment,
            check=False,
        )

    def reply(self, text):
        """Return the reply to a Command that succeeds."""
        result = self.run(text)
        assert result.returncode == 0, result
        return result.stdout.removesuffix("\n")

    def error(self, text):
        """Return the last line of the error output for a Command that fails."""
        result = self.run(text)
        assert result.returncode != 0, result
        return result.stderr.splitlines()[-1]


@pytest.fixture
def device(tmp_path):
    return Device(tmp_path)


async def test_all_handlers_can_be_enabled_together(device):
    """No two have the same word, and none has a mistake."""
    for name in READY:
        device.enable(name)
    runner = ProcessRunner(lambda _: None)
    registry = await load_registry(device.handlers, runner)
    await runner.close()
    assert (registry.unusable, registry.warnings) == ({}, ())
    assert set(registry.trigger_names) >= READY.keys() - EXAMPLES


@pytest.mark.parametrize("name", sorted(READY))
def test_head_says_what_the_handler_does(name):
    """`handlers list` shows its first line; a ready handler names its word first."""
    assert READY[name].summary.endswith((".", "`.", ","))
    assert name in EXAMPLES or READY[name].summary.startswith(name)


@pytest.mark.parametrize("name", sorted(READY))
def test_files_that_the_rights_name_exist(name):
    """Each command line can be typed as it is."""
    share = "/opt/modem-agent/share/modem-agent/"
    for word in READY[name].rights.split():
        if word.startswith(share):
            assert list(CONFIG.glob(word.removeprefix(share))), word


def test_reboot_answers_then_acts(device):
    """The action creates the file for which the path unit waits. Without that unit nothing is promised."""
    device.enable("reboot")
    device.environment["RUNTIME_DIRECTORY"] = str(device.folder)
    device.program("systemctl", "exit 3")
    assert device.error("reboot") == "no right to reboot: sms-reboot.path is not active"
    device.program("systemctl", "exit 0")
    assert device.reply("reboot") == "rebooting"
    assert not (device.folder / "reboot").exists()
    assert device.run("reboot", ".then").returncode == 0
    assert (device.folder / "reboot").exists()


def test_restart_restarts_allowed_units_only(device):
    """It answers with the unit's state. polkit's refusal and other errors are told apart."""
    device.enable("restart")
    device.program("systemctl", 'case "$*" in *restart*) echo "$@" >>"$0.log" ;; *) echo active ;; esac')
    device.environment["RESTART_UNITS"] = "/nowhere"
    assert device.error("restart nginx") == "no units allowed: /nowhere is missing"
    device.file("RESTART_UNITS", "# mine\nnginx\nmosquitto.service\n")
    assert device.reply("restart") == "restart nginx mosquitto.service"
    assert device.reply("restart nginx") == "nginx is active"
    assert "restart_units" in device.error("restart ngin.")
    assert (device.folder / "bin/systemctl.log").read_text() == "--no-ask-password restart -- nginx\n"
    device.program("systemctl", "echo 'Interactive authentication required.' >&2; exit 1")
    assert device.error("restart nginx") == "no right to restart nginx: no polkit rule"
    device.program("systemctl", "echo 'Unit nginx.service not found.' >&2; exit 5")
    assert device.error("restart nginx") == "Unit nginx.service not found."


def test_wifi_reset_switches_off_and_on(device):
    """Without the right the radio stays as it is."""
    device.enable("wifi")
    device.environment["WIFI_PAUSE_S"] = "0"
    device.program(
        "nmcli", 'case "$*" in "radio wifi "*) echo "$3" >>"$0.log" ;; -t*radio) echo enabled ;; esac'
    )
    assert device.reply("wifi") == "wifi enabled"
    assert device.reply("wifi reset") == "wifi was switched off and on"
    assert (device.folder / "bin/nmcli.log").read_text() == "off\non\n"
    device.program("nmcli", "echo 'Error: Not authorized to control networking.' >&2; exit 1")
    assert device.error("wifi reset") == "no right to switch Wi-Fi: no polkit rule"


def test_temperature_lists_the_thermometers(device):
    """One that cannot be read is left out."""
    device.enable("temperature")
    device.environment["THERMAL"] = str(device.folder / "thermal")
    assert device.error("temperature") == "no thermometer here"
    for number, (kind, value) in enumerate([("cpu", "48312"), ("outside", "-5250")]):
        zone = device.folder / "thermal" / f"thermal_zone{number}"
        zone.mkdir(parents=True)
        (zone / "type").write_text(kind)
        (zone / "temp").write_text(value)
    (device.folder / "thermal" / "thermal_zone2").mkdir()
    assert (device.reply("temperature")).replace("-5.3", "-5.2") == "cpu 48.3, outside -5.2"


def at_program(**answers):
    """Return a script that answers AT commands like `modem-agent at`."""
    cases = "\n".join(f"*'{line}') echo '{answer}' ;;" for line, answer in answers.items())
    return f"case \"$*\" in\n{cases}\n*) echo 'modem-agent: refused' >&2; exit 1 ;;\nesac"


def test_signal_is_converted_to_dbm(device):
    """27.007 8.5; 99 is unknown. Without an agent its sentence is the error."""
    device.enable("signal")
    device.program("modem-agent", at_program(**{"AT+CSQ": "+CSQ: 17,99", "AT+COPS?": '+COPS: 0,0,"Telia",7'}))
    assert device.reply("signal") == "-79 dBm, Telia"
    device.program("modem-agent", at_program(**{"AT+CSQ": "+CSQ: 99,99"}))
    assert device.reply("signal") == "signal unknown"
    device.program("modem-agent", at_program())
    assert device.error("signal") == "modem-agent: refused"


@pytest.mark.parametrize(
    "answers",
    [
        {"AT+CGPSINFO": "+CGPSINFO: 5546.1230,N,01234.5600,E,291126,120000.0,12.3,0.0,0.0"},
        {"AT+CGNSSINFO": "+CGNSSINFO: 2,09,05,00,5546.1230,N,01234.5600,E,291126,120000.0,12.3,0.0,0.0"},
        {"AT+CGNSINF": "+CGNSINF: 1,1,20261129120000.000,55.76872,12.57600,12.3,0.00,0.0"},
        {"AT+QGPS?": "+QGPS: 1", "AT+QGPSLOC=2": "+QGPSLOC: 120000.0,55.76872,12.57600,0.7,12.3,3,0.0"},
        {"AT$GPSACP": "$GPSACP: 120000.000,5546.1230N,01234.5600E,1.2,12.3,3,0.0,0.0,0.0,291126,08"},
    ],
    ids=lambda answers: next(iter(answers)),
)
def test_position_of_each_maker(device, answers):
    """In degrees, whatever form the module has. The agent executes the queries without --force."""
    device.enable("position")
    device.program("modem-agent", at_program(**answers))
    assert not any(part.has_lasting_effect for line in answers for part in split_command_line(line))
    latitude, longitude = map(float, (device.reply("position")).split(","))
    assert latitude == pytest.approx(55.76872, abs=2e-5)
    assert longitude == pytest.approx(12.576, abs=2e-5)


def test_position_without_a_fix_or_a_receiver(device):
    """It says how to switch the receiver on, and does it."""
    device.enable("position")
    device.program(
        "modem-agent", at_program(**{"AT+CGPSINFO": "+CGPSINFO: ,,,,,,,,", "--force AT+CGPS=1": ""})
    )
    assert (device.reply("position")).startswith('no position; "position on"')
    assert device.reply("position on") == "position on"
    device.program("modem-agent", at_program(AT=""))
    assert device.error("position") == "this module has no GNSS receiver that is known"


def test_log_shows_allowed_units(device):
    """The last lines of the agent or of a unit of the list; the missing right is named."""
    device.enable("log")
    device.file("LOG_UNITS", "nginx\n")
    device.program("journalctl", 'echo "$@" | sed "s/--quiet --no-pager --output=cat //"')
    assert device.reply("log") == "--lines=3 --unit=modem-agent"
    assert device.reply("log 5") == "--lines=5 --unit=modem-agent"
    assert device.reply("log nginx 2") == "--lines=2 --unit=nginx"
    assert device.error("log ssh") == f"ssh is not in {device.folder}/log_units"
    device.program("journalctl", "true")
    device.program("id", "echo modem-agent dialout")
    no_right = "no right to read the log: the service is not in the group systemd-journal"
    assert device.error("log") == no_right
    device.program("id", "echo modem-agent systemd-journal")
    assert device.reply("log") == "modem-agent has logged nothing"


def serve_update(path, environment):
    """Run the program behind sms-update.socket for one connection."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        client, _ = listener.accept()
        with client:
            subprocess.run(
                [CONFIG / "rights/sms-update"], stdin=client, stdout=client, env=environment, check=True
            )
    path.unlink()


def test_update_updates_an_allowed_package_or_runs_a_program(device):
    """The handler passes the words to the unit of its own, and the answer back."""
    device.enable("update")
    path = device.folder / "update.sock"
    device.environment["UPDATE_SOCKET"] = str(path)
    assert device.error("update nginx") == ("no right to update: sms-update.socket is not active")
    device.file("UPDATE_PACKAGES", "nginx\nmodem-agent\n")
    device.program("systemd-run", f'test -e {device.folder}/apt.log && echo "$@" >{device.folder}/later.log')
    device.program("apt-get", f'echo "$@" >>{device.folder}/apt.log')
    device.program("dpkg-query", f"test -e {device.folder}/apt.log && printf 1.1 || printf 1.0")
    programs = device.folder / "updates"
    programs.mkdir()
    (programs / "firmware").write_text('#!/bin/sh\necho "firmware $1"\n')
    (programs / "firmware").chmod(0o755)
    device.environment["UPDATE_PROGRAMS"] = str(programs)
    answers = {}
    for text in (
        *("update modem-agent", "update nginx", "update nginx", "update modem-agent"),
        *("update firmware 7", "update ssh", "update ../sh", "update"),
    ):
        server = threading.Thread(target=serve_update, args=(path, device.environment))
        server.start()
        while not path.exists():
            pass
        result = device.run(text)
        server.join()
        answers[(result.stdout or result.stderr).strip()] = result.returncode == 0
    assert answers == {
        "nginx 1.0 -> 1.1": True,
        "nginx 1.1 is the newest": True,
        "firmware 7": True,
        f"failed: ssh is not in {device.folder}/update_packages": False,
        "failed: ../sh is no name": False,
        "update nginx modem-agent firmware": True,
        "failed: systemd-run, see journalctl -u 'sms-update@*'": False,
        "modem-agent 1.1 will be updated in a minute": True,
    }
    later = (device.folder / "later.log").read_text()  # for the agent as for other packages
    assert "apt-get -qq update && apt-get" in later
    assert "--force-confold install modem-agent" in later


class FakeGpiod:
    """The part of libgpiod's Python package that the handler uses."""

    class LineSettings:
        def __init__(self, direction, output_value=0):
            self.direction = direction
            self.output_value = output_value

    def __init__(self):
        self.line = SimpleNamespace(Value=enum.IntEnum("Value", ["INACTIVE", "ACTIVE"], start=0))
        self.line.Direction = enum.Enum("Direction", ["AS_IS", "INPUT", "OUTPUT"])
        self.levels = {17: 0, 22: 1}
        self.written = []
        self.denied = False

    def request_lines(self, chip, consumer, config):
        if self.denied:
            raise PermissionError(13, "Permission denied")
        return self

    def get_value(self, number):
        return self.line.Value(self.levels[number])

    def reconfigure_lines(self, config):
        for number, settings in config.items():
            self.levels[number] = settings.output_value.value
            self.written.append((number, self.levels[number]))


@pytest.fixture
def gpiod(monkeypatch):
    gpiod = FakeGpiod()
    monkeypatch.setitem(sys.modules, "gpiod", gpiod)
    return gpiod


@pytest.fixture
def gpio():
    """The function of gpio.py."""
    spec = importlib.util.spec_from_file_location("gpio", CONFIG / "handlers/gpio.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return lambda text: module.gpio(Command.of(text))


def test_gpio_switches_and_reads_named_lines(gpio, gpiod):
    """Reading changes nothing; a pulse ends; inputs and unknown names cannot be switched."""
    assert gpio("gpio") == "pump off, door on"
    assert gpiod.written == []
    assert gpio("gpio pump on") == "pump on"
    assert gpio("gpio pump pulse 0.01") == "pump off"
    assert gpiod.written == [(17, 1), (17, 1), (17, 0)]
    assert gpio("gpio door") == "door on"
    for text in ("gpio door on", "gpio 17 on", "gpio fan"):
        assert gpio(text) == "gpio NAME on|off|pulse SECONDS for pump; also door"


def test_gpio_without_right_or_package(gpio, gpiod, monkeypatch):
    """The failure says what is missing."""
    gpiod.denied = True
    with pytest.raises(RuntimeError, match="no right to use /dev/gpiochip0: see the head"):
        gpio("gpio pump on")
    monkeypatch.setitem(sys.modules, "gpiod", None)
    with pytest.raises(RuntimeError, match="the Python package gpiod is not installed"):
        gpio("gpio pump on")


def test_polkit_rule_and_units_are_those_of_the_readme():
    """config/README.md explains them; the system tests run them from there."""
    readme = (CONFIG / "README.md").read_text()
    for name in ("sms-reboot.path", "sms-reboot.service", "sms-update.socket"):
        assert (CONFIG / "rights" / name).read_text() in readme, name
    rule = (CONFIG / "rights/50-modem-agent.rules").read_text()
    assert rule.partition("\n")[2] in readme
