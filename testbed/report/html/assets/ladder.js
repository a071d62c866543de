// Draws the rows that are in view: text as a grid, arrows as SVG over it.

const OVERSCAN = 8;
const LABEL_GAP = 13; // pixels between two labels in true scale

class Ladder {
  constructor(root, model, state, actions) {
    this.model = model;
    this.state = state;
    this.actions = actions;
    this.times = new Times(model, state);
    this.bars = svg("svg", { class: "bars", "aria-hidden": "true" });
    this.lines = svg("svg", { class: "arrows", "aria-hidden": "true" });
    this.body = el("div", { class: "rows", role: "rowgroup" });
    this.cursor = el("div", { class: "cursor", "aria-hidden": "true", hidden: true });
    this.field = el(
      "div",
      { class: "field", role: "grid", tabindex: "0", "aria-label": `ladder: ${model.observed ? "calls and packets" : "packets"} in time order`, "aria-colcount": model.observed ? 5 : 3 },
      this.bars,
      this.body,
      this.lines,
      this.cursor,
    );
    root.append(this.field);
    this.most = 0; // rows on paper, where those in view are not enough
    this.found = null;
    this.related = new Set();
    this.queued = false;
    window.addEventListener("scroll", () => this.queue(), { passive: true });
    new ResizeObserver(() => this.measure()).observe(root);
    this.field.addEventListener("click", (event) => this.clicked(event));
    this.field.addEventListener("mousemove", (event) => this.hovered(event));
    this.field.addEventListener("mouseleave", () => this.actions.hover(null));
  }

  setRows(rows) {
    this.rows = rows;
    this.field.setAttribute("aria-rowcount", rows.count);
    this.measure();
  }

  // Lane edges in pixels for the width there is.
  measure() {
    if (!this.rows) return;
    const width = this.field.clientWidth;
    const time = width < 560 ? 0 : this.state.time === "absolute" ? 148 : 88;
    const rest = width - time;
    const shares = !this.model.observed ? [0, 0.36, 0.28] : width < 560 ? [0.24, 0.21, 0.1] : width < 900 ? [0.26, 0.16, 0.16] : [0.255, 0.155, 0.18];
    const call = Math.floor(rest * shares[0]);
    const packet = Math.floor(rest * shares[1]);
    this.left = time + call + packet;
    this.right = width - call - packet;
    this.lanes = { time, call, packet, gap: this.right - this.left, width };
    const style = this.field.style;
    style.setProperty("--cols", `${time}px ${call}px ${packet}px ${this.lanes.gap}px ${packet}px ${call}px`);
    style.height = `${this.rows.height + ROW}px`;
    document.documentElement.style.setProperty("--lanes", style.getPropertyValue("--cols"));
    // In a narrow window the toolbar would cover a third of it: only the lanes' names stay.
    const bar = document.getElementById("bar");
    bar.style.top = width < 560 ? `${bar.lastChild.offsetHeight - bar.offsetHeight}px` : "";
    const letter = width < 560 ? 6.4 : 7.3;
    this.room = { call: Math.floor((call - 16) / letter), packet: Math.floor((packet - (width < 560 ? 12 : 20)) / letter) };
    this.draw();
  }

  queue() {
    if (this.queued) return;
    this.queued = true;
    requestAnimationFrame(() => {
      this.queued = false;
      this.draw();
    });
  }

  // First and last row in view, or the first `most` of all for paper.
  range() {
    const { rows, most } = this;
    if (most) return [0, Math.min(rows.count, most) - 1];
    const top = -this.field.getBoundingClientRect().top;
    const from = Math.max(rows.at(Math.max(top, 0)) - OVERSCAN, 0);
    let to = from;
    const bottom = top + window.innerHeight;
    while (to < rows.count - 1 && rows.y(to) < bottom) to++;
    return [from, Math.min(to + OVERSCAN, rows.count - 1)];
  }

  print(most) {
    this.most = most;
    this.draw();
  }

  draw() {
    if (!this.rows || !this.lanes) return;
    const [from, to] = this.range();
    const offset = this.rows.count ? this.rows.y(from) : 0;
    const height = (this.rows.count ? this.rows.y(to) : 0) + 2 * ROW - offset;
    for (const layer of [this.bars, this.lines]) {
      layer.replaceChildren();
      layer.setAttribute("width", this.lanes.width);
      layer.setAttribute("height", height);
      layer.style.top = `${offset}px`;
    }
    this.body.replaceChildren();
    if (!this.rows.count) {
      this.body.append(el("p", { class: "nothing" }, "Nothing matches. Esc shows everything again."));
      return;
    }
    this.drawLifelines(height);
    this.drawBars(from, to, offset, height);
    this.drawArrows(from, to, offset, height);
    this.drawRows(from, to);
  }

  drawLifelines(height) {
    for (const x of [this.left, this.right]) {
      this.bars.append(svg("line", { class: "life", x1: x, x2: x, y1: 0, y2: height }));
    }
  }

  // How long calls took: a bar at the outer edge of each call's text.
  drawBars(from, to, offset, height) {
    const { model, rows } = this;
    const begin = rows.time(from);
    const end = rows.time(to);
    for (let c = 0; c < model.calls; c++) {
      if (rows.callRow[c] < 0) continue;
      const { start, took, host } = model.call;
      if (ENDLESS.has(model.tables.text("call.name", c))) continue;
      const last = took[c] ? start[c] + took[c] : Infinity;
      const row = rows.callRow[c];
      if ((start[c] > end || last < begin) && (row < from || row > to)) continue;
      const y0 = rows.yOfTime(start[c]) - offset + 6;
      const y1 = Math.max(last === Infinity ? height : rows.yOfTime(last) - offset + 4, y0 + 10);
      const x = host[c] ? this.right + this.lanes.packet + 1 : this.lanes.time + 1;
      const failed = model.tables.text("call.errno", c) ? " failed" : "";
      this.bars.append(
        svg("rect", {
          class: `bar host${host[c]}${failed}${took[c] ? "" : " endless"}${this.marked(model.packets + c)}`,
          x,
          y: Math.max(y0, -20),
          width: 3,
          height: Math.max(Math.min(y1, height + 20) - Math.max(y0, -20), 3),
          rx: 1.5,
        }),
      );
    }
  }

  drawArrows(from, to, offset, height) {
    const { model, rows } = this;
    for (let p = 0; p < model.packets; p++) {
      const sent = rows.sentRow[p];
      const arrived = rows.arrivedRow[p];
      const low = sent < 0 ? arrived : arrived < 0 ? sent : Math.min(sent, arrived);
      const high = Math.max(sent, arrived);
      if (low > to || high < from || low < 0) continue;
      if ((sent < 0 || rows.isFold(sent)) && (arrived < 0 || rows.isFold(arrived))) continue;
      this.arrow(p, sent, arrived, offset, height);
    }
  }

  arrow(p, sent, arrived, offset) {
    const { model, rows } = this;
    const fate = model.fate[p];
    const middle = (row) => rows.y(row) - offset + ROW / 2;
    const fromClient = model.sender[p] === 0;
    const x0 = fromClient ? this.left : this.right;
    const x1 = fromClient ? this.right : this.left;
    const half = (x0 + x1) / 2;
    let [ax, ay, bx, by] = [x0, 0, x1, 0];
    if (fate === LOST) {
      ay = middle(sent);
      [bx, by] = [half, ay + ROW * 0.55];
    } else if (fate === APPEARED) {
      by = middle(arrived);
      [ax, ay] = [half, by - ROW * 0.55];
    } else {
      ay = middle(sent);
      by = middle(arrived);
    }
    const mark = model.marks[p];
    const classes = ["arrow", `from${model.sender[p]}`];
    if (fate !== CROSSED) classes.push("missing");
    if (mark & 8) classes.push("again");
    if (mark & 16) classes.push("late");
    if (mark & 4) classes.push("altered");
    const group = svg("g", { class: classes.join(" ") + this.marked(p), "data-item": p });
    group.append(svg("line", { class: "hit", x1: ax, y1: ay, x2: bx, y2: by }));
    group.append(svg("line", { class: "shaft", x1: ax, y1: ay, x2: bx, y2: by }));
    if (fate !== LOST) group.append(arrowHead(ax, ay, bx, by));
    if (fate === LOST) group.append(cross(bx, by));
    if (fate === APPEARED) group.append(cross(ax, ay));
    if (mark & 4) group.append(svg("text", { class: "sort", x: half, y: (ay + by) / 2 + 4 }, "≠"));
    const kind = model.said("kind", p);
    if (fate !== APPEARED && kind) group.append(sign(kind, ax, ay));
    if (fate === APPEARED && kind === "link") group.append(sign(kind, ax + (bx - ax) * 0.4, ay + (by - ay) * 0.4));
    this.lines.append(group);
  }

  drawRows(from, to) {
    const free = [-100, -100, -100, -100, -100];
    let before = from ? this.rows.time(from - 1) : null;
    for (let row = from; row <= to; row++) {
      const y = this.rows.y(row);
      this.body.append(this.rows.isFold(row) ? this.fold(row, y) : this.row(row, y, before, free));
      before = this.rows.time(row);
    }
    const active = this.state.sel && document.getElementById(`row-${this.selectedRow()}`);
    if (active) this.field.setAttribute("aria-activedescendant", active.id);
    else this.field.removeAttribute("aria-activedescendant");
  }

  selectedRow() {
    const item = this.model.find(this.state.sel);
    return item < 0 ? -1 : this.rows.rowOfItem(item);
  }

  fold(row, y) {
    const hidden = -this.rows.size[row];
    const button = el(
      "button",
      { class: "unfold", type: "button", "data-fold": row },
      `⋯ ${counted(hidden, "event")} hidden`,
    );
    const cell = el("div", { role: "gridcell", class: "fold" }, button);
    const line = el("div", { class: "row", role: "row", id: `row-${row}`, "aria-rowindex": row + 1 }, cell);
    line.style.top = `${y}px`;
    return line;
  }

  row(row, y, before, free) {
    const { model, rows } = this;
    const cells = ["time", "call c0", "packet c0", "packet c1", "call c1"].map((name) =>
      el("div", { class: `cell ${name}`, role: "gridcell" }),
    );
    const roomFor = (lane) => {
      if (rows.top && y - free[lane] < LABEL_GAP) return false;
      free[lane] = y;
      return true;
    };
    if (roomFor(0)) cells[0].textContent = this.times.show(rows.time(row), before);
    const said = [];
    let chosen = false;
    for (let e = rows.first[row]; e < rows.first[row] + rows.size[row]; e++) {
      const item = model.eventItem[e];
      const kind = model.eventKind[e];
      if (kind === CUT) {
        cells[2].textContent = "⋯ packets not in this page";
        cells[2].classList.add("cutmark");
        continue;
      }
      const host = kind === ARRIVED ? 1 - model.sender[item] : model.hostOf(item);
      const lane = kind === CALL ? (host ? 4 : 1) : host ? 3 : 2;
      const cell = cells[lane];
      cell.dataset.item = item;
      cell.className += this.marked(item);
      if (this.found && this.found[item]) cell.classList.add("found");
      if (kind !== ARRIVED || model.fate[item] === APPEARED) said.push(sentence(model, item));
      chosen ||= model.nameOf(item) === this.state.sel;
      if (roomFor(lane) || cell.classList.contains("selected")) this.fillCell(cell, kind, item);
    }
    const line = el("div", {
      class: "row",
      role: "row",
      id: `row-${row}`,
      "aria-rowindex": row + 1,
      "aria-selected": String(chosen),
      "aria-label": said.join(". ") || "arrival",
    });
    line.append(...cells);
    line.style.top = `${y}px`;
    return line;
  }

  fillCell(cell, kind, item) {
    const { model } = this;
    if (kind === CALL) {
      const c = item - model.packets;
      if (model.tables.text("call.errno", c) || (!model.call.took[c] && !ENDLESS.has(model.tables.text("call.name", c)))) {
        cell.classList.add("failed");
      }
      cell.textContent = callText(model, c, this.room.call);
    } else if (kind === SENT) {
      cell.textContent = packetText(model, item, this.room.packet);
    } else {
      cell.classList.add("arrival");
      const flags = model.tables.text("packet.flags", item) || model.tables.text("packet.protocol", item).toUpperCase();
      if (model.fate[item] === APPEARED) cell.textContent = packetText(model, item, this.room.packet);
      else cell.append(visible(flags), el("span", { class: "after" }, ` +${duration(model.delay[item])}`));
    }
  }

  marked(item) {
    if (this.state.sel && this.model.nameOf(item) === this.state.sel) return " selected";
    return this.related.has(item) ? " related" : "";
  }

  setSelection(item) {
    this.related = new Set();
    if (item < 0) return;
    const { model } = this;
    if (model.isPacket(item)) {
      for (const call of model.callsOf(item)) this.related.add(call);
      for (const n of model.observed ? model.tables.list("packet.answers", item) : []) this.related.add(model.packetItem(n));
    } else {
      const { caused, carried } = model.packetsOf(item - model.packets);
      for (const p of [...caused, ...carried]) this.related.add(p);
    }
  }

  // Brings an item into view, in the middle where it is out of sight.
  reveal(item) {
    const row = this.rows.rowOfItem(item);
    if (row < 0) return;
    const top = this.field.getBoundingClientRect().top + this.rows.y(row);
    const bar = document.getElementById("bar");
    const panel = document.querySelector(".panel.open"); // in a narrow window it lies over the ladder
    const bottom = window.innerHeight - (panel && getComputedStyle(panel).position === "fixed" ? panel.offsetHeight : 0);
    if (top > bar.getBoundingClientRect().bottom + ROW && top < bottom - 2 * ROW) return;
    const stuck = bar.offsetHeight + parseFloat(getComputedStyle(bar).top) + ROW;
    window.scrollTo({ top: window.scrollY + top - stuck - Math.max(bottom - stuck, 0) / 3 });
  }

  showCursor(time) {
    this.cursor.hidden = time === null || !this.rows.count;
    if (!this.cursor.hidden) this.cursor.style.top = `${this.rows.yOfTime(time) + ROW / 2}px`;
  }

  clicked(event) {
    const fold = event.target.closest("[data-fold]");
    if (fold) {
      const row = Number(fold.dataset.fold);
      this.actions.open(this.rows.first[row], this.rows.first[row] - this.rows.size[row]);
      return;
    }
    const target = event.target.closest("[data-item]");
    if (target) this.actions.choose(Number(target.dataset.item));
  }

  hovered(event) {
    const target = event.target.closest("[data-item]");
    const top = this.field.getBoundingClientRect().top;
    const time = this.rows.count ? this.rows.timeOfY(event.clientY - top - ROW / 2) : 0;
    this.actions.hover(target ? Number(target.dataset.item) : -1, time, event);
  }
}

function arrowHead(ax, ay, bx, by) {
  const angle = Math.atan2(by - ay, bx - ax);
  const at = (turn, length) => `${bx - length * Math.cos(angle + turn)} ${by - length * Math.sin(angle + turn)}`;
  return svg("path", { class: "head", d: `M${bx} ${by}L${at(0.42, 9)}L${at(-0.42, 9)}Z` });
}

function cross(x, y) {
  return svg("path", { class: "cross", d: `M${x - 5} ${y - 5}l10 10M${x - 5} ${y + 5}l10-10` });
}
