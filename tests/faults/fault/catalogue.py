"""The faults of a catalogue of public issue threads, with titles and message fixtures.

Each `<pdu>` begins with the service centre field (+15550001234). The timestamp is 26/11/21,22:30:00+00 unless
the docstring of the fixture gives another one. SIDs and numbers are invented.
"""

SID = "DC0123456789abcdef0123456789abcdef"
"""The Command SID in the fixtures that have one."""

PLAIN_SID_START = (
    "07915155001032F404038100F000006211122203000029C4212C269BD16AB61B2E17168FC965332C269BD16AB61B2E17"
    "168FC96533885D2683DE6E"
)
"""GSM-7, DC0123456789abcdef0123456789abcdef led on, from 000"""

JSON_SID_END = (
    "07915155001032F404038100F0000062111222030000411B94885D268B741B5E8C25DBF858A2B548270A47C480B140B4"
    "49818843584C36A3D56C375C2E2C1E93CB66584C36A3D56C375C2E2C1E93CB66"
)
"""GSM-7 with extension: {"led":[1,2],"k":"a_b@c$"} DC0123456789abcdef0123456789abcdef"""

MULTILINE_OK = (
    "07915155001032F404038100F00000621112220300001DF3321D146B289ECB8662356C52933A9068DA14B1720D45D94D06"
)
"""set 1\\r\\nOK\\r\\n+CMTI: "SM",9\\r\\nend"""

BIN_CTRL = "07915155001032F404038100F00004621112220300000B1A0D0A1B004F4B0D0AFF7E"
"""DCS 04, bytes 1A 0D 0A 1B 00 4F 4B 0D 0A FF 7E"""

BIN_CLASS0_F4 = "07915155001032F404038100F000F46211122203000004000102FE"
"""DCS F4 (8-bit, class 0), bytes 00 01 02 FE"""

UCS2 = (
    "07915155001032F404038100F0000862111222030000560073006500740020201C006F006E201D002000440043003000"
    "310032003300340035003600370038003900610062006300640065006600300031003200330034003500360037003800"
    "39006100620063006400650066"
)
"""DCS 08, set “on” DC0123456789abcdef0123456789abcdef"""

LATIN_GSM7 = "07915155001032F404038100F000006211122203000008E3B0B900EA8302"
"""GSM-7 café ñ £"""

ALPHA_SENDER = "07915155001032F4040BD04F79D87D2E0300006211122203000012D9775D0E12A7D96C507A0E9297C3E43C"
"""OA alphanumeric Orange"""

INTL_SENDER = "07915155001032F4040B915155674523F100006211122203000006F2B2F8FDA603"
"""OA +15557654321, text reboot"""

FLASH_F0 = "07915155001032F404038100F000F062111222030000056676788E06"
"""DCS F0 (GSM-7, class 0), flash"""

CLASS0_10 = "07915155001032F404038100F0001062111222030000056676788E06"
"""DCS 10 (GSM-7, class 0), flash"""

SILENT_PID40 = "07915155001032F404038100F040006211122203000000"
"""PID 40 (type 0), no data"""

EMPTY = "07915155001032F404038100F000006211122203000000"
"""UDL 0"""

BADTS_ZERO = "07915155001032F404038100F000000000000000000006EC3219F47603"
"""SCTS all zero, led on"""

BADTS_MONTH = "07915155001032F404038100F000006231122203000006EC3219F47603"
"""SCTS month 13, led on"""

NEG_TZ = "07915155001032F404038100F000006211122203008A06EC3219F47603"
"""SCTS zone octet 8A = -28 quarters, led on"""

MAX160 = (
    "07915155001032F404038100F0000062111222030000A0B0986C46ABD96EB81C2C269BD16AB61B2E078BC966B49AED86"
    "CBC162B219AD66BBE172B0986C46ABD96EB81C2C269BD16AB61B2E078BC966B49AED86CBC162B219AD66BBE172B0986C"
    "46ABD96EB81C2C269BD16AB61B2E078BC966B49AED86CBC162B219AD66BBE172B0986C46ABD96EB81C2C269BD16AB61B"
    "2E078BC966B49AED86CBC162B219AD66BBE172"
)
"""160 digits"""

DANGLING_ESC = "07915155001032F404038100F000006211122203000007EC3219F4766F00"
"""led on + lone ESC septet at the end"""

UDL_LIES = "07915155001032F404038100F000006211122203000028EC3219F47603"
"""UDL is 40, 6 septets follow"""

CONCAT8_1 = (
    "07915155001032F444038100F0000062111222030000A00500039B020182C16030180C0683C16030180C0683C1603018"
    "0C0683C16030180C0683C16030180C0683C16030180C0683C16030180C0683C16030180C0683C16030180C0683C16030"
    "180C0683C16030180C0683C16030180C0683C1605028140A8542A15028140A8542A15028140A8542A15028140A8542A1"
    "5028140A8542A15028140A8542A15028140A85"
)
"""8-bit ref 9B, 1 of 2 (153 septets: 100 A, 53 B)"""

CONCAT8_2 = (
    "07915155001032F444038100F0000062111222030000720500039B02028442A15028140A8542A15028140A8542A15028"
    "140A8542A15028140A8542A15028140A8542A15028140E87C3E170381C0E87C3E170381C0E87C3E170381C0E87C3E170"
    "381C0E87C3E170381C0E87C3E170381C0E87C3E170381C0E87C321"
)
"""8-bit ref 9B, 2 of 2 (47 B, 60 C)"""

STATUS_REPORT = "07915155001032F4062A038100F0621112220300006211122203000000"
"""SMS-STATUS-REPORT, reference 2A, to 000, status 00"""

TITLES = {
    "F01": "Storage full",
    "F02": "Hung but running",
    "F03": "URC before, inside or right after a response",
    "F04": "The poison message",
    "F05": "ModemManager takes the port",
    "F06": "Two processes on one port",
    "F07": "Variants of the SMS prompt",
    "F08": "Endless retries",
    "F09": "Binary garbage at open or boot",
    "F10": "A write that never returns",
    "F11": "An exception in the read path silently ends reception",
    "F12": "Unplug: EOF or EIO",
    "F13": "USB re-enumeration under another name",
    "F14": "The module does not respond",
    "F15": "Registration denied or lost; domains disagree",
    "F16": "CNMI value refused",
    "F17": "Concatenated messages",
    "F18": "Reply loops",
    "F19": "State file damaged by power loss",
    "F20": "Outcome of a send unknown",
    "F21": "All errors treated alike",
    "F22": "Wrong PIN tried until PUK",
    "F23": "CNMI accepted, +CMTI never comes",
    "F24": "Messages that arrived while the agent was down",
    "F25": "Store mismatch (ME against SM)",
    "F26": "Character set fell back to UCS2 or HEX",
    "F27": "Messages from other senders",
    "F28": "The network delivers the same message again",
    "F29": "Deleted before it was handled",
    "F30": "Direct +CMT needs +CNMA",
    "F31": "The module restarts and announces it",
    "F32": "A message body with bytes that are not UTF-8",
    "F33": "Replying from inside the handler",
    "F34": "Text that looks like protocol",
    "F35": "Binary commands (8-bit DCS)",
    "F36": "A slow or hung handler",
    "F37": "Handler fails",
    "F38": "Bulk delete removes an unread message",
    "F39": "Reading marks it read",
    "F40": "Several lines of text in one message",
    "F41": "JSON braces: the GSM 7-bit extension table",
    "F42": "Echo on, echo on again after a restart, echo despite ATE0",
    "F43": "Errors in different formats",
    "F44": "SMS service not ready after power-up",
    "F45": "Status reports",
    "F46": "Slow commands, short default time-outs",
    "F47": "Reply too long or not GSM-7",
    "F48": "Stale or empty index",
    "F49": "Impossible timestamps and zones",
    "F50": "Permission denied on the tty",
    "F51": "Arbitrary chunking of the byte stream",
    "F52": "The prompt never comes, or an error comes instead",
    "F53": "The agent starts while the module is at the prompt",
    "F54": "Operator quota and throttling",
    "F55": "PPP or data mode on the same port",
    "F56": "Sleep: the first AT is lost",
    "F57": "Brownout when transmitting",
    "F58": "SIM lost while running",
    "F59": "@ is 0x00, _ is 0x11, $ is 0x02",
    "F60": "Malformed PDUs",
    "F61": "Header variants of CMGR and CMGL",
    "F62": "Stop takes minutes",
    "F63": "Log flood",
    "F64": "Final OK missing, or the data come after OK",
    "F65": "Service centre number missing",
    "F66": "CFUN 0 or 4 at boot",
    "F67": "UCS-2 message",
    "F68": "Data coding groups and classes",
    "F69": "The wrong tty of several",
    "F70": "SD-card wear",
    "F71": "Secrets and content in logs",
    "F72": "A login console or kernel log on the UART",
    "F73": "Own sent and unsent messages in the list",
    "F74": "Downstream outage fills the SIM",
    "F75": "CSQ 99,99",
    "F76": "Empty message",
    "F115": "Entries of a list without a line break between them",
    "F116": "One memory listed as two stores, and stale slots",
    "F117": "+CPMS takes only one or only three stores",
    "F118": "A notification names a store or slot that does not exist",
    "F119": "Numbers with leading zeros, blanks and quotes",
    "F120": "Text behind a payload of announced length",
    "F121": "An unchecked value replaces a remembered one",
    "F122": "A slot whose reading is never answered",
    "F123": "A slot that cannot be deleted",
    "F124": "A permanent error code for every message",
    "F125": "A notification is missing in a burst",
    "F126": "A message to an application port",
    "F127": "The result of a send is lost",
    "F128": "A module that is switched off when the agent starts",
    "F129": "The journal is in memory",
    "F130": "The control socket is deleted",
    "F131": "Identification answers with +GCAP and other prefixes",
    "F132": "status without what the log reported",
    "F133": "One bad handler file",
    "F134": "A port setting that is not a serial port",
    "F135": "Radio switched off, and other lasting AT commands by hand",
    "F136": "A reply that was cut",
}
"""The title of each fault."""


def split_pdu(pdu):
    """Return the TPDU of a `<pdu>`, and the length of its service centre field in octets."""
    field = 1 + int(pdu[:2], 16)
    return bytes.fromhex(pdu)[field:], field


def tpdu_length(pdu):
    """Return the octets of the TPDU, which +CMGR shows as `<length>`."""
    return len(split_pdu(pdu)[0])
