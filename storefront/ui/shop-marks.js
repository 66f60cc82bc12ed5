// How good what is shown is, said on the very part that it concerns: a view may come from what was
// kept, and a service behind it may not have answered.

import { byId, clockTime } from "./shop-dom.js";

const NAMES = {
  shopping: "Shopping", catalog: "Catalog", orders: "Orders", payments: "Payments",
  fulfillment: "Fulfillment", pricing: "Pricing", inventory: "Inventory",
};
const SILENT = ["timeout", "error", "open"];

/** Of a whole view: nothing where it is from just now. */
export function age({ isStale, meta }) {
  if (!isStale) return null;
  const moment = clockTime(meta.asOf);
  return meta.freshness === "expired"
    ? { tone: "old", words: `As it was at ${moment}: no answer since` }
    : { tone: "kept", words: `As it was at ${moment}` };
}

/** Of one service's share; `what` it would have told. */
export function share({ meta }, source, what) {
  const state = meta.sources[source]?.state;
  if (SILENT.includes(state)) return { tone: "gone", words: `${what} missing: ${NAMES[source]} does not answer` };
  // Of a view that is old as a whole, `age` says so.
  if (state !== "expired" || meta.freshness === "expired") return null;
  return { tone: "old", words: `${what} from earlier: ${NAMES[source]} has not answered` };
}

/** Of a view that could not be shown at all. */
export function failure(what, error) {
  return { tone: "gone", words: `${what} cannot be shown now: ${error.message}` };
}

/** Show a mark, or none. */
export function mark(element, made) {
  element = typeof element === "string" ? byId(element) : element;
  const words = made?.words ?? "";
  element.dataset.tone = made?.tone ?? "";
  if (element.textContent !== words) element.textContent = words; // once, for who listens to it
  element.hidden = !made;
}
