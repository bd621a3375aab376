"""Daemons use the simulated module: ModemManager and oFono, on a D-Bus of their own, and Kannel.

The first two run without hardware: ModemManager has virtual ports for tests, which are Unix sockets, and the
driver `phonesim` of oFono connects by TCP. Its configuration is in /etc; it gets another folder there.
"""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from client_bench import Daemon, documented_block, find_program, requires_program, run_shell

pytestmark = pytest.mark.system

MODEM_MANAGER = """
trap 'kill $!' EXIT
BUS="gdbus call --session --timeout 40 --dest org.freedesktop.ModemManager1 --object-path"
MM=org.freedesktop.ModemManager1
ROOT=/org/freedesktop/ModemManager1
for attempt in $(seq 100); do
    $BUS $ROOT/Modem/0 --method $MM.Modem.Enable true 2> /dev/null && break
    sleep 0.2
done
$BUS $ROOT/Modem/0 --method $MM.Modem.Messaging.Create "{'number': <'2936'>, 'text': <'from mm'>}"
$BUS $ROOT/SMS/0 --method $MM.Sms.Send
read -r _ < go-on
for attempt in $(seq 100); do
    $BUS $ROOT/SMS/1 --method org.freedesktop.DBus.Properties.Get $MM.Sms Text 2> /dev/null && break
    sleep 0.2
done
$BUS $ROOT/Modem/0 --method org.freedesktop.DBus.Properties.GetAll $MM.Modem
$BUS $ROOT/Modem/0 --method org.freedesktop.DBus.Properties.GetAll $MM.Modem.Modem3gpp
$BUS $ROOT/Modem/0 --method $MM.Modem.Modem3gpp.Ussd.Initiate '*100#'
"""

OFONO = """
trap 'kill $!' EXIT
gdbus wait --session --timeout 30 org.ofono
BUS="gdbus call --session --timeout 40 --dest org.ofono --object-path /phonesim --method"
$BUS org.ofono.Modem.SetProperty Powered '<true>'
for attempt in $(seq 100); do
    $BUS org.ofono.Modem.SetProperty Online '<true>' 2> /dev/null && break
    sleep 0.2
done
for attempt in $(seq 100); do
    $BUS org.ofono.MessageManager.SendMessage 2936 'from ofono' 2> /dev/null && break
    sleep 0.2
done
read -r _ < go-on
$BUS org.ofono.SimManager.GetProperties
$BUS org.ofono.NetworkRegistration.GetProperties
"""
OWN_ETC = "mount -t tmpfs none /etc/ofono\nexport DBUS_SYSTEM_BUS_ADDRESS=$DBUS_SESSION_BUS_ADDRESS\n"


async def run_with_bus(bench, script, receive):
    """Run a script with a D-Bus; when the module has sent, `receive` runs and the script goes on."""
    fifo = bench.folder / "go-on"
    os.mkfifo(fifo)
    (bench.folder / "script").write_text(script)
    output = asyncio.create_task(
        run_shell(bench, "exec unshare --mount --propagation=private dbus-run-session -- bash script")
    )
    waiting = asyncio.create_task(bench.wait_until(lambda: bench.messages))
    await asyncio.wait({output, waiting}, return_when=asyncio.FIRST_COMPLETED)
    if waiting.done():
        await receive()
        await asyncio.to_thread(fifo.write_text, "\n")
    waiting.cancel()
    _, text = await output
    return text


@requires_program("ModemManager", "modemmanager")
@requires_program("gdbus", "libglib2.0-bin")
@requires_program("dbus-run-session", "dbus-daemon")
async def test_modem_manager(client_bench):
    """It enables the modem, sends, receives, knows number, operator and tries, and asks by USSD."""

    async def receive():
        client_bench.send("+4477009009", "hello mm")

    output = await run_with_bus(client_bench, documented_block("ModemManager") + MODEM_MANAGER, receive)
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

    output = await run_with_bus(client_bench, OWN_ETC + documented_block("oFono") + OFONO, receive)
    assert client_bench.texts == [("2936", "from ofono")], output
    assert client_bench.module.log.delivery_answers == [(1, None)]
    for expected in (
        "'SubscriberNumbers': <['+447700900001']>",
        "'ServiceProviderName': <'Simulated'>",
        "'Retries': <{'pin': byte 0x03, 'puk': 0x0a}>",
        "'Status': <'registered'>",
    ):
        assert expected in output


KANNEL = """
group = core
admin-port = {ports[0]}
admin-password = x
smsbox-port = {ports[1]}

{blocks}
group = smsbox
bearerbox-host = 127.0.0.1

group = sms-service
keyword = default
max-messages = 1
text = "reply from kannel"
"""


@requires_program("bearerbox", "kannel")
async def test_kannel(client_bench):
    """It answers a message; both of its programs run."""
    with socket.socket() as first, socket.socket() as second:  # free ports
        for each in (first, second):
            each.bind(("127.0.0.1", 0))
        ports = [each.getsockname()[1] for each in (first, second)]
    blocks = "\n".join(documented_block("Kannel", number) for number in range(2))
    config = client_bench.folder / "kannel.conf"
    text = KANNEL.format(ports=ports, blocks=blocks)
    config.write_text(text.replace("/tmp/modems/super-sim", str(client_bench.port)))
    async with Daemon(find_program("bearerbox"), config):
        commands = client_bench.module.log.command_lines
        await client_bench.wait_until(lambda: any(line.startswith("+CNMI=") for line in commands))
        client_bench.send("+447700900999", "hello kannel")
        async with Daemon(find_program("smsbox"), config):  # ends unless the other one listens
            await client_bench.wait_until(lambda: client_bench.messages)
    assert client_bench.texts == [("+447700900999", "reply from kannel")]
