// The dashboard: who you are, then the stream of pictures, and the look at one customer.

import { Charts } from "./admin-charts.js";
import { show, showCustomer } from "./admin-tables.js";

const at = (id) => document.getElementById(id);
// Milliseconds before the page looks again, when its stream broke off for good or the service is gone.
const AGAIN = 3000;
// Milliseconds without a picture after which the connection is given up: they come every second.
const SILENCE = 8000;

const charts = new Charts();
let source = null;
let watchdog = 0;

function light(state, words) {
  at("light").dataset.state = state;
  if (at("light-text").textContent !== words) at("light-text").textContent = words;
}

async function enter() {
  light("connecting", "Connecting");
  let answer;
  try {
    answer = await fetch("/admin/session");
  } catch {
    return later("The service does not answer");
  }
  if (answer.status === 401 || answer.status === 403) return askForToken(answer.status);
  if (!answer.ok) return later("The service does not answer");
  const session = await answer.json();
  at("door").hidden = true;
  at("leave").hidden = false;
  at("lookup").hidden = !session.roles.includes("support");
  at("dashboard").hidden = !session.roles.includes("admin");
  if (session.roles.includes("admin")) watch();
  else light("live", "Signed in for support");
}

function later(words) {
  light("gone", words);
  setTimeout(enter, AGAIN);
}

function askForToken(status) {
  hangUp();
  for (const id of ["dashboard", "lookup", "leave"]) at(id).hidden = true;
  at("door").hidden = false;
  light("gone", status === 403 ? "Not for this role" : "Not signed in");
}

function watch() {
  hangUp();
  source = new EventSource("/admin/stream");
  source.addEventListener("history", ({ data }) => charts.start(JSON.parse(data)));
  source.addEventListener("picture", ({ data }) => {
    light("live", "Live");
    guard();
    const picture = JSON.parse(data);
    charts.add(picture.point);
    show(picture);
  });
  source.addEventListener("token-expired", () => askForToken(401));
  source.addEventListener("busy", () => light("gone", "Too many dashboards are open; waiting"));
  source.onerror = () => {
    light("connecting", "Reconnecting");
    // A stream that ended comes back by itself; one that was refused does not.
    if (source?.readyState === EventSource.CLOSED) {
      hangUp();
      setTimeout(enter, AGAIN);
    }
  };
  guard();
}

function guard() {
  clearTimeout(watchdog);
  watchdog = setTimeout(enter, SILENCE);
}

function hangUp() {
  clearTimeout(watchdog);
  source?.close();
  source = null;
}

at("door-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const token = at("door-token").value.trim();
  const answer = await fetch("/admin/session", { method: "POST", headers: { Authorization: `Bearer ${token}` } }).catch(() => null);
  if (answer?.ok) {
    at("door-form").reset();
    await enter();
    return;
  }
  const told = answer ? await answer.json().catch(() => ({})) : {};
  at("door-words").textContent = told.detail ? `That did not work: ${told.detail}.` : "The service does not answer.";
});

at("leave").addEventListener("click", async () => {
  hangUp();
  await fetch("/admin/session", { method: "DELETE" }).catch(() => null);
  askForToken(401);
  at("door-token").focus();
});

at("lookup-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  const id = at("lookup-id").value.trim();
  const answer = await fetch(`/admin/customers/${encodeURIComponent(id)}`).catch(() => null);
  const told = answer ? await answer.json().catch(() => ({})) : {};
  if (!answer?.ok) {
    at("lookup-found").hidden = true;
    at("lookup-words").textContent = told.detail ?? "The service does not answer.";
    return;
  }
  at("lookup-words").textContent = told.position ? `The log stands at ${told.position}.` : "The log knows nothing of this customer.";
  showCustomer(told);
});

enter();
