// What happens beside the paths of Commands: attach and detach, faults, the clock, scenarios.

import { byId, el, formatTime } from "./dom.js";

const MAX_EVENTS = 60;

export function resetEvents() {
  byId("event-list").replaceChildren();
}

export function addEvents(steps) {
  const list = byId("event-list");
  const shown = steps.filter((step) => step.sid === null).slice(-MAX_EVENTS);
  for (const step of shown) {
    list.prepend(el("li", { class: `step ${step.tone}` },
      el("time", { datetime: step.at }, formatTime(step.at, 0)),
      el("span", { class: "stage-name" }, step.sim || "all"),
      el("span", { class: "what" }, step.title, step.text ? el("q", { class: "content" }, step.text) : "",
        step.detail ? el("span", { class: "detail" }, step.detail) : "")));
  }
  while (list.children.length > MAX_EVENTS) list.lastElementChild.remove();
}
