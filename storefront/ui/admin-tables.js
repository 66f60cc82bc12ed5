// The tables and tiles: a picture of the service, as text.

import { clock, count, duration, rate, share } from "./admin-words.js";

const at = (id) => document.getElementById(id);

// In words, what the service counts under short names.
const ENDS = {
  disconnected: "the browser left",
  slow: "it did not read",
  expired: "its token did",
  superseded: "a newer one of the customer's",
  shutdown: "the process left",
  full: "there was no room",
  log: "the log did not answer",
  failed: "a bug of ours",
};
const OPENINGS = { fresh: "for the first time", resumed: "with a cursor", reset: "with one that was too old" };
const ANSWERERS = { memory: "from memory", store: "from the log" };

/** Show a picture. */
export function show(picture) {
  const { point } = picture;
  at("tile-streams").textContent = count(point.live + point.opening + point.catchingUp + point.leaving);
  at("tile-customers").textContent = `of ${count(picture.customers)} customer${picture.customers === 1 ? "" : "s"}`;
  at("tile-in").textContent = rate(point.eventsIn);
  at("tile-out").textContent = rate(point.eventsOut);
  at("tile-latency").textContent = duration(picture.latencies[0].p99);
  at("tile-lag").textContent = duration(point.lag);
  at("tile-dead").textContent = count(picture.deadLetters);
  at("tile-dead-ready").textContent =
    picture.deadLettersReady === null ? "since the start" : `since the start; ${count(picture.deadLettersReady)} wait`;
  rows("breakers", picture.breakers.map(breaker));
  rows("queues", picture.queues.map(queue), "No queue was consumed yet.");
  rows("cache", picture.cache.map((each) => [each.view, count(each.asked), share(each.hits, each.asked), count(each.old), count(each.failed)]), "No view was asked for yet.");
  rows("latencies", picture.latencies.map((each) => [each.way, duration(each.p50), duration(each.p95), duration(each.p99), count(each.events)]));
  rows("streams", streams(picture));
  rows("processes", picture.processes.map(process));
  notices(picture);
}

/** Show one customer. */
export function showCustomer(found) {
  at("lookup-found").hidden = false;
  rows("lookup-streams", found.streams.map((each) => [state(each.state === "live" ? "closed" : "waiting", each.state), duration(each.openForSeconds), each.position ?? "–"]), "No stream in this process.");
  rows("lookup-events", found.events.map((each) => [each.id, each.eventType, clock(each.recordedAt), clock(each.occurredAt)]), "Nothing that could be replayed.");
}

function breaker(each) {
  const where = each.open ? "open" : each.probing ? "probing" : "closed";
  const many = each.open + each.probing + each.closed > 1;
  const words = many && where !== "closed" ? `${where} in ${each[where]} of ${each.open + each.probing + each.closed}` : where;
  return [each.service.replaceAll("_", " "), state(where, words), count(each.opened), count(each.refused)];
}

function queue(each) {
  const consumer = each.consumers ? state("closed", "consuming") : state("gone", "nobody");
  return [short(each.queue), consumer, count(each.ready), count(each.inHand), each.inHand ? duration(each.oldest) : "–"];
}

function streams(picture) {
  const told = (what, words, counts) => Object.entries(counts).map(([key, value]) => [what, words[key] ?? key, count(value)]);
  return [
    ...told("opened", OPENINGS, picture.opened),
    ...told("replayed", ANSWERERS, picture.replays),
    ["told to refetch", "reset, when opened or later", count(picture.resets)],
    ["refused", "no room", count(picture.refused)],
    ...told("ended", ENDS, picture.ended),
  ];
}

// Ours are named after us; what is behind that tells them apart.
const short = (queue) => queue.replace(/^storefront-/, "");

function process(each) {
  const name = each.worker ? `worker ${each.worker} (${each.name})` : each.name;
  const late = each.age > 6 ? `, heard ${duration(each.age)} ago` : "";
  return [name + late, count(each.streams), duration(each.lag), duration(each.up), each.consumes.map(short).join(", ") || "–"];
}

function notices(picture) {
  const told = [];
  if (!picture.storeDurable) told.push("The log is not durable: what was recorded may be lost in a crash.");
  if (picture.storeAway) told.push("The log takes nothing: the recorder is behind.");
  if (picture.alone) told.push("The board does not answer: only one process is shown.");
  if (picture.queues.some((each) => !each.consumers)) told.push("A queue has no consumer.");
  const words = told.join("\n");
  const box = at("notices");
  // It is read out when it changes, and not every second.
  if (box.dataset.words === words) return;
  box.dataset.words = words;
  box.replaceChildren(...told.map((line) => Object.assign(document.createElement("p"), { className: "notice", textContent: line })));
}

function state(name, words) {
  const mark = document.createElement("span");
  mark.className = "state";
  mark.dataset.state = name;
  mark.textContent = words;
  return mark;
}

/** Put rows into a table, keeping those cells that say the same: what is selected stays so. */
function rows(id, found, nothing = "Nothing yet.") {
  const table = at(id);
  const heads = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  const lines = found.length ? found : [[nothing]];
  while (body.rows.length > lines.length) body.deleteRow(-1);
  lines.forEach((cells, index) => {
    const row = body.rows[index] ?? body.insertRow();
    row.className = found.length ? "" : "none";
    if (row.cells.length !== cells.length) row.replaceChildren(...cells.map((_, column) => cell(column, heads[column], found.length)));
    cells.forEach((value, column) => fill(row.cells[column], value));
    if (!found.length) row.cells[0].colSpan = heads.length;
  });
}

function cell(column, head, found) {
  const made = document.createElement(column || !found ? "td" : "th");
  if (!column && found) made.scope = "row";
  if (found) made.className = head.className;
  return made;
}

function fill(place, value) {
  if (typeof value === "string") {
    if (place.firstElementChild || place.textContent !== value) place.textContent = value;
  } else if (place.firstElementChild?.outerHTML !== value.outerHTML) {
    place.replaceChildren(value);
  }
}
