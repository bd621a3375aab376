"""`modem-agent setup` on a device below --root: what it finds, asks and writes. tests/system has the rest."""

from __future__ import annotations

import tomllib

import pytest
from click.testing import CliRunner

from agent.cli.commands import group

SIM7600 = {0: "ttyUSB0", 1: "ttyUSB1", 2: "ttyUSB2", 3: "ttyUSB3"}


@pytest.fixture
def device(fake_host):
    """A device with the Debian package."""
    info = fake_host.root / "var/lib/dpkg/info"
    info.mkdir(parents=True)
    (info / "modem-agent.list").touch()
    return fake_host


def run_setup(device, *words, answers=""):
    result = CliRunner().invoke(
        group, ("setup", "--root", str(device.root), *words), prog_name="modem-agent", input=answers
    )
    assert not isinstance(result.exception, Exception), result.exception
    return result


def read_config(device, name="agent"):
    return tomllib.loads((device.root / f"etc/modem-agent/{name}.toml").read_text())


def test_first_run_writes_the_annotated_configuration(device):
    """With the chosen service; a USB module needs no port, since its number may change."""
    device.plug("1-1.2", "1e0e:9001", SIM7600)
    result = run_setup(device, "--service", "programmable-wireless", "--yes")
    assert result.exit_code == 0, result.output
    assert "SIM7000 or SIM7600 at USB 1-1.2, AT port" in result.output
    config = read_config(device)
    assert (config["modem"]["port"], config["service"]["name"]) == ("auto", "programmable-wireless")
    assert (
        "# Retention of message texts, in days." in (device.root / "etc/modem-agent/agent.toml").read_text()
    )
    assert (device.root / "etc/modem-agent/handlers").is_dir()


def test_second_run_changes_nothing(device):
    run_setup(device, "--service", "super-sim", "--yes")
    assert "Nothing is to be changed." in run_setup(device, "--yes").output


def test_later_run_keeps_comments_and_other_keys_and_shows_what_it_changes(device):
    run_setup(device, "--service", "super-sim", "--yes")
    file = device.root / "etc/modem-agent/agent.toml"
    own = file.read_text().replace("keep_days = 31", "keep_days = 3  # mine")
    file.write_text(own)
    output = run_setup(device, "--service", "programmable-wireless", "--yes").output
    assert '  -name = "super-sim"\n  +name = "programmable-wireless"\n' in output
    assert file.read_text() == own.replace('name = "super-sim"\n', 'name = "programmable-wireless"\n')


def test_dry_run_shows_the_changes_and_makes_none(device):
    result = run_setup(device, "--service", "super-sim", "--yes", "--dry-run")
    assert "create " in result.output
    assert not (device.root / "etc").exists()


def test_service_must_be_named_if_nobody_can_be_asked(device):
    """A wrong default would ignore all Commands."""
    result = run_setup(device, "--yes")
    assert result.exit_code == 1
    assert "--service super-sim or programmable-wireless" in result.output


def test_declined_changes_are_not_made(device):
    result = run_setup(device, answers="super-sim\nn\nn\n")
    assert result.exit_code == 1
    assert not (device.root / "etc").exists()


def test_one_of_several_modules_is_chosen_by_a_lasting_name(device):
    device.plug("1-1.2", "1e0e:9001", SIM7600, serial="A")
    device.plug("1-1.3", "2c7c:0125", {2: "ttyUSB6"}, serial="B")
    name = str(device.root / "dev/serial/by-id/usb-SimTech_SimTech_B-if02-port0")
    result = run_setup(device, "--no-network", answers=f"{name}\nsuper-sim\ny\n")
    assert "SIM7000 or SIM7600 at USB 1-1.2" in result.output
    assert read_config(device)["modem"]["port"] == name


@pytest.mark.parametrize(
    ("model", "tty", "node", "setting"),
    [
        ("Raspberry Pi 4 Model B Rev 1.4", "ttyS0", "/dev/serial0", "enable_uart=1"),
        ("Raspberry Pi 5 Model B Rev 1.0", "ttyAMA10", "/dev/ttyAMA0", "dtparam=uart0=on"),
    ],
)
def test_uart_that_is_off_is_named_with_what_enables_it(device, model, tty, node, setting):
    """A HAT is on the header of this model; the agent is not started before the reboot."""
    device.device_tree(model)
    result = run_setup(device, "--no-network", answers="y\nsuper-sim\ny\n")
    assert f"{node}: first " in result.output
    assert setting in result.output
    assert "raspi-config" in result.output
    assert read_config(device)["modem"]["port"] == node


def test_login_console_on_the_uart_is_named(device):
    device.device_tree("Raspberry Pi 4 Model B Rev 1.4")
    device.uart("ttyS0", alias="serial0")
    device.unit("serial-getty@ttyS0.service")
    result = run_setup(device, "--port", "/dev/serial0", "--service", "super-sim", "--yes")
    assert "disable the login console" in result.output


def test_pin_goes_into_a_file_of_root_and_is_never_shown(device):
    result = run_setup(device, "--service", "super-sim", "--pin", "--no-network", answers="4711\ny\n")
    assert result.exit_code == 0, result.output
    file = device.root / "etc/credstore/modem-agent.sim-pin"
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("4711\n", 0o600)
    assert "4711" not in result.output


def test_instance_has_a_configuration_and_folders_of_its_own(device):
    words = ("--instance", "second", "--service", "super-sim", "--port", "/dev/ttyUSB6", "--yes")
    run_setup(device, *words)
    config = read_config(device, "second")
    assert config["journal"]["path"] == "/var/lib/modem-agent-second/journal.db"
    assert config["control"]["socket"] == "/run/modem-agent-second/control.sock"
    assert not (device.root / "etc/modem-agent/agent.toml").exists()
    assert "is a name of" in run_setup(device, "--instance", "../x", "--yes").output


def test_network_is_allowed_by_a_drop_in_and_taken_away_again(device):
    drop_in = device.root / "etc/systemd/system/modem-agent.service.d/network.conf"
    run_setup(device, "--service", "super-sim", "--network", "--yes")
    assert "AF_INET" in drop_in.read_text()
    run_setup(device, "--yes")
    assert drop_in.exists()
    run_setup(device, "--no-network", "--yes")
    assert not drop_in.exists()


def test_module_at_a_socket_has_the_network(device):
    run_setup(device, "--service", "super-sim", "--port", "socket://10.0.0.1:7000", "--yes")
    assert (device.root / "etc/systemd/system/modem-agent.service.d/network.conf").exists()


@pytest.mark.parametrize("setting", ['[mqtt]\nbroker = "mqtt://b"', '[webhook]\nurl = "https://b.example"'])
def test_forwarding_has_the_network(device, setting):
    """Whoever has written a broker or a server into agent.toml needs to type no more than `setup`."""
    run_setup(device, "--service", "super-sim", "--yes")
    file = device.root / "etc/modem-agent/agent.toml"
    file.write_text(f'[service]\nname = "super-sim"\n{setting}\n')
    run_setup(device, "--yes")
    assert (device.root / "etc/systemd/system/modem-agent.service.d/network.conf").exists()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (b"[modem\n", "not valid TOML"),
        (b"[modem]\nprt = 1\n", "unknown key modem.prt"),
        (b"modem = 3\n", "table"),
        (b"# \xfc\n", "octet 2 is not valid UTF-8"),
    ],
)
def test_broken_configuration_is_not_touched(device, text, sentence):
    folder = device.root / "etc/modem-agent"
    folder.mkdir(parents=True)
    (folder / "agent.toml").write_bytes(text)
    result = run_setup(device, "--service", "super-sim", "--yes")
    assert result.exit_code == 1
    assert sentence in result.output
    assert (folder / "agent.toml").read_bytes() == text


def test_files_of_the_package_are_removed_by_apt(device):
    assert "run apt purge modem-agent" in run_setup(device, "--remove", "--purge", "--yes").output


def test_checkout_cannot_be_installed(fake_host):
    """The service could not read it."""
    result = run_setup(fake_host, "--service", "super-sim", "--yes")
    assert result.exit_code == 1
    assert "install the Debian package, or the wheel" in result.output
