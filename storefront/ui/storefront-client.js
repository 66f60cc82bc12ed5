/**
 * The browser's end of Storefront's stream, for any page.
 *
 *     tab (leader) ── one EventSource ──> /sse/storefront?pings=1
 *       └── BroadcastChannel ──> the other tabs of this browser
 *
 * One tab holds a Web Lock and the stream, and passes every frame on: six connections are all that
 * HTTP/1.1 has for a host. When it closes or freezes, the next in the lock's queue leads, and goes on
 * from its own position. Where either is missing, every tab has a stream of its own.
 *
 * A tab knows its position: the id of the last event it delivered, `<epoch>-<seq>`, without holes. So
 * it can prove that nothing is missing; what it cannot prove, it says, with the views to fetch again.
 * A native EventSource comes back by itself as long as it gets a 200, after the pause the server asked
 * for, and is left to it. It does not notice a connection that is dead without an end, and a refusal
 * kills it for good: for both there is a timer here, and a new one is made with the old one's position.
 *
 * @module storefront-client
 * @typedef {import("./storefront-client.d.ts").ClientOptions} ClientOptions
 * @typedef {import("./storefront-client.d.ts").ConnectionState} ConnectionState
 * @typedef {import("./storefront-client.d.ts").StorefrontEvent} StorefrontEvent
 * @typedef {import("./storefront-client.d.ts").Reason} Reason
 * @typedef {{name: string, data: string, id: string}} Frame
 * @typedef {{epoch: string, seq: number}} Position
 */

const CONTROL = /** @type {const} */ ([
  "stream", "ping", "token-expiring", "token-expired", "reauthenticate", "shutdown", "superseded", "busy",
]);

// Milliseconds, all of them.
// Between two attempts of ours: anything up to the first, then up to twice that, up to the longest.
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 30_000;
// From a new EventSource to its first frame. A busy server takes one or two seconds.
const OPENING = 15_000;
// How long the browser is trusted to come back by itself, and "waiting" is not yet "offline". The
// server asks for about 3 s, or for 60 s ± 20 % (superseded) and 10 s ± 50 % (busy).
const PATIENCE = 12_000;
/** @type {Readonly<Record<string, number>>} */
const PATIENCE_WHEN_TOLD = { superseded: 90_000, busy: 25_000 };
// Two beats that did not come, and what the network may be late with.
const MISSED_BEATS = 2;
const LATENESS = 5_000;
// A leader that has said nothing for so long is asked whether it is there, and may take so long to
// answer, for each of the others something more: one of them will be first.
const QUIET = 45_000;
const ANSWER = 2_000;
// Things whose newest moment is remembered; beyond that the one heard of longest ago is forgotten.
const REMEMBERED = 1_000;

const TRACEPARENT = /^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$/;

/** One customer's stream, shared by all tabs of this browser. */
export class StorefrontClient {
  /** @type {ClientOptions} */ #options;
  /** @type {ConnectionState} */ #state = "closed";
  /** @type {Reason} */ #reason = "";
  #position = "";
  #newest = new Newest();

  // Who leads.
  #leading = false;
  /** @type {BroadcastChannel | null} */ #channel = null;
  /** @type {AbortController | null} */ #standing = null; // for election
  #resign = () => {};
  /** @type {AbortController | null} */ #listening = null; // to the page's own events

  // The leader's stream.
  /** @type {EventSource | null} */ #source = null;
  #attempt = 0;
  #failures = 0;
  #every = 0; // between two beats of the server's; 0: it has not said
  /** @type {Reason} */ #told = ""; // why it sent us away
  #lostAt = 0;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #timer; // the one thing that is waited for
  /** @type {ReturnType<typeof setTimeout> | undefined} */ #doubt; // until "waiting" is "offline"

  /** @param {ClientOptions} [options] */
  constructor(options = {}) {
    this.#options = options;
    this.#position = options.lastEventId ?? "";
  }

  get state() { return this.#state; }
  get position() { return this.#position; }
  get leading() { return this.#leading; }

  /** Join the browser's stream, or open it. */
  open() {
    if (this.#listening) return;
    const { signal } = (this.#listening = new AbortController());
    addEventListener("offline", () => this.#leading && this.#lose("network"), { signal });
    addEventListener("online", () => this.#leading && this.#hurry(), { signal });
    // A frozen tab hears nothing, and a page in the back/forward cache has no connection.
    document.addEventListener("freeze", () => this.#stepDown(), { signal });
    document.addEventListener("resume", () => this.#stand(), { signal });
    addEventListener("pagehide", () => this.#stepDown(), { signal });
    addEventListener("pageshow", (shown) => shown.persisted && this.#stand(), { signal });
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible" && this.#channel && !this.#leading) this.#ask();
    }, { signal });
    this.#say("connecting");
    if (this.#options.shared !== false && globalThis.BroadcastChannel && navigator.locks) {
      this.#channel = new BroadcastChannel(this.#name);
      this.#channel.onmessage = ({ data }) => this.#word(data);
    }
    this.#stand();
  }

  /** Leave; another tab goes on. */
  close() {
    this.#stepDown();
    this.#listening?.abort();
    this.#listening = null;
    this.#channel?.close();
    this.#channel = null;
    this.#show("closed", "");
  }

  /** Whether it is the newest so far of its cart, order, shipment or return. @param {StorefrontEvent} event */
  newest(event) {
    return this.#newest.accepts(event);
  }

  /**
   * Fetch a view, in the trace of the event that made it worth fetching. @param {string | URL} url
   * @param {{traceparent?: string} | null} [event]
   * @param {RequestInit} [init]
   */
  fetchView(url, event, init = {}) {
    const headers = new Headers(init.headers);
    if (event?.traceparent && TRACEPARENT.test(event.traceparent)) headers.set("traceparent", event.traceparent);
    return fetch(url, { credentials: "include", ...init, headers });
  }

  // --- one stream for all tabs

  get #name() {
    return `storefront ${this.#options.url ?? ""} ${this.#options.name ?? ""}`;
  }

  /** Stand for election: lead when nobody does, and until then hear from whoever does. */
  async #stand(steal = false) {
    if (!this.#channel) return this.#lead();
    this.#standing?.abort();
    const standing = (this.#standing = new AbortController());
    const { signal } = standing;
    if (!steal) this.#ask();
    try {
      await navigator.locks.request(this.#name, steal ? { steal } : { signal }, () => signal.aborted || this.#lead());
    } catch (error) {
      if (signal.aborted) return;
      // Somebody took us for dead. A document without an origin has no locks, and nobody to share with.
      const deposed = error instanceof DOMException && error.name === "AbortError";
      if (deposed) this.#stepDown();
      else this.#channel = null;
      this.#stand();
    }
  }

  /** @returns {Promise<unknown>} until this tab no longer leads */
  #lead() {
    this.#leading = true;
    if (this.#state !== "connecting") this.#say("waiting", "lost");
    this.#connect();
    return new Promise((resign) => { this.#resign = () => resign(null); });
  }

  #stepDown() {
    this.#leading = false;
    this.#attempt += 1;
    clearTimeout(this.#timer);
    clearTimeout(this.#doubt);
    this.#source?.close();
    this.#standing?.abort();
    this.#resign();
  }

  /** Have the leader say where the stream stands; one that does not answer leads no longer. */
  #ask() {
    this.#channel?.postMessage({ hello: true });
    this.#after(ANSWER + Math.random() * ANSWER, () => this.#stand(true));
  }

  /**
   * What another tab says: a question, a frame, or how the stream is.
   * @param {{hello?: true, frame?: Frame, state?: ConnectionState, reason?: Reason, position?: string}} word
   */
  #word({ hello, frame, state, reason = "", position }) {
    if (hello) {
      if (this.#leading) this.#tell({ position: this.#position });
      return;
    }
    if (this.#leading) return; // the lock says so, and it tells whoever lost it
    this.#after(QUIET, () => this.#ask());
    if (state) this.#show(state, reason);
    if (position) this.#stands(position, 0, "fresh");
    if (frame) this.#take(frame);
  }

  // --- the leader's stream

  /** A new EventSource, with the position of the old one: of itself it remembers nothing. */
  async #connect(renew = false) {
    const attempt = (this.#attempt += 1);
    this.#source?.close();
    this.#every = 0;
    this.#after(OPENING, () => this.#lose("silent"));
    const url = new URL(this.#options.url ?? "/sse/storefront", document.baseURI);
    url.searchParams.set("pings", "1");
    try {
      if (renew) await this.#signIn();
      if (this.#options.ticket) url.searchParams.set("ticket", await this.#options.ticket());
    } catch {
      if (attempt === this.#attempt) this.#lose("refused");
      return;
    }
    if (attempt !== this.#attempt) return;
    if (this.#position) url.searchParams.set("lastEventId", this.#position);
    const source = (this.#source = new EventSource(url, { withCredentials: true }));
    /** @param {string} name */
    const hear = (name) => (/** @type {MessageEvent} */ { data, lastEventId }) => {
      if (attempt === this.#attempt) this.#hear({ name, data, id: lastEventId });
    };
    source.onmessage = hear("message");
    for (const name of CONTROL) source.addEventListener(name, hear(name));
    source.onerror = () => {
      if (attempt !== this.#attempt) return;
      if (source.readyState === EventSource.CLOSED) this.#lose("refused");
      else this.#await();
    };
  }

  /** The browser comes back by itself. It is watched all the same: a way back may be dead as well. */
  #await() {
    this.#every = 0;
    this.#say("waiting", this.#told || "lost");
    this.#after((PATIENCE_WHEN_TOLD[this.#told] ?? PATIENCE) + OPENING, () => this.#lose("silent"));
  }

  /** @param {Reason} reason */
  #lose(reason) {
    this.#attempt += 1;
    this.#source?.close();
    this.#say("waiting", reason);
    // Only a refusal may be mended by new credentials; on a dead network they would not come either.
    this.#retry(reason === "refused" || reason === "reauthenticate");
  }

  /** Full jitter: browsers that were cut together do not come back together. */
  #retry(renew = false) {
    const most = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** this.#failures);
    this.#failures += 1;
    this.#after(Math.random() * most, () => this.#connect(renew));
  }

  /** There is a network again. Whom the server told to wait still waits. */
  #hurry() {
    if (this.#state === "live" || this.#told) return;
    this.#failures = 0;
    this.#retry();
  }

  async #signIn() {
    // Perhaps the credentials were the reason, perhaps not: without new ones the old ones are tried.
    try { await this.#options.signIn?.(); } catch { /* the next refusal asks again */ }
  }

  /** @param {Frame} frame */
  #hear(frame) {
    this.#obey(frame);
    this.#channel?.postMessage({ frame });
    this.#take(frame);
  }

  /** What a frame asks of the tab that has the stream. @param {Frame} frame */
  #obey({ name, data }) {
    if (name === "stream") {
      this.#failures = 0;
      this.#told = "";
      this.#say("live");
    }
    if (name === "ping") this.#every = 1_000 * read(data).everySeconds;
    if (name === "token-expiring" || name === "token-expired") this.#signIn();
    if (name === "shutdown" || name === "superseded" || name === "busy") this.#told = name;
    // The server would have us wait a minute; with new credentials there is no reason to.
    if (name === "reauthenticate") return this.#lose(name);
    const patience = MISSED_BEATS * this.#every + Math.min(this.#every, LATENESS);
    if (patience) this.#after(patience, () => this.#lose("silent"));
    else clearTimeout(this.#timer); // a server that does not beat cannot be missed
  }

  // --- what every tab does with a frame

  /** @param {Frame} frame */
  #take({ name, data, id }) {
    const said = read(data);
    if (name !== "message") {
      if (name === "stream") this.#stands(said.position, said.replayed ?? 0, said.mode);
      this.#options.onControl?.(name, said);
      return;
    }
    const next = parse(id);
    if (next) {
      const here = parse(this.#position);
      if (here?.epoch === next.epoch && next.seq <= here.seq) return; // heard of it from the last leader
      this.#stands(id, 1, "gap");
      this.#position = id;
    }
    if (said.eventType) this.#options.onEvent?.(said);
  }

  /**
   * The stream stands at `position` once `replayed` more events have come.
   * @param {string} position
   * @param {number} replayed
   * @param {string} mode
   */
  #stands(position, replayed, mode) {
    const there = parse(position);
    if (!there) return;
    const here = parse(this.#position);
    const from = there.seq - replayed;
    if (mode !== "reset" && here?.epoch === there.epoch && here.seq >= from) return;
    this.#position = `${there.epoch}-${from}`;
    const reason = mode === "reset" || (mode === "fresh" && !here) ? mode : "gap";
    this.#options.onReset?.(this.#options.views ?? [], { reason });
  }

  // --- how it is

  /** @param {ConnectionState} state @param {Reason} [reason] */
  #say(state, reason = "") {
    clearTimeout(this.#doubt);
    this.#lostAt = state === "waiting" ? this.#lostAt || Date.now() : 0;
    if (state === "waiting") {
      const left = this.#lostAt + (PATIENCE_WHEN_TOLD[this.#told] ?? PATIENCE) - Date.now();
      if (left <= 0 || navigator.onLine === false) state = "offline";
      else this.#doubt = setTimeout(() => this.#say("waiting", reason), left);
    }
    this.#show(state, reason);
    this.#tell();
  }

  /** Have the other tabs show the same. */
  #tell(more = {}) {
    this.#channel?.postMessage({ state: this.#state, reason: this.#reason, ...more });
  }

  /** @param {ConnectionState} state @param {Reason} reason */
  #show(state, reason) {
    if (state === this.#state && reason === this.#reason) return;
    this.#state = state;
    this.#reason = reason;
    this.#options.onState?.(state, { reason, leading: this.#leading });
  }

  /** @param {number} milliseconds @param {() => void} act */
  #after(milliseconds, act) {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(act, milliseconds);
  }
}

/** The newest moment of each cart, order, shipment and return: a late event is no step back. */
export class Newest {
  /** @type {Map<string, string>} */ #moments = new Map();

  /** Whether nothing newer of it was heard of; of equals the later counts. @param {StorefrontEvent} event */
  accepts(event) {
    const { eventType, cartId, orderId, shipmentId, returnId, occurredAt } =
      /** @type {Record<string, string>} */ (/** @type {unknown} */ (event));
    const thing = `${eventType} ${shipmentId ?? returnId ?? orderId ?? cartId}`;
    const moment = sortable(occurredAt);
    const newest = this.#moments.get(thing);
    if (newest !== undefined && moment < newest) return false;
    this.#moments.delete(thing);
    this.#moments.set(thing, moment);
    if (this.#moments.size > REMEMBERED) this.#moments.delete([...this.#moments.keys()][0]);
    return true;
  }
}

/** A moment with all its digits, of which a Date keeps three. @param {string} moment */
function sortable(moment) {
  const [, whole, digits = "", zone] = /^(.{19})(?:\.(\d+))?(.*)$/.exec(moment) ?? ["", moment, "", ""];
  return `${String(Date.parse(whole + zone)).padStart(16, "0")}.${digits.padEnd(9, "0")}`;
}

/** @param {string} id @returns {Position | null} */
function parse(id) {
  const [, epoch, seq] = /^(.+)-(\d+)$/.exec(id) ?? [];
  return epoch === undefined ? null : { epoch, seq: Number(seq) };
}

/** @param {string} data @returns {any} */
function read(data) {
  try { return JSON.parse(data) ?? {}; } catch { return {}; }
}
