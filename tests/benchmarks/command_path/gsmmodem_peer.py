"""python-gsmmodem-new as a client: its own callback answers each Command with the time of its call.

python gsmmodem_peer.py PORT
"""

from __future__ import annotations

import sys
import threading
import time

from gsmmodem.modem import GsmModem


def receive(sms):
    """Answer a Command; the library has read and deleted it."""
    called_at = str(time.monotonic_ns())
    modem.sendSms(sms.number, called_at)


modem = GsmModem(sys.argv[1], 115200, smsReceivedCallbackFunc=receive, requestDelivery=False)
modem.smsTextMode = False
modem.connect()
print("ready", flush=True)
threading.Event().wait()
