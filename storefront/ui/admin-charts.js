// The four charts: a window of a quarter of an hour that moves with each picture. uPlot draws them.

import { duration, rate, count } from "./admin-words.js";

// As many as the service keeps.
const POINTS = 900;
const HEIGHT = 190;

const milliseconds = (key) => (point) => (point[key] === null ? null : point[key] * 1000);
const inMilliseconds = (value) => (value === null || value === undefined ? "–" : duration(value / 1000));

const CHARTS = {
  "chart-streams": {
    words: (value) => count(value),
    lines: [
      ["live", "--one", (point) => point.live],
      ["opening", "--three", (point) => point.opening],
      ["catching up", "--two", (point) => point.catchingUp],
      ["leaving", "--four", (point) => point.leaving],
    ],
  },
  "chart-events": {
    words: (value) => (value === null || value === undefined ? "–" : rate(value)),
    lines: [
      ["in", "--two", (point) => point.eventsIn],
      ["out", "--one", (point) => point.eventsOut],
    ],
  },
  "chart-latency": {
    words: inMilliseconds,
    // Where nothing was written there is no value: the few that stand alone must be seen.
    dots: true,
    lines: [
      ["50 %", "--one", milliseconds("p50")],
      ["95 %", "--two", milliseconds("p95")],
      ["99 %", "--three", milliseconds("p99")],
    ],
  },
  "chart-lag": { words: inMilliseconds, lines: [["lag", "--one", milliseconds("lag")]] },
};

/** A colour of the style sheet, as it is now: a canvas knows no variables. */
function colour(name) {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  document.body.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

export class Charts {
  #points = [];
  #drawn = [];

  constructor() {
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.#build());
    new ResizeObserver(() => this.#fit()).observe(document.getElementById("dashboard"));
  }

  /** Begin anew with these. */
  start(points) {
    this.#points = points.slice(-POINTS);
    if (this.#drawn.length) this.#fill();
    else this.#build();
  }

  /** One more, which is newer. */
  add(point) {
    const last = this.#points.at(-1);
    if (last && point.at <= last.at) return;
    this.#points.push(point);
    if (this.#points.length > POINTS) this.#points.shift();
    this.#fill();
  }

  #build() {
    for (const { plot } of this.#drawn) plot.destroy();
    this.#drawn = Object.entries(CHARTS).map(([id, chart]) => {
      const box = document.getElementById(id);
      return { box, chart, plot: new uPlot(options(chart, box), this.#data(chart), box) };
    });
  }

  #fill() {
    for (const { chart, plot } of this.#drawn) plot.setData(this.#data(chart));
  }

  #fit() {
    for (const { box, plot } of this.#drawn) {
      if (box.clientWidth && box.clientWidth !== plot.width) plot.setSize({ width: box.clientWidth, height: HEIGHT });
    }
  }

  #data(chart) {
    return [this.#points.map((point) => point.at), ...chart.lines.map(([, , value]) => this.#points.map(value))];
  }
}

function options(chart, box) {
  const axis = { stroke: colour("--soft"), grid: { stroke: colour("--grid"), width: 1 }, ticks: { show: false } };
  return {
    width: box.clientWidth || 400,
    height: HEIGHT,
    cursor: { y: false, drag: { x: false, y: false } },
    legend: { live: true },
    // From zero: a line that fills the box because nothing happens says that something does.
    scales: { y: { range: (_, __, most) => [0, Math.max(1, (most ?? 0) * 1.1)] } },
    axes: [
      { ...axis, values: (_, splits) => splits.map((at) => new Date(at * 1000).toLocaleTimeString("en-GB")), space: 90, size: 34, gap: 8 },
      { ...axis, size: 52 },
    ],
    series: [
      { label: "time" },
      ...chart.lines.map(([label, name]) => ({
        label,
        stroke: colour(name),
        width: 2,
        spanGaps: true,
        points: chart.dots ? { show: true, size: 4 } : {},
        value: (plot, value) => chart.words(value ?? newest(plot, label)),
      })),
    ],
  };
}

/** Where the pointer is nowhere, the legend tells what is now. */
function newest(plot, label) {
  const index = plot.series?.findIndex((series) => series.label === label) ?? -1;
  return plot.data?.[index]?.at(-1);
}
