"""Compares the codec with its peers: one workload, one interleaved run, ratios of CPU time.

Each round measures every peer once, in turn, so that other load on the machine affects all of them; a ratio
is the median over the rounds. Decoding goes from hexadecimal digits to the text (or data) of the message,
encoding from number and text (or data) to hexadecimal digits. Wrong results of a peer are marked and not left
out. The workload has one sender and one service centre, like a device, and `pdu` caches recent addresses; the
stages at the end include the cost of a new sender for each message.
"""

from __future__ import annotations

import argparse
import importlib
import statistics
import sys
import time
import warnings
from binascii import unhexlify
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from itertools import cycle

import pdu
from pdu import gsm7
from pdu.address import read_address
from pdu.packing import pack, unpack

NUMBER = "000"
SID = "HC0123456789abcdef0123456789abcdef"
TEXT_160 = ("The quick brown fox jumps over the lazy dog 0123456789. " * 3)[:160]
CASES: dict[str, str | bytes] = {
    "160 characters GSM 7-bit": TEXT_160,
    "140 octets": bytes(range(140)),
    "70 characters UCS-2": ("Температура 21,5 °C, вентилятор включён. " * 2)[:70],
    "SID and a short text": f"led on {SID}",
}
MIN_RATIOS = {  # peer: required ratios for decoding and encoding 160 characters
    "python-gsmmodem-new": (8.0, 10.0),
    "python-gammu": (2.0, 3.0),
}
MIN_RATIO_EVERY_CASE = ("python-gammu", 2.0)

Content = str | bytes
Decoder = Callable[[str], Content]
Encoder = Callable[[Content], str]


def load_pdu() -> tuple[Decoder, Encoder]:
    def decode(digits: str) -> Content:
        message = pdu.decode(digits)
        text = message.text
        return message.data if text is None else text

    def encode(content: Content) -> str:
        return pdu.encode(pdu.Submit(pdu.Address.parse(NUMBER), pdu.UserData.of(content))).hex

    return decode, encode


def load_gammu() -> tuple[Decoder, Encoder]:
    library = importlib.import_module("gammu")
    codings = {False: "Default_No_Compression", True: "Unicode_No_Compression"}
    base = {"SMSC": {"Location": 1}, "Number": NUMBER, "Folder": 1}
    prepared: dict[Content, dict[str, object]] = {}

    def encode(content: Content) -> str:
        message = prepared.get(content)  # creating its dictionary is not measured
        if message is None:
            wide = isinstance(content, str) and gsm7.septets(content) is None
            coding = "8bit" if isinstance(content, bytes) else codings[wide]
            message = prepared[content] = {**base, "Text": content, "Coding": coding}
        return library.EncodePDU(message, "Submit").hex().upper()

    return lambda digits: library.DecodePDU(bytes.fromhex(digits))["Text"], encode


def load_gsmmodem() -> tuple[Decoder, Encoder | None]:
    library = importlib.import_module("gsmmodem.pdu")
    return (
        lambda digits: library.decodeSmsPdu(digits)["text"],
        lambda content: str(library.encodeSmsSubmitPdu(NUMBER, content, requestStatusReport=False)[0]),
    )


def load_messaging() -> tuple[Decoder, Encoder | None]:
    library = importlib.import_module("messaging.sms")
    return (
        lambda digits: library.SmsDeliver(digits).text,
        lambda content: library.SmsSubmit(NUMBER, content).to_pdu()[0].pdu,
    )


def load_smspdudecoder() -> tuple[Decoder, Encoder | None]:
    library = importlib.import_module("smspdudecoder.easy")
    return lambda digits: library.read_incoming_sms(digits)["content"], None


def load_pdusms() -> tuple[Decoder, Encoder | None]:
    library = importlib.import_module("smspdu")

    def encode(content: Content) -> str:
        scheme = {"tp_dcs": 4} if isinstance(content, bytes) else {}
        return "00" + library.SMS_SUBMIT.create("", NUMBER, content, **scheme).toPDU()

    return lambda digits: library.SMS_DELIVER.fromPDU(digits[16:], "").user_data, encode


PEERS = {
    "python-gammu": load_gammu,
    "python-gsmmodem-new": load_gsmmodem,
    "python-messaging": load_messaging,
    "smspdudecoder": load_smspdudecoder,
    "pdusms": load_pdusms,
}


def deliver_hex(content: Content, sender: str = NUMBER) -> str:
    """Return the hexadecimal digits of a DELIVER with this content."""
    deliver = pdu.Deliver(
        pdu.Address.parse(sender),
        pdu.Timestamp(bytes.fromhex("62203040506000")),
        pdu.UserData.of(content),
        service_centre_address=pdu.Address.parse("+14155550100"),
    )
    return pdu.encode(deliver).hex


def is_right_submit(digits: str, content: Content) -> bool:
    """Return True if these digits are a SUBMIT with this content (type of number and flags may differ)."""
    try:
        submit = pdu.decode(digits, direction="mo")
    except pdu.PduError:
        return False
    return content == (submit.data if isinstance(content, bytes) else submit.text)


def time_call(call: Callable[[], object], number: int) -> float:
    """Return the CPU time of a call in seconds, the average of ``number`` calls."""
    loop = range(number)
    begin = time.process_time()
    for _ in loop:
        call()
    return (time.process_time() - begin) / number


def measure(calls: dict[str, Callable[[], object]], rounds: int, slice_s: float) -> dict[str, list[float]]:
    """Return the seconds of each call in each round; the calls take turns."""
    numbers = {}
    for name, call in calls.items():
        time_call(call, 20)
        numbers[name] = max(5, int(slice_s / time_call(call, 50)))
    times: dict[str, list[float]] = {name: [] for name in calls}
    order = list(calls)
    for turn in range(rounds):
        for name in order[turn % len(order) :] + order[: turn % len(order)]:
            times[name].append(time_call(calls[name], numbers[name]))
    return times


def compare(rounds: int, slice_s: float) -> list[str]:
    """Measure everything and print the tables; return the missed requirements."""
    missed = []
    own_decode, own_encode = load_pdu()
    peers = {}
    for name, load in PEERS.items():
        try:
            peers[name] = load()
        except ImportError as error:
            print_line(f"{name}: left out, {error}")
    for case, content in CASES.items():
        digits = deliver_hex(content)
        for operation, index in (("decode", 0), ("encode", 1)):
            own = own_decode if index == 0 else own_encode
            argument = digits if index == 0 else content
            calls: dict[str, Callable[[], object]] = {"pdu": partial(own, argument)}
            notes = {}
            for name, functions in peers.items():
                function = functions[index]
                if function is None:
                    notes[name] = "cannot"
                    continue
                try:
                    result = function(argument)
                except Exception as error:  # noqa: BLE001  # peers raise anything if they do not support the content
                    notes[name] = f"fails: {type(error).__name__}"
                    continue
                good = result == content if index == 0 else is_right_submit(result, content)
                notes[name] = "" if good else "wrong result"
                calls[name] = partial(function, argument)
            times = measure(calls, rounds, slice_s)
            own_times = times["pdu"]
            print_line(f"\n{operation}, {case}: {statistics.median(own_times) * 1e6:.2f} µs")
            for name, note in notes.items():
                if name not in times:
                    print_line(f"  {name:<22} {note}")
                    continue
                ratio = statistics.median(
                    theirs / mine for theirs, mine in zip(times[name], own_times, strict=True)
                )
                mean = statistics.median(times[name]) * 1e6
                print_line(f"  {name:<22}{mean:9.2f} µs {ratio:7.2f} x  {note}".rstrip())
                required = 0.0
                if content is TEXT_160 and name in MIN_RATIOS:
                    required = MIN_RATIOS[name][index]
                elif name == MIN_RATIO_EVERY_CASE[0]:
                    required = MIN_RATIO_EVERY_CASE[1]
                if ratio < required:
                    missed.append(f"{operation}, {case}: {ratio:.2f} x {name}, required {required:g}")
    return missed


def print_stages(rounds: int, slice_s: float) -> None:
    """Print the time of each stage of the 160-character case."""
    digits = deliver_hex(TEXT_160)
    octets = unhexlify(digits)
    senders = [f"+1415555{number:04}" for number in range(1000)]  # more than are cached
    new_senders = cycle([unhexlify(deliver_hex(TEXT_160, sender)) for sender in senders])
    message = pdu.decode(octets)
    septets = gsm7.encode(TEXT_160) or b""
    submit = pdu.Submit(pdu.Address.parse(NUMBER), pdu.UserData.of(TEXT_160))
    encoded = pdu.encode(submit)
    calls: dict[str, Callable[[], object]] = {
        "decode: digits to octets": lambda: unhexlify(digits),
        "decode: one address": lambda: read_address(octets, 9, "deliver.originating_address"),
        "decode: octets to message": lambda: pdu.decode(octets),
        "the same, always a new sender": lambda: pdu.decode(next(new_senders)),
        "decode: septets to bytes": lambda: unpack(message.user_data.octets, 160),
        "decode: bytes to text": lambda: gsm7.decode(septets),
        "encode: number to address": lambda: pdu.Address.parse(NUMBER),
        "encode: text to bytes": lambda: gsm7.encode(TEXT_160),
        "encode: bytes to septets": lambda: pack(septets),
        "encode: message to octets": lambda: pdu.encode(submit),
        "encode: octets to digits": lambda: encoded.hex,
    }
    print_line("\nStages of the 160-character case")
    for name, times in measure(calls, rounds, slice_s).items():
        print_line(f"  {name:<30}{statistics.median(times) * 1e6:7.2f} µs")


def print_line(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Print all tables; return exit status 1 if a requirement is missed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument(
        "--slice-ms", type=float, default=20.0, help="CPU time of one measurement (default 20)"
    )
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # peers use deprecated functions
    print_line(f"Python {sys.version.split()[0]}, {options.rounds} rounds")
    for name in PEERS:
        try:
            print_line(f"{name} {version(name)}")
        except PackageNotFoundError:
            print_line(f"{name} is not installed")
    missed = compare(options.rounds, options.slice_ms / 1000)
    print_stages(options.rounds, options.slice_ms / 1000)
    print_line("")
    for line in missed:
        print_line(f"missed: {line}")
    if not missed:
        print_line("all requirements met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
