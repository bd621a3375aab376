"""What the documents of the services leave open, or say in two ways, as rules of which each has choices.

`change` sets a rule by name, also while a sandbox runs; it applies to the next request or message.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LongText(StrEnum):
    """What becomes of a text that does not fit one SMS."""

    REFUSE = "refuse"
    TRUNCATE = "truncate"
    SPLIT = "split"


class Admission(StrEnum):
    ACCEPT = "accept"
    REFUSE = "refuse"


class LongTextFromSim(StrEnum):
    TRUNCATE = "truncate"
    KEEP = "keep"


class BinaryFromSim(StrEnum):
    LIST = "list"
    DROP = "drop"


class LargePage(StrEnum):
    REDUCE = "reduce"
    REFUSE = "refuse"


class MissingSim(StrEnum):
    REFUSE = "refuse"
    FIRST = "first"


MAX_NUMBER = 1_000_000

RULES = {
    "long-text": "a text to a SIM that does not fit one SMS",
    "sid-overrun": "126 to 128 characters beside a SID, which the document allows and no SMS carries; "
    "truncate cuts what is at the end, the SID too",
    "ucs2": "a text to a SIM with characters outside GSM 03.38, of which 70 fit",
    "long-text-from-sim": "a text from a SIM of more than 160 characters",
    "binary-from-super-sim": "binary from a Super SIM, which is not supported; list shows it as base64",
    "large-page": "a PageSize beyond the limit of the document (100 for Programmable Wireless)",
    "missing-sim": "a Command without Sim, as in a sample of the document; first takes the first SIM",
    "requests-per-s": "the number of requests that are answered per second; 0: any number; others get 429",
    "max-commands": "the number of Commands that each service keeps; if there are more, the oldest go, and "
    "those that still wait for their SIM fail",
}
"""What each rule decides, by its name."""


@dataclass(slots=True, kw_only=True)
class ServiceRules:
    """The rules of one sandbox; all its services share them. The attributes are the names with `_`."""

    long_text: LongText = LongText.REFUSE
    sid_overrun: LongText = LongText.REFUSE
    ucs2: Admission = Admission.ACCEPT
    long_text_from_sim: LongTextFromSim = LongTextFromSim.TRUNCATE
    binary_from_super_sim: BinaryFromSim = BinaryFromSim.LIST
    large_page: LargePage = LargePage.REDUCE
    missing_sim: MissingSim = MissingSim.REFUSE
    requests_per_s: int = 0
    max_commands: int = 100_000
    """At least one is kept. 100,000 need about 300 MB while all wait for their SIMs."""

    def change(self, name: str, value: str) -> None:
        """Set a rule by its name as in `to_json`; raises ValueError with one sentence."""
        if name not in RULES:
            raise ValueError(f"there is no rule {name}; the rules are {', '.join(RULES)}")
        attribute, choices = name.replace("-", "_"), self.choices(name)
        if choices:
            if value not in choices:
                raise ValueError(f'the rule {name} is one of {", ".join(choices)}, not "{value}"')
            setattr(self, attribute, type(getattr(self, attribute))(value))
            return
        is_number = value.isascii() and value.isdecimal() and len(value) <= len(str(MAX_NUMBER))
        if not is_number or int(value) > MAX_NUMBER:
            raise ValueError(f'the rule {name} is a number from 0 to {MAX_NUMBER}, not "{value}"')
        setattr(self, attribute, int(value))

    def choices(self, name: str) -> tuple[str, ...]:
        """Return the possible values of a rule, none for a number."""
        value = self.to_json()[name]
        return tuple(type(value)) if isinstance(value, StrEnum) else ()

    def to_json(self) -> dict[str, str | int]:
        """Return the value of each rule by its name."""
        return {name: getattr(self, name.replace("-", "_")) for name in RULES}
