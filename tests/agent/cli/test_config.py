"""Errors in the configuration: one sentence each and exit status 2, for every command that reads it."""

import sys

import pytest

COMMANDS = [("run",), ("status",), ("send", "x"), ("inbox",), ("outbox",), ("at", "AT"), ("config", "check")]


def write_handler(path, text="#!/bin/sh\n", mode=0o755):
    path.write_text(text)
    path.chmod(mode)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_missing_file_is_reported(cli_env, words):
    """The error names the file and the remedy."""
    cli_env.config.unlink()
    result = cli_env.run(*words)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == (
        f"modem-agent: {cli_env.config}: No such file or directory; copy the annotated example there or name "
        "another file with --config FILE\n"
    )


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("text", "sentences"),
    [
        ("[modem]\nprot = 1", ["unknown key modem.prot; [modem] has port"]),
        ("[modm]", ["unknown table [modm]; the tables are modem"]),
        ('[modem]\nbaud = "x"\n[service]\nname = 5', ["modem.baud must be a whole", "service.name must be"]),
        ("[modem", ["not valid TOML"]),
        ("port = 3", ["unknown table [port]"]),
    ],
)
def test_every_error_in_the_file_is_reported(cli_env, words, text, sentences):
    """One sentence for each error, which begins with the file."""
    cli_env.write(text)
    result = cli_env.run(*words)
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    for sentence in sentences:
        assert any(line.startswith(f"modem-agent: {cli_env.config}: {sentence}") for line in lines)


@pytest.mark.parametrize("words", [("run",), ("config", "check")], ids=" ".join)
@pytest.mark.parametrize(
    ("break_directory", "sentence"),
    [
        (
            lambda handlers: handlers.rmdir(),
            "there is no directory {}: create it, or set [handlers] directory",
        ),
        (lambda handlers: (handlers.rmdir(), handlers.write_text("")), "{} is not a directory"),
    ],
    ids=["missing", "file"],
)
def test_missing_handler_directory_is_reported(cli_env, words, break_directory, sentence):
    """Before the start, in a sentence that names it."""
    handlers = cli_env.folder / "handlers"
    break_directory(handlers)
    result = cli_env.run(*words)
    assert result.exit_code == 2
    assert sentence.format(handlers) in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("break_handlers", "sentence"),
    [
        (
            lambda handlers: write_handler(handlers / "led", mode=0o777),
            "{}/led can be written by others (mode 0777)",
        ),
        (lambda handlers: write_handler(handlers / "led.py", "import nothing_there\n"), "led.py"),
        (
            lambda handlers: [write_handler(handlers / name) for name in ("led", "LED")],
            'two handlers for the word "led": {}/LED and {}/led; rename or remove one',
        ),
    ],
    ids=["writable", "broken", "two"],
)
def test_check_reports_handler_errors(cli_env, break_handlers, sentence):
    """In sentences that name the file."""
    handlers = cli_env.folder / "handlers"
    break_handlers(handlers)
    result = cli_env.run("config", "check")
    assert result.exit_code == 2
    assert sentence.format(handlers, handlers) in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("words", [("run",), ("config", "check")], ids=" ".join)
@pytest.mark.parametrize("port", ["socket://", "socket://host", "socket://host:0", "socket://host:x"])
def test_invalid_socket_address_is_reported(cli_env, words, port):
    """The error has the key and an example."""
    cli_env.write(modem=f'[modem]\nport = "{port}"')
    result = cli_env.run(*words)
    assert result.exit_code == 2
    assert result.stderr == (
        f"modem-agent: {cli_env.config}: modem.port: {port} is not a valid socket address; the form is "
        "socket://host:port\n"
    )


@pytest.mark.parametrize("words", [("run",), ("config", "check")], ids=" ".join)
@pytest.mark.parametrize(
    ("section", "key", "name"),
    [
        ("journal", "path", "nowhere/journal.db"),
        ("control", "socket", "nowhere/control.sock"),
        ("journal", "path", "x" * 300 + "/journal.db"),
        ("control", "socket", "x" * 300 + "/control.sock"),
    ],
)
def test_missing_folder_is_reported(cli_env, words, section, key, name):
    """The error has the key and the folder."""
    cli_env.write(**{section: f'[{section}]\n{key} = "{name}"'})
    result = cli_env.run(*words)
    assert result.exit_code == (2 if len(name) < 100 or words != ("run",) or section == "control" else 1)
    assert str(cli_env.folder / name.split("/")[0]) in result.stderr
    assert section in result.stderr
    assert key in result.stderr


def test_check_reports_all_errors_at_once(cli_env):
    """An error in one table hides none in another, nor in the handlers or folders."""
    cli_env.write(
        modem='[modem]\nport = "socket://x"',
        service="[service]\nmax_parts = 0",
        journal='[journal]\nallow_volatile = true\npath = "nowhere/journal.db"',
        extra="[frobnicate]",
    )
    write_handler(cli_env.folder / "handlers" / "led", mode=0o777)
    write_handler(cli_env.folder / "handlers" / "bad.py", "def f(:\n")
    result = cli_env.run("config", "check")
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert len(lines) == 6
    for part in (
        "[frobnicate]",
        "service.max_parts",
        "modem.port",
        "led can be written",
        "bad.py",
        "nowhere",
    ):
        assert sum(part in line for line in lines) == 1


def test_check_skips_defaults_of_a_table_with_errors(cli_env):
    """If `path` may be misspelled, the default path of the journal is not checked."""
    cli_env.write(
        journal="[journal]\nallow_volatile = true\npat = 'x'", handlers="[handlers]\nfrobnicate = 1"
    )
    result = cli_env.run("config", "check")
    assert len([line for line in result.stderr.splitlines() if line.startswith("modem-agent: ")]) == 2


def test_check_reports_tables_that_contradict_each_other(cli_env):
    """Each is valid alone: one sentence, and everything else is still checked."""
    text = cli_env.config.read_text().replace("/dev/nowhere", "socket://127.0.0.1:7")
    cli_env.config.write_text(f'{text}\n[recovery]\npower = "usb"\n')
    (cli_env.folder / "handlers").rmdir()
    result = cli_env.run("config", "check")
    assert result.exit_code == 2
    first, second = result.stderr.splitlines()
    assert "recovery.power must be" in first
    assert "there is no directory" in second


def test_check_uses_the_valid_keys_of_a_table_with_errors(cli_env):
    """An error in one key hides none in another key of its table, nor in the file that it names."""
    cli_env.write(
        modem='[modem]\nport = "socket://x"\nbaud = "fast"\npin_file = "nowhere-0"',
        handlers='[handlers]\ndirectory = "nowhere-1"\ntimeout_s = -1',
        journal='[journal]\nallow_volatile = true\nkeep_days = "x"\npath = "nowhere-2/journal.db"',
        control='[control]\nsocket = "nowhere-3/sock"\nsockets = 1',
    )
    result = cli_env.run("config", "check")
    assert result.exit_code == 2
    lines = result.stderr.splitlines()
    assert len(lines) == 9
    for part in (
        "modem.port",
        "modem.baud",
        "nowhere-0",
        "nowhere-1",
        "handlers.timeout_s",
        "journal.keep_days",
        "nowhere-2",
        "control.sockets",
        "nowhere-3",
    ):
        assert sum(part in line for line in lines) == 1


def test_check_reports_that_no_process_can_be_started(cli_env, monkeypatch):
    """A sentence, not a traceback."""
    interpreter = cli_env.folder / "python"
    interpreter.write_text("not executable")
    monkeypatch.setattr(sys, "executable", str(interpreter))
    write_handler(cli_env.folder / "handlers" / "device.py", "")
    result = cli_env.run("config", "check")
    assert result.exit_code == 2
    assert result.stderr.endswith("cannot be started: Permission denied\n")


@pytest.mark.parametrize("words", [("run",), ("config", "check")], ids=" ".join)
@pytest.mark.parametrize("port", ["", "ttyUSB2", "COM3", "tcp://host:1", "-"])
def test_invalid_port_is_reported(cli_env, words, port):
    """A port is an absolute path, an address or "auto"."""
    cli_env.write(modem=f'[modem]\nport = "{port}"')
    result = cli_env.run(*words)
    assert result.exit_code == 2
    assert result.stderr == (
        f'modem-agent: {cli_env.config}: modem.port must be "auto", an absolute path such as '
        f'"/dev/ttyUSB2", or "socket://host:port", not "{port}"\n'
    )


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_folder_in_place_of_the_file_is_reported(cli_env, words):
    """The error names the file and the remedy."""
    cli_env.config.unlink()
    cli_env.config.mkdir()
    result = cli_env.run(*words)
    assert result.exit_code == 2
    assert result.stderr == (
        f"modem-agent: {cli_env.config}: Is a directory; name a file in this directory with --config FILE\n"
    )


def test_check_summarises_a_valid_configuration(cli_env):
    """Service, port and handlers; a note about a file that is not a handler is not an error."""
    write_handler(cli_env.folder / "handlers" / "led")
    write_handler(cli_env.folder / "handlers" / "pump", mode=0o644)
    write_handler(
        cli_env.folder / "handlers" / "device.py",
        "from agent import handler\n@handler('temp')\ndef f(c): ...\n",
    )
    result = cli_env.run("config", "check")
    assert result.exit_code == 0
    assert result.stdout == (
        f"{cli_env.config} is valid: super-sim on /dev/nowhere, handlers help, led, ping, status, temp\n"
    )
    assert "pump is not used because it is not executable" in result.stderr


def test_check_and_run_refuse_an_init_command_that_would_break_the_agent(cli_env):
    """The sentence names the place in the list, the command and the reason. Nothing starts."""
    cli_env.write(modem='[modem]\nport = "/dev/nowhere"\ninit = ["AT+CSQ", "AT+CMGD=1,4"]')
    for words in (("config", "check"), ("run",)):
        result = cli_env.run(*words)
        assert result.exit_code == 2
        assert result.stderr.splitlines()[-1] == (
            f"modem-agent: {cli_env.config}: modem.init[1]: AT+CMGD cannot be used: it sends, "
            "writes or deletes messages"
        )


@pytest.mark.parametrize(
    ("table", "key"), [("alarm", "alarm.command"), ("recovery", "recovery.power_command")]
)
def test_check_reports_a_program_that_cannot_be_run(cli_env, table, key):
    """Missing, a folder, or not executable; and that the service does not see the folders of users."""
    name = key.partition(".")[2]
    power = 'power = "command"\n' if table == "recovery" else ""
    for words, reason in (
        ('["/home/nobody/x"]', "/home/nobody/x cannot be run: No such file or directory"),
        ('["/usr"]', "/usr is not a program but a folder"),
        ('["/etc/passwd", "on"]', "/etc/passwd cannot be executed by this user: chmod +x it"),
        ('["x"]', 'must begin with an absolute path, not "x"'),
        ('"/usr/bin/x"', "must be a list"),
    ):
        cli_env.write(**{table: f"[{table}]\n{power}{name} = {words}"})
        result = cli_env.run("config", "check")
        assert result.exit_code == 2
        assert key in result.stderr
        assert reason in result.stderr
        assert ("the service sees neither /home" in result.stderr) is ("/home/" in words)


def test_check_reports_what_the_power_switch_lacks(cli_env, monkeypatch):
    """Package, chip or line: one sentence, no traceback."""
    monkeypatch.setitem(sys.modules, "gpiod", None)
    with cli_env.config.open("a") as file:
        file.write('\n[recovery]\npower = "gpio"\ngpio_line = 6\n')
    result = cli_env.run("config", "check")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        f'modem-agent: {cli_env.config}: recovery.power "gpio" needs the Python package gpiod 2: '
        'pip install "modem-agent[gpio]"'
    )
