// Questions and commands to the shop's services. Nothing here knows the page.

// Milliseconds until an answer is no longer waited for.
const PATIENCE = 8000;

export class Refused extends Error {
  constructor(status, words) {
    super(words);
    this.status = status;
  }
}

async function ask(url, method = "GET", body = undefined) {
  let response;
  try {
    response = await fetch(url, {
      method,
      credentials: "omit",
      cache: "no-store",
      signal: AbortSignal.timeout(PATIENCE),
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch (error) {
    throw new Refused(0, error.name === "TimeoutError" ? "It took too long" : "It cannot be reached");
  }
  const text = await response.text().catch(() => "");
  let answer = null;
  try {
    answer = text ? JSON.parse(text) : null;
  } catch {
    throw new Refused(response.status, "It answered nonsense");
  }
  if (!response.ok) {
    const first = answer?.errors && Object.values(answer.errors)[0]?.[0];
    throw new Refused(response.status, first ?? answer?.detail ?? `It answered ${response.status}`);
  }
  return answer;
}

/** The answer, or null for a 404. */
async function find(url) {
  try {
    return await ask(url);
  } catch (error) {
    if (error.status === 404) return null;
    throw error;
  }
}

const segment = encodeURIComponent;

export class Services {
  constructor(urls) {
    this.urls = urls;
  }

  async products() {
    const listing = await ask(`${this.urls.catalog}/api/products?pageSize=100`);
    const products = listing.items ?? listing.products;
    const skus = products.map((product) => product.sku).slice(0, 50).join(",");
    // Without prices the shelf still stands; the buttons wait.
    const prices = await ask(`${this.urls.pricing}/api/pricing/products?skus=${segment(skus)}`)
      .catch(() => []);
    const bySku = new Map(prices.filter((p) => p.status === "Published").map((p) => [p.sku, p.basePrice]));
    return products.map((product) => ({ ...product, price: bySku.get(product.sku) ?? null }));
  }

  async available(sku) {
    const answer = await ask(`${this.urls.inventory}/api/inventory/availability/${segment(sku)}`);
    return answer.totalAvailable;
  }

  cart(id) {
    return find(`${this.urls.shopping}/api/carts/${segment(id)}`);
  }

  async openCart(customerId) {
    const made = await ask(`${this.urls.shopping}/api/carts`, "POST", { customerId, sessionId: null });
    return made.value;
  }

  add(cartId, sku, unitPrice) {
    // Today's Shopping asks Pricing; the older one took the price from the caller.
    return ask(`${this.urls.shopping}/api/carts/${segment(cartId)}/items`, "POST",
      { cartId, sku, quantity: 1, unitPrice });
  }

  change(cartId, sku, newQuantity) {
    return ask(`${this.urls.shopping}/api/carts/${segment(cartId)}/items/${segment(sku)}/quantity`,
      "PUT", { cartId, sku, newQuantity });
  }

  remove(cartId, sku) {
    return ask(`${this.urls.shopping}/api/carts/${segment(cartId)}/items/${segment(sku)}`, "DELETE");
  }

  clear(cartId) {
    return ask(`${this.urls.shopping}/api/carts/${segment(cartId)}?reason=changed+my+mind`, "DELETE");
  }

  orders(customerId) {
    return ask(`${this.urls.orders}/api/orders?customerId=${segment(customerId)}`);
  }

  order(id) {
    return find(`${this.urls.orders}/api/orders/${segment(id)}`);
  }

  cancel(id) {
    return ask(`${this.urls.orders}/api/orders/${segment(id)}/cancel`, "POST",
      { reason: "Changed my mind" });
  }

  shipments(orderId) {
    return ask(`${this.urls.fulfillment}/api/fulfillment/shipments?orderId=${segment(orderId)}`);
  }

  /** From a full cart to an order id; `step` hears of each step that is done. */
  async checkOut(cartId, customerId, { method, cost, token }, step) {
    const started = await ask(`${this.urls.shopping}/api/carts/${segment(cartId)}/checkout`, "POST", { cartId });
    const checkoutId = started.value ?? started.checkoutId;
    const checkout = `${this.urls.orders}/api/checkouts/${segment(checkoutId)}`;
    await this.#known(checkout);
    step("checkout");
    await ask(`${checkout}/shipping-address`, "POST", { checkoutId, ...await this.#address(customerId) });
    step("address");
    await ask(`${checkout}/shipping-method`, "POST",
      { checkoutId, shippingMethod: method, shippingCost: Number(cost) });
    step("method");
    await ask(`${checkout}/payment-method`, "POST", { checkoutId, paymentMethodToken: token });
    step("payment");
    const { orderId } = await ask(`${checkout}/complete`, "POST", { checkoutId });
    step("complete");
    return orderId;
  }

  /** Orders hears of a checkout by message, so it may not know it for a moment. */
  async #known(checkout) {
    for (let attempt = 0; attempt < 20; attempt += 1) {
      if (await find(checkout)) return;
      await new Promise((wake) => setTimeout(wake, 150));
    }
    throw new Refused(404, "The checkout did not arrive at Orders");
  }

  async #address(customerId) {
    const saved = await ask(
      `${this.urls.identity}/api/customers/${segment(customerId)}/addresses?type=Shipping`);
    const home = saved.find((address) => address.isDefault) ?? saved[0];
    const { addressLine1, addressLine2, city, stateOrProvince, postalCode, country } =
      home?.addressLine1 ? home : { addressLine1: "123 Main St", city: "Seattle",
        stateOrProvince: "WA", postalCode: "98101", country: "US" };
    return { addressLine1, addressLine2, city, stateOrProvince, postalCode, country };
  }
}
