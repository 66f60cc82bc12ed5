// "What just came in": the newest fifty frames of the stream, in words.

import { byId, clockTime, copy, dollars } from "./shop-dom.js";

const NEWEST = 50;

export class EventLog {
  #count = 0;

  /** `replayed`: it fills a gap, and is as old as that; that is no delay. */
  event(event, replayed) {
    this.#count += 1;
    const late = Date.now() - Date.parse(event.occurredAt);
    const delay = late >= 0 && late < 10_000 ? `after ${late} ms` : "";
    this.#write(event.eventType, inWords(event), replayed ? "while you were away" : delay);
  }

  control(name, data) {
    this.#write(name, Object.entries(data).map(([key, value]) => `${key} ${value}`).join(", "), "", true);
  }

  #write(kind, what, delay, control = false) {
    const entry = copy("log-entry");
    entry.toggleAttribute("data-control", control);
    entry.querySelector("time").textContent = clockTime(Date.now());
    entry.querySelector(".kind").textContent = kind;
    entry.querySelector(".what").textContent = what;
    entry.querySelector(".delay").textContent = delay;
    const log = byId("log");
    log.prepend(entry);
    while (log.children.length > NEWEST) log.lastElementChild.remove();
    const events = this.#count === 1 ? "1 event" : `${this.#count || "No"} events`;
    byId("strip-count").textContent = `${events} so far`;
  }
}

function inWords(event) {
  switch (event.eventType) {
    case "cart-updated":
      return `${event.itemCount} ${event.itemCount === 1 ? "line" : "lines"}, ${dollars(event.totalAmount)}`;
    case "order-status-changed":
      return `#${event.orderId.slice(0, 8)} ${event.newStatus}`;
    case "return-status-changed":
      return `#${event.orderId.slice(0, 8)} return: ${event.newStatus}`;
    case "shipment-status-changed":
      return `#${event.orderId.slice(0, 8)} ${event.newStatus} ${event.trackingNumber ?? ""}`;
    default:
      return event.newStatus ?? "";
  }
}
