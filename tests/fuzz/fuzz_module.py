"""Fuzz target: the simulated module, with any input, any messages and answers of the network, and any faults.

The first octet chooses the profile. 0xFE and the next octet select one of `STEPS` (modulo); everything else
is sent to the module. At the end the module must answer `AT`, and its records must be bounded.
"""

from datetime import UTC, datetime
from functools import cache

from manual_scheduler import ManualScheduler

from hardware.profile import list_profiles, load_simulator_profile
from hardware.sim.fault_spec import FAULT_DESCRIPTIONS
from hardware.sim.faults import PORT_FAULTS
from hardware.sim.module.module import SimulatedModule
from hardware.sim.module.settings import factory_settings
from hardware.sim.module.sim_card import SimCard
from pdu import Address

PROFILES = ("generic", *(name for name in list_profiles() if name != "generic"))
CENTRE = Address.parse("+447700900000")
TPDUS = tuple(
    bytes.fromhex(text)
    for text in (
        "04038100F000006290124131020002E834",
        "0404819263000062901241310200047076D80D",
        "0607038100F0629012413102006290124131320000",
        "04038100F000F66290124131020004010203FF",
        "44038100F000046290124131020007050003070201FF",
        "04038100F000106290124131020002E834",
        "04038100F000F36290124131020002E834",
        "04038100F0410062901241310200024869",
        "04038100F040006290124131020000",
        "040BD0CB30FBED06000862901241310200060041D83DDE00",
        "05",
        "",
    )
)
FAULTS = tuple(name for name in FAULT_DESCRIPTIONS if name not in PORT_FAULTS)
STEP_MARKER = 0xFE
MAX_INPUT_OCTETS = 1200
"""Longer than a command line and than a text entry."""
MAX_OUTPUT_PER_OCTET = 4096
"""Output octets per input octet; a list of a full store in text mode gives the most."""


class FakeNetwork:
    """A network that answers a submission at once, later or never."""

    def __init__(self):
        self.stat, self.cause, self.answers_at_once, self.token = 1, None, True, 0

    def attach(self, station):
        return self.stat

    def detach(self, station):
        pass

    def submit(self, station, token, tpdu):
        assert len(tpdu) >= 2
        self.token = token
        if self.answers_at_once:
            station.submitted(token, self.cause)

    def acknowledge(self, station, reference, cause):
        pass

    def memory_available(self, station):
        pass


class FuzzedModule:
    """One module with its scheduler and network."""

    def __init__(self, profile):
        self.time, self.network, self.output_octets = ManualScheduler(), FakeNetwork(), 0
        self.module = SimulatedModule(
            scheduler=self.time,
            wall_clock=lambda: datetime(2026, 9, 21, 14, 13, 20, tzinfo=UTC),
            network=self.network,
            profile=profile,
            sim=SimCard(pin="1234", pin_retries=2),
            write=self.on_output,
        )
        self.last_output = b""
        self.reference = 0

    def on_output(self, data):
        self.output_octets += len(data)
        self.last_output = (self.last_output + data)[-100_000:]

    def deliver(self, number):
        self.reference += 1
        self.module.deliver(self.reference, CENTRE, TPDUS[number])

    def answer_submit(self, cause):
        self.module.submitted(self.network.token, cause)


def _network_step(stat, *, at_once):
    def step(bench):
        bench.network.stat, bench.network.answers_at_once = stat, at_once
        bench.module.set_registration(stat, 11)

    return step


STEPS = (
    *(lambda bench, seconds=seconds: bench.time.advance(seconds) for seconds in (0.01, 1, 20, 200)),
    *(lambda bench, number=number: bench.deliver(number) for number in range(len(TPDUS))),
    *(lambda bench, cause=cause: bench.answer_submit(cause) for cause in (None, 38, 500)),
    *(_network_step(stat, at_once=at_once) for stat in (0, 1, 3, 6) for at_once in (True, False)),
    lambda bench: bench.module.power_on(),
    lambda bench: bench.module.power_off(),
    lambda bench: bench.module.reboot(),
    lambda bench: bench.module.reboot(print_boot_lines=False),
    lambda bench: setattr(bench.module.sim, "present", not bench.module.sim.present),
    *(lambda bench, fault=fault: bench.module.faults.add(fault) for fault in FAULTS),
)
STEP_ADVANCE_20_S, STEP_DELIVER, STEP_ANSWER = 2, 4, 4 + len(TPDUS)


def encode_script(*parts):
    """Encode input text, and steps by their index in `STEPS`."""
    return bytes(1) + b"".join(
        part.encode("latin-1") if isinstance(part, str) else bytes((STEP_MARKER, part)) for part in parts
    )


PDU = "001100048192630000A705CF25287603\x1a"
SEEDS = (
    encode_script(
        'AT+CPIN="1234"\r',
        STEP_ADVANCE_20_S,
        "AT+CMGF=1;+CSDH=1\r",
        STEP_DELIVER,
        'AT+CMGL="ALL"\rAT+CMGD=1,4\r',
    ),
    encode_script(
        "AT+CPIN=1234\r", "AT+CNMI=2,1,0,2\r", STEP_DELIVER + 2, 'AT+CPMS="SR"\rAT+CMGR=1\rat+cmgd=1\r'
    ),
    encode_script(
        "AT+CPIN=1234\rAT+CSMS=1;+CNMI=2,2,0,1\r",
        STEP_DELIVER,
        STEP_DELIVER + 1,
        "AT+CNMA\rAT+CNMA=2,2\r00FF\x1a",
    ),
    encode_script("AT+CPIN=1234\rAT+CMGS=15\r", PDU, STEP_ANSWER, "AT+CMGW=15\r", PDU, 'AT+CMSS=1,"2936"\r'),
    encode_script(
        'AT+CPIN=1234\rAT+CMGF=1;+CSCS="UCS2"\rAT+CMGS="0032"\r', "004F004B\x1a", 'AT+CSCS="GSM"\r'
    ),
    encode_script(
        'AT+CPIN=1234\rAT+CSMP=49,167,0,4\rAT+CMGF=1\rAT+CMGS="2936",129\r', "01FF\x1b", "AT+CMGC=2,0\r"
    ),
    encode_script("ATE0V0Q0;S3=13S4?\rA/ATZ\rAT&F&W\rATQ1\rAT+CMEE=2;+CMEE?\rAT+XX\r"),
    encode_script('AT+CPIN="0000"\rAT+CPIN="0000"\rAT+CPIN="12345678","1234"\rAT+CPINR\rAT+CLCK="SC",2\r'),
    encode_script(
        "AT+CREG=2;+CGREG=2;+CEREG=4\rAT+COPS?;+COPS=2;+COPS=0\rAT+CFUN=0\rAT+CFUN=1,1\r", 3, "AT+CSQ\r"
    ),
    encode_script(
        'AT+CCLK="26/09/21,14:13:20+04";+CCLK?\rAT+CTZR=3\rAT+COPS=?\rAT+CLAC\rATI;+CGSN=1;+CCID\r'
    ),
    encode_script(
        'AT+CSCA="+4477",145;+CSCA?;+CSAS=1;+CRES=1;+CSCB=0,"1","2";+CMMS=1;+CMMS?;+CNMI=?;+CPMS=?\r'
    ),
)
SEEDS += tuple(bytes((place,)) + SEEDS[0][1:] for place in range(1, len(PROFILES)))


@cache
def _load_profile(place):
    return load_simulator_profile(PROFILES[place])


def run(data):
    """Run a script, then check that the module still works."""
    bench = FuzzedModule(_load_profile((data[0] if data else 0) % len(PROFILES)))
    module = bench.module
    module.power_on()
    bench.time.advance(60)
    first, *pieces = data[1:].split(bytes((STEP_MARKER,)))
    module.receive(first)
    for piece in pieces:
        if piece:
            STEPS[piece[0] % len(STEPS)](bench)
            module.receive(piece[1:])
    assert bench.output_octets <= MAX_OUTPUT_PER_OCTET * (len(data) + 10)
    _check_memory_bounds(module)
    module.faults.clear()
    for typed in (*[b"\x1b\r"] * 20, b"\x1b"):  # type-ahead may contain several prompts
        module.power_on()
        bench.time.advance(300)
        module.settings.copy_from(factory_settings(module.profile))
        module.receive(typed)
    bench.last_output = b""
    module.receive(b"AT\r")
    assert b"AT\r\r\nOK\r\n" in bench.last_output, bench.last_output  # held URCs may follow


def _check_memory_bounds(module):
    """Check that the records of the module are bounded."""
    for slot in ("command_lines", "submitted_tpdus", "delivery_answers"):
        assert len(getattr(module.log, slot)) <= 10_000
    assert len(module.faults.triggered) <= 10_000
