// How programs connect to this sandbox: URLs, credentials, examples.

import { attempt, get, setCredentials } from "./api.js";
import { byId, copyButton, el } from "./dom.js";
import { findSim } from "./sims.js";

export async function showConnection() {
  const box = await attempt(() => get("/sandbox/"));
  if (box === null) return;
  setCredentials(box.account, box.token);
  const urls = [
    ["Super SIM", box.base_urls.supersim],
    ["Programmable Wireless", box.base_urls.wireless],
    ...Object.entries(box.product_urls || {}).map(([name, url]) => [`Own port of ${name}`, url]),
    ["Account", box.account],
    ["Token", box.token],
  ];
  const others = [
    ["API key", box.api_key.sid],
    ["API key secret", box.api_key.secret],
    ["Token URL", box.token_url],
    ["Client id", box.client.id],
    ["Client secret", box.client.secret],
  ];
  byId("connect-body").replaceChildren(
    listOf(urls),
    el("details", {}, el("summary", {}, "API key and bearer tokens"), listOf(others)),
    el("p", { class: "hint" }, "The services accept the account with its token, the API key, or a bearer token; with --open anything."),
    el("h3", {}, "Send a Command"),
    ...box.sims.slice(0, 5).map((sim) => example(sim, box)),
    el("p", { class: "hint" }, "Programs control the simulation below ", el("a", { href: "/sandbox/" }, "/sandbox/"),
      "; the README of hardware describes it."),
  );
}

function listOf(pairs) {
  return el("dl", {}, pairs.map(([name, text]) => [
    el("dt", {}, name),
    el("dd", { class: "address" }, el("span", { class: "mono" }, text), copyButton(text, name)),
  ]));
}

function example(sim, box) {
  const parameter = findSim(sim.unique_name)?.body_parameter || "Command";
  const line = `curl -u ${box.account}:${box.token} ${sim.commands_url} -d Sim=${sim.unique_name} -d ${parameter}=ping`;
  return el("div", { class: "example" }, el("pre", { tabindex: "0", "aria-label": `Example for ${sim.unique_name}` }, line), copyButton(line, "example"));
}
