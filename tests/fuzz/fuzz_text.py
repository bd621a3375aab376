"""Any header and payload of text mode and PDU mode, in each character set, parsed as a message.

The first octet selects the character set and the source (read, list or direct delivery). The rest is a header
and, after the first NUL, its payload.
"""

from agent.at.events import Information, Unsolicited
from agent.modem.message_format import PduFormat
from agent.modem.stored_message import Slot
from agent.modem.text_mode import CHARACTER_SETS, TextFormat
from agent.modem.text_mode_codec import decode_number

SLOT = Slot("ME", 1)
SOURCES = 3
HEADERS = (
    '"REC UNREAD","000",,"26/09/21,14:13:20+00",129,4,0,0,"+447700900000",145,2\0hi',
    '"REC READ","003000300030",,"26/09/21,14:13:20+00",129,4,0,0,"002B0034",145,2\x0000680069',
    '"REC UNREAD","000",,"26/09/21,14:13:20+00",129,68,0,0,"+4",145,9\x0005000307020168656C',
    '"REC READ",6,7,"000",129,"26/09/21,14:13:20+00","26/09/21,14:13:23+00",0\0',
    "0,,17\x00079144770009000004038100F000006290124131020002E834",
    '"000",,"26/09/21,14:13:20+00",129,4,0,4,"+4",145,3\x000102FF',
    '6,7,"000",129,"26/09/21,14:13:20+00","26/09/21,14:13:23+00",0\0',
    '1,"REC UNREAD","000",,"26/09/21,14:13:20+00",129,2\0hi',
)
SEEDS = tuple(
    bytes((selector,)) + header.encode("latin-1")
    for selector in range(SOURCES * len(CHARACTER_SETS))
    for header in HEADERS
)


def run(data):
    """The result is a message, an undecodable message that is kept raw, or nothing; never an exception."""
    selector = (data[0] if data else 0) % (SOURCES * len(CHARACTER_SETS))
    header, _, payload = data[1:].decode("latin-1").partition("\0")
    text = TextFormat()
    text.negotiated["+CSCS"] = CHARACTER_SETS[selector // SOURCES]
    for form in (text, PduFormat()):
        match selector % SOURCES:
            case 0:
                found = form.parse_read_response(Information(f"+CMGR: {header}", payload or None), SLOT)
            case 1:
                found = form.parse_list_entry(Information(f"+CMGL: {header}", payload or None), "ME")
            case _:
                found = form.parse_direct(Unsolicited(f"+CMT: {header}", payload or None))
        if found is not None and not isinstance(found, Slot):
            assert found.sort_key
            assert len(found.raw) <= 2 * len(data) + 400
    decode_number(header, 145, text.negotiated["+CSCS"])
