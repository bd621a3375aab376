// Builds elements. Data becomes text nodes and attributes only, never HTML.

export const byId = (id) => document.getElementById(id);

/** Return an element; a property that is null, undefined or false is left out, `onX` is a listener. */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}

/** Say something to users of screen readers. */
export function announce(text) {
  byId("announcer").textContent = text;
}

/** Show a problem until the next action. */
export function showProblem(text) {
  const problem = byId("problem");
  problem.textContent = text;
  problem.hidden = !text;
}

/** Return the time of day in UTC, as the sandbox shows its time, with milliseconds or without. */
export function formatTime(iso, digits = 3) {
  return new Date(iso).toISOString().slice(11, digits ? 20 + digits : 19);
}

/** Return a button that copies a text. */
export function copyButton(text, what) {
  const button = el("button", { type: "button", class: "small", "aria-label": `Copy ${what}` }, "Copy");
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(text);
      announce(`${what} copied`);
      button.textContent = "Copied";
      setTimeout(() => (button.textContent = "Copy"), 1500);
    } catch {
      showProblem(`The browser does not allow copying. ${what}: ${text}`);
    }
  });
  return button;
}

/** Return the words for a content: a text in quotes, octets as pairs of digits. */
export function contentText(row) {
  if (row.hex !== undefined) return row.hex.replace(/(..)(?=.)/g, "$1 ");
  return row.text === undefined || row.text === null ? "" : row.text;
}
