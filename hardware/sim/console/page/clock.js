// The clock of the sandbox: it can be moved, frozen and let go on.

import { attempt, post } from "./api.js";
import { announce, byId, el } from "./dom.js";

const STEPS = [["1 min", "1m"], ["1 h", "1h"], ["1 day", "24h"], ["until idle", "idle"]];
const PATH = "/sandbox/clock";

let offset = 0; // milliseconds by which the sandbox is ahead of this machine
let frozenAt = null;

/** Take the time of a message, and whether it passes. */
export function setClock(clock) {
  const now = new Date(clock.now);
  offset = now - Date.now();
  frozenAt = clock.running ? null : now;
  byId("clock-freeze").textContent = clock.running ? "Freeze" : "Let it run";
  byId("clock").classList.toggle("frozen", !clock.running);
  show();
}

function show() {
  const time = (frozenAt ?? new Date(Date.now() + offset)).toISOString();
  const node = byId("clock-time");
  node.dateTime = time;
  node.textContent = `${time.slice(0, 10)} ${time.slice(11, 19)} UTC`;
}

export function connectClock() {
  byId("clock-controls").append(
    el("button", { type: "button", class: "small", id: "clock-freeze",
      onclick: () => change({ running: frozenAt !== null }, frozenAt === null ? "The clock is frozen" : "The clock runs") }),
    ...STEPS.map(([label, span]) =>
      el("button", { type: "button", class: "small", "aria-label": span === "idle" ? "Let time pass until idle" : `Let ${label} pass`,
        onclick: () => change(span === "idle" ? { until: "idle" } : { advance: span }, "The clock was moved") },
        span === "idle" ? label : `+${label}`)),
  );
  byId("clock-controls").append(el("button", { type: "button", class: "small", id: "begin-anew", onclick: beginAnew }, "Reset"));
  setInterval(() => frozenAt === null && offset !== 0 && show(), 1000);
}

async function change(wanted, words) {
  const answer = await attempt(() => post(PATH, wanted));
  if (answer === null) return;
  setClock(answer);
  announce(words);
}

async function beginAnew() {
  if (!confirm("Forget all Commands, messages, callbacks and faults, and begin anew with the same SIMs and ports?")) return;
  if ((await attempt(() => post("/sandbox/reset"))) !== null) announce("The sandbox has begun anew");
}
