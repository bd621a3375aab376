"""Writes a draft of a profile (`hardware/profiles`) for a module, from its answers to read and test forms."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

from agent.at.client import CommandExchange
from agent.at.command import AtCommand
from agent.at.errors import CommandRefused, CommandTimedOut
from agent.at.parameters import parse_ranges, parse_values
from agent.modem.status_queries import REGISTRATION_DOMAINS
from agent.recording.bundle import LONG_NUMBER
from hardware.sysfs import UsbPort

QUESTION_TIMEOUT_S = 10.0
CNMI_PARAMETERS = 5
"""<mode>, <mt>, <bm>, <ds> and <bfr> (27.005 3.4.1)."""
MIN_MODEL_CHARS = 4
"""A shorter name would match words of other modules."""
QUESTIONS = (
    *("ATI", "AT+CGMI", "AT+CGMM", "AT+CGMR", "AT+CMEE?", "AT+CMEE=?", "AT+CFUN?", "AT+CFUN=?", "AT+CPIN?"),
    *(f"AT{name}{suffix}" for name in REGISTRATION_DOMAINS for suffix in ("?", "=?")),
    *("AT+CSMS?", "AT+CSMS=?", "AT+CPMS?", "AT+CPMS=?", "AT+CMGF?", "AT+CMGF=?", "AT+CNMI?", "AT+CNMI=?"),
    *("AT+CSCS?", "AT+CSCS=?", "AT+CNMA=?", "AT+CGSMS?", "AT+CPINR", "AT+QINISTAT"),
)
_ICCID_QUESTIONS = {
    "AT+CCID": "+CCID:",
    "AT+QCCID": "+QCCID:",
    "AT+CICCID": "+ICCID:",
    "AT+ICCID": "+ICCID:",
}
"""Each maker has its own command; the first that is accepted is taken. The answer is not written down."""
Answers = dict[str, list[str]]
"""The lines that answer each question, or the error."""


async def ask_questions(exchange: CommandExchange) -> Answers:
    """Return the answers to all questions. Raises ModemLost."""
    answers: Answers = {}
    for line in (*QUESTIONS, *_ICCID_QUESTIONS):
        try:
            response = await exchange.exchange(AtCommand.from_user_input(line, QUESTION_TIMEOUT_S))
        except CommandRefused as error:
            answers[line] = [error.result.text]
        except CommandTimedOut:
            answers[line] = ["no answer"]
        else:
            lines = [information.text for information in response.information]
            answers[line] = ["accepted"] if line in _ICCID_QUESTIONS else lines
    return answers


def format_profile(answers: Answers, usb_port: UsbPort | None) -> str:
    """Return the draft as TOML. What the module did not tell is left out, so the defaults apply to it."""
    manufacturer, model, revision = (_first_text(answers, line) for line in ("AT+CGMI", "AT+CGMM", "AT+CGMR"))
    lines = [
        f"# {manufacturer or 'Unknown'} {model}: a draft, made of the answers at the end. Compare it",
        "# with the manual, and delete what is the default anyway.",
        "",
        "[device]",
        *_entries(manufacturer=manufacturer, model=model, revision=revision),
        *_device_entries(answers),
        "",
        "[driver]",
        *_entries(models=[model] if len(model) >= MIN_MODEL_CHARS else []),
        *_driver_entries(answers),
    ]
    if usb_port is not None:
        device = usb_port.device
        lines += [
            "",
            "[[driver.usb]]",
            *_entries(vendor=device.vendor, products=[device.product], at_interface=usb_port.interface),
        ]
    lines += ["", "# The answers:"]
    for question, texts in answers.items():
        lines += [f"#   {question}", *(f"#     {_printable(text)}" for text in texts)]
    return "\n".join([*lines, ""])


def _device_entries(answers: Answers) -> Iterator[str]:
    if iccid := _iccid_command(answers):
        yield f"iccid = {{ {json.dumps(iccid.removeprefix('AT'))} = {json.dumps(_ICCID_QUESTIONS[iccid])} }}"
    memories = [sorted(names) for names in _ranges(answers, "AT+CPMS=?")]
    if len(memories) == 3 and all(memories):
        yield from _entries(memories=memories)
    usage = parse_values(_named(answers, "AT+CPMS?", "+CPMS"))
    totals = {usage.get(at).text: usage.get(at + 2).number for at in (0, 3, 6)}
    stores = {name: total for name, total in totals.items() if name and total and name != "SM"}
    if stores:
        yield f"stores = {{ {', '.join(f'{name} = {total}' for name, total in stores.items())} }}"
    charsets = [sorted(names) for names in _ranges(answers, "AT+CSCS=?")][:1]
    if charsets and charsets[0]:
        yield from _entries(charsets=charsets[0])
    if functions := _numbers(_ranges(answers, "AT+CFUN=?")[:1]):
        yield from _entries(functions=functions[0])
    allowed = _numbers(_ranges(answers, "AT+CNMI=?"))
    if len(allowed) == CNMI_PARAMETERS:
        yield from _entries(cnmi_allowed=allowed)


def _driver_entries(answers: Answers) -> Iterator[str]:
    if iccid := _iccid_command(answers):
        yield from _entries(iccid_command=iccid, iccid_prefix=_ICCID_QUESTIONS[iccid])
    domains = [name for name in REGISTRATION_DOMAINS if _named(answers, f"AT{name}?", name)]
    yield from _entries(registration=domains)
    stores = _ranges(answers, "AT+CPMS=?")
    yield from _entries(stores=sorted(stores[0]) if stores else [])
    formats = _ranges(answers, "AT+CMGF=?")
    if formats and "1" not in formats[0]:
        yield "text_mode = false"


def _entries(**values: object) -> list[str]:
    """Return `key = value` for each value that is not empty. JSON of these values is TOML, too."""
    return [
        f"{key} = {json.dumps(_printable(value) if isinstance(value, str) else value)}"
        for key, value in values.items()
        if value not in ("", [], None)
    ]


def _ranges(answers: Answers, question: str) -> list[frozenset[str]]:
    """Return the values that a test form offers for each parameter; empty if it was refused."""
    name = question.removeprefix("AT").removesuffix("=?")
    text = _named(answers, question, name)
    return [frozenset(names - {""}) for names in parse_ranges(text)] if text else []


def _numbers(ranges: Iterable[frozenset[str]]) -> list[list[int]]:
    """Return the numbers of each parameter; empty if one has none."""
    found = [sorted(int(value) for value in values if value.isdigit()) for values in ranges]
    return found if all(found) else []


def _named(answers: Answers, question: str, name: str) -> str:
    return next((text for text in answers[question] if text.startswith(f"{name}:")), "")


def _first_text(answers: Answers, question: str) -> str:
    text = answers[question][0] if answers[question] else ""
    failed = "ERROR" in text or text == "no answer"
    return "" if failed else text.partition(":")[2].strip(' "') if text.startswith("+") else text


def _iccid_command(answers: Answers) -> str:
    return next((line for line in _ICCID_QUESTIONS if answers[line] == ["accepted"]), "")


def _printable(text: str) -> str:
    """Return the text as ASCII, and without serial numbers."""
    ascii_text = "".join(character if " " <= character <= "~" else "?" for character in text)
    return LONG_NUMBER.sub("0", ascii_text)
