// The SIMs: their state, and what can be done to each of them.

import { attempt, post } from "./api.js";
import { announce, byId, copyButton, el } from "./dom.js";

const MAX_CARDS = 40;
const sims = new Map();
const agents = new Map();
const cards = new Map();

export const findSim = (name) => sims.get(name);

export function updateSims(message) {
  if (message.reset) {
    sims.clear();
    agents.clear();
    cards.clear();
    byId("sim-list").replaceChildren();
  }
  for (const agent of message.agents || []) agents.set(agent.name, agent);
  for (const sim of message.sims || []) sims.set(sim.name, sim);
  const changed = new Set((message.sims || []).map((sim) => sim.name));
  for (const agent of message.agents || []) for (const name of sims.keys()) if (agent.sim === name || agent.sim === null) changed.add(name);
  for (const name of changed) renderCard(name);
  if (message.reset) fillChoices();
  return changed;
}

function renderCard(name) {
  const sim = sims.get(name);
  const old = cards.get(name);
  const focused = old?.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const node = cardNode(sim);
  cards.set(name, node);
  if (old?.isConnected) old.replaceWith(node);
  else if (!old) filterCards();
  if (focused) node.querySelector(`[data-key="${focused}"]`)?.focus();
}

/** Show the cards whose names contain the words of the filter, the first ones of them. */
function filterCards() {
  const wanted = byId("sim-filter").value.trim().toLowerCase();
  const names = [...sims.keys()].filter((name) => name.toLowerCase().includes(wanted) && cards.has(name));
  byId("sim-list").replaceChildren(...names.slice(0, MAX_CARDS).map((name) => cards.get(name)));
  const more = byId("sims-more");
  more.hidden = names.length <= MAX_CARDS;
  more.textContent = `${names.length - MAX_CARDS} more; find one by its name.`;
  byId("sim-filter-label").hidden = sims.size <= 8;
}

function cardNode(sim) {
  const agent = [...agents.values()].find((each) => each.sim === sim.name);
  const waiting = sim.waiting === 1 ? "1 message waits" : `${sim.waiting} messages wait`;
  const button = (key, label, path) =>
    el("button", { type: "button", class: "small", "data-key": key,
      onclick: () => attempt(async () => { await post(`/sandbox/sims/${sim.name}/${path}`); announce(`${label}: ${sim.name}`); }) }, label);
  return el("li", { class: "card" },
    el("h3", {}, sim.name, el("span", { class: "caption" }, ` ${sim.service === sim.name ? "" : sim.service}`)),
    el("p", { class: "chips" },
      el("span", { class: `chip ${sim.reachable ? "good" : "bad"}` }, sim.reachable ? "reachable" : "not reachable"),
      el("span", { class: "chip" }, sim.status),
      sim.waiting ? el("span", { class: "chip warning" }, waiting) : null),
    el("dl", {},
      el("dt", {}, "Module"), el("dd", {}, `${sim.module}, ${sim.running ? sim.registration : "switched off"}`),
      el("dt", {}, "Port"), el("dd", {}, sim.port_open ? "in use by a program" : "not open",
        sim.ports.map((port) => el("span", { class: "address" }, el("span", { class: "mono" }, port), copyButton(port, `port ${port}`)))),
      agent ? [el("dt", {}, "Agent"), el("dd", {}, agent.state)] : null),
    el("p", { class: "buttons" },
      sim.reachable ? button("detach", "Out of coverage", "detach") : button("attach", "Into coverage", "attach"),
      button("lose", "Lose next acknowledgement", "lose")));
}

function fillChoices() {
  for (const select of document.querySelectorAll("select.sim-choice")) {
    const before = select.querySelector("[data-sim]") ? select.value : "";
    const options = [...sims.values()].map((sim) =>
      el("option", { value: sim.name }, sim.name));
    for (const option of options) option.dataset.sim = "yes";
    const others = [...select.options].filter((option) => !option.dataset.sim);
    const isFirst = (option) => option.value === "";
    select.replaceChildren(...others.filter(isFirst), ...options, ...others.filter((option) => !isFirst(option)));
    select.value = before;
    if (before === "" || select.selectedIndex < 0) select.selectedIndex = 0;
    select.dispatchEvent(new Event("change"));
  }
}

export function connectSimControls() {
  byId("sim-filter").addEventListener("input", filterCards);
}
