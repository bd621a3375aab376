// The callbacks: request, and the answer or failure of each try.

import { byId, el, formatTime } from "./dom.js";

const MAX_CALLBACKS = 100;
const nodes = new Map(); // number: { node, open }

export function resetCallbacks() {
  nodes.clear();
  byId("callback-list").replaceChildren();
}

export function updateCallbacks(rows) {
  const list = byId("callback-list");
  for (const row of rows) {
    const known = nodes.get(row.callback) || { node: null, open: false };
    nodes.set(row.callback, known);
    const focused = known.node?.contains(document.activeElement);
    const node = callbackNode(row, known);
    if (known.node?.isConnected) known.node.replaceWith(node);
    else list.prepend(node);
    known.node = node;
    if (focused) node.querySelector("summary").focus();
  }
  while (list.children.length > MAX_CALLBACKS) {
    nodes.delete(Number(list.lastElementChild.dataset.number));
    list.lastElementChild.remove();
  }
  byId("callbacks-empty").hidden = list.children.length > 0;
}

function callbackNode(row, known) {
  const state = row.state.replace(" ", "-");
  const details = el(
    "details",
    { open: known.open },
    el("summary", {},
      el("span", { class: `state state-${state}` }, row.state),
      el("span", { class: "body mono" }, `${row.method} ${row.url}`),
      el("time", { datetime: row.at }, formatTime(row.at, 0))),
    el("div", { class: "path" },
      el("h3", {}, `Request, ${row.method === "GET" ? "in the query" : "as a form"}`),
      el("table", {}, el("tbody", {}, Object.entries(row.parameters).map(([name, value]) =>
        el("tr", {}, el("th", { scope: "row" }, name), el("td", { class: "mono" }, value))))),
      row.note ? el("p", { class: "hint" }, row.note) : "",
      row.tries.map((each, index) => tryNode(each, index + 1)),
      row.state === "waiting" ? el("p", { class: "hint" }, row.tries.length ? "Another try follows." : "The answer is awaited.") : ""),
  );
  details.addEventListener("toggle", () => (known.open = details.open));
  return el("li", { class: "item", "data-number": row.callback }, details);
}

function tryNode(each, number) {
  const isGood = each.status >= 200 && each.status < 300;
  return el("div", { class: `try ${isGood ? "good" : "bad"}` },
    el("h3", {}, `Try ${number}: ${each.error || `answered ${each.status}`}`,
      el("span", { class: "caption" }, ` ${formatTime(each.at)}, ${each.seconds} s`)),
    each.body ? el("pre", {}, each.body) : "");
}
