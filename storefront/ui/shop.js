// The shop page: who is here, what is on the shelf, and what the stream says about it.
//
// Nothing the customer does changes the page directly. A click is a command to the Storefront, which
// passes it to a service; the service publishes what happened; the stream brings it here. Only when
// it stays silent for a while is the view asked for instead.

import { StorefrontClient } from "/storefront-client.js";
import { Api } from "./shop-api.js";
import { CartPanel } from "./shop-cart.js";
import { byId } from "./shop-dom.js";
import { EventLog } from "./shop-log.js";
import { age, failure, mark } from "./shop-marks.js";
import { Orders } from "./shop-orders.js";
import { showProducts, showStock } from "./shop-shelf.js";
import { Troubles } from "./shop-troubles.js";

// Milliseconds that an event may take before the view is asked what came of a command.
const SILENCE = 1500;
// Milliseconds after which a part that is not as it should be is asked for again.
const LOOK_AGAIN = 4000;
// Orders whose pages are kept up to date while something is broken.
const NEWEST = 3;

// What the light says, by what the client knows.
const LIGHT = {
  connecting: "Connecting", live: "Live", waiting: "Reconnecting", offline: "Offline, still trying",
};
const REASONS = {
  shutdown: "The shop restarts", superseded: "Too many windows, this one waits",
  busy: "The shop is busy", silent: "No sign of life, reconnecting",
};

class Shop {
  constructor(config) {
    this.me = config.customers.find((customer) => customer.slug === config.you);
    this.client = new StorefrontClient({
      name: this.me.customerId,
      onEvent: (event) => this.hear(event),
      onReset: () => this.refresh(),
      onState: showLight,
      onControl: (name, data) => this.control(name, data),
      signIn: () => this.signIn(),
    });
    this.api = new Api(this.me.customerId, {
      signIn: () => this.signIn(),
      fetchView: (...view) => this.client.fetchView(...view),
    });
    this.log = new EventLog();
    this.orders = new Orders(byId("order-list"), byId("orders-empty"), {
      cancel: (id) => this.cancel(id),
      sendBack: (id) => this.sendBack(id),
    });
    this.troubles = new Troubles(() => this.lookAround());
    this.panel = new CartPanel({
      onChange: (sku, quantity) => this.change(sku, quantity),
      onRemove: (sku) => this.command(() => this.api.remove(this.cartId, sku)),
    });
    this.read = false; // whether the views were ever asked for
    this.reading = null;
    this.readAgain = false;
    this.cause = null; // the event that the cart is read for
    this.again = {}; // by part: when it is looked at again
    this.replaying = 0; // how many of the next events fill a gap
    this.shelved = false; // whether the shelf has been filled
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
    link.addEventListener("click", (click) => besideUs(link) && click.preventDefault());
  }

  async start() {
    await this.signIn().catch(() => this.notice("Signing in failed; the page goes on trying."));
    this.client.open();
    // The stream says when the views are to be read; one that does not open keeps nobody waiting.
    setTimeout(() => this.read || this.refresh(), SILENCE);
    await Promise.allSettled([this.stock(), this.troubles.read()]);
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
    this.log.event(event, this.replaying > 0);
    this.replaying = Math.max(0, this.replaying - 1);
    const newest = this.client.newest(event);
    if (event.eventType === "cart-updated") this.hearCart(event, newest);
    else this.hearOrder(event, newest);
  }

  hearCart(event, newest) {
    if (!newest) return;
    clearTimeout(this.silence);
    if (event.cartId !== this.cartId) this.remember(event.cartId);
    this.panel.totals(event.itemCount, event.totalAmount);
    this.readCart(event);
  }

  hearOrder(event, newest) {
    const known = this.orders.has(event.orderId);
    this.orders.hear(event, newest);
    if (event.eventType !== "order-status-changed") return;
    if (event.newStatus.startsWith("Inventory")) this.stock();
    if (known) return;
    this.readOrder(event.orderId, event);
    // The cart it came from is closed now, here and in every other tab.
    if (event.newStatus === "Placed") this.forget();
    this.readCart(event);
  }

  control(name, data) {
    if (name === "ping") return;
    this.log.control(name, data);
    if (name === "stream") this.replaying = data.replayed ?? 0;
  }

  // What the views say

  async stock() {
    try {
      const view = await this.api.products();
      if (!this.shelved) showProducts(view.products, (product, button) => this.add(product, button));
      this.shelved = true;
      showStock(view);
      this.lookAgain("shelf", view, () => this.stock());
    } catch (error) {
      byId("grid").setAttribute("aria-busy", "false");
      mark("shelf-mark", failure("The shelf", error));
      this.lookAgain("shelf", null, () => this.stock());
    }
  }

  async refresh() {
    this.read = true;
    await Promise.allSettled([this.readCart(), this.readOrders()]);
  }

  /** One question at a time; what comes in meanwhile is one more question, not ten. */
  async readCart(cause = null) {
    this.cause = cause;
    if (this.reading) {
      this.readAgain = true;
      return this.reading;
    }
    this.reading = this.readCartNow();
    await this.reading;
    this.reading = null;
    if (this.readAgain) {
      this.readAgain = false;
      await this.readCart(this.cause);
    }
  }

  async readCartNow() {
    try {
      const view = await this.readWhatIsOpen();
      this.shownCart = view.cartId;
      // None yet may be one that was opened a moment ago, of which no event has told so far.
      if (view.cartId) this.remember(view.cartId);
      if (this.pending.size === 0) this.panel.show(view);
      this.lookAgain("cart", view, () => this.readCart());
    } catch (error) {
      mark("cart-mark", failure("The cart", error));
      this.lookAgain("cart", null, () => this.readCart());
    }
  }

  /** The customer's cart; where nobody has heard of it yet, the one that this browser opened. */
  async readWhatIsOpen() {
    const view = await this.api.cart(this.cause);
    if (view.cartId || !this.cartId) return view;
    return await this.api.cartOf(this.cartId, this.cause) ?? view;
  }

  async readOrders() {
    try {
      const { orders, ...view } = await this.api.orders();
      mark("orders-mark", age(view));
      for (const order of orders.slice(0, 20).reverse()) {
        this.orders.learn(order);
        if (["Shipped", "Delivered"].includes(order.status)) this.readOrder(order.orderId);
      }
      this.lookAgain("orders", view, () => this.readOrders());
    } catch (error) {
      mark("orders-mark", failure("The orders", error));
      this.lookAgain("orders", null, () => this.readOrders());
    }
  }

  async readOrder(orderId, cause = null) {
    const order = await this.api.order(orderId, cause).catch(() => null);
    if (!order) return;
    this.orders.learn(order);
    this.lookAgain(orderId, order, () => this.readOrder(orderId));
  }

  // What is broken, and mended

  /** Look at a part again if it is not as it should be, or something is broken; null is no answer. */
  lookAgain(part, view, read) {
    clearTimeout(this.again[part]);
    const good = view && view.meta.freshness !== "expired" && view.meta.complete;
    if (!good || this.troubles.any) this.again[part] = setTimeout(read, LOOK_AGAIN);
  }

  /** Something was broken or mended: see what it comes to. */
  lookAround() {
    this.stock();
    this.refresh();
    for (const orderId of this.orders.newest(NEWEST)) this.readOrder(orderId);
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

  async sendBack(orderId) {
    this.hush();
    try {
      await this.api.sendBack(orderId);
    } catch (error) {
      this.notice(`It could not be sent back: ${error.message}.`);
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

function showLight(state, { reason, leading } = { reason: "", leading: true }) {
  const words = state === "offline" && reason === "network" ? "Offline: no network"
    : state === "waiting" ? REASONS[reason] ?? LIGHT.waiting
    : LIGHT[state] ?? "";
  byId("light").dataset.state = state;
  byId("light-text").textContent = words;
  // On a phone there may be no room for all of them.
  byId("light").title = leading ? words : `${words}, by way of another tab`;
}

/** Open a link in a window of its own beside this one, where there is room for two. */
function besideUs(link) {
  const { availWidth, availHeight } = screen;
  if (availWidth < 900) return false;
  const half = Math.floor(availWidth / 2);
  const place = `popup,left=${half},top=0,width=${half},height=${availHeight}`;
  return Boolean(open(link.href, link.target, place));
}

async function readConfig() {
  const response = await fetch(`/demo/config.json${location.search}`);
  if (!response.ok) throw new Error(`it answered ${response.status}`);
  return response.json();
}

async function openShop() {
  await new Shop(await readConfig()).start();
}

openShop().catch(() => {
  showLight("offline");
  byId("notice").textContent = "The shop cannot be reached. Reload to try again.";
  byId("notice").hidden = false;
});
