"""The service under a real systemd, with a simulated module at its port.

The tests of this file use one container in order, and each of them leaves the service running.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

README = (Path(__file__).parents[2] / "config" / "README.md").read_text()

ONE_RELEASE = pytest.mark.parametrize("installed_tree", ["trixie"], indirect=True)
"""For a test that depends on the agent more than on the release of systemd."""

SANDBOX_PROBE_SCRIPT = """\
#!/bin/sh
# Tries actions that the unit forbids and actions that it allows; prints a word for each that worked.
touch /etc/x && printf 'etc '
ls /home/* 2>/dev/null && printf 'home '
dd if=/dev/fuse count=0 2>/dev/null && printf 'fuse '
sudo -n true 2>/dev/null && printf 'sudo '
touch /var/lib/modem-agent/x && printf 'state '
touch /run/modem-agent/x && printf 'run '
touch /tmp/x && printf 'tmp '
python3 -c 'import socket; socket.socket(socket.AF_INET)' && printf 'net '
true
"""

SERIAL_PROBE_SCRIPT = """\
#!/bin/sh
# Opens serial ports without a driver: "No such device" means that the unit allows it.
for port in ttyS ttyACM ttyUSB ttyAMA other; do
    dd if=/dev/test-$port count=0 2>&1 | grep -q 'No such device' && printf "$port "
done
true
"""

BACKGROUND_SCRIPT = """\
#!/bin/sh
sleep 1000 > /dev/null 2>&1 &
echo started
"""


def recipe_files(heading, language="ini"):
    """Return the files of a recipe in config/README.md, in order."""
    section = re.search(rf"^### {heading}\n(.*?)(^##|\Z)", README, re.MULTILINE | re.DOTALL)
    return re.findall(rf"^```{language}\n(.*?)^```", section[1], re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def gateway(boot_container, sandbox):
    """A booted container with the module plugged in, and the handlers of the tests."""
    gateway = boot_container()
    for name, script in {
        "probe": SANDBOX_PROBE_SCRIPT,
        "serial": SERIAL_PROBE_SCRIPT,
        "linger": BACKGROUND_SCRIPT,
        "restart": "#!/bin/sh\ntouch /run/modem-agent/reboot\n",
        "become": "#!/bin/sh\nsudo -n id -u\n",
        "renew": "#!/bin/sh\nsystemctl restart sms-test && echo yes; systemctl stop sms-test || echo no\n",
        "update": recipe_files("A program with other rights.*?", "python")[0],
    }.items():
        file = gateway.host_path(f"/etc/modem-agent/handlers/{name}")
        file.write_text(script)
        file.chmod(0o755)
    gateway.plug_sandbox(sandbox)
    return gateway


@pytest.fixture(autouse=True)
def print_service_log(gateway):
    """Print the log of the service, which pytest shows if the test fails."""
    before = len(gateway.service_log())
    yield
    print(gateway.service_log()[before:])


def test_ready_does_not_wait_for_a_module(gateway):
    """The service is active without a port, and its status line names the missing port."""
    assert gateway.unit_property("ActiveState") == "active"
    assert gateway.unit_property("NRestarts") == "0"
    assert "/dev/serial/by-id" in gateway.unit_property("StatusText")


def test_command_is_answered(gateway, sandbox):
    """With the port configured, a Command from the REST API runs and is answered."""
    gateway.configure(port='"/dev/ttyUSB0"')
    gateway.run("systemctl", "restart", "modem-agent")
    assert sandbox.run_command("ping").startswith("pong")


def test_config_check_works_as_the_service_user(gateway):
    """`config check` reports no error in the installed configuration."""
    gateway.run("runuser", "-u", "modem-agent", "--", "/opt/modem-agent/bin/modem-agent", "config", "check")


def test_group_members_may_use_the_control_socket(gateway):
    """A user in the group modem-agent can query the status; other users cannot."""
    status = ("/opt/modem-agent/bin/modem-agent", "status")
    gateway.run("setpriv", "--reuid=nobody", "--regid=nogroup", "--groups=modem-agent", *status)
    assert (
        gateway.enter("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *status).returncode
        == 2
    )


def test_reload_takes_new_handlers(gateway, sandbox):
    """`systemctl reload` does not restart the agent; an invalid file leaves the others as they are."""
    pid = gateway.unit_property("MainPID")
    file = gateway.host_path("/etc/modem-agent/handlers/fresh.py")
    for source, answer in (("return 'one'", "one"), ("return 'two'", "two"), ("return (", "two")):
        file.write_text(f'from agent import handler\n@handler("fresh")\ndef fresh(c): {source}\n')
        gateway.run("systemctl", "reload", "modem-agent")
        gateway.run("sh", "-c", "until systemctl is-active -q modem-agent; do sleep 0.1; done")
        assert sandbox.run_command("fresh") == answer
    file.unlink()
    assert gateway.unit_property("MainPID") == pid
    gateway.wait_for_log("the version that was loaded before stays in use")


def test_handler_is_tested_with_the_rights_of_the_service(gateway):
    """`handlers test --as-service` runs it as the agent's user in the sandbox of the unit."""
    words = ("/opt/modem-agent/bin/modem-agent", "handlers", "test", "--as-service", "probe")
    shown = gateway.run(*words)
    assert re.search("^reply +state run tmp", shown, re.MULTILINE), shown
    assert gateway.unit_property("ActiveState") == "active"
    assert "modem-agent" in gateway.run("stat", "-c", "%U", "/run/modem-agent/control.sock")


def test_handlers_are_sandboxed(gateway, sandbox):
    """A handler can write to its own folders, but not /etc or /home, and use neither sudo nor the network.

    The log says what to do about it, and has the fields of the event.
    """
    gateway.host_path("/etc/sudoers.d/modem-agent").write_text("modem-agent ALL=(root) NOPASSWD: ALL\n")
    gateway.host_path("/home/someone").mkdir()
    assert sandbox.run_command("probe").split() == ["state", "run", "tmp"]
    gateway.wait_for_log("ReadWritePaths= allows others")
    gateway.wait_for_log("modem-agent setup --network")
    fields = ("EVENT=handler", "PRIORITY=4", "_SYSTEMD_UNIT=modem-agent.service")
    assert "setup --network" in gateway.run("journalctl", "--no-pager", "--output=cat", *fields)
    assert "command" in gateway.run("journalctl", "--no-pager", "--output=cat", "EVENT=done", "COMMAND_ID=1")


def test_serial_ports_of_each_kind_are_allowed(gateway, sandbox):
    """DeviceAllow= allows each kind of serial port, even before its driver is loaded, and no other device."""
    majors = {"ttyS": (4, 73), "ttyACM": (166, 9), "ttyUSB": (188, 9), "ttyAMA": (204, 64), "other": (189, 9)}
    for name, numbers in majors.items():
        os.mknod(gateway.host_path(f"/dev/test-{name}"), 0o020666, os.makedev(*numbers))
        gateway.host_path(f"/dev/test-{name}").chmod(0o666)
    assert sandbox.run_command("serial").split() == ["ttyS", "ttyACM", "ttyUSB", "ttyAMA"]


def test_killed_agent_is_restarted(gateway, sandbox):
    """After SIGKILL systemd starts the agent again after RestartSec, and the next Command is answered."""
    main = gateway.unit_property("MainPID")
    gateway.run("sh", "-c", f"kill -9 {main}")
    gateway.wait_for_property("NRestarts", "1")
    gateway.wait_for_property("ActiveState", "active")
    assert gateway.unit_property("MainPID") != main
    assert sandbox.run_command("ping").startswith("pong")


def test_hanging_agent_is_restarted(gateway, sandbox):
    """A stopped process does not notify the watchdog, so systemd restarts it."""
    gateway.drop_in("[Service]\nWatchdogSec=2\n")
    gateway.run("systemctl", "restart", "modem-agent")
    assert sandbox.run_command("ping").startswith("pong")
    gateway.run("sh", "-c", f"kill -STOP {gateway.unit_property('MainPID')}")
    gateway.wait_for_property("NRestarts", "1")
    gateway.wait_for_property("ActiveState", "active")
    assert "Watchdog timeout" in gateway.service_log()
    assert sandbox.run_command("ping").startswith("pong")
    gateway.drop_in("")


@ONE_RELEASE
def test_idle_agent_notifies_the_watchdog(gateway, sandbox):
    """An agent that is idle for longer than WatchdogSec is not restarted."""
    gateway.drop_in("[Service]\nWatchdogSec=1\n")
    gateway.run("systemctl", "restart", "modem-agent")
    main = gateway.unit_property("MainPID")
    time.sleep(3)  # nothing may happen meanwhile
    assert gateway.unit_property("MainPID") == main
    gateway.drop_in("")
    gateway.run("systemctl", "restart", "modem-agent")


@ONE_RELEASE
def test_deleted_control_socket_comes_back(gateway, sandbox):
    """If its folder is deleted, which only systemd can create again, the agent is restarted for that."""
    gateway.drop_in("[Service]\nWatchdogSec=2\n")
    gateway.run("systemctl", "restart", "modem-agent")
    assert sandbox.run_command("ping").startswith("pong")
    wait = "until /opt/modem-agent/bin/modem-agent status; do sleep 0.2; done"
    gateway.run("rm", "/run/modem-agent/control.sock")
    gateway.run("timeout", "10", "sh", "-c", wait)
    assert gateway.unit_property("NRestarts") == "0"
    gateway.run("rm", "-r", "/run/modem-agent")
    gateway.run("timeout", "20", "sh", "-c", wait)
    assert gateway.unit_property("NRestarts") == "1"
    assert gateway.run("stat", "-c", "%a %U", "/run/modem-agent").split() == ["750", "modem-agent"]
    assert sandbox.run_command("ping").startswith("pong")
    gateway.drop_in("")
    gateway.run("systemctl", "restart", "modem-agent")


@ONE_RELEASE
def test_bad_handler_file_does_not_stop_the_service(gateway, sandbox):
    """The other handlers work, and `status` names the bad file. It works after it was mended."""
    file = gateway.host_path("/etc/modem-agent/handlers/bad.py")
    file.write_text("import no_such_module\n")
    gateway.run("systemctl", "restart", "modem-agent")
    assert sandbox.run_command("become") != ""
    assert sandbox.run_command("help").endswith("; not usable: bad.py")
    assert "bad.py line 1: ModuleNotFoundError" in gateway.run("/opt/modem-agent/bin/modem-agent", "status")
    assert gateway.enter("/opt/modem-agent/bin/modem-agent", "config", "check").returncode == 2
    file.write_text("from agent import handler\n@handler('bad')\ndef bad(command): return 'good'\n")
    gateway.run("systemctl", "restart", "modem-agent")
    assert sandbox.run_command("bad") == "good"
    file.unlink()
    gateway.run("systemctl", "restart", "modem-agent")


@ONE_RELEASE
def test_invalid_configuration_is_not_restarted(gateway):
    """The exit status is 2, one sentence is logged, and systemd does not start the service again."""
    gateway.configure(prt='"/dev/ttyUSB0"', port='"/dev/ttyUSB0"\nprt = 1')
    before = len(gateway.service_log())
    assert gateway.enter("systemctl", "restart", "modem-agent").returncode != 0
    assert gateway.unit_property("ActiveState") == "failed"
    assert gateway.unit_property("ExecMainStatus") == "2"
    assert gateway.unit_property("NRestarts") == "0"
    gateway.wait_for_log("unknown key modem.prt", before)
    assert "Traceback" not in gateway.service_log()[before:]
    gateway.configure(port='"/dev/ttyUSB0"')
    gateway.run("systemctl", "start", "modem-agent")


def test_stop_is_quick_and_leaves_no_process(gateway, sandbox):
    """`systemctl stop` takes less than 5 s and also ends background processes of handlers."""
    assert sandbox.run_command("linger") == "started"
    start = time.monotonic()
    gateway.run("systemctl", "stop", "modem-agent")
    assert time.monotonic() - start < 5
    assert gateway.unit_property("Result") == "success"
    assert gateway.run("find", "/proc", "-maxdepth", "1", "-user", "modem-agent") == ""
    gateway.run("systemctl", "start", "modem-agent")


@ONE_RELEASE
def test_stop_is_quick_with_a_silent_module(gateway, sandbox):
    """`systemctl stop` takes less than 5 s while the module answers no command."""
    far, near = os.openpty()
    gateway.unplug()
    gateway.plug_pty(os.ttyname(near))
    gateway.run("systemctl", "restart", "modem-agent")
    assert os.read(far, 100)  # the agent has written a command
    start = time.monotonic()
    gateway.run("systemctl", "stop", "modem-agent")
    assert time.monotonic() - start < 5
    assert gateway.unit_property("Result") == "success"
    gateway.plug_sandbox(sandbox)
    gateway.run("systemctl", "start", "modem-agent")
    os.close(far)
    os.close(near)


def test_state_survives_a_restart(gateway, sandbox):
    """The inbox has the Commands from before the restart."""
    inbox = gateway.run("/opt/modem-agent/bin/modem-agent", "inbox")
    assert "ping" in inbox
    assert gateway.run("stat", "-c", "%a %U", "/var/lib/modem-agent/journal.db").split() == [
        "600",
        "modem-agent",
    ]


def test_recipe_for_reboot_works(gateway, sandbox):
    """config/README.md, "Reboot": a file that a handler creates starts a service that runs as root."""
    path, service = recipe_files("Reboot.*?")
    gateway.host_path("/etc/systemd/system/sms-reboot.path").write_text(path)
    assert "ExecStart=systemctl reboot" in service
    harmless_service = service.replace(
        "systemctl reboot", "sh -c 'rm /run/modem-agent/reboot; id -u > /run/done'"
    )
    gateway.host_path("/etc/systemd/system/sms-reboot.service").write_text(harmless_service)
    gateway.run("systemctl", "daemon-reload")
    gateway.run("systemctl", "enable", "--quiet", "--now", "sms-reboot.path")
    gateway.run("systemctl", "restart", "modem-agent")
    sandbox.send_command("restart")
    wait = "until test -s /run/done; do sleep 0.1; done; cat /run/done"
    assert gateway.run("timeout", "10", "sh", "-c", wait) == "0\n"


def test_recipe_for_sudo_works(gateway, sandbox):
    """config/README.md, "sudo": with the drop-in, a handler may become root."""
    (drop_in,) = recipe_files("sudo")
    gateway.drop_in(drop_in)
    gateway.run("systemctl", "restart", "modem-agent")
    assert sandbox.run_command("become") == "0"
    gateway.drop_in("")
    gateway.run("systemctl", "restart", "modem-agent")


def test_recipes_for_polkit_and_for_a_unit_of_its_own_work(gateway, sandbox):
    """A handler restarts the unit that the rule names, and does no more; and it has a program run as root."""
    (rule,) = recipe_files("Restart a unit.*?", "js")
    gateway.host_path("/etc/polkit-1/rules.d/50-modem-agent.rules").write_text(
        rule.replace("nginx.service", "sms-test.service")
    )
    units = gateway.host_path("/etc/systemd/system")
    (units / "sms-test.service").write_text("[Service]\nExecStart=/bin/sleep infinity\n")
    socket_unit, service = recipe_files("A program with other rights.*?")
    (units / "sms-update.socket").write_text(socket_unit)
    (units / "sms-update@.service").write_text(service)
    program = gateway.host_path("/usr/local/sbin/sms-update")
    program.write_text('#!/bin/sh\nread words; echo "$words $(id -u)"\n')
    program.chmod(0o755)
    gateway.run("systemctl", "daemon-reload")
    gateway.run("systemctl", "start", "sms-update.socket", "polkit.service")
    assert sandbox.run_command("renew") == "yes\nno"
    gateway.wait_for_log("the action needs a polkit rule")
    words, user = sandbox.run_command("update a b").rsplit(" ", 1)
    assert (words[:3], user) == ("a b", "0")


def test_instances_do_not_touch_each_other(gateway, sandbox):
    """A second agent from the template has its own directories; they come and go with it alone."""
    second = ("setup", "--instance", "second", "--service", "super-sim", "--port", "/dev/ttyUSB9", "--yes")
    output = gateway.run("modem-agent", *second)
    assert "modem-agent@second.service runs" in output
    assert "is to be changed" in gateway.run("modem-agent", *second)
    state = ("/run/modem-agent/control.sock", "/run/modem-agent-second/control.sock")
    gateway.run("ls", *state, "/var/lib/modem-agent-second/journal.db")
    config = ("--config", "/etc/modem-agent/second.toml")
    assert "/dev/ttyUSB9" in gateway.run("modem-agent", "status", *config)
    gateway.run("systemctl", "stop", "modem-agent@second")
    assert sandbox.run_command("ping").startswith("pong")
    gateway.run("systemctl", "start", "modem-agent@second")
    gateway.run("systemctl", "stop", "modem-agent")
    gateway.run("modem-agent", "status", *config)
    gateway.run("systemctl", "start", "modem-agent")


def test_pin_is_passed_as_a_credential(gateway):
    """The unit loads it from /etc/credstore if it is there, and starts without it."""
    pin = gateway.host_path("/etc/credstore/modem-agent.sim-pin")
    pin.parent.mkdir(exist_ok=True)
    pin.write_text("4711\n")
    pin.chmod(0o600)
    gateway.run("systemctl", "restart", "modem-agent")
    assert gateway.run("cat", "/run/credentials/modem-agent.service/sim-pin") == "4711\n"


def test_upgrade_keeps_state_and_configuration_and_renews_the_unit(gateway, sandbox, package):
    """The agents that run are restarted, and the handlers and keys of the operator stay."""
    main, config = gateway.unit_property("MainPID"), gateway.run("cat", "/etc/modem-agent/agent.toml")
    newer = gateway.host_path("/root/newer.deb")
    script = """
        dpkg-deb --raw-extract $package $folder
        sed -i 's/^Version: .*/Version: 99/' $folder/DEBIAN/control
        sed -i 's/^Description=.*/Description=Newer/' $folder/usr/lib/systemd/system/modem-agent.service
        dpkg-deb --root-owner-group -Znone --build $folder $newer
    """
    environment = os.environ | {
        "package": str(package), "folder": str(package.parent / gateway.root.name), "newer": str(newer)
    }  # fmt: skip
    subprocess.run(["sh", "-ec", script], env=environment, check=True, stdout=subprocess.DEVNULL)
    gateway.run("dpkg", "--install", "/root/newer.deb")
    assert gateway.unit_property("Description") == "Newer"
    gateway.wait_for_property("ActiveState", "active")
    assert gateway.unit_property("MainPID") != main
    assert gateway.run("cat", "/etc/modem-agent/agent.toml") == config
    assert sandbox.run_command("ping").startswith("pong")
    assert gateway.run("modem-agent", "inbox", "--limit", "1000").count("ping") > 2


def test_purge_leaves_nothing(gateway):
    """No file and no user."""
    gateway.run("dpkg", "--purge", "modem-agent")
    names = (
        "-name",
        "*modem-agent*",
        "-not",
        "-path",
        "/etc/polkit-1/*",
        "-not",
        "-path",
        "/etc/sudoers.d/*",
    )
    folders = ("/etc", "/opt", "/usr", "/var/lib", "/run")
    found = gateway.output_of("find", *folders, "-xdev", *names).splitlines()
    assert [line for line in found if not line.startswith("find: ")] == []
    assert gateway.enter("id", "modem-agent").returncode == 1


@ONE_RELEASE
def test_setup_from_the_wheel_installs_and_removes_the_same(gateway, sandbox, package):
    """From an environment in a home directory, without network. Then the agent answers."""
    wheels = gateway.host_path("/root/wheels")
    wheels.mkdir()
    for wheel in package.parent.glob("wheels/*.whl"):
        shutil.copy(wheel, wheels)
    gateway.run("python3", "-m", "venv", "/home/someone/agent")
    pip = ("/home/someone/agent/bin/pip", "install", "--quiet", "--no-index", "--find-links=/root/wheels")
    gateway.run(*pip, "modem-agent")
    setup = ("/home/someone/agent/bin/modem-agent", "setup", "--yes")
    gateway.run(*setup, "--service", "super-sim", "--port", "/dev/ttyUSB0")
    assert gateway.unit_property("ActiveState") == "active"
    assert sandbox.run_command("ping").startswith("pong")
    assert "Nothing is to be changed" in gateway.run("modem-agent", "setup", "--yes")
    gateway.run(*setup, "--remove", "--purge")
    found = gateway.run(
        "find", "/etc/systemd", "/etc/credstore", "/opt", "/usr/local", "-name", "*modem-agent*"
    )
    assert found == ""
