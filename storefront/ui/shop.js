// The shop page: who is here, what is on the shelf, and what the stream says about it.
//
// Nothing the customer does changes the page directly. A click is a command to the Storefront, which
// passes it to a service; the service publishes what happened; the stream brings it here. Only when
// it stays silent for a while is the view asked for instead.

import { Api } from "./shop-api.js";
import { CartPanel } from "./shop-cart.js";
import { byId, clockTime } from "./shop-dom.js";
import { EventLog } from "./shop-log.js";
import { Orders } from "./shop-orders.js";
import { showProducts, showStock } from "./shop-shelf.js";
import { LiveStream } from "./shop-stream.js";

// Milliseconds that an event may take before the view is asked what came of a command.
const SILENCE = 1500;

class Shop {
  constructor(config) {
    this.me = config.customers.find((customer) => customer.slug === config.you);
    this.api = new Api(this.me.customerId, () => this.signIn());
    this.log = new EventLog();
    this.orders = new Orders(byId("order-list"), byId("orders-empty"), (id) => this.cancel(id));
    this.panel = new CartPanel({
      onChange: (sku, quantity) => this.change(sku, quantity),
      onRemove: (sku) => this.command(() => this.api.remove(this.cartId, sku)),
    });
    this.cartHeardAt = "";
    this.reading = null;
    this.readAgain = false;
    this.shownCart = null; // the cart that the last view was of
    this.opening = null;
    this.silence = 0;
    this.pending = new Map(); // sku to the quantity that is still to be sent
    this.greet(config.customers);
    byId("clear").addEventListener("click", () => this.command(() => this.empty()));
    byId("pay").addEventListener("submit", (submit) => {
      submit.preventDefault();
      this.checkOut();
    });
    addEventListener("storage", (change) => {
      // Another tab of this customer has opened a cart.
      if (change.key === this.cartKey && change.newValue) this.readCart();
    });
  }

  greet(customers) {
    byId("me").textContent = `Hello, ${this.me.name}`;
    const other = customers.find((customer) => customer !== this.me);
    if (!other) return;
    const link = byId("other");
    link.textContent = `Open ${other.name}’s shop`;
    link.href = other.home;
    link.target = `shop-${other.slug}`;
    link.hidden = false;
  }

  async start() {
    await this.signIn().catch(() => this.notice("Signing in failed; the page goes on trying."));
    this.stream = new LiveStream("/sse/storefront", {
      onEvent: (event, replayed) => this.hear(event, replayed),
      onControl: (name, data) => this.control(name, data),
      onState: (state, words) => showLight(state, words),
      signIn: () => this.signIn(),
    });
    this.stream.open();
    await Promise.allSettled([this.stock(), this.refresh()]);
  }

  async signIn() {
    const response = await fetch("/demo/login", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify({ customerId: this.me.customerId }),
    });
    if (!response.ok) throw new Error(`login answered ${response.status}`);
  }

  // What the stream says

  hear(event, replayed) {
    if (event.customerId !== this.me.customerId) {
      this.notice("This browser is now signed in as somebody else, in another tab. Reload to come back.");
      return;
    }
    this.log.event(event, replayed);
    if (event.eventType === "cart-updated") this.hearCart(event);
    if (event.eventType === "order-status-changed") this.hearOrder(event);
    if (event.eventType === "shipment-status-changed") this.orders.hear(event);
  }

  hearCart(event) {
    if (event.occurredAt < this.cartHeardAt) return;
    this.cartHeardAt = event.occurredAt;
    clearTimeout(this.silence);
    if (event.cartId !== this.cartId) this.remember(event.cartId);
    this.panel.totals(event.itemCount, event.totalAmount);
    this.readCart();
  }

  hearOrder(event) {
    if (event.newStatus.startsWith("Inventory")) this.countStock();
    const known = this.orders.has(event.orderId);
    this.orders.hear(event);
    if (known) return;
    this.api.order(event.orderId).then((order) => order && this.orders.learn(order), () => {});
    // The cart it came from is closed now, here and in every other tab.
    if (event.newStatus === "Placed") this.forget();
    this.readCart();
  }

  control(name, data) {
    this.log.control(name, data);
    if (name !== "stream") return;
    // Fresh and reset alike: what was missed cannot be replayed, so everything is asked anew.
    if (data.mode !== "resumed") this.refresh();
  }

  // What the views say

  async stock() {
    try {
      const products = await this.api.products();
      showProducts(products, (product, button) => this.add(product, button));
      showStock(products);
    } catch (error) {
      byId("grid").setAttribute("aria-busy", "false");
      this.notice(`The catalogue: ${error.message}. Reload to try again.`);
    }
  }

  /** Nobody waits for it. */
  countStock() {
    this.api.products().then(showStock, () => {});
  }

  async refresh() {
    await Promise.allSettled([this.readCart(), this.readOrders()]);
  }

  /** One question at a time; what comes in meanwhile is one more question, not ten. */
  async readCart() {
    if (this.reading) {
      this.readAgain = true;
      return this.reading;
    }
    this.reading = this.readCartNow();
    await this.reading;
    this.reading = null;
    if (this.readAgain) {
      this.readAgain = false;
      await this.readCart();
    }
  }

  async readCartNow() {
    try {
      const view = await this.api.cart();
      this.shownCart = view.cartId;
      // None yet may be one that was opened a moment ago, of which no event has told so far.
      if (view.cartId) this.remember(view.cartId);
      if (this.pending.size === 0) this.panel.show(view);
      if (view.meta.freshness === "expired") {
        this.notice(`The cart cannot be read now. This is how it was at ${clockTime(view.meta.asOf)}.`);
      }
    } catch (error) {
      this.notice(`The cart: ${error.message}.`);
    }
  }

  async readOrders() {
    const orders = await this.api.orders();
    for (const order of orders.slice(0, 20).reverse()) {
      this.orders.learn(order);
      if (["Shipped", "Delivered"].includes(order.status)) this.readOrder(order.orderId);
    }
  }

  async readOrder(orderId) {
    const order = await this.api.order(orderId).catch(() => null);
    if (order) this.orders.learn(order);
  }

  // What the customer does

  async add(product, button) {
    button.disabled = true;
    await this.command(() => this.putIn(product));
    button.disabled = false;
  }

  async putIn({ sku, price }) {
    const known = this.cartId;
    if (known) {
      try {
        await this.api.add(known, sku, price);
        return;
      } catch (error) {
        // A cart that this browser remembers and the shop does not, or which is closed by now.
        if (known === this.shownCart || ![400, 404].includes(error.status)) throw error;
      }
    }
    const meanwhile = this.cartId;
    const cart = meanwhile !== known ? meanwhile : await this.openCart();
    await this.api.add(cart, sku, price);
  }

  /** One for all that were clicked before it was there. */
  openCart() {
    this.opening ??= this.api.openCart()
      .then((cart) => (this.remember(cart), cart))
      .finally(() => { this.opening = null; });
    return this.opening;
  }

  /** Line by line, for there is no other way to say it. */
  async empty() {
    for (const sku of this.panel.skus) await this.api.remove(this.cartId, sku);
  }

  /** Sends the last wish for a line; what was clicked while it was on its way goes after it. */
  async change(sku, quantity) {
    const busy = this.pending.has(sku);
    this.pending.set(sku, quantity);
    if (busy) return;
    let sent = null;
    while (this.pending.has(sku) && this.pending.get(sku) !== sent) {
      sent = this.pending.get(sku);
      await this.command(() => this.api.change(this.cartId, sku, sent));
    }
    this.pending.delete(sku);
    this.readCart();
  }

  async command(act) {
    this.hush();
    try {
      await act();
      this.silence = setTimeout(() => this.readCart(), SILENCE);
    } catch (error) {
      this.notice(error.unknown
        ? "The shop did not say in time whether that was done. What it came to shows here."
        : `That did not work: ${error.message}.`);
      this.readCart();
    }
  }

  async checkOut() {
    const button = byId("order");
    const walk = byId("walk");
    button.disabled = true;
    walk.hidden = false;
    walk.querySelectorAll("li").forEach((item) => item.removeAttribute("data-done"));
    this.hush();
    const wishes = {
      method: byId("method").value,
      cost: this.panel.shippingCost,
      token: byId("card").value,
    };
    try {
      const orderId = await this.api.checkOut(this.cartId, wishes, (step) =>
        walk.querySelector(`[data-step="${step}"]`).setAttribute("data-done", ""));
      this.forget();
      await this.readOrder(orderId);
    } catch (error) {
      this.notice(`The order was not placed: ${error.message}.`);
    }
    await this.readCart();
    button.disabled = false;
    walk.hidden = true;
  }

  async cancel(orderId) {
    this.hush();
    try {
      await this.api.cancel(orderId);
    } catch (error) {
      this.notice(`It could not be cancelled: ${error.message}.`);
    }
  }

  // Which cart

  get cartKey() {
    return `critter-cart-${this.me.customerId}`;
  }

  get cartId() {
    return localStorage.getItem(this.cartKey);
  }

  remember(cartId) {
    localStorage.setItem(this.cartKey, cartId);
  }

  forget() {
    localStorage.removeItem(this.cartKey);
  }

  notice(words) {
    byId("notice").textContent = words;
    byId("notice").hidden = false;
  }

  hush() {
    byId("notice").hidden = true;
  }
}

function showLight(state, words) {
  byId("light").dataset.state = state;
  byId("light-text").textContent = words;
  byId("light").title = words; // on a phone there may be no room for all of them
}

async function readConfig() {
  const response = await fetch(`/demo/config.json${location.search}`);
  if (!response.ok) throw new Error(`it answered ${response.status}`);
  return response.json();
}

async function open() {
  await new Shop(await readConfig()).start();
}

open().catch(() => {
  showLight("offline", "Offline");
  byId("notice").textContent = "The shop cannot be reached. Reload to try again.";
  byId("notice").hidden = false;
});
