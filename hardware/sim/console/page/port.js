// The serial ports: lines of octets with CR and LF visible, and PDUs that can be decoded.

import { byId, el, formatTime } from "./dom.js";
import { showPdu } from "./pdu.js";

const MAX_LINES = 600;
const PDU = /^(?:[0-9A-Fa-f]{2}){9,200}$/;
const CONTROLS = { "\\r": "CR", "\\n": "LF", "\\x1a": "Ctrl-Z", "\\x1b": "ESC" };
const UNHEARD = "|"; // from the module, while no client had the port open
const END = /\\(?:r|n|x1a|x1b)$/;

const lines = new Map(); // name of a SIM: its lines, oldest first
let shown = "";
let paused = false;

/** Split octets, written with escapes, behind each end of a line; a CR LF in front of a text belongs to its line. */
export function splitLines(octets) {
  return octets.match(/(?:\\r\\n)*(?:(?!\\r|\\n|\\x1a|\\x1b).)*(?:\\r\\n|\\r|\\n|\\x1a|\\x1b|$)/g).filter((line) => line !== "");
}

/** Return the digits of a line that is a PDU, else an empty text. */
export function pduDigits(line) {
  const digits = line.replace(/\\(?:r|n|x1a)/g, "");
  return PDU.test(digits) ? digits : "";
}

export function resetPorts() {
  lines.clear();
  byId("port-log").replaceChildren();
}

export function addOctets(records) {
  for (const record of records) {
    if (!lines.has(record.sim)) lines.set(record.sim, []);
    const ofSim = lines.get(record.sim);
    for (const text of splitLines(record.octets)) addText(ofSim, record, text);
    if (record.omitted) ofSim.at(-1).note = ` and ${record.omitted} more octets`;
    if (record.direction === UNHEARD && ofSim.length) ofSim.at(-1).note = " not read: the port is closed";
  }
  if (!paused) render();
}

function addText(ofSim, record, text) {
  const last = ofSim.at(-1);
  const isOpen = last && last.direction === record.direction && !END.test(last.text);
  if (isOpen) {
    last.text += text;
    last.node = null;
    return;
  }
  ofSim.push({ ...record, text, node: null });
  if (ofSim.length > MAX_LINES) ofSim.splice(0, ofSim.length - MAX_LINES);
}

export function showPort(sim) {
  shown = sim;
  byId("port-log").replaceChildren();
  render();
}

export function connectPortControls() {
  const pause = byId("port-pause");
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    if (!paused) render();
  });
  byId("port-clear").addEventListener("click", () => {
    lines.set(shown, []);
    render();
  });
}

function render() {
  const log = byId("port-log");
  const follows = log.scrollTop + log.clientHeight >= log.scrollHeight - 40;
  const ofSim = lines.get(shown) || [];
  for (const line of ofSim) line.node ??= lineNode(line);
  const wanted = ofSim.map((line) => line.node);
  const kept = new Set(wanted);
  for (const node of [...log.children]) if (!kept.has(node)) node.remove();
  wanted.forEach((node, index) => {
    if (log.children[index] !== node) log.insertBefore(node, log.children[index] || null);
  });
  if (follows) log.scrollTop = log.scrollHeight;
}

function lineNode(line) {
  const toModule = line.direction === ">";
  const digits = pduDigits(line.text);
  const [before, after] = digits ? line.text.split(digits) : [line.text, ""];
  return el(
    "div",
    { class: `line ${toModule ? "out" : "in"}${line.direction === UNHEARD ? " lost" : ""}` },
    el("time", {}, formatTime(line.at)),
    el("span", { class: "arrow", "aria-hidden": "true" }, toModule ? "→" : "←"),
    el(
      "span",
      { class: "text" },
      el("span", { class: "unseen" }, toModule ? "to the module: " : "from the module: "),
      visible(before),
      digits
        ? el("button", { type: "button", class: "pdu", title: "Decode this PDU", onclick: () => showPdu(digits, toModule ? "mo" : "mt") }, digits)
        : "",
      visible(after),
      line.note ? el("span", { class: "note" }, line.note) : "",
    ),
  );
}

/** Return the nodes for octets: CR, LF and other control characters by their names. */
function visible(text) {
  return text.split(/(\\(?:x[0-9a-f]{2}|.))/).map((piece) => {
    if (piece === "\\\\") return "\\";
    if (piece === "\\x20") return " ";
    return piece.startsWith("\\") ? el("span", { class: "control" }, CONTROLS[piece] || piece.slice(1)) : piece;
  });
}
