// The live connection: one native EventSource, kept alive, told in five words.
//
// Business events arrive as unnamed frames, so they reach onmessage; control frames are named. A
// browser reconnects by itself as long as it gets a 200. When it does not, the EventSource is dead
// for good (readyState CLOSED) and a new one is made here, after a pause, with the cursor of the
// old one: a new EventSource remembers nothing.

const CONTROL = [
  "stream", "shutdown", "superseded", "busy", "token-expiring", "token-expired", "reauthenticate",
];

// Milliseconds.
const FIRST_PAUSE = 1000;
const LONGEST_PAUSE = 30000;
// How long "reconnecting" is believed before it is called "offline": a stream that was told to wait
// comes back when it was told to (superseded: 48 to 72 s; busy: up to 15 s), and not before.
const PATIENCE = 12000;
const PATIENCE_WHEN_TOLD = { superseded: 90000, busy: 20000 };

export class LiveStream {
  #url;
  #hooks;
  #source = null;
  #cursor = "";
  #pause = FIRST_PAUSE;
  #retry = 0;
  #doubt = 0;
  #lostAt = 0;
  #patience = PATIENCE;
  #replaying = 0; // how many of the next events fill a gap
  #note = "";

  /**
   * @param {string} url
   * @param {object} hooks
   *   onEvent(event, replayed)    a business event; replayed: from before this connection
   *   onControl(name, data)       a control frame
   *   onState(state, words)       connecting | live | reconnecting | offline
   *   signIn()                    gets a new cookie; may fail
   */
  constructor(url, hooks) {
    this.#url = url;
    this.#hooks = hooks;
    addEventListener("online", () => this.#now());
    addEventListener("offline", () => this.#say("offline", "Offline: no network"));
  }

  open() {
    this.#say("connecting", "Connecting");
    this.#connect();
  }

  #connect() {
    clearTimeout(this.#retry);
    this.#source?.close();
    const url = new URL(this.#url, location.href);
    if (this.#cursor) url.searchParams.set("lastEventId", this.#cursor);
    const source = new EventSource(url, { withCredentials: true });
    source.onmessage = (frame) => this.#business(frame);
    source.onerror = () => this.#lost(source);
    for (const name of CONTROL) {
      source.addEventListener(name, (frame) => this.#control(name, read(frame)));
    }
    this.#source = source;
  }

  #business(frame) {
    if (frame.lastEventId) this.#cursor = frame.lastEventId;
    const event = read(frame);
    const replayed = this.#replaying > 0;
    if (replayed) this.#replaying -= 1;
    if (event?.eventType) this.#hooks.onEvent(event, replayed);
  }

  #control(name, data) {
    this.#patience = PATIENCE_WHEN_TOLD[name] ?? this.#patience;
    switch (name) {
      case "stream":
        // Only after fresh and reset is this the cursor; after resumed the events bring theirs.
        if (data.mode !== "resumed") this.#cursor = data.position ?? "";
        this.#pause = FIRST_PAUSE;
        this.#patience = PATIENCE;
        this.#replaying = data.replayed ?? 0;
        this.#note = "";
        this.#say("live", "Live");
        break;
      case "token-expiring":
      case "token-expired":
        this.#hooks.signIn().catch(() => {});
        break;
      case "reauthenticate":
        // The server would have us wait a minute; with a new cookie there is no reason to.
        this.#hooks.signIn().then(() => this.#now(), () => {});
        break;
      case "shutdown":
        this.#note = "The shop restarts";
        break;
      case "superseded":
        this.#note = "Too many tabs, this one waits";
        break;
      case "busy":
        this.#note = "The shop is busy";
        break;
    }
    this.#hooks.onControl(name, data);
  }

  #lost(source) {
    if (source !== this.#source) return;
    this.#say("reconnecting", this.#note || "Reconnecting");
    if (source.readyState !== EventSource.CLOSED) return;
    // Perhaps the cookie is the reason. If signing in fails too, the pause grows all the same.
    const pause = this.#pause * (0.75 + Math.random() / 2);
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE);
    this.#retry = setTimeout(async () => {
      await this.#hooks.signIn().catch(() => {});
      if (source === this.#source) this.#connect();
    }, pause);
  }

  #now() {
    this.#pause = FIRST_PAUSE;
    this.#say("reconnecting", "Reconnecting");
    this.#connect();
  }

  /** "reconnecting" that lasts becomes "offline", and stays so until the stream is live again. */
  #say(state, words) {
    this.#lostAt = state === "reconnecting" ? this.#lostAt || Date.now() : 0;
    clearTimeout(this.#doubt);
    const left = this.#lostAt + this.#patience - Date.now();
    if (state !== "reconnecting") {
      this.#hooks.onState(state, words);
    } else if (left <= 0) {
      this.#hooks.onState("offline", "Offline, still trying");
    } else {
      this.#hooks.onState(state, words);
      this.#doubt = setTimeout(() => this.#say(state, words), left);
    }
  }
}

function read(frame) {
  try {
    return JSON.parse(frame.data);
  } catch {
    return {};
  }
}
