// The shop page: who is here, what is on the shelf, and what the stream says about it.
//
// Nothing the customer does changes the page directly. A click is a command to a service; the
// service publishes what happened; the stream brings it here. Only when it stays silent for a
// while is the service asked instead.

import { CartPanel } from "./shop-cart.js";
import { byId } from "./shop-dom.js";
import { EventLog } from "./shop-log.js";
import { Orders } from "./shop-orders.js";
import { Services } from "./shop-services.js";
import { showProducts, showStock } from "./shop-shelf.js";
import { LiveStream } from "./shop-stream.js";

const NOBODYS_CART = "00000000-0000-0000-0000-000000000000";

// Milliseconds that an event may take before Shopping is asked what came of a command.
const SILENCE = 1500;

class Shop {
  constructor(config) {
    this.me = config.customers.find((customer) => customer.slug === config.you);
    this.services = new Services(config.services);
    this.log = new EventLog();
    this.orders = new Orders(byId("order-list"), byId("orders-empty"), (id) => this.cancel(id));
    this.panel = new CartPanel({
      onChange: (sku, quantity) => this.change(sku, quantity),
      onRemove: (sku) => this.command(() => this.services.remove(this.cartId, sku)),
    });
    this.cartHeardAt = "";
    this.reading = null;
    this.readAgain = false;
    this.counting = false;
    this.products = null;
    this.beenLive = false;
    this.silence = 0;
    this.pending = new Map(); // sku to the quantity that is still to be sent
    this.greet(config.customers);
    byId("clear").addEventListener("click", () => this.command(() => this.services.clear(this.cartId)));
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
      onEvent: (event) => this.hear(event),
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

  hear(event) {
    if (event.customerId !== this.me.customerId) {
      this.notice("This browser is now signed in as somebody else, in another tab. Reload to come back.");
      return;
    }
    this.log.event(event);
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
    this.services.order(event.orderId).then((order) => order && this.orders.learn(order), () => {});
    // The cart it came from is closed now, here and in every other tab.
    this.readCart();
  }

  control(name, data) {
    this.log.control(name, data);
    if (name !== "stream") return;
    if (this.beenLive) this.checkServices();
    this.beenLive = true;
    // Fresh and reset alike: what was missed cannot be replayed, so everything is asked anew.
    if (data.mode !== "resumed") this.refresh();
  }

  /** After a gap: services that moved meanwhile are out of this page's reach, by its own policy. */
  async checkServices() {
    const config = await readConfig().catch(() => null);
    if (config && JSON.stringify(config.services) !== JSON.stringify(this.services.urls)) {
      location.reload();
    }
  }

  // What the services say

  async stock() {
    try {
      this.products = await this.services.products();
    } catch (error) {
      byId("grid").setAttribute("aria-busy", "false");
      this.notice(`The catalogue: ${error.message}. Reload to try again.`);
      return;
    }
    this.panel.knowProducts(this.products);
    showProducts(this.products, (product, button) => this.add(product, button));
    await this.readCart();
    this.countStock();
  }

  /** One product after the other, and one count at a time: nobody waits for it. */
  async countStock() {
    if (this.counting || !this.products) return;
    this.counting = true;
    for (const product of this.products) {
      const left = await this.services.available(product.sku).catch(() => null);
      showStock(product.sku, left);
    }
    this.counting = false;
  }

  async refresh() {
    await Promise.allSettled([this.findCart(), this.readOrders()]);
  }

  /** Which cart is mine: the one this browser knows, else the one the Storefront shows. */
  async findCart() {
    if (!this.cartId) {
      const view = await fetch(`/api/carts/${this.me.customerId}/view`)
        .then((response) => (response.ok ? response.json() : null))
        .catch(() => null);
      if (view?.cartId && view.cartId !== NOBODYS_CART) this.remember(view.cartId);
    }
    await this.readCart();
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
      const cart = this.cartId ? await this.services.cart(this.cartId) : null;
      if (cart?.status !== "Active") this.forget();
      if (this.pending.size === 0) this.panel.show(cart);
    } catch (error) {
      this.notice(`Shopping: ${error.message}.`);
    }
  }

  async readOrders() {
    const orders = await this.services.orders(this.me.customerId);
    for (const order of orders.slice(0, 20).reverse()) {
      this.orders.learn(order);
      if (["Shipped", "Delivered"].includes(order.status)) this.readShipments(order.orderId);
    }
  }

  async readShipments(orderId) {
    const shipments = await this.services.shipments(orderId).catch(() => []);
    shipments.forEach((shipment) => this.orders.track(orderId, shipment));
  }

  // What the customer does

  async add(product, button) {
    button.disabled = true;
    await this.command(async () => {
      if (!this.cartId) this.remember(await this.services.openCart(this.me.customerId));
      await this.services.add(this.cartId, product.sku, product.price);
    });
    button.disabled = false;
  }

  /** Sends the last wish for a line; what was clicked while it was on its way goes after it. */
  async change(sku, quantity) {
    const busy = this.pending.has(sku);
    this.pending.set(sku, quantity);
    if (busy) return;
    let sent = null;
    while (this.pending.has(sku) && this.pending.get(sku) !== sent) {
      sent = this.pending.get(sku);
      await this.command(() => this.services.change(this.cartId, sku, sent));
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
      this.notice(`That did not work: ${error.message}.`);
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
      const orderId = await this.services.checkOut(this.cartId, this.me.customerId, wishes, (step) =>
        walk.querySelector(`[data-step="${step}"]`).setAttribute("data-done", ""));
      this.forget();
      const order = await this.services.order(orderId);
      if (order) this.orders.learn(order);
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
      await this.services.cancel(orderId);
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
