"""The wheel on a fresh gateway, installed as config/README.md says and not yet started."""


def test_systemd_finds_nothing_to_say_about_the_unit(installed_tree):
    """`systemd-analyze verify` prints nothing where it is installed; exit 0 alone says nothing."""
    assert (
        installed_tree.run_script("systemd-analyze verify /etc/systemd/system/modem-agent.service 2>&1") == ""
    )


def test_verify_would_speak(installed_tree):
    """The check above can fail: an unknown key is printed."""
    script = """
        sed 's/^KillMode=/KilMode=/' /etc/systemd/system/modem-agent.service > /tmp/modem-agent.service
        systemd-analyze verify /tmp/modem-agent.service 2>&1
    """
    assert "'KilMode'" in installed_tree.run_script(script)


def test_the_unit_confines(installed_tree):
    """systemd's own measure of exposure stays below 2.5 of 10."""
    unit = "/etc/systemd/system/modem-agent.service"
    installed_tree.run_script(f"systemd-analyze security --offline=yes --threshold=25 {unit} >&2")


def test_the_user_is_made(installed_tree):
    """The user of the service exists, has a group of its own and is a member of dialout."""
    assert installed_tree.run_script("id --name --groups modem-agent").split() == ["modem-agent", "dialout"]


def test_the_program_needs_no_extra(installed_tree):
    """The wheel alone answers, without the libraries of the sandbox."""
    assert installed_tree.run_script("/opt/modem-agent/bin/modem-agent --version").startswith("modem-agent")
    installed_tree.run_script("! /opt/modem-agent/bin/python -c 'import aiohttp' 2>/dev/null")


def test_the_demo_says_what_to_install(installed_tree):
    """Without the extra `sandbox`, the demo ends with one sentence that names it."""
    script = "/opt/modem-agent/bin/modem-agent demo --once 2>&1 && exit 9; test $? = 1"
    (sentence,) = installed_tree.run_script(script).splitlines()
    assert "modem-agent[sandbox]" in sentence


def test_udev_finds_nothing_to_say_about_the_rules(installed_tree):
    """`udevadm verify` (systemd has it since 254) finds no mistake."""
    script = """
        udevadm verify --help > /dev/null 2>&1 || exit 0
        udevadm verify /etc/udev/rules.d/78-modem-agent.rules
    """
    installed_tree.run_script(script)
