"""The Debian package on a fresh device, installed and not yet started."""

from __future__ import annotations

import subprocess


def test_systemd_reports_no_error_in_the_unit(installed_tree):
    """`systemd-analyze verify` prints nothing. Its exit status is 0 even for some errors."""
    script = """
        cd /usr/lib/systemd/system
        systemd-analyze verify modem-agent.service modem-agent@second.service 2>&1
    """
    assert installed_tree.run_script(script) == ""


def test_verify_reports_an_unknown_key(installed_tree):
    """So the check above can fail."""
    script = """
        sed 's/^KillMode=/KilMode=/' /usr/lib/systemd/system/modem-agent.service > /tmp/modem-agent.service
        systemd-analyze verify /tmp/modem-agent.service 2>&1
    """
    assert "'KilMode'" in installed_tree.run_script(script)


def test_exposure_of_the_unit_is_low(installed_tree):
    """`systemd-analyze security` rates it 1.0 of 10 at most."""
    unit = "/usr/lib/systemd/system/modem-agent.service"
    installed_tree.run_script(f"systemd-analyze security --offline=yes --threshold=10 {unit} >&2")


def test_service_user_exists(installed_tree):
    """The user has its own group and is a member of dialout."""
    assert installed_tree.run_script("id --name --groups modem-agent").split() == ["modem-agent", "dialout"]


def test_command_needs_no_extra(installed_tree):
    """It works without the libraries of the sandbox, on the Python of this release."""
    assert installed_tree.run_script("modem-agent --version").startswith("modem-agent")
    installed_tree.run_script("/opt/modem-agent/bin/python3 -c 'import gpiod'")
    installed_tree.run_script("! /opt/modem-agent/bin/python3 -c 'import aiohttp' 2>/dev/null")


def test_demo_without_its_extra_names_it(installed_tree):
    """The demo ends with one sentence that names the extra `sandbox`."""
    script = "modem-agent demo --once 2>&1 && exit 9; test $? = 1"
    (sentence,) = installed_tree.run_script(script).splitlines()
    assert "modem-agent[sandbox]" in sentence


def test_udev_reports_no_error_in_the_rules(installed_tree):
    """`udevadm verify` (since systemd 254) reports no error."""
    script = """
        udevadm verify --help > /dev/null 2>&1 || exit 0
        udevadm verify /usr/lib/udev/rules.d/78-modem-agent.rules
    """
    installed_tree.run_script(script)


def test_package_has_all_that_its_checks_name(package):
    """lintian finds nothing that the overrides do not explain."""
    command = ("lintian", "--allow-root", "--fail-on=none", package)
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == ""


def test_manual_pages_and_completions_are_understood(installed_tree, package):
    """groff and the shells find no mistake in the generated files."""
    script = """
        for page in usr/share/man/man?/*.gz; do
            zcat "$page" | LC_ALL=C.UTF-8 groff -man -Tutf8 -ww -z - 2>&1
        done
        bash -n usr/share/bash-completion/completions/modem-agent
    """
    folder = package.parent / "unpacked"
    subprocess.run(["dpkg-deb", "--extract", package, folder], check=True)
    checks = subprocess.run(["sh", "-ec", script], cwd=folder, capture_output=True, text=True, check=True)
    assert checks.stdout == ""
    words = "_MODEM_AGENT_COMPLETE=bash_complete COMP_WORDS='modem-agent sta' COMP_CWORD=1 modem-agent"
    assert installed_tree.run_script(words) == "plain,status\n"
