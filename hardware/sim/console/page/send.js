// The form that sends a Command, or an SMS from any number.

import { attempt, createResource, post } from "./api.js";
import { announce, byId } from "./dom.js";
import { openCommand } from "./commands.js";
import { findSim } from "./sims.js";

const value = (id) => byId(id).value;

export function connectSendForm() {
  for (const id of ["send-sim", "send-from", "send-mode"]) byId(id).addEventListener("change", showFields);
  byId("send-form").addEventListener("submit", (event) => {
    event.preventDefault();
    attempt(value("send-from") === "service" ? sendCommand : sendSms);
  });
  showFields();
}

/** Show the fields that the service of the SIM has. */
function showFields() {
  const sim = findSim(value("send-sim"));
  const isCommand = value("send-from") === "service";
  const hasModes = isCommand && (sim?.has_modes ?? false);
  const allowsBinary = hasModes || !isCommand;
  if (!allowsBinary) byId("send-mode").value = "text";
  const isBinary = value("send-mode") === "binary";
  byId("send-mode").querySelector("[value=binary]").disabled = !allowsBinary;
  byId("send-number-label").hidden = isCommand;
  byId("send-callback-label").hidden = !isCommand;
  byId("send-sid-label").hidden = !hasModes || isBinary;
  byId("send-receipt-label").hidden = !hasModes;
  byId("send-hint").textContent = isCommand && !hasModes
    ? "Only Programmable Wireless has binary Commands, a SID in the text and a choice of receipts."
    : "";
}

async function sendCommand() {
  const sim = findSim(value("send-sim"));
  const isBinary = value("send-mode") === "binary";
  const form = { Sim: sim.name, [sim.body_parameter]: isBinary ? base64(value("send-body")) : value("send-body") };
  if (sim.has_modes) {
    form.CommandMode = value("send-mode");
    if (!isBinary) form.IncludeSid = value("send-sid");
    form.DeliveryReceiptRequested = String(byId("send-receipt").checked);
  }
  if (value("send-callback")) form.CallbackUrl = value("send-callback");
  const created = await createResource(sim.commands_path, form);
  openCommand(created.sid);
}

async function sendSms() {
  const content = value("send-mode") === "binary" ? { hex: value("send-body") } : { text: value("send-body") };
  await post(`/sandbox/sims/${value("send-sim")}/messages`, { from: value("send-number"), ...content });
  announce("SMS sent");
}

function base64(digits) {
  const pairs = digits.replace(/\s/g, "").match(/^(?:[0-9a-fA-F]{2})*$/)?.[0].match(/../g) || null;
  if (pairs === null) throw new Error("A binary message is written in pairs of hexadecimal digits, for example 01FF.");
  return btoa(String.fromCharCode(...pairs.map((pair) => parseInt(pair, 16))));
}
