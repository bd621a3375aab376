"""`modem-agent signal`: how well the module receives its cell, for placing an antenna."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from agent.cli.common import exit_with_errors, load_config_or_exit, print_json
from agent.cli.options import config_option, json_option
from agent.cli.signal_bars import CSQ_RANGE_DBM, count_bars, draw_bars, draw_chart, name_level
from agent.cli.signal_source import SignalSource, SignalUnavailable, open_signal_source
from agent.cli.styled_text import Display, Row, Style, format_rows, print_lines, standard_display
from agent.cli.terminal import Terminal, full_screen

INTERVAL_S = 2.0
"""Between two readings; modules average the signal over about as long."""
MAX_READINGS = 300
"""10 minutes."""
QUANTITIES = {
    "rsrp_dbm": ("RSRP", "dBm", "reference signals (LTE)"),
    "rsrq_db": ("RSRQ", "dB", "quality of the reference signals"),
    "sinr_db": ("SINR", "dB", "signal to noise and interference"),
    "rscp_dbm": ("RSCP", "dBm", "pilot (UMTS)"),
    "ecno_db": ("Ec/No", "dB", "quality of the pilot"),
    "dbm": ("RSSI", "dBm", "all that is received on the channel"),
}
"""Name, unit and meaning of each value, the best one to place an antenna by first."""
_STYLES = (Style.PLAIN, Style.WRONG, Style.WARNING, Style.PLAIN, Style.GOOD, Style.GOOD)
"""By the number of bars."""

Reading = Mapping[str, Any]


@click.command()
@click.option("--watch", is_flag=True, help="Read it every 2 s until q or Ctrl-C, to place an antenna.")
@json_option
@config_option
def signal(config_path: Path, *, watch: bool, as_json: bool) -> None:
    """Show how well the module receives its cell now.

    \b
    modem-agent signal --watch            turn the antenna and see the best value so far

    The running agent is asked; without one the module is asked directly. RSSI is known from +CSQ, RSRP, RSRQ,
    RSCP and Ec/No from +CESQ, SINR from the maker's own command where the profile names it. Written to a file
    or a pipe, --watch prints a line for each reading.

    \b
    Exit status:
    1  the module cannot be asked
    """
    config = load_config_or_exit(config_path)
    try:
        with open_signal_source(config_path, config) as source:
            if not watch:
                _show_once(source, as_json=as_json)
            elif as_json or standard_display().columns is None:
                _print_readings(source, as_json=as_json)
            else:
                with full_screen() as terminal:
                    _watch(source, terminal)
    except SignalUnavailable as error:
        exit_with_errors(str(error))
    except KeyboardInterrupt:  # also UserQuit
        return


def _show_once(source: SignalSource, *, as_json: bool) -> None:
    reading = source.read()
    if as_json:
        print_json(reading)
        return
    display = standard_display()
    print_lines(format_rows(make_rows(reading, display, source.note), display))


def _print_readings(source: SignalSource, *, as_json: bool) -> None:
    """Print a line for each reading until the program is interrupted."""
    while True:
        reading = source.read()
        if as_json:
            print_json(reading)
        else:
            values = ", ".join(
                f"{name} {reading[key]:g} {unit}"
                for key, (name, unit, _) in QUANTITIES.items()
                if reading[key] is not None
            )
            print_lines([f"{time.strftime('%H:%M:%S')} {values or 'no signal'}, {reading['registration']}"])
        time.sleep(INTERVAL_S)


def _watch(source: SignalSource, terminal: Terminal) -> None:
    """Draw each reading until the user quits. Raises UserQuit."""
    readings: deque[Reading] = deque(maxlen=MAX_READINGS)
    while True:
        display = terminal.display
        try:
            readings.append(source.read())
            rows = list(make_rows(readings[-1], display, source.note))
            rows += make_history_rows(readings, display)
        except SignalUnavailable as error:
            rows = [Row("", str(error), Style.WRONG)]
        rows.append(Row("", f"{time.strftime('%H:%M:%S')}, q quits", Style.FAINT))
        terminal.draw(list(format_rows(rows, display)))
        terminal.wait(INTERVAL_S)


def make_rows(reading: Reading, display: Display, note: str = "") -> Iterator[Row]:
    """Yield a row for each known value."""
    if note:
        yield Row("", note, Style.FAINT)
    network = ", ".join(filter(None, (reading["operator"], reading["access_technology"])))
    is_registered = reading["registration"].startswith("registered")
    yield Row("network", network or "unknown")
    yield Row("registration", reading["registration"], Style.PLAIN if is_registered else Style.WRONG)
    for key, (name, unit, meaning) in QUANTITIES.items():
        if (value := reading[key]) is not None:
            count = count_bars(value, key)
            bars = draw_bars(count, unicode=display.has_unicode)
            text = f"{bars} {value:6.4g} {unit:<3}  {name_level(value, key):<9}  {meaning}"
            yield Row(name, text, _STYLES[count])
    if _primary_of(reading) is None:
        yield Row("signal", "the module receives no cell, or does not report it", Style.WRONG)


def make_history_rows(readings: deque[Reading], display: Display) -> Iterator[Row]:
    """Yield the course and the best of the value that matters most."""
    key = _primary_of(readings[-1])
    if key is None:
        return
    name, unit, _ = QUANTITIES[key]
    values = [reading[key] for reading in readings]
    known = [value for value in values if value is not None]
    if display.has_unicode:
        columns = max(10, (display.columns or 80) - 20)
        value_range = CSQ_RANGE_DBM if key == "dbm" else (-125.0, -65.0)
        yield Row(f"{name} so far", draw_chart(values[-columns:], columns, value_range))
    best = max(known)
    age_s = INTERVAL_S * (len(values) - 1 - max(at for at, value in enumerate(values) if value == best))
    yield Row("best", f"{best:g} {unit}, {age_s:.0f} s ago; now {known[-1] - best:+g} dB", Style.BOLD)


def _primary_of(reading: Reading) -> str | None:
    """Return the power that places an antenna: of LTE, else of UMTS, else of the carrier."""
    return next((key for key in ("rsrp_dbm", "rscp_dbm", "dbm") if reading[key] is not None), None)
