// The time-sequence plot of one direction of a connection, as its sender's capture shows it.

const PLOT = { height: 230, left: 72, right: 12, top: 10, bottom: 26 };
const MOST_MARKS = 3000; // more than that are drawn as one bar for each column of pixels

class Plot {
  constructor(root, model, state, actions) {
    Object.assign(this, { root, model, state, actions });
    this.choices = this.directions();
    this.choice = 0;
    this.range = null;
    this.canvas = svg("svg", { class: "plot", role: "img", height: PLOT.height });
    this.cursor = svg("line", { class: "plotcursor", y1: PLOT.top, y2: PLOT.height - PLOT.bottom });
    this.brush = svg("rect", { class: "brush", y: PLOT.top, height: PLOT.height - PLOT.top - PLOT.bottom });
    this.canvas.addEventListener("pointermove", (event) => this.moved(event));
    this.canvas.addEventListener("pointerdown", (event) => this.pressed(event));
    this.canvas.addEventListener("pointerup", (event) => this.released(event));
    this.canvas.addEventListener("pointercancel", () => this.dropped());
    this.canvas.addEventListener("pointerleave", () => this.actions.hover(null));
    this.root.append(this.controls(), this.canvas);
    new ResizeObserver(() => this.draw()).observe(this.root);
  }

  // Every direction of every TCP connection that carried data, the one with most bytes first; `sender` is its end.
  directions() {
    const { model } = this;
    const bytes = new Map();
    for (let p = 0; p < model.packets; p++) {
      if (model.flow[p] < 0 || model.head.flows[model.flow[p]].protocol !== "tcp") continue;
      const key = model.flow[p] * 2 + model.way[p];
      bytes.set(key, (bytes.get(key) || 0) + model.length[p]);
    }
    const found = [...bytes].filter(([, sum]) => sum).sort((a, b) => b[1] - a[1]);
    return found.slice(0, 200).map(([key]) => ({ flow: key >> 1, sender: key & 1 }));
  }

  controls() {
    const { model } = this;
    const many = model.head.flows.length > 1;
    this.unscaled = el("span", { class: "bad", hidden: true }, "no window: its scale is in SYNs that were not captured");
    const pick = el("select", { "aria-label": "direction", onchange: (event) => this.pick(Number(event.target.value)) });
    this.choices.forEach(({ flow, sender }, i) => {
      const [from, to] = [model.head.hosts[sender], model.head.hosts[1 - sender]];
      pick.append(el("option", { value: i }, `${from} to ${to}${many ? `, connection ${flow + 1}` : ""}`));
    });
    const key = (name, text) => el("span", { class: `key ${name}` }, svg("svg", { width: 22, height: 12, "aria-hidden": "true" }, ...keyShape(name)), text);
    const button = (text, label, action) => el("button", { type: "button", "aria-label": label, onclick: action }, text);
    return el(
      "div",
      { class: "plothead" },
      pick,
      el("span", { class: "keys" }, key("segment", "segment"), key("again", "sent again"), key("gone", "lost"), key("acked", "acknowledged"), key("window", "window"), key("sack", "SACK"), model.tables.has("packet.kernel.cwnd") ? key("cwnd", "congestion window") : null),
      this.unscaled,
      el("span", { class: "zoom" }, button("+", "zoom in", () => this.zoom(0.5)), button("−", "zoom out", () => this.zoom(2)), button("all", "whole connection", () => this.zoom(0))),
    );
  }

  pick(choice) {
    this.choice = choice;
    this.range = null;
    this.draw();
  }

  zoom(factor) {
    if (!factor) this.range = null;
    else if (this.data) {
      const [from, to] = this.x.domain;
      const at = this.cursorTime !== undefined && this.cursorTime >= from && this.cursorTime <= to ? this.cursorTime : (from + to) / 2;
      this.range = [at - (at - from) * factor, at + (to - at) * factor];
    }
    this.draw();
  }

  // Points of the chosen direction: [item, time, from, to] of segments, [time, ack, edge] of acknowledgments.
  collect({ flow, sender }) {
    const { model } = this;
    const { tables } = model;
    const window_ = tables.numbers("packet.window");
    const wscale = tables.numbers("packet.wscale");
    const scales = [-1, -1];
    const data = { segments: [], acks: [], sacks: [], opened: [false, false] };
    for (let p = 0; p < model.packets; p++) {
      if (model.flow[p] !== flow) continue;
      const flags = tables.text("packet.flags", p);
      if (flags.includes("S")) scales[model.way[p]] = wscale[p];
      if (flags.includes("S")) data.opened[model.way[p]] = true;
      if (model.way[p] === sender) {
        const size = model.length[p] + (flags.includes("S") || flags.includes("F") ? 1 : 0);
        if (size) data.segments.push([p, model.time[p], model.seq[p], model.seq[p] + size]);
      } else if (flags.includes(".") && model.fate[p] !== LOST) {
        const shift = flags.includes("S") || Math.min(...scales) < 0 ? 0 : scales[1 - sender];
        const at = model.time[p] + model.delay[p];
        data.acks.push([at, model.ack[p], model.ack[p] + window_[p] * 2 ** shift]);
        const edges = tables.list("packet.sack", p);
        for (let i = 0; i < edges.length; i += 2) data.sacks.push([at, edges[i], edges[i + 1]]);
      }
    }
    return data;
  }

  draw() {
    if (this.root.hidden || !this.choices.length) return;
    const width = this.root.clientWidth;
    if (!width) return;
    const choice = this.choices[this.choice];
    this.data = this.collect(choice);
    const { segments, acks, sacks } = this.data;
    const all = [segments[0][1], segments[segments.length - 1][1], ...(acks.length ? [acks[0][0], acks[acks.length - 1][0]] : [])];
    const [from, to] = this.range || [Math.min(...all), Math.max(...all)];
    const seen = segments.filter(([, time]) => time >= from && time <= to);
    const lows = seen.length ? seen : segments;
    let [low, high] = [Infinity, 1];
    for (const [, , start, end] of lows) [low, high] = [Math.min(low, start), Math.max(high, end)];
    // Without both SYNs nobody knows what a window's number counts (RFC 7323 section 2.2).
    const scaled = this.data.opened.every(Boolean);
    this.unscaled.hidden = scaled;
    const pad = (high - low) * 0.04 || 1;
    this.x = axis([from, to === from ? from + 1 : to], [PLOT.left, width - PLOT.right]);
    this.y = axis([low - pad, high + pad], [PLOT.height - PLOT.bottom, PLOT.top]);
    this.canvas.setAttribute("width", width);
    const sender = this.model.head.hosts[choice.sender];
    this.canvas.setAttribute("aria-label", `time-sequence plot of the ${sender}'s bytes: ${counted(segments.length, "segment")}, ${counted(acks.length, "acknowledgment")}`);
    const clip = svg("clipPath", { id: "plotarea" }, svg("rect", { x: PLOT.left, y: PLOT.top, width: Math.max(width - PLOT.left - PLOT.right, 0), height: PLOT.height - PLOT.top - PLOT.bottom }));
    const area = svg("g", { "clip-path": "url(#plotarea)" });
    area.append(
      svg("path", { class: "window", d: scaled ? this.steps(acks, 2) : "" }),
      svg("path", { class: "cwnd", d: this.steps(WITNESS.allowed(this.model, choice, this.data), 1) }),
      svg("path", { class: "acked", d: this.steps(acks, 1) }),
      svg("path", { class: "sack", d: this.uprights(sacks.map(([time, left, right]) => [-1, time, left, right])) }),
      svg("path", { class: "segment", d: this.uprights(seen.filter(([p]) => !(this.model.marks[p] & 8))) }),
      svg("path", { class: "again", d: this.uprights(seen.filter(([p]) => this.model.marks[p] & 8)) }),
      svg("path", { class: "gone", d: this.crosses(seen.filter(([p]) => this.model.marks[p] & 1)) }),
    );
    this.canvas.replaceChildren(clip, ...this.axes(width), area, this.cursor, this.brush);
    this.brush.setAttribute("width", 0);
    this.showCursor(this.cursorTime ?? null);
  }

  axes(width) {
    const parts = [];
    const start = this.model.time[0];
    for (const value of ticks(this.y.domain, 5)) {
      const y = this.y(value);
      parts.push(svg("line", { class: "grid", x1: PLOT.left, x2: width - PLOT.right, y1: y, y2: y }));
      parts.push(svg("text", { class: "tick", x: PLOT.left - 8, y: y + 4, "text-anchor": "end" }, grouped(value + 0)));
    }
    const span = this.x.domain.map((time) => (time - start) / 1e6);
    const steps = ticks(span, Math.max(Math.floor(width / 110), 2));
    const digits = steps.length > 1 ? Math.max(0, Math.ceil(-Math.log10(steps[1] - steps[0]))) : 3;
    for (const value of steps) {
      const x = this.x(value * 1e6 + start);
      parts.push(svg("line", { class: "grid", x1: x, x2: x, y1: PLOT.top, y2: PLOT.height - PLOT.bottom }));
      const place = x > width - 36 ? { x: width - 2, "text-anchor": "end" } : { x, "text-anchor": "middle" };
      parts.push(svg("text", { class: "tick", y: PLOT.height - 8, ...place }, `${value.toFixed(Math.min(digits, 6))} ms`));
    }
    return parts;
  }

  steps(points, column) {
    const parts = [];
    let before = null;
    let last = -1;
    for (const point of points) {
      const [x, y] = [this.x(point[0]), this.y(point[column])];
      if (before === null) parts.push(`M${x.toFixed(1)} ${y.toFixed(1)}`);
      else if (x - last < 0.4 && points.length > MOST_MARKS) {
        before = y;
        continue;
      } else parts.push(`H${x.toFixed(1)}V${y.toFixed(1)}`);
      before = y;
      last = x;
    }
    if (before !== null) parts.push(`V${before.toFixed(1)}`);
    return parts.join("");
  }

  uprights(points) {
    if (points.length <= MOST_MARKS) return points.map(([, time, from, to]) => this.upright(this.x(time), from, to)).join("");
    const columns = new Map();
    for (const [, time, from, to] of points) {
      const x = Math.round(this.x(time));
      const known = columns.get(x);
      if (known) [known[0], known[1]] = [Math.min(known[0], from), Math.max(known[1], to)];
      else columns.set(x, [from, to]);
    }
    return [...columns].map(([x, [from, to]]) => this.upright(x, from, to)).join("");
  }

  upright(x, from, to) {
    const [low, high] = [this.y(from), this.y(to)];
    const least = Math.max(low - high, 2.5); // one byte must still be seen
    return `M${x.toFixed(1)} ${low.toFixed(1)}v${(-least).toFixed(1)}`;
  }

  crosses(points) {
    return points
      .slice(0, MOST_MARKS)
      .map(([, time, from, to]) => `M${(this.x(time) - 4).toFixed(1)} ${(this.y((from + to) / 2) - 4).toFixed(1)}l8 8m-8 0l8-8`)
      .join("");
  }

  showCursor(time) {
    this.cursorTime = time ?? undefined;
    const inside = time !== null && this.x && time >= this.x.domain[0] && time <= this.x.domain[1];
    this.cursor.setAttribute("visibility", inside ? "visible" : "hidden");
    if (!inside) return;
    for (const end of ["x1", "x2"]) this.cursor.setAttribute(end, this.x(time));
  }

  // The segment nearest to a place in the plot, -1 where none is near.
  nearest(x, y) {
    let best = -1;
    let least = 400;
    for (const [p, time, from, to] of this.data.segments) {
      const dx = this.x(time) - x;
      const dy = Math.max(this.y(to) - y, y - this.y(from), 0);
      if (dx * dx + dy * dy < least) [best, least] = [p, dx * dx + dy * dy];
    }
    return best;
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  moved(event) {
    if (!this.x) return;
    const [x, y] = this.place(event);
    if (this.from !== undefined) {
      this.brush.setAttribute("x", Math.min(this.from, x));
      this.brush.setAttribute("width", Math.abs(x - this.from));
      return;
    }
    this.actions.hover(this.nearest(x, y), this.x.back(x), event);
  }

  pressed(event) {
    this.from = this.place(event)[0];
    this.canvas.setPointerCapture(event.pointerId);
  }

  dropped() {
    this.brush.setAttribute("width", 0);
    this.from = undefined;
  }

  released(event) {
    const { from } = this;
    this.dropped();
    if (from === undefined || !this.x) return;
    const [x, y] = this.place(event);
    if (Math.abs(x - from) > 6) {
      this.range = [this.x.back(Math.min(from, x)), this.x.back(Math.max(from, x))];
      this.draw();
      return;
    }
    const item = this.nearest(x, y);
    if (item >= 0) this.actions.choose(item);
  }
}

function axis(domain, range) {
  const scale = (range[1] - range[0]) / (domain[1] - domain[0]);
  const map = (value) => range[0] + (value - domain[0]) * scale;
  return Object.assign(map, { domain, back: (at) => domain[0] + (at - range[0]) / scale });
}

// Round values that divide a span into about `wanted` parts.
function ticks([from, to], wanted) {
  const rough = (to - from) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => power * factor >= rough * 0.999);
  const values = [];
  for (let k = Math.ceil(from / step); k * step <= to; k++) values.push(k * step);
  return values;
}

function keyShape(name) {
  if (name === "segment" || name === "again" || name === "sack") return [svg("path", { class: name, d: "M6 1v10M11 1v10M16 1v10" })];
  if (name === "gone") return [svg("path", { class: "gone", d: "M7 2l8 8m-8 0l8-8" })];
  return [svg("path", { class: name, d: "M1 10H8V6H15V2H21" })];
}
