// Wires everything together: toolbar, keyboard, selection, address, paper.

const PAPER_ROWS = 2000;

class App {
  constructor(tables) {
    this.model = new Model(tables);
    this.filter = new Filter(this.model);
    this.state = readState(isPlace(location.hash) ? "" : location.hash);
    this.opened = [];
    this.build();
    this.relayout();
    this.select(this.model.find(this.state.sel), { reveal: Boolean(this.state.sel) });
    this.showPlot();
    window.addEventListener("hashchange", () => this.fromAddress());
    document.addEventListener("keydown", (event) => this.key(event));
    document.addEventListener("click", (event) => this.followed(event));
    window.addEventListener("beforeprint", () => this.ladder.print(PAPER_ROWS));
    window.addEventListener("afterprint", () => this.ladder.print(0));
  }

  // ---------------------------------------------------------------- what there is

  build() {
    const { model, state } = this;
    const actions = {
      choose: (item) => this.choose(item),
      hover: (item, time, event) => this.hover(item, time, event),
      open: (from, to) => this.open(from, to),
    };
    const root = document.getElementById("app");
    this.live = el("p", { class: "unseen", role: "status", "aria-live": "polite" });
    this.tip = el("div", { class: "tip", role: "presentation", hidden: true });
    this.dock = el("section", { class: "dock", "aria-label": "time-sequence plot", hidden: true });
    root.classList.toggle("uncalled", !model.observed);
    const lanes = [["", "time"], ["client ", "calls"], ["client ", "capture"], ["", ""], ["server ", "capture"], ["server ", "calls"]];
    const names = lanes.map(([who, what], i) => el("span", { class: `lane lane${i}` }, el("span", { class: "who" }, who), what));
    const stage = el("div", { class: "stage" });
    const side = el("aside", { class: "panel", "aria-label": "details", tabindex: "-1" });
    root.append(
      el("div", { class: "sticky", id: "bar" }, this.toolbar(), this.dock, el("div", { class: "lanes", "aria-hidden": "true" }, ...names)),
      stage,
      side,
      this.tip,
      this.live,
    );
    root.hidden = false;
    document.getElementById("loading").remove();
    this.ladder = new Ladder(stage, model, state, actions);
    this.panel = new Panel(side, model, state, actions);
    this.plot = new Plot(this.dock, model, state, actions);
    this.plotButton.hidden = !this.plot.choices.length;
    this.paper = el("p", { class: "papernote" }, `On paper the first ${grouped(PAPER_ROWS)} rows are shown.`);
    stage.append(this.paper);
  }

  toolbar() {
    const { model, state } = this;
    const bar = el("div", { class: "toolbar", role: "toolbar", "aria-label": "what the ladder shows" });
    this.search = el("input", {
      type: "search",
      id: "search",
      placeholder: `Search: words, flags:R., ${model.observed ? "rule:timeout" : "fate:lost"}, from:server, len:>0, bytes:1-8`,
      "aria-label": model.observed ? "search packets and calls" : "search packets",
      autocomplete: "off",
      spellcheck: "false",
    });
    this.search.addEventListener("input", () => this.set({ q: this.search.value }));
    this.hits = el("span", { class: "hits muted", "aria-live": "polite" });
    this.mode = this.choice("mode", [["filter", "filter"], ["find", "find"]], "show only matching rows, or go from match to match");
    this.context = el("label", { class: "field-ctx" }, "context ", el("input", { type: "number", min: 0, max: 50, id: "ctx", title: "rows before and after each match", "aria-label": "rows of context" }));
    this.context.lastChild.addEventListener("input", (event) => this.set({ ctx: Math.min(Math.max(Number(event.target.value) || 0, 0), 50) }));
    bar.append(el("div", { class: "group find" }, this.search, this.hits, this.mode, this.context));
    this.presets = el("div", { class: "group presets", role: "group", "aria-label": "presets" });
    for (const [name, bit, title] of PRESETS) {
      const count = model.head.packets.counts[bit];
      if (count === undefined) continue;
      const chip = el("button", { type: "button", class: "preset", "data-preset": name, title, disabled: !count }, `${PRESET_NAMES[name] || name} `, el("b", {}, grouped(count)));
      chip.addEventListener("click", () => this.togglePreset(name));
      this.presets.append(chip);
    }
    this.only = el("button", { type: "button", class: "preset", id: "only", title: "packets that differ between the ends" }, "only differences");
    this.only.addEventListener("click", () => this.set({ only: !state.only }));
    this.presets.append(this.only);
    bar.append(this.presets);
    bar.append(el("div", { class: "group view" }, this.flows(), this.choice("time", [["relative", "relative"], ["delta", "delta"], ["absolute", "absolute"]], "time"), this.clocks(), ...this.switches()));
    this.chips = el("div", { class: "group chips" });
    bar.append(this.chips);
    return bar;
  }

  choice(name, options, label) {
    const select = el("select", { id: `choose-${name}`, "aria-label": label, title: label });
    for (const [value, text] of options) select.append(el("option", { value }, text));
    select.addEventListener("change", () => this.set({ [name]: select.value }));
    return select;
  }

  flows() {
    const { flows } = this.model.head;
    if (flows.length < 2) return null;
    const options = [["", `all ${grouped(flows.length)} connections`]];
    flows.slice(0, 2000).forEach((flow, i) => options.push([String(i), `${i + 1}: ${flow.protocol} ${flow.client} - ${flow.server}`]));
    return this.choice("flow", options, "connection");
  }

  clocks() {
    const { clock } = this.model.head;
    const [first, ...steps] = clock.pieces;
    const error = first && (first.error === null ? ", error unknown" : ` ± ${duration(first.error)}`);
    const shown = first ? `offset ${duration(Number(first.offset))}${error}${steps.length ? `, ${counted(steps.length, "step")}` : ""}` : "offset 0";
    const offset = first ? `server's clock - client's: ${shown}, drift ${first.drift.toFixed(3)} ppm` : "both ends have one clock: offset 0, exact";
    const choice = this.choice("clock", [["aligned", "aligned clock"], ["client", "client's clock"], ["server", "server's clock"]], offset);
    return el("span", { class: "clock" }, choice, el("span", { class: "muted offset", title: offset }, shown));
  }

  switches() {
    const press = (id, text, title, action) => el("button", { type: "button", id, class: "toggle", title, onclick: action }, text);
    this.scaleButton = press("scale", "true scale", "heights in proportion to time", () => this.set({ scale: !this.state.scale }));
    this.finer = press("finer", "+", "more pixels for each millisecond", () => this.set({ zoom: this.state.zoom + 1 }));
    this.coarser = press("coarser", "−", "fewer pixels for each millisecond", () => this.set({ zoom: this.state.zoom - 1 }));
    this.plotButton = press("plot", "sequence plot", "bytes over time (p)", () => this.set({ plot: !this.state.plot }));
    const copy = press("copy", "copy link", "a link to exactly this view", () => this.copy(copy));
    return [this.scaleButton, this.finer, this.coarser, this.plotButton, copy];
  }

  // ---------------------------------------------------------------- changing the state

  set(changes) {
    const before = { ...this.state };
    Object.assign(this.state, changes);
    const names = Object.keys(changes).filter((name) => String(before[name]) !== String(this.state[name]));
    if (!names.length) return;
    if (names.some((name) => ["q", "mode", "preset", "only", "call", "of", "flow", "ctx", "scale", "zoom"].includes(name))) {
      if (names.some((name) => name !== "scale" && name !== "zoom")) this.opened = [];
      this.relayout();
      if (this.state.sel) this.ladder.reveal(this.model.find(this.state.sel));
    } else this.ladder.measure();
    if (names.includes("plot")) this.showPlot();
    if (names.some((name) => ["time", "clock"].includes(name))) this.panel.show(this.model.find(this.state.sel));
    this.showState();
    this.toAddress();
  }

  relayout() {
    const { state, model } = this;
    const wanted = this.filter.select(state);
    const rows = new Rows(model, wanted, state.ctx, this.opened);
    if (state.scale && rows.count > 1) {
      const span = rows.time(rows.count - 1) - rows.time(0) || 1;
      const most = 16e6; // what a browser can make an element high
      rows.scale(Math.min((rows.count * ROW * 2 ** state.zoom) / span, most / span));
    }
    this.ladder.found = state.q ? this.filter.found(state) : null;
    this.ladder.setRows(rows);
    this.paper.hidden = rows.count <= PAPER_ROWS;
    this.matches = wanted ? wanted.reduce((sum, one) => sum + one, 0) : null;
    this.showState();
  }

  showState() {
    const { state } = this;
    if (this.search.value !== state.q) this.search.value = state.q;
    for (const name of ["mode", "time", "clock", "flow"]) {
      const select = document.getElementById(`choose-${name}`);
      if (select) select.value = state[name];
    }
    document.getElementById("ctx").value = state.ctx;
    for (const chip of this.presets.querySelectorAll("[data-preset]")) chip.setAttribute("aria-pressed", String(state.preset.includes(chip.dataset.preset)));
    for (const [button, on] of [[this.only, state.only], [this.scaleButton, state.scale], [this.plotButton, state.plot]]) button.setAttribute("aria-pressed", String(on));
    this.finer.hidden = this.coarser.hidden = !state.scale;
    const found = state.mode === "find" && this.ladder.found ? this.ladder.found.reduce((sum, one) => sum + one, 0) : this.matches;
    this.hits.textContent = found === null ? "" : counted(found, "match").replace("matchs", "matches");
    this.chips.replaceChildren();
    if (state.of) {
      this.chips.append(el("button", { type: "button", class: "chip on", id: "clear-of", onclick: () => this.set({ of: "" }) }, "what a finding names ", el("span", { "aria-hidden": "true" }, "×")));
    }
    if (state.call) {
      const item = this.model.find(state.call);
      const text = item < 0 ? visible(state.call) : this.panel.callName(item);
      this.chips.append(el("button", { type: "button", class: "chip on", id: "clear-call", onclick: () => this.set({ call: "" }) }, `packets of ${text} `, el("span", { "aria-hidden": "true" }, "×")));
    }
  }

  togglePreset(name) {
    const { preset } = this.state;
    this.set({ preset: preset.includes(name) ? preset.filter((one) => one !== name) : [...preset, name] });
  }

  open(from, to) {
    this.opened.push([from, to]);
    this.relayout();
  }

  showPlot() {
    this.dock.hidden = !this.state.plot || !this.plot.choices.length;
    this.plot.draw();
  }

  // ---------------------------------------------------------------- selection

  // By hand: a call also filters to its packets.
  choose(item) {
    const isCall = item >= 0 && !this.model.isPacket(item);
    this.select(item);
    this.set({ call: isCall ? this.model.nameOf(item) : item < 0 ? "" : this.state.call });
    this.ladder.field.focus({ preventScroll: true });
  }

  select(item, { reveal = true } = {}) {
    this.state.sel = item < 0 ? "" : this.model.nameOf(item);
    if (item >= 0 && this.ladder.rows.rowOfItem(item) >= 0 && this.ladder.rows.isFold(this.ladder.rows.rowOfItem(item))) {
      const row = this.ladder.rows.rowOfItem(item);
      this.open(this.ladder.rows.first[row], this.ladder.rows.first[row] - this.ladder.rows.size[row]);
    }
    this.ladder.setSelection(item);
    this.panel.show(item);
    if (item >= 0 && reveal) this.ladder.reveal(item);
    this.ladder.draw();
    this.plot.showCursor(item < 0 ? null : this.model.itemTime(item));
    this.live.textContent = item < 0 ? "" : sentence(this.model, item);
    this.toAddress();
  }

  step(by, wanted) {
    const { rows } = this.ladder;
    const current = this.model.find(this.state.sel);
    let row = current < 0 ? (by > 0 ? -1 : rows.count) : rows.rowOfItem(current);
    const here = rows.itemsOf(row);
    let place = here.indexOf(current) + by;
    if (current < 0 || place < 0 || place >= here.length) place = null;
    const fits = (item) => !wanted || wanted[item];
    for (; place !== null && place >= 0 && place < here.length; place += by) if (fits(here[place])) return this.select(here[place]);
    for (row += by; row >= 0 && row < rows.count; row += by) {
      const items = rows.itemsOf(row).filter(fits);
      if (items.length) return this.select(by > 0 ? items[0] : items[items.length - 1]);
    }
    return undefined;
  }

  hover(item, time, event) {
    if (item === null) {
      this.tip.hidden = true;
      this.plot.showCursor(null);
      this.ladder.showCursor(null);
      return;
    }
    this.plot.showCursor(time);
    this.ladder.showCursor(this.state.plot ? time : null);
    this.tip.hidden = item < 0;
    if (item < 0) return;
    this.tip.textContent = sentence(this.model, item);
    if (this.model.isPacket(item)) {
      const labels = labelsOf(this.model, item);
      if (labels.length) this.tip.append(el("span", { class: "block" }, `labels: ${visible(labels.join(", "))}`));
    }
    const left = Math.min(event.clientX + 14, window.innerWidth - this.tip.offsetWidth - 8);
    this.tip.style.left = `${Math.max(left, 8)}px`;
    const below = event.clientY + 18 + this.tip.offsetHeight < window.innerHeight;
    this.tip.style.top = `${below ? event.clientY + 18 : event.clientY - this.tip.offsetHeight - 10}px`;
  }

  // ---------------------------------------------------------------- keys, links, address

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const typing = event.target.closest("input, select, textarea");
    if (event.key === "Escape") {
      if (typing) typing.blur();
      this.set({ q: "", preset: [], only: false, call: "", of: "", flow: "" });
      this.select(-1);
      return;
    }
    if (typing) {
      if (event.key === "Enter" && typing === this.search) this.step(1, this.filter.found(this.state));
      return;
    }
    const found = () => this.filter.found(this.state) || this.filter.select(this.state);
    const keys = {
      j: () => this.step(1),
      k: () => this.step(-1),
      n: () => this.step(1, found()),
      N: () => this.step(-1, found()),
      p: () => this.set({ plot: !this.state.plot }),
      "/": () => this.search.focus(),
    };
    if (this.ladder.field === document.activeElement) {
      keys.ArrowDown = keys.j;
      keys.ArrowUp = keys.k;
      keys.Enter = () => this.choose(this.model.find(this.state.sel));
    }
    if (!keys[event.key]) return;
    event.preventDefault();
    keys[event.key]();
  }

  // Links in the panel and in the page select without leaving the place.
  followed(event) {
    const link = event.target.closest("a[href^='#']");
    if (!link || isPlace(link.getAttribute("href"))) {
      if (link) document.querySelector(`${link.getAttribute("href")} > summary`)?.parentElement.setAttribute("open", "");
      return;
    }
    event.preventDefault();
    const wanted = readState(link.getAttribute("href"));
    if (wanted.of) this.set({ ...wanted, sel: this.state.sel });
    if (wanted.sel) this.choose(this.model.find(wanted.sel));
    else this.set({ ...wanted });
    if (!link.closest("#app")) document.getElementById("ladder").scrollIntoView();
    if (wanted.sel) this.ladder.reveal(this.model.find(wanted.sel));
  }

  fromAddress() {
    if (isPlace(location.hash) || location.hash === this.address()) return;
    const { sel, ...others } = readState(location.hash);
    this.set(others);
    this.select(this.model.find(sel));
  }

  address() {
    const text = writeState(this.state);
    return text ? `#${text}` : "";
  }

  toAddress() {
    history.replaceState(null, "", this.address() || location.pathname + location.search);
  }

  async copy(button) {
    try {
      await navigator.clipboard.writeText(location.href);
      button.textContent = "copied";
    } catch {
      // Pages from the file system may be refused the clipboard: show the link to be copied by hand.
      window.prompt("Copy this link:", location.href);
    }
    setTimeout(() => (button.textContent = "copy link"), 1500);
  }
}

function failed(error) {
  const place = document.getElementById("loading") || document.getElementById("ladder").appendChild(el("p"));
  const old = typeof DecompressionStream === "undefined";
  const reason = old ? "this browser is too old (it lacks DecompressionStream)" : String(error);
  const text = `The ladder cannot be shown: ${reason}. The command that wrote this page shows the same as text.`;
  place.textContent = text;
  place.className = "cut";
  if (!old) console.error(error);
}

unpack(document.getElementById("data").textContent)
  .then((tables) => {
    const app = new App(tables);
    document.documentElement.dataset.ready = String(app.model.packets);
  })
  .catch(failed);
