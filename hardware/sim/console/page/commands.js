// The Commands with their states, and the path of each one.

import { byId, copyButton, contentText, el, formatTime, announce } from "./dom.js";
import { attempt, post } from "./api.js";

const MAX_COMMANDS = 200;
const MAX_STEPS = 100;
const STAGES = [
  ["rest", "REST"],
  ["network", "Network"],
  ["module", "Module"],
  ["agent", "Agent"],
  ["handler", "Handler"],
  ["reply", "Reply"],
  ["webhook", "Webhook"],
];
const STAGE_NAMES = Object.fromEntries(STAGES);

const commands = new Map(); // SID: { row, steps, answers, node, open }
let filter = "";
let announcedFrom = "";
const dirty = new Set();

function entry(sid) {
  if (!commands.has(sid)) commands.set(sid, { row: null, steps: [], answers: null, node: null, open: false });
  return commands.get(sid);
}

/** Forget all Commands. Changes before `at`, in the time of the sandbox, are not announced. */
export function resetCommands(at) {
  announcedFrom = at;
  commands.clear();
  byId("command-list").replaceChildren();
}

export function updateCommands(message) {
  for (const [reply, sid] of message.answers || []) {
    entry(reply).answers = sid;
    dirty.add(reply);
    dirty.add(sid);
  }
  for (const row of message.commands || []) {
    const before = commands.get(row.sid)?.row;
    entry(row.sid).row = row;
    dirty.add(row.sid);
    if (row.updated >= announcedFrom && before?.status !== row.status) announceState(row);
  }
  for (const step of message.steps || []) {
    if (step.sid === null) continue;
    const steps = entry(step.sid).steps;
    steps.push(step);
    if (steps.length > MAX_STEPS) steps.shift();
    dirty.add(step.sid);
  }
  render();
}

function announceState(row) {
  const what = row.direction === "from_sim" ? `Message from ${row.sim}: ${row.body}` : `Command ${row.body} to ${row.sim}`;
  announce(row.direction === "from_sim" ? what : `${what}: ${row.status}`);
}

export function showCommandsOf(sim) {
  filter = sim;
  for (const command of commands.values()) if (command.node) command.node.hidden = isFiltered(command);
  byId("commands-empty").hidden = [...commands.values()].some((command) => command.node && !command.node.hidden);
}

/** Open the path of a Command when it arrives, and close the others. */
export function openCommand(sid) {
  for (const [other, command] of commands) {
    if (command.open && other !== sid) {
      command.open = false;
      dirty.add(other);
    }
  }
  entry(sid).open = true;
  dirty.add(sid);
  render();
}

const isFiltered = (command) => filter !== "" && command.row?.sim !== filter;

function render() {
  const list = byId("command-list");
  for (const sid of dirty) {
    const command = commands.get(sid);
    if (!command?.row) continue;
    const focused = command.node?.contains(document.activeElement) ? document.activeElement.dataset.key : null;
    const node = commandNode(sid, command);
    node.hidden = isFiltered(command);
    if (command.node?.isConnected) command.node.replaceWith(node);
    else insertByTime(list, node);
    command.node = node;
    if (focused) node.querySelector(`[data-key="${focused}"]`)?.focus();
  }
  dirty.clear();
  while (list.children.length > MAX_COMMANDS) {
    commands.delete(list.lastElementChild.dataset.sid);
    list.lastElementChild.remove();
  }
  for (const sid of commands.keys()) {
    if (commands.size <= 2 * MAX_COMMANDS) break;
    if (!commands.get(sid).node) commands.delete(sid); // steps of a Command that the service has forgotten
  }
  byId("commands-empty").hidden = [...list.children].some((node) => !node.hidden);
}

function insertByTime(list, node) {
  const before = [...list.children].find((other) => other.dataset.created <= node.dataset.created);
  list.insertBefore(node, before || null);
}

function commandNode(sid, command) {
  const { row, open } = command;
  const fromSim = row.direction === "from_sim";
  const head = el(
    "button",
    {
      type: "button", class: "command", "data-key": "head", "aria-expanded": String(open),
      onclick: () => { command.open = !command.open; dirty.add(sid); render(); },
    },
    el("span", { class: `state state-${row.status}` }, row.status),
    el("span", { class: "body" }, el("span", { class: "unseen" }, fromSim ? "from the SIM: " : "to the SIM: "),
      bodyText(row)),
    el("span", { class: "meta" }, `${fromSim ? "from" : "to"} ${row.sim}`),
    el("time", { datetime: row.created }, formatTime(row.created, 0)),
  );
  return el("li", { class: `item${fromSim ? " from-sim" : ""}`, "data-sid": sid, "data-created": row.created },
    head, open ? pathNode(sid, command) : null);
}

/** The text of a Command, or its octets; a service has binary contents in base64. */
function bodyText(row) {
  if (row.mode !== "binary") return row.body || el("i", {}, "empty");
  try {
    const octets = [...atob(row.body.replace(/=+$/, ""))];
    return el("span", { class: "mono" }, octets.map((octet) => octet.charCodeAt(0).toString(16).padStart(2, "0")).join(" "));
  } catch {
    return row.body;
  }
}

/** The steps of a conversation: of the Command and of the messages that answer it, in order. */
function conversation(sid) {
  const first = commands.get(sid)?.answers || sid;
  const parts = [first, ...[...commands].filter(([, other]) => other.answers === first).map(([reply]) => reply)];
  const steps = parts.flatMap((part) => commands.get(part)?.steps || []);
  return steps.sort((one, other) => one.number - other.number);
}

function pathNode(sid, command) {
  const steps = conversation(sid);
  const begin = steps.length ? new Date(steps[0].at) : null;
  const reached = new Map();
  for (const step of steps) {
    const tones = reached.get(step.stage) || [];
    reached.set(step.stage, [...tones, step.tone]);
  }
  return el(
    "div",
    { class: "path" },
    el("ol", { class: "stages", "aria-label": "Stages that the Command has reached" },
      STAGES.map(([stage, name]) => stageNode(name, reached.get(stage)))),
    el("ol", { class: "steps", "aria-label": "Steps" }, steps.map((step) => stepNode(step, begin))),
    el("p", { class: "hint identity" }, el("span", { class: "mono" }, sid), " ",
      withKey(copyButton(sid, "SID"), "copy"), command.row.error ? ` ${command.row.error}` : ""),
    command.row.direction === "to_sim" ? actionButtons(sid, command.row.status) : null,
  );
}

function stageNode(name, tones) {
  const tone = tones ? (tones.at(-1) === "neutral" ? "reached" : tones.at(-1)) : "missing";
  const words = { missing: "not seen", reached: "reached", good: "done", warning: "trouble", bad: "failed" };
  return el("li", { class: `stage ${tone}` }, el("span", { class: "dot", "aria-hidden": "true" }), name,
    el("span", { class: "unseen" }, `: ${words[tone]}`));
}

function stepNode(step, begin) {
  const after = ((new Date(step.at) - begin) / 1000).toFixed(3);
  const content = contentText(step);
  return el(
    "li",
    { class: `step ${step.tone}` },
    el("time", { datetime: step.at, title: formatTime(step.at) }, `+${after} s`),
    el("span", { class: "stage-name" }, STAGE_NAMES[step.stage]),
    el("span", { class: "what" }, step.title, content ? el("q", { class: "content" }, content) : "",
      step.detail ? el("span", { class: "detail" }, step.detail) : ""),
  );
}

// What can be done with a Command by hand, and in which states.
const ACTIONS = [
  ["send", "Set to sent", ["queued"]],
  ["deliver", "Set to delivered", ["queued", "sent"]],
  ["fail", "Set to failed", ["queued", "sent"]],
  ["redeliver", "Deliver again", ["sent", "delivered", "failed"]],
];

function actionButtons(sid, status) {
  const possible = ACTIONS.filter(([, , states]) => states.includes(status));
  return el("p", { class: "buttons" }, possible.map(([name, label]) =>
    el("button", { type: "button", class: "small", "data-key": name,
      onclick: () => attempt(() => post(`/sandbox/commands/${sid}/${name}`)) }, label)));
}

function withKey(node, key) {
  node.dataset.key = key;
  return node;
}
