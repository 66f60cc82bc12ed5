// Numbers as people read them.

/** Seconds: "0.8 ms", "12 ms", "3.4 s", "5 min", "2 h". */
export function duration(seconds) {
  if (seconds === null || seconds === undefined) return "–";
  if (seconds === 0) return "0 ms";
  if (seconds < 0.01) return `${(seconds * 1000).toFixed(1)} ms`;
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86400)} d`;
}

/** A count: "1,234". */
export const count = (value) => (value === null || value === undefined ? "–" : Math.round(value).toLocaleString("en"));

/** Per second: one digit while it is small. */
export const rate = (value) => (value < 10 ? value.toFixed(1).replace(/\.0$/, "") : count(value));

/** A share of a whole; nothing of nothing. */
export const share = (part, whole) => (whole ? `${Math.round((100 * part) / whole)} %` : "–");

/** Seconds since 1970, as a time of day. */
export const clock = (seconds) => (seconds === null ? "–" : new Date(seconds * 1000).toLocaleTimeString("en-GB"));
