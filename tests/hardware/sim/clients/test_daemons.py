"""ModemManager and oFono use the simulated module, by their interfaces on a D-Bus of their own.

Both run without hardware: ModemManager has virtual ports for tests, which are Unix sockets, and oFono the
driver `phonesim`, which connects by TCP. Its configuration is in /etc; the test replaces that folder for itself.
"""

from __future__ import annotations

import asyncio
import os

import pytest

from client_bench import LIMIT_S, PATH, requires_program

pytestmark = pytest.mark.system

CALL = "gdbus call --session --timeout 40 --dest"

MODEM_MANAGER = """
ModemManager --test-session --test-no-udev --test-no-suspend-resume --test-enable 2>&1 &
trap 'kill $!' EXIT
gdbus wait --session --timeout 30 org.freedesktop.ModemManager1
BUS="{call} org.freedesktop.ModemManager1 --object-path"
MM=org.freedesktop.ModemManager1
ROOT=/org/freedesktop/ModemManager1
$BUS $ROOT --method $MM.Test.SetProfile test generic "['{unix}']"
for attempt in $(seq 100); do
    $BUS $ROOT/Modem/0 --method $MM.Modem.Enable true 2> /dev/null && break
    sleep 0.2
done
$BUS $ROOT/Modem/0 --method $MM.Modem.Messaging.Create "{{'number': <'2936'>, 'text': <'from mm'>}}"
$BUS $ROOT/SMS/0 --method $MM.Sms.Send
read -r _ < {fifo}
for attempt in $(seq 100); do
    $BUS $ROOT/SMS/1 --method org.freedesktop.DBus.Properties.Get $MM.Sms Text 2> /dev/null && break
    sleep 0.2
done
$BUS $ROOT/Modem/0 --method org.freedesktop.DBus.Properties.GetAll $MM.Modem
$BUS $ROOT/Modem/0 --method org.freedesktop.DBus.Properties.GetAll $MM.Modem.Modem3gpp
$BUS $ROOT/Modem/0 --method $MM.Modem.Modem3gpp.Ussd.Initiate '*100#'
"""

OFONO = """
mount -t tmpfs none /etc/ofono
printf '[phonesim]\\nDriver=phonesim\\nAddress=127.0.0.1\\nPort={tcp}\\n' > /etc/ofono/phonesim.conf
export DBUS_SYSTEM_BUS_ADDRESS=$DBUS_SESSION_BUS_ADDRESS
ofonod -n 2>&1 &
trap 'kill $!' EXIT
gdbus wait --session --timeout 30 org.ofono
BUS="{call} org.ofono --object-path /phonesim --method"
$BUS org.ofono.Modem.SetProperty Powered '<true>'
for attempt in $(seq 100); do
    $BUS org.ofono.Modem.SetProperty Online '<true>' 2> /dev/null && break
    sleep 0.2
done
for attempt in $(seq 100); do
    $BUS org.ofono.MessageManager.SendMessage 2936 'from ofono' 2> /dev/null && break
    sleep 0.2
done
read -r _ < {fifo}
$BUS org.ofono.SimManager.GetProperties
$BUS org.ofono.NetworkRegistration.GetProperties
"""


async def run_with_bus(bench, script, receive):
    """Run a script with a D-Bus; when the module has sent, `receive` runs and the script goes on."""
    fifo = bench.folder / "go-on"
    os.mkfifo(fifo)
    values = {"call": CALL, "unix": bench.unix, "tcp": bench.tcp_port, "fifo": fifo}
    process = await asyncio.create_subprocess_exec(
        "unshare", "--mount", "--propagation=private", "dbus-run-session", "--",
        "bash", "-c", script.format(**values),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "PATH": PATH, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    output = asyncio.create_task(process.stdout.read())
    try:
        async with asyncio.timeout(LIMIT_S):
            waiting = asyncio.create_task(bench.wait_until(lambda: bench.messages))
            await asyncio.wait({output, waiting}, return_when=asyncio.FIRST_COMPLETED)
            if waiting.done():
                await receive()
                await asyncio.to_thread(fifo.write_text, "\n")
            waiting.cancel()
            return (await output).decode("utf-8", "replace")
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()


@requires_program("ModemManager", "modemmanager")
@requires_program("gdbus", "libglib2.0-bin")
@requires_program("dbus-run-session", "dbus-daemon")
async def test_modem_manager(client_bench):
    """It enables the modem, sends, receives, knows number, operator and tries, and asks by USSD."""

    async def receive():
        client_bench.send("+4477009009", "hello mm")

    output = await run_with_bus(client_bench, MODEM_MANAGER, receive)
    assert client_bench.texts == [("2936", "from mm")], output
    for expected in (
        "'hello mm'",
        "'OwnNumbers': <['+447700900001']>",
        "'UnlockRetries': <{uint32 2: uint32 3, 4: 10",
        "'OperatorName': <'Simulated'>",
        "'The sandbox has no USSD service.'",
    ):
        assert expected in output


@requires_program("ofonod", "ofono")
@requires_program("gdbus", "libglib2.0-bin")
@requires_program("dbus-run-session", "dbus-daemon")
@pytest.mark.skipif(os.geteuid() != 0, reason="a mount namespace needs root")
async def test_ofono(client_bench):
    """It reads the files of the SIM, registers, sends, and takes a direct delivery."""

    async def receive():
        client_bench.send("+4477009009", "hello ofono")
        await client_bench.wait_until(lambda: client_bench.module.log.delivery_answers)

    output = await run_with_bus(client_bench, OFONO, receive)
    assert client_bench.texts == [("2936", "from ofono")], output
    assert client_bench.module.log.delivery_answers == [(1, None)]
    for expected in (
        "'SubscriberNumbers': <['+447700900001']>",
        "'ServiceProviderName': <'Simulated'>",
        "'Retries': <{'pin': byte 0x03, 'puk': 0x0a}>",
        "'Status': <'registered'>",
    ):
        assert expected in output
