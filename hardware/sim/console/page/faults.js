// The form for faults of a module, or of the REST API of the services.

import { attempt, get, post, remove } from "./api.js";
import { announce, byId, el } from "./dom.js";
import { findSim } from "./sims.js";

const SERVICES = "/services/"; // no SIM has a name with a slash
let meanings = { module: {}, services: {} };
let ofServices = [];

const target = () => byId("fault-target").value;
const path = () => (target() === SERVICES ? "/sandbox/services/faults" : `/sandbox/sims/${target()}/faults`);

export async function connectFaultForm() {
  byId("fault-target").addEventListener("change", showChoices);
  byId("fault-name").addEventListener("change", showMeaning);
  byId("fault-form").addEventListener("submit", (event) => {
    event.preventDefault();
    const keys = byId("fault-keys").value.trim();
    const name = byId("fault-name").value;
    const fault = keys ? `${name}:${keys}` : name;
    change(() => post(path(), { fault }), `Fault added: ${fault}`);
  });
  byId("fault-cancel").addEventListener("click", () => change(() => remove(path()), "Faults cancelled"));
  await attempt(async () => {
    const [module, services] = await Promise.all([get("/sandbox/faults"), get("/sandbox/services/faults")]);
    meanings = { module: module.faults, services: services.meanings };
    ofServices = services.faults;
  });
  showChoices();
}

function showChoices() {
  const known = target() === SERVICES ? meanings.services : meanings.module;
  byId("fault-name").replaceChildren(...Object.keys(known).map((name) => el("option", { value: name }, name)));
  showMeaning();
  showFaults();
}

function showMeaning() {
  const name = byId("fault-name").value;
  const isService = target() === SERVICES;
  const meaning = (isService ? meanings.services : meanings.module)[name] || "";
  const isSentence = /^(?:an?|the|only) /.test(meaning); // a fault of messages; the others say what the module does
  const subject = isSentence ? meaning[0].toUpperCase() + meaning.slice(1) : `The ${isService ? "service" : "module"} ${meaning}`;
  byId("fault-meaning").textContent = meaning && `${subject}.`;
}

/** Show the faults that wait or last. */
export function showFaults() {
  const faults = target() === SERVICES ? ofServices : findSim(target())?.faults || [];
  byId("fault-list").replaceChildren(
    ...faults.map((fault) => el("li", { class: "mono" }, fault.fault, fault.waits ? " (waits)" : "")),
  );
}

async function change(action, words) {
  const answer = await attempt(action);
  if (answer === null) return;
  if (target() === SERVICES) ofServices = answer.faults;
  else findSim(target()).faults = answer.faults;
  showFaults();
  announce(words);
}
