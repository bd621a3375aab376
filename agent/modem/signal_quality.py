"""Queries how well the module receives its cell: what an operator needs to place an antenna."""

from __future__ import annotations

from agent.at.client import CommandExchange
from agent.at.command import AtCommand, ResponsePattern
from agent.at.errors import CommandRefused
from agent.at.parameters import ParameterValues, parse_values
from agent.modem.status_queries import QUERY_TIMEOUT_S, query_signal
from hardware.profile import DriverProfile
from pdu.record import Record

_CESQ = "AT+CESQ"


class SignalQuality(Record):
    """The values of the present cell; None for one that the module does not report."""

    dbm: int | None = None
    """Received power of the carrier (RSSI, +CSQ)."""
    rsrp_dbm: float | None = None
    """LTE: power of the reference signals, the best value to place an antenna by."""
    rsrq_db: float | None = None
    """LTE: quality of the reference signals."""
    sinr_db: float | None = None
    """LTE: reference signals to interference and noise; only commands of the makers report it."""
    rscp_dbm: float | None = None
    """UMTS: received power of the pilot."""
    ecno_db: float | None = None
    """UMTS: quality of the pilot."""


class SignalMeter:
    """Queries one module repeatedly. A command that it refused once is not asked again."""

    def __init__(self, client: CommandExchange, driver: DriverProfile) -> None:
        self._client = client
        self._commands = [_CESQ, *filter(None, [driver.signal_command])]

    async def query(self) -> SignalQuality:
        """Query +CSQ, +CESQ and the command of the profile. Raises CommandTimedOut, ModemLost."""
        found = SignalQuality((await query_signal(self._client)).dbm)
        for line in tuple(self._commands):
            name = line.removeprefix("AT").rstrip("?")
            command = AtCommand(line, QUERY_TIMEOUT_S, (ResponsePattern(name),), requires_information=True)
            try:
                values = parse_values((await self._client.exchange(command)).text)
            except CommandRefused:
                self._commands.remove(line)
            else:
                found = _PARSERS[line](found, values)
        return found


def _apply_cesq(found: SignalQuality, values: ParameterValues) -> SignalQuality:
    """+CESQ: <rxlev>,<ber>,<rscp>,<ecno>,<rsrq>,<rsrp> (27.007 8.69); 99 and 255 mean unknown."""
    rxlev, _, rscp, ecno, rsrq, rsrp = (values.get(position).number for position in range(6))
    return found.replace(
        dbm=-111 + rxlev if found.dbm is None and rxlev is not None and rxlev <= 63 else found.dbm,
        rscp_dbm=None if rscp is None or rscp > 96 else -121 + rscp,
        ecno_db=None if ecno is None or ecno > 49 else -24.5 + ecno / 2,
        rsrq_db=None if rsrq is None or rsrq > 34 else -20 + rsrq / 2,
        rsrp_dbm=None if rsrp is None or rsrp > 97 else -141 + rsrp,
    )


def _apply_qcsq(found: SignalQuality, values: ParameterValues) -> SignalQuality:
    """+QCSQ: "LTE",<rssi>,<rsrp>,<sinr>,<rsrq> of Quectel; <sinr> 0 to 250 means -20 to 30 dB."""
    if values.get(0).text.upper() not in {"LTE", "EMTC", "CAT-M1", "NBIOT", "CAT-NB1"}:
        return found
    rssi, rsrp, sinr, rsrq = (_signed(values, position) for position in range(1, 5))
    return found.replace(
        dbm=found.dbm if rssi is None else int(rssi),
        rsrp_dbm=found.rsrp_dbm if rsrp is None else rsrp,
        rsrq_db=found.rsrq_db if rsrq is None else rsrq,
        sinr_db=-20 + sinr / 5 if sinr is not None and 0 <= sinr <= 250 else None,
    )


def _apply_cpsi(found: SignalQuality, values: ParameterValues) -> SignalQuality:
    """+CPSI of SIMCom ends on LTE with <rsrq>,<rsrp>,<rssi>,<snr>.

    The first three are in tenths on a SIM7600, in whole units on a SIM7000: no RSRP is below -200 dBm.
    """
    if not values.get(0).text.upper().startswith("LTE") or len(values) < 14:
        return found
    rsrq, rsrp, rssi, snr = (_signed(values, position) for position in range(-4, 0))
    if rsrp is None or rsrp >= 0:
        return found
    scale = 10 if rsrp < -200 else 1
    return found.replace(
        dbm=int(rssi / scale) if found.dbm is None and rssi is not None and rssi < 0 else found.dbm,
        rsrp_dbm=rsrp / scale,
        rsrq_db=found.rsrq_db if rsrq is None else rsrq / scale,
        sinr_db=snr,
    )


def _signed(values: ParameterValues, position: int) -> float | None:
    try:
        return float(values.get(position).text)
    except ValueError:
        return None


_PARSERS = {_CESQ: _apply_cesq, "AT+QCSQ": _apply_qcsq, "AT+CPSI?": _apply_cpsi}
