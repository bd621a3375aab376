"""Set-ups that are broken on purpose: the first finding that is not ok names the cause."""

import fcntl
import os
import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import pytest

from agent.at.transport.base import PortErrorKind, PortUnavailable
from agent.daemon.control_client import ControlError
from agent.diagnosis.configuration import HandlerReport
from agent.diagnosis.finding import Check, Level
from hardware.port_users import SystemUser

OK_STATUS = {
    "version": "1",
    "pid": 4711,
    "problems": [],
    "modem": {"state": "opening the port", "problem": None},
    "port_conflict": None,
    "recovery": {"not_done": None},
    "held": None,
    "journal_error": None,
    "damaged_journals": [],
}


def plug(gateway, *paths):
    gateway.tables["modem"]["port"] = "auto"
    for number, path in enumerate(paths):
        ttys = {2: f"ttyUSB{4 * number + 2}"}
        gateway.host.plug(path, "1e0e:9001", ttys, serial=f"{number}")


def with_agent(**changes):
    """Return what makes a running agent report this status."""

    def prepare(gateway):
        async def request(values):
            if values["do"] == "status":
                return OK_STATUS | changes
            raise ControlError("it is not sent")

        gateway.request = request

    return prepare


# Configuration


def toml_is_broken(gateway):
    gateway.config.write_text("[modem")


def key_is_misspelled(gateway):
    gateway.tables["service"] = {"nmae": "super-sim"}


def config_is_missing(gateway):
    gateway.config.unlink(missing_ok=True)
    gateway.config.symlink_to("nowhere")
    gateway.write_config = lambda: None


def pin_file_is_readable_by_all(gateway):
    (gateway.folder / "pin").write_text("1234\n")
    (gateway.folder / "pin").chmod(0o644)
    gateway.tables["modem"]["pin_file"] = "pin"


def socket_folder_is_missing(gateway):
    gateway.tables["control"]["socket"] = "nowhere/control.sock"


def gpio_line_is_missing(gateway):
    gateway.tables["recovery"] = {"power": "gpio"}


# Port


def port_is_absent(gateway):
    gateway.tables["modem"]["port"] = "/dev/nowhere"


def no_module_is_plugged_in(gateway):
    gateway.tables["modem"]["port"] = "auto"


def two_modules_are_plugged_in(gateway):
    plug(gateway, "1-1", "1-2")


def port_is_a_file(gateway):
    gateway.tables["modem"]["port"] = str(gateway.config)


def port_is_the_debug_plug(gateway):
    gateway.host.device_tree("Raspberry Pi 5 Model B Rev 1.0", "brcm,bcm2712")
    gateway.host.uart("ttyAMA10", alias="serial0")
    gateway.tables["modem"]["port"] = str(gateway.host.dev / "serial0")


def agent_may_not_open_the_port(gateway):
    plug(gateway, "1-1")
    (gateway.host.dev / "ttyUSB2").chmod(0o660)
    gateway.agent_user = SystemUser(65533, frozenset({65533}))


def another_program_has_the_port(gateway):
    plug(gateway, "1-1")
    gateway.host.add_process(77, "minicom", gateway.host.dev / "ttyUSB2")


def another_user_has_the_port(gateway):
    plug(gateway, "1-1")
    text = "port /dev/ttyUSB2 is in use by a program of another user"

    async def refuse(reader):
        raise PortUnavailable(PortErrorKind.BUSY, text)

    gateway.make_opener = lambda port, baud: refuse


def port_is_a_login_console(gateway):
    plug(gateway, "1-1")
    gateway.host.unit("serial-getty@ttyUSB2.service")


def kernel_logs_to_the_port(gateway):
    plug(gateway, "1-1")
    gateway.host.log_to("ttyUSB2")


def modem_manager_probes_the_port(gateway):
    plug(gateway, "1-1")
    gateway.host.add_process(78, "ModemManager")


def voltage_is_low(gateway):
    sensor = gateway.host.root / "sys/class/hwmon/hwmon1"
    sensor.mkdir(parents=True)
    (sensor / "name").write_text("rpi_volt\n")
    (sensor / "in0_lcrit_alarm").write_text("1\n")


def voltage_was_low(gateway):
    firmware = gateway.host.root / "sys/devices/platform/soc/soc:firmware"
    firmware.mkdir(parents=True)
    (firmware / "get_throttled").write_text("50000\n")


# Module and SIM


def module_is_mute(gateway):
    gateway.prepare_module = lambda module: module.faults.add("mute:for=0")


def module_is_off(gateway):
    gateway.prepare_module = lambda module: module.power_off()


def baud_rate_is_wrong(gateway):
    gateway.baud = 9600
    gateway.tables["modem"]["port"] = "socket://module:1"


def radio_is_off(gateway):
    gateway.prepare_module = lambda module: module.faults.add("radio-off")


def module_ignores_a_question(gateway):
    gateway.prepare_module = lambda module: module.faults.add("answer-lost:command=+CSCA,times=0")


def sim_is_absent(gateway):
    gateway.sim.present = False


def sim_is_absent_without_error_numbers(gateway):
    gateway.sim.present = False
    gateway.device["cmee"] = 0


def sim_asks_for_its_pin(gateway):
    gateway.sim.pin, gateway.sim.pin_enabled = "1234", True


def sim_has_one_try_left(gateway):
    sim_asks_for_its_pin(gateway)
    gateway.sim.pin_retries = 1
    (gateway.folder / "pin").write_text("1234\n")
    (gateway.folder / "pin").chmod(0o600)
    gateway.tables["modem"]["pin_file"] = "pin"


def sim_asks_for_its_puk(gateway):
    sim_asks_for_its_pin(gateway)
    gateway.sim.pin_retries = 0


def sim_is_defective(gateway):
    sim_asks_for_its_pin(gateway)
    gateway.sim.puk_retries = 0


# Network and messages


def denied_with_cause(gateway):
    def deny(module):
        module.context.settings.creg["+CEREG"] = 3
        module.set_registration(3, 8)

    gateway.prepare_module = deny


def denied_without_cause(gateway):
    gateway.prepare_module = lambda module: module.set_registration(3)


def network_is_searched(gateway):
    gateway.stat = 2


def emergency_calls_only(gateway):
    gateway.stat = 8


def signal_is_weak(gateway):
    def weaken(module):
        module.registration.cell.rssi = 2

    gateway.prepare_module = weaken


def module_has_no_messages(gateway):
    gateway.device["unsupported_commands"] = ("+CMGF", "+CSMS", "+CPMS", "+CNMI")


def service_centre_is_missing(gateway):
    gateway.sim.service_centre = None


def notifications_are_refused(gateway):
    gateway.device["unsupported_commands"] = ("+CNMI",)


def notifications_are_not_offered(gateway):
    gateway.device["cnmi_allowed"] = ((0,), (0,), (0,), (0,), (0,))


def store_is_full(gateway):
    gateway.prepare_module = lambda module: module.faults.add("store-full")


def module_has_no_store(gateway):
    gateway.device["unsupported_commands"] = ("+CPMS",)


# Journal and clock


def journal_is_read_only(gateway):
    gateway.disk.f_flag = os.ST_RDONLY


def journal_is_in_memory(gateway):
    gateway.mountinfo.write_text("1 0 0:1 / / rw - tmpfs tmpfs rw\n")


def disk_is_full(gateway):
    gateway.disk.f_bavail = 3


def disk_is_almost_full(gateway):
    gateway.disk.f_bavail = 2000


def journal_is_rubbish(gateway):
    gateway.journal.write_bytes(b"rubbish!" * 1024)


def journal_is_empty(gateway):
    gateway.journal.touch()


def journal_is_cut(gateway):
    gateway.create_journal()
    os.truncate(gateway.journal, gateway.journal.stat().st_size - 100)


def journal_is_newer(gateway):
    gateway.create_journal()
    with closing(sqlite3.connect(gateway.journal)) as connection:
        connection.execute("PRAGMA user_version = 999")


def another_agent_has_the_journal(gateway):
    lock = gateway.cleanup.enter_context((gateway.folder / "journal.db.lock").open("w+"))
    lock.write("815\n")
    lock.flush()
    fcntl.flock(lock, fcntl.LOCK_EX)


def journal_belongs_to_root(gateway):
    gateway.create_journal()
    gateway.journal.chmod(0o600)
    gateway.agent_user = SystemUser(65533, frozenset({65533}))


def clock_is_behind_the_last_command(gateway):
    gateway.create_journal()
    with closing(sqlite3.connect(gateway.journal)) as connection, connection:
        connection.execute("UPDATE meta SET newest_timestamp = ?", (gateway.now,))
    gateway.now -= 3 * 86400


def clock_was_never_set(gateway):
    gateway.now = 1000.0
    gateway.module_clock = datetime(1980, 1, 6, tzinfo=UTC)


def clock_differs_from_the_module(gateway):
    gateway.module_clock = datetime(2026, 11, 22, 15, tzinfo=UTC)


# Handlers, agent


def handler_is_broken(gateway):
    gateway.handlers = HandlerReport(errors=("led.py: invalid syntax (line 3)",))


def handler_file_is_not_executable(gateway):
    gateway.handlers = HandlerReport(notes=("led is not executable and is not a handler",))


def control_socket_is_forbidden(gateway):
    async def request(values):
        raise ControlError("control socket x is not accessible to this user: use sudo")

    gateway.request = request


def agent_is_older(gateway):
    async def request(values):
        return {"version": "0.0.1"}

    gateway.request = request


def service_has_failed(gateway):
    gateway.unit_problem = "modem-agent.service does not run: failed (exit-code, exit status 2)"


def last_reply_failed(gateway):
    gateway.create_journal("hello")
    with closing(sqlite3.connect(gateway.journal)) as connection, connection:
        connection.execute("UPDATE replies SET state = 'failed', reason = '+CMS ERROR: 38'")


WRONG, WARNING = Level.WRONG, Level.WARNING
SETUPS = [
    (toml_is_broken, Check.CONFIGURATION, WRONG, "not valid TOML"),
    (key_is_misspelled, Check.CONFIGURATION, WRONG, "unknown key service.nmae"),
    (config_is_missing, Check.CONFIGURATION, WRONG, "No such file"),
    (pin_file_is_readable_by_all, Check.CONFIGURATION, WRONG, "can be read by every user"),
    (socket_folder_is_missing, Check.CONFIGURATION, WRONG, "there is no folder"),
    (gpio_line_is_missing, Check.CONFIGURATION, WRONG, "gpio_line must be set"),
    (port_is_absent, Check.PORT, WRONG, "port /dev/nowhere does not exist"),
    (no_module_is_plugged_in, Check.PORT, WRONG, "there is no USB serial port"),
    (two_modules_are_plugged_in, Check.PORT, WRONG, "finds 2 modules"),
    (port_is_a_file, Check.PORT, WRONG, "is a regular file"),
    (port_is_the_debug_plug, Check.PORT, WRONG, "is the debug plug of this Raspberry Pi 5"),
    (agent_may_not_open_the_port, Check.RIGHTS, WRONG, "the agent is 65533 with groups 65533"),
    (another_program_has_the_port, Check.HOLDER, WRONG, "held by minicom (pid 77)"),
    (another_user_has_the_port, Check.HOLDER, WRONG, "in use by a program of another user"),
    (port_is_a_login_console, Check.HOLDER, WRONG, "is a login console (serial-getty@ttyUSB2.service)"),
    (kernel_logs_to_the_port, Check.HOLDER, WRONG, "the kernel writes its log"),
    (modem_manager_probes_the_port, Check.MODEM_MANAGER, WARNING, "ModemManager (pid 78) runs"),
    (voltage_is_low, Check.POWER, WARNING, "is too low now"),
    (voltage_was_low, Check.POWER, WARNING, "was too low since"),
    (module_is_mute, Check.MODULE, WRONG, "no module answers: nothing came back"),
    (module_is_off, Check.MODULE, WRONG, "no module answers: nothing came back"),
    (baud_rate_is_wrong, Check.MODULE, WRONG, "answers at 9600 baud, not at 115200"),
    (radio_is_off, Check.MODULE, WARNING, "radio of the module is switched off (+CFUN: 4)"),
    (module_ignores_a_question, Check.MODULE, WARNING, "answers, but not to AT+CSCA?"),
    (sim_is_absent, Check.SIM, WRONG, "the module sees no SIM"),
    (sim_is_absent_without_error_numbers, Check.SIM, WRONG, "the module sees no SIM, or is still reading it"),
    (sim_asks_for_its_pin, Check.SIM, WRONG, "the SIM asks for SIM PIN; configure it"),
    (sim_has_one_try_left, Check.SIM, WRONG, "has 1 try left"),
    (sim_asks_for_its_puk, Check.SIM, WRONG, "asks for SIM PUK"),
    (sim_is_defective, Check.SIM, WRONG, "the SIM does not answer"),
    (denied_with_cause, Check.REGISTRATION, WRONG, "registration denied (cause 8: neither packet"),
    (denied_without_cause, Check.REGISTRATION, WRONG, "registration denied: there is no network"),
    (network_is_searched, Check.REGISTRATION, WRONG, "searching: there is no network"),
    (emergency_calls_only, Check.REGISTRATION, WRONG, "emergency calls only: there is no network"),
    (signal_is_weak, Check.REGISTRATION, WARNING, "weak signal (-109 dBm)"),
    (module_has_no_messages, Check.MESSAGE_SERVICE, WRONG, "the module has no messages"),
    (service_centre_is_missing, Check.MESSAGE_SERVICE, WRONG, "no service centre number (+CSCA)"),
    (notifications_are_refused, Check.NOTIFICATIONS, WARNING, "refuses +CNMI?"),
    (notifications_are_not_offered, Check.NOTIFICATIONS, WARNING, "offers no way to announce"),
    (store_is_full, Check.STORE, WARNING, "message store ME is full (ME 20 of 20)"),
    (module_has_no_store, Check.STORE, WARNING, "reports no message store"),
    (journal_is_read_only, Check.JOURNAL, WRONG, "mounted read-only"),
    (journal_is_in_memory, Check.JOURNAL, WARNING, "which is in memory"),
    (disk_is_full, Check.JOURNAL, WRONG, "is full: 12 KiB are left"),
    (disk_is_almost_full, Check.JOURNAL, WARNING, "is full: 8000 KiB are left"),
    (journal_is_rubbish, Check.JOURNAL, WRONG, "is damaged: file is not a database"),
    (journal_is_empty, Check.JOURNAL, WRONG, "is damaged: it is empty"),
    (journal_is_cut, Check.JOURNAL, WRONG, "it ends in the middle of a page"),
    (journal_is_newer, Check.JOURNAL, WRONG, "the journal has version 999"),
    (journal_belongs_to_root, Check.JOURNAL, WRONG, "the agent's user may not write journal"),
    (another_agent_has_the_journal, Check.JOURNAL, WRONG, "another modem-agent (process 815)"),
    (clock_is_behind_the_last_command, Check.CLOCK, WRONG, "the clock is wrong: it shows 2026-11-19"),
    (clock_was_never_set, Check.CLOCK, WRONG, "the clock is wrong: it shows 1970-01-01"),
    (clock_differs_from_the_module, Check.CLOCK, WARNING, "that of the module 2026-11-22T15:00"),
    (handler_is_broken, Check.HANDLERS, WRONG, "led.py: invalid syntax"),
    (handler_file_is_not_executable, Check.HANDLERS, WARNING, "is not executable"),
    (control_socket_is_forbidden, Check.AGENT, WRONG, "use sudo"),
    (agent_is_older, Check.AGENT, WRONG, "older than this command"),
    (service_has_failed, Check.LAST_ERROR, WARNING, "failed (exit-code, exit status 2)"),
    (last_reply_failed, Check.LAST_ERROR, WARNING, "has the state failed: +CMS ERROR: 38"),
]


@pytest.mark.parametrize(
    ("break_it", "check", "level", "words"), SETUPS, ids=[row[0].__name__ for row in SETUPS]
)
def test_first_finding_names_the_cause(gateway, break_it, check, level, words):
    """With the right severity, a sentence and, where the sentence has none, something to type."""
    break_it(gateway)
    findings = gateway.examine()
    first = next(finding for finding in findings if finding.level in {WRONG, WARNING})
    assert (first.check, first.level) == (check, level)
    assert words in first.reason
    assert first.next_step or check is Check.PORT or check is Check.HANDLERS or check is Check.HOLDER
    assert [finding.check for finding in findings] == list(Check)
