// The dialog with the fields of a PDU. The sandbox decodes it.

import { attempt, get } from "./api.js";
import { byId, el } from "./dom.js";

const groups = (digits) => digits.replace(/(..)(?=.)/g, "$1 ");

export async function showPdu(digits, direction) {
  const decoded = await attempt(() => get(`/console/pdu?hex=${digits}&direction=${direction}`));
  if (decoded === null) return;
  byId("pdu-title").textContent = decoded.kind || "PDU";
  const body = byId("pdu-body");
  body.replaceChildren(
    octetLine(decoded),
    decoded.error ? el("p", { class: "notice" }, `Not valid: ${decoded.error}`) : "",
    fieldTable(decoded),
    el("p", { class: "hint" }, decoded.length ? `<length> ${decoded.length}: octets without the service centre address` : ""),
  );
  byId("pdu-dialog").showModal();
}

/** The octets, in pieces that belong to fields. */
function octetLine(decoded) {
  const line = el("p", { class: "octets" });
  decoded.fields.forEach((field, index) => {
    if (field.bits) return;
    line.append(el("span", { class: `octet-group tint${index % 6}`, "data-field": index }, groups(field.octets)), " ");
  });
  return line;
}

function fieldTable(decoded) {
  const rows = decoded.fields.map((field, index) =>
    el(
      "tr",
      { onmouseenter: () => mark(index), onmouseleave: () => mark(null) },
      el("td", { class: "number" }, field.bits ? "" : String(field.at)),
      el("td", { class: "mono" }, field.bits || groups(field.octets)),
      el(
        "th",
        { scope: "row" },
        el("span", { class: "field-name" }, field.name.replaceAll("_", " ").replaceAll(".", " › ")),
        field.abbreviation ? el("span", { class: "caption" }, ` ${field.abbreviation}`) : "",
      ),
      el("td", {}, field.meaning),
    ),
  );
  const heads = ["At", "Octets or bits", "Field", "Meaning"].map((text) => el("th", { scope: "col" }, text));
  return el("div", { class: "scroll" }, el("table", {}, el("thead", {}, el("tr", {}, heads)), el("tbody", {}, rows)));
}

function mark(index) {
  for (const group of byId("pdu-body").querySelectorAll(".octet-group"))
    group.classList.toggle("marked", index !== null && group.dataset.field === String(index));
}
