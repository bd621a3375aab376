// Requests to the sandbox that serves this page.

import { showProblem } from "./dom.js";

let credentials = "";

/** Use the account and token of the sandbox for the services. */
export function setCredentials(account, token) {
  credentials = `Basic ${btoa(`${account}:${token}`)}`;
}

/** Return the JSON of an answer, null without one; throws Error with the sandbox's sentence. */
async function request(method, path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { method, cache: "no-store", ...options });
  } catch {
    throw new Error("The sandbox does not answer. Is it running?");
  }
  const body = (answer.headers.get("Content-Type") || "").includes("json") ? await answer.json() : null;
  if (!answer.ok) {
    const error = new Error((body && (body.message || body.error)) || `${method} ${path}: ${answer.status}`);
    error.status = answer.status;
    throw error;
  }
  return body;
}

export const get = (path) => request("GET", path);
export const post = (path, body = {}) =>
  request("POST", path, { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } });
export const remove = (path) => request("DELETE", path);

/** Create a resource of a service with a form. */
export const createResource = (path, form) =>
  request("POST", path, { body: new URLSearchParams(form), headers: { Authorization: credentials } });

/** Run an action of the user, and show its problem. Returns what the action returns, null after a problem. */
export async function attempt(action) {
  try {
    showProblem("");
    return await action();
  } catch (error) {
    showProblem(error.message);
    return null;
  }
}
