// The panel that breaks things. The switches are the server's: whoever turns one turns it for all.

import { byId } from "./shop-dom.js";
import { mark } from "./shop-marks.js";

export class Troubles {
  #switches;
  #onTurn;

  /** onTurn() once something was broken or mended. */
  constructor(onTurn) {
    this.#onTurn = onTurn;
    this.#switches = [...byId("troubles").querySelectorAll("[data-trouble]")];
    for (const each of this.#switches) each.addEventListener("click", () => this.#turn(each));
    byId("restart").addEventListener("click", () => this.#send("POST", "/demo/restart", {}));
    byId("troubles").addEventListener("toggle", () => this.read());
    byId("break").addEventListener("click", () => { byId("troubles").open = true; });
  }

  get any() {
    return this.#switches.some((each) => each.getAttribute("aria-checked") === "true");
  }

  /** How the switches stand. */
  async read() {
    const response = await fetch("/demo/troubles").catch(() => null);
    if (response?.ok) this.#show(await response.json());
  }

  async #turn(element) {
    const on = element.getAttribute("aria-checked") !== "true";
    const told = await this.#send("PUT", `/demo/troubles/${element.dataset.trouble}`, { on });
    if (told) this.#show(told);
    this.#onTurn();
  }

  async #send(method, path, body) {
    const headers = { "Content-Type": "application/json" };
    const response = await fetch(path, { method, headers, body: JSON.stringify(body) }).catch(() => null);
    const words = "That did not arrive. Is the shop running?";
    mark("troubles-mark", response?.ok ? null : { tone: "gone", words });
    return response?.ok ? response.json() : null;
  }

  #show({ troubles }) {
    for (const each of this.#switches) {
      each.setAttribute("aria-checked", String(troubles[each.dataset.trouble]));
    }
    const broken = Object.values(troubles).filter(Boolean).length;
    byId("troubles-count").textContent = broken ? `${broken} broken` : "";
  }
}
