// Questions and commands to the shop: all of them to the Storefront's own API, with the cookie.
// Nothing here knows the page.

// Milliseconds until an answer is no longer waited for: more than a question and a command may take.
const PATIENCE = 8000;
// A view that cannot be shown now is asked for again so often, when the shop says, but no later
// than this many seconds.
const AGAIN = 2;
const LONGEST_PAUSE = 5;
// How often, and after how many milliseconds each, a new checkout is asked for.
const ATTEMPTS = 25;
const PAUSE = 200;

// Where parcels go of a customer who has told nobody.
const USUAL_ADDRESS = {
  addressLine1: "123 Main St", city: "Seattle", stateOrProvince: "WA", postalCode: "98101", country: "US",
};

export class Refused extends Error {
  /** `unknown`: it may have been carried out all the same. */
  constructor(status, words, unknown = false) {
    super(words);
    this.status = status;
    this.unknown = unknown;
  }
}

const segment = encodeURIComponent;
const pause = (milliseconds) => new Promise((wake) => setTimeout(wake, milliseconds));

export class Api {
  #customer;
  #signIn;
  #fetchView;

  /** signIn() gets a new cookie; may fail. fetchView(url, event, init) is the browser client's. */
  constructor(customerId, { signIn, fetchView }) {
    this.#customer = segment(customerId);
    this.#signIn = signIn;
    this.#fetchView = fetchView;
  }

  products() {
    return this.#ask("GET", "/api/storefront/products?pageSize=100");
  }

  /** The open cart; one without an id where there is none. `cause`: the event that told of it. */
  cart(cause) {
    return this.#ask("GET", `/api/carts/${this.#customer}/view`, undefined, cause);
  }

  /** The cart of that id; null for no such cart. */
  cartOf(cartId, cause) {
    return this.#find(cart(cartId), cause);
  }

  openCart() {
    return this.#ask("POST", "/api/storefront/carts/initialize", {});
  }

  add(cartId, sku, unitPrice) {
    // Today's Shopping asks Pricing; the older one took the price from the caller.
    return this.#ask("POST", `${cart(cartId)}/items`, { sku, quantity: 1, unitPrice });
  }

  change(cartId, sku, newQuantity) {
    return this.#ask("PUT", `${cart(cartId)}/items/${segment(sku)}/quantity`, { newQuantity });
  }

  remove(cartId, sku) {
    return this.#ask("DELETE", `${cart(cartId)}/items/${segment(sku)}`);
  }

  /** The history: a bare array, whose `isStale` and `meta` come in a header. */
  async orders() {
    const response = await this.#answer("GET", `/api/orders?customerId=${this.#customer}`);
    const { isStale, ...meta } = JSON.parse(response.headers.get("Storefront-Meta") ?? "{}");
    return { orders: await read(response), isStale, meta };
  }

  /** An order with its shipments; null for no such order. */
  order(id, cause) {
    return this.#find(`/api/orders/${segment(id)}/view`, cause);
  }

  /** Have a delivered order sent back: the demo's own, for no neighbour of today offers it. */
  sendBack(id) {
    return this.#ask("POST", "/demo/returns", { orderId: id });
  }

  cancel(id) {
    return this.#ask("POST", `/api/storefront/orders/${segment(id)}/cancel`, { reason: "Changed my mind" });
  }

  /** From a full cart to an order id; `step` hears of each step that is done. */
  async checkOut(cartId, { method, cost, token }, step) {
    const { checkoutId } = await this.#ask("POST", `${cart(cartId)}/checkout`);
    const checkout = `/api/storefront/checkouts/${segment(checkoutId)}`;
    const { savedAddresses } = await this.#known(checkout);
    step("checkout");
    await this.#ask("POST", `${checkout}/shipping-address`, await this.#address(savedAddresses));
    step("address");
    await this.#ask("POST", `${checkout}/shipping-method`, { shippingMethod: method, shippingCost: Number(cost) });
    step("method");
    await this.#ask("POST", `${checkout}/payment-method`, { paymentMethodToken: token });
    step("payment");
    const { orderId } = await this.#ask("POST", `${checkout}/complete`);
    step("complete");
    return orderId;
  }

  /** Orders hears of a checkout by message, so it may not know it for a moment. */
  async #known(checkout) {
    for (let attempt = 0; attempt < ATTEMPTS; attempt += 1) {
      const view = await this.#find(checkout);
      if (view) return view;
      await pause(PAUSE);
    }
    throw new Refused(404, "The checkout did not arrive at Orders");
  }

  async #address(saved) {
    const home = saved.find((address) => address.addressLine1);
    if (!home) {
      // For the next time. That it is there already, without its lines, is no reason to stop.
      await this.#ask("POST", `/api/storefront/customers/${this.#customer}/addresses`,
        { nickname: "Home", ...USUAL_ADDRESS }).catch(() => {});
      return USUAL_ADDRESS;
    }
    const { addressLine1, city, stateOrProvince, postalCode, country } = home;
    return { addressLine1, city, stateOrProvince, postalCode, country };
  }

  /** The answer, or null for a 404. */
  async #find(path, cause) {
    try {
      return await this.#ask("GET", path, undefined, cause);
    } catch (error) {
      if (error.status === 404) return null;
      throw error;
    }
  }

  async #ask(...question) {
    return read(await this.#answer(...question));
  }

  async #answer(method, path, body = undefined, cause = null) {
    const headers = {};
    if (body !== undefined) headers["Content-Type"] = "application/json";
    // One key for one wish, however often it is sent. Insecure pages have no randomUUID.
    if (method !== "GET" && crypto.randomUUID) headers["Idempotency-Key"] = crypto.randomUUID();
    const wish = { method, headers, body: body === undefined ? undefined : JSON.stringify(body) };
    const ask = () => send((init) => this.#fetchView(path, cause, init), wish);
    let response = await ask();
    if (response.status === 401) {
      // Nothing was done: the cookie had run out.
      await this.#signIn().catch(() => {});
      response = await ask();
    }
    for (let again = 0; again < AGAIN && response.status === 503 && method === "GET"; again += 1) {
      await pause(1000 * Math.min(response.headers.get("Retry-After") ?? 1, LONGEST_PAUSE));
      response = await ask();
    }
    return response;
  }
}

function cart(id) {
  return `/api/storefront/carts/${segment(id)}`;
}

async function send(ask, wish) {
  try {
    return await ask({
      ...wish, credentials: "same-origin", cache: "no-store", signal: AbortSignal.timeout(PATIENCE),
    });
  } catch (error) {
    const late = error.name === "TimeoutError";
    throw new Refused(0, late ? "it took too long" : "the shop cannot be reached", wish.method !== "GET");
  }
}

async function read(response) {
  const text = await response.text().catch(() => "");
  let answer = null;
  try {
    answer = text ? JSON.parse(text) : null;
  } catch {
    throw new Refused(response.status, "it answered nonsense");
  }
  if (response.ok) return answer;
  const words = answer?.message ?? answer?.detail ?? `it answered ${response.status}`;
  throw new Refused(response.status, words, answer?.outcome === "unknown");
}
