"""Independent AT clients use the simulated module through its port.

They are Debian's gammu, gammu-smsd and smstools, and python-gsmmodem-new from PyPI; what is missing is
skipped by name. The last is looked for in this Python and in the one that GSMMODEM_PYTHON names.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys

import pytest

from client_bench import Daemon, find_program, requires_program, run

pytestmark = pytest.mark.system

on_several_modules = pytest.mark.parametrize("client_bench", ["generic", "ec25", "sim7600"], indirect=True)
"""Runs a test also on modules with other stores, an index from 0 and other answers."""


LONG = "A message that does not fit into one SMS: " + "0123456789 " * 15

# gammu

PHONE_INBOX = 3
"""Gammu's number for the module's own memory; 1 is the card's."""


@pytest.fixture
def gammu(client_bench):
    """Runs one gammu command in English."""
    config = client_bench.folder / "gammurc"
    config.write_text(f"[gammu]\ndevice = {client_bench.port}\nconnection = at\n")

    async def command(*words):
        return await run(find_program("gammu"), "-c", config, *words, env={**os.environ, "LC_ALL": "C.UTF-8"})

    return command


@requires_program("gammu", "gammu")
async def test_gammu_identifies_the_module(client_bench, gammu):
    """Manufacturer, model, IMEI, IMSI, network."""
    output = await gammu("identify")
    assert (
        client_bench.device_line(output)
        if hasattr(client_bench, "device_line")
        else client_bench.module.profile.manufacturer in output
    )
    assert client_bench.module.profile.imei in output
    assert client_bench.module.sim.imsi in output
    assert "home network" in await gammu("networkinfo")


@requires_program("gammu", "gammu")
@pytest.mark.parametrize("client_bench", ["generic", "sim7600"], indirect=True)
async def test_gammu_receives_and_deletes(client_bench, gammu):
    """Plain text, extension characters, UCS-2, several parts; one message and then all."""
    for text in ("hello {gammu} €", "Привет", LONG):
        client_bench.send("000", text)
    output = await gammu("getallsms")
    assert "hello {gammu} €" in output
    assert "Привет" in output
    assert LONG[150:170].strip() in output
    assert output.count('"000"') == 4
    if client_bench.module.profile.first_index == 1:  # gammu wants places from 1
        await gammu("deletesms", PHONE_INBOX, 1)
        assert client_bench.stored_count == 3
    await gammu("deleteallsms", PHONE_INBOX)
    assert client_bench.stored_count == 0


@requires_program("gammu", "gammu")
async def test_gammu_sends(client_bench, gammu):
    """A short text, a long one in parts, one in UCS-2."""
    await gammu("sendsms", "TEXT", "2936", "-text", "from {gammu}")
    await gammu("sendsms", "TEXT", "+4477009001", "-len", "400", "-text", LONG)
    await gammu("sendsms", "TEXT", "000", "-unicode", "-text", "Привет")
    assert client_bench.texts == [("2936", "from {gammu}"), ("+4477009001", LONG), ("000", "Привет")]


@requires_program("gammu", "gammu")
async def test_gammu_stores(client_bench, gammu):
    """+CMGW, and the list shows it."""
    output = await gammu("savesms", "TEXT", "-folder", "2", "-text", "kept")
    assert "location 1" in output
    assert "kept" in await gammu("getallsms")


BOXES = {"inbox": "inbox", "outbox": "outbox", "sentsms": "sent", "errorsms": "error"}


@requires_program("gammu-smsd", "gammu-smsd")
@on_several_modules
async def test_gammu_smsd(client_bench):
    """The daemon receives, deletes and sends."""
    boxes = {name: client_bench.folder / name for name in BOXES.values()}
    for box in boxes.values():
        box.mkdir()
    config = client_bench.folder / "gammu-smsdrc"
    paths = "".join(f"{name}path = {boxes[box]}/\n" for name, box in BOXES.items())
    config.write_text(
        f"[gammu]\ndevice = {client_bench.port}\nconnection = at\n"
        f"[smsd]\nservice = files\nlogfile = {client_bench.folder / 'log'}\n{paths}"
        "receivefrequency = 1\nloopsleep = 1\n"
    )
    client_bench.send("000", "hello {smsd}")
    (boxes["outbox"] / "OUT2936.txt").write_text("answer {smsd}")
    async with Daemon(find_program("gammu-smsd"), "-c", config):
        await client_bench.wait_until(lambda: client_bench.messages)
        await client_bench.wait_until(lambda: not client_bench.stored_count)
    assert client_bench.texts == [("2936", "answer {smsd}")]
    assert [file.read_text() for file in boxes["inbox"].iterdir()] == ["hello {smsd}"]


# smstools


@requires_program("smsd", "smstools")
@on_several_modules
async def test_smstools(client_bench):
    """The daemon receives, deletes and sends."""
    spool = client_bench.folder / "spool"
    for name in ("outgoing", "checked", "incoming", "failed", "sent"):
        (spool / name).mkdir(parents=True)
    start = "memory_start = 0\n" if client_bench.module.profile.first_index == 0 else ""
    config = client_bench.folder / "smsd.conf"
    config.write_text(
        "devices = GSM1\n"
        + "".join(
            f"{name} = {spool / name}\n" for name in ("outgoing", "checked", "incoming", "failed", "sent")
        )
        + "".join(f"{name}file = {client_bench.folder / name}\n" for name in ("log", "info", "pid"))
        + "delaytime = 1\nreceive_before_send = yes\n"
        + f"[GSM1]\ndevice = {client_bench.port}\nincoming = yes\nbaudrate = 115200\n{start}"
    )
    client_bench.send("000", "hello {smstools}")
    (spool / "outgoing" / "one").write_text("To: 447700900123\n\nanswer {smstools}")
    async with Daemon(find_program("smsd"), f"-c{config}", "-t"):
        await client_bench.wait_until(lambda: client_bench.messages)
        await client_bench.wait_until(lambda: not client_bench.stored_count)
    assert client_bench.texts == [("+447700900123", "answer {smstools}")]
    (incoming,) = (spool / "incoming").iterdir()
    assert incoming.read_text().endswith("hello {smstools}")
    assert "From: 000" in incoming.read_text()


# python-gsmmodem-new

GSMMODEM = os.environ.get("GSMMODEM_PYTHON") or (
    sys.executable if importlib.util.find_spec("gsmmodem") else None
)

PROGRAM = """
import sys, threading
from gsmmodem.modem import GsmModem

came, news = [], threading.Event()

def receive(sms):
    came.append((sms.number, sms.text))
    news.set()

modem = GsmModem(sys.argv[1], 115200, smsReceivedCallbackFunc=receive, requestDelivery=False)
modem.smsTextMode = sys.argv[2] == "text"
modem.connect()
print("stored", [(sms.number, sms.text) for sms in modem.listStoredSms()], flush=True)
print("reference", modem.sendSms("2936", "from {gsmmodem}").reference, flush=True)
news.wait(30)
print("came", came, modem.imei, modem.imsi, modem.smsc, flush=True)
modem.deleteStoredSms(int(sys.argv[3]))
modem.close()
"""


@pytest.mark.skipif(
    GSMMODEM is None, reason="python-gsmmodem-new is not installed: pip install python-gsmmodem-new"
)
@pytest.mark.parametrize("mode", ["pdu", "text"])
@on_several_modules
async def test_python_gsmmodem(client_bench, mode):
    """Lists what is stored, sends, is called when a message comes, deletes; in both formats."""
    client_bench.send("000", "stored")
    stored = client_bench.module.profile.first_index
    client = asyncio.create_task(
        run(GSMMODEM, "-W", "ignore", "-c", PROGRAM, client_bench.port, mode, stored)
    )
    await client_bench.wait_until(lambda: client_bench.messages)
    client_bench.send("000", "hello [gsmmodem]")
    output = await client
    assert "stored [('000', 'stored')]" in output
    assert "reference 0" in output
    module = client_bench.module
    assert (
        f"came [('000', 'hello [gsmmodem]')] {module.profile.imei} {module.sim.imsi} +447700900000" in output
    )
    assert client_bench.texts == [("2936", "from {gsmmodem}")]
    assert client_bench.stored_count == 0
