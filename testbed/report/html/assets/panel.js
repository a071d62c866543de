// The side panel: everything that is known about the selected packet or call.

const FATE_TEXTS = {
  lost: "not captured at the receiver",
  appeared: "not captured at the sender",
  duplicated: "one more copy at the receiver",
  ambiguous: "one of several identical packets of which some are missing; nothing tells which",
  split: "the same bytes came in several segments",
  merged: "the same bytes came in one segment with others",
  "not captured": "not lost: the tap missed it",
  "captured again": "the same packet once more at one tap",
  "before start": "the other capture had not begun",
  "after end": "the other capture had ended",
};

// What a kernel that was a witness says; kernel.js, in the pages that have one, puts its own in the place of these.
const WITNESS = { packet: () => null, call: () => null, allowed: () => [] };

class Panel {
  constructor(root, model, state, actions) {
    this.root = root;
    this.model = model;
    this.actions = actions;
    this.times = new Times(model, state);
  }

  show(item) {
    const parts = item < 0 ? this.legend() : this.model.isPacket(item) ? this.packet(item) : this.call(item - this.model.packets);
    this.root.replaceChildren(...parts);
    this.root.classList.toggle("open", item >= 0);
  }

  heading(text, ...more) {
    const close = el("button", { type: "button", class: "close", "aria-label": "close", onclick: () => this.actions.choose(-1) }, "×");
    return el("div", { class: "head" }, el("h2", {}, text, ...more), close);
  }

  link(item, text) {
    const { model } = this;
    const shown = text ?? (model.isPacket(item) ? `#${model.n[item]}` : this.callName(item));
    return el("a", { href: `#sel=${model.nameOf(item)}`, "data-select": item }, shown);
  }

  callName(item) {
    const c = item - this.model.packets;
    return `${this.model.head.hosts[this.model.call.host[c]]} #${this.model.call.n[c]} ${callText(this.model, c, 40)}`;
  }

  // A sentence of a column with its links, three numbers each: see report/html/links.py.
  linked(column, row) {
    const { model } = this;
    const text = model.tables.text(column, row);
    const links = model.tables.list(`${column}.links`, row);
    const parts = [];
    let at = 0;
    for (let i = 0; i < links.length; i += 3) {
      const [start, size, place] = links.subarray(i, i + 3);
      const item = place < 0 ? model.callItem((-1 - place) % 2, (-1 - place) >> 1) : model.packetItem(place);
      if (item < 0) continue;
      parts.push(visible(text.slice(at, start)), this.link(item, visible(text.slice(start, start + size))));
      at = start + size;
    }
    return [...parts, visible(text.slice(at))];
  }

  packet(p) {
    const { model } = this;
    const { tables, head } = model;
    const host = model.sender[p];
    const [sender, receiver] = [head.hosts[host], head.hosts[1 - host]];
    const note = tables.text("packet.note", p);
    const fate = tables.text("packet.what", p);
    return [
      this.heading(`Packet ${model.n[p]} `, el("small", {}, `${sender} to ${receiver}, ${packetText(model, p, 24)}`)),
      fate === "crossed" ? null : el("p", { class: "bad" }, `${model.fate[p] === CROSSED ? "" : "✕ "}${visible(fate)}: ${FATE_TEXTS[fate] || ""}`),
      note ? el("p", {}, ...this.linked("packet.note", p)) : null,
      ...this.byLink(p),
      this.cause(p),
      WITNESS.packet(this, p),
      ...this.labels(p),
      this.callList(p),
      this.packetTimes(p),
      this.fields(p),
      this.payload(p),
    ].filter(Boolean);
  }

  cause(p) {
    const { model } = this;
    const rule = model.said("rule", p);
    if (!rule) return null;
    const kind = model.said("kind", p);
    const [what, origin] = model.head.rules[rule] || ["", ""];
    const size = 14;
    const signs = svg("svg", { width: size, height: size, "aria-hidden": "true" }, sign(kind, size / 2, size / 2));
    return el(
      "section",
      { class: `cause cause-${kind}` },
      el("h3", {}, signs, ` ${visible(rule)}`, el("span", { class: "muted" }, ` ${kind}${what ? `: ${what}` : ""}`)),
      el("p", {}, ...this.linked("packet.evidence", p)),
      el("p", { class: "muted small" }, model.said("basis", p) === "kernel" ? "proven by the kernel's call stack" : "inferred from captures and calls"),
      origin ? el("p", { class: "muted small" }, `rule from ${origin}`) : null,
    );
  }

  // What the link's own journal says of a packet.
  byLink(p) {
    const done = this.model.byLink(p);
    return done ? [el("p", { class: "journal" }, `the link: ${done}`)] : [];
  }

  labels(p) {
    const { model } = this;
    const labels = model.labels(p);
    if (!labels.length) return [];
    const differs = model.marks[p] & 64 ? "≠ the label differs from the cause" : model.marks[p] & 2048 ? "≠ the captures' labels differ" : "";
    return [
      el(
        "section",
        {},
        el("h3", {}, "Wireshark's labels"),
        ...labels.map(([host, names]) => el("p", {}, `${host}: ${visible(names)}`)),
        differs ? el("p", { class: "bad" }, differs) : null,
      ),
    ];
  }

  callList(p) {
    const { model } = this;
    const calls = model.callsOf(p);
    if (!calls.length) return null;
    const list = el("ul", { class: "plain" });
    for (const item of calls) {
      list.append(el("li", {}, el("code", {}, this.link(item)), this.place(item - model.packets)));
    }
    return el("section", {}, el("h3", {}, calls.length === 1 ? "Call" : "Calls"), list);
  }

  // Where in the program a call was made, and where gdb held it.
  place(c) {
    const { tables } = this.model;
    const source = tables.text("call.source", c) || tables.text("call.caller", c);
    const { backtrace } = JSON.parse(tables.text("call.args", c));
    return el("div", {}, source ? el("span", { class: "muted block" }, visible(source)) : null, backtrace ? this.stop(backtrace) : null);
  }

  stop(backtrace) {
    const list = el("ol", { class: "plain stop" });
    for (const frame of [backtrace].flat()) list.append(el("li", {}, el("code", {}, String(frame))));
    return el("section", {}, el("h3", {}, "Held by gdb at"), list);
  }

  packetTimes(p) {
    const { model } = this;
    const { tables, head } = model;
    const frames = ["packet.at_client", "packet.at_server"].map((name) => tables.numbers(name)[p]);
    const rows = [];
    const frame = (host) => (frames[host] ? ` (${head.hosts[host]}.pcap frame ${frames[host]})` : "");
    const host = model.sender[p];
    if (model.fate[p] !== APPEARED) rows.push(["sent", this.times.exact(model.time[p]) + frame(host)]);
    if (model.fate[p] !== LOST) rows.push(["arrived", this.times.exact(model.time[p] + model.delay[p]) + frame(1 - host)]);
    if (model.fate[p] === CROSSED) rows.push(["one way", this.times.oneWay(p)]);
    return el("section", {}, el("h3", {}, "Times"), pairs(rows));
  }

  fields(p) {
    const { model } = this;
    const { tables, head } = model;
    const changes = head.packets.changes[p] || [];
    const changed = new Map(changes.map(([what, ...values]) => [what, values]));
    const fromClient = model.sender[p] === 0;
    const seen = [tables.numbers("packet.at_client")[p] > 0, tables.numbers("packet.at_server")[p] > 0];
    const rows = [];
    const tcp = tables.text("packet.protocol", p) === "tcp";
    if (tcp) {
      rows.push(["seq (relative)", model.seq[p], model.seq[p]]);
      if (tables.text("packet.flags", p).includes(".")) rows.push(["ack (relative)", model.ack[p], model.ack[p]]);
      const bytes = model.length[p] ? `${model.start[p]} to ${model.start[p] + model.length[p] - 1}` : "none";
      rows.push(["stream bytes", bytes, bytes]);
    }
    const named = new Set();
    for (const [column, name, changeName] of head.packets.ends) {
      if (!tcp && ["seq", "ack", "flags", "window", "urgent"].includes(column)) continue;
      if (!tables.text("packet.protocol", p).startsWith("icmp") && column.startsWith("icmp")) continue;
      const client = tables.numbers(`end.${column}`)[p];
      const server = client + tables.numbers(`end.${column}.differs`)[p];
      rows.push([name, fieldText(column, client), fieldText(column, server), changed.has(changeName)]);
      named.add(changeName);
    }
    for (const [what, [atSender, atReceiver]] of changed) {
      if (named.has(what)) continue;
      rows.push([what, fromClient ? atSender : atReceiver, fromClient ? atReceiver : atSender, true]);
    }
    const options = this.options(p);
    if (options && !changed.has("options")) rows.push(["options", options, options]);
    for (const [column, stored, title] of head.packets.titled) {
      const value = stored === "numbers" ? tables.numbers(`packet.${column}`)[p] : tables.text(`packet.${column}`, p);
      if (value !== -1 && value !== "") rows.push([title, value, value]);
    }
    const table = el("table", { class: "fields" });
    table.append(el("thead", {}, el("tr", {}, el("th", {}, "field"), ...["client", "server"].map((name, host) => el("th", {}, seen[host] ? `at ${name}` : `at ${name}: not captured`)))));
    const body = el("tbody", {});
    for (const [name, client, server, isChange] of rows) {
      const differs = seen[0] && seen[1] && String(client) !== String(server);
      const values = [client, server].map((value, host) => (seen[host] ? visible(value) : "–"));
      const cells = !differs && seen[0] && seen[1]
        ? [el("td", { colspan: 2 }, values[0], el("span", { class: "muted same" }, " same"))]
        : values.map((value, host) => el("td", { class: seen[host] ? "" : "muted" }, value));
      const row = el("tr", { class: isChange ? "differs" : "" }, el("th", { scope: "row" }, isChange ? `≠ ${name}` : name));
      row.append(...cells);
      body.append(row);
    }
    table.append(body);
    const usual = rows.some(([, client, server, isChange]) => !isChange && seen[0] && seen[1] && String(client) !== String(server));
    return el(
      "section",
      {},
      el("h3", {}, "Header, at both ends"),
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "header fields" }, table),
      usual ? el("p", { class: "muted small" }, "Differences without ≠ hold for the whole flow (TTL, address mapping), or follow from another segment size or a checksum that the network card filled in.") : null,
    );
  }

  options(p) {
    const { tables } = this.model;
    const words = [];
    const others = tables.text("packet.options", p);
    if (others) words.push(others);
    const edges = tables.list("packet.sack", p);
    for (let i = 0; i < edges.length; i += 2) words.push(`SACK ${edges[i]} to ${edges[i + 1]}`);
    return words.join("; ");
  }

  payload(p) {
    const { model } = this;
    const data = model.tables.blob("packet.payload", p);
    if (!model.length[p]) return null;
    const missing = model.length[p] - data.length;
    return el(
      "section",
      {},
      el("h3", {}, counted(model.length[p], "byte")),
      bytes(data),
      missing ? el("p", { class: "cut" }, `Cut here: ${counted(missing, "more byte")} ${missing === 1 ? "is" : "are"} in the captures.`) : null,
    );
  }

  call(c) {
    const { model } = this;
    const { tables, head, call } = model;
    const host = call.host[c];
    const number = (name) => tables.numbers(`call.${name}`)[c];
    const text = (name) => visible(tables.text(`call.${name}`, c));
    const errno = text("errno");
    const { caused, carried } = model.packetsOf(c);
    const rows = [
      ["result", call.took[c] ? `${number("result")}${errno ? ` ${errno}` : ""}` : "never returned"],
      ["where", text("source") || text("caller")],
      ["program", `${text("program")} (pid ${number("pid")}, thread ${number("tid")})`],
      ["socket", `${number("fd")}${text("socket") ? `: ${text("socket")}` : ""}`],
      ["began", this.times.exact(call.start[c])],
      ["took", call.took[c] ? duration(call.took[c] - 1) : "still waiting at the end of the run"],
      ["stream", call.to[c] > call.from[c] ? `bytes ${call.from[c]} to ${call.to[c] - 1}` : ""],
    ];
    const { backtrace, ...args } = JSON.parse(tables.text("call.args", c));
    for (const [name, value] of Object.entries(args)) {
      rows.push([name, typeof value === "object" && value !== null ? JSON.stringify(value) : String(value)]);
    }
    const data = tables.blob("call.data", c);
    const missing = number("length") - data.length;
    const reason = tables.text("call.no_packet", c) ? this.linked("call.no_packet", c) : null;
    return [
      this.heading(`${head.hosts[host]} call ${call.n[c]} `, el("small", {}, callText(model, c, 40))),
      this.packetList("Packets that it caused", caused) ||
        el("p", { class: "muted" }, ...(reason ? ["No packet: ", ...reason] : ["No packet."])),
      caused.length && reason ? el("p", { class: "muted" }, ...reason) : null,
      this.packetList("Packets whose bytes it read", carried),
      WITNESS.call(this, c),
      el("section", {}, el("h3", {}, "Call"), pairs(rows.filter(([, value]) => value !== ""))),
      backtrace ? this.stop(backtrace) : null,
      data.length
        ? el(
            "section",
            {},
            el("h3", {}, counted(number("length"), "byte")),
            bytes(data),
            missing ? el("p", { class: "cut" }, `The observer kept the first ${data.length} bytes.`) : null,
          )
        : null,
    ].filter(Boolean);
  }

  packetList(title, list) {
    if (!list.length) return null;
    const shown = el("ul", { class: "plain" });
    for (const p of list.slice(0, 20)) shown.append(el("li", {}, el("code", {}, this.link(p), ` ${packetText(this.model, p, 30)}`)));
    const more = list.length > 20 ? el("p", { class: "muted" }, `and ${grouped(list.length - 20)} more, all in the ladder`) : null;
    return el("section", {}, el("h3", {}, title), shown, more);
  }

  legend() {
    const entry = (shape, text) => el("li", {}, svg("svg", { width: 34, height: 16, "aria-hidden": "true" }, ...shape), el("span", {}, text));
    const line = (name) => svg("g", { class: `arrow ${name}` }, svg("line", { class: "shaft", x1: 2, y1: 8, x2: 26, y2: 8 }), arrowHead(2, 8, 32, 8));
    const kinds = [["call", "a call"], ["answer", "an answer to a packet"], ["timer", "a kernel timer"], ["exit", "the end of a process"], ["link", "the link itself"], ["unknown", "unknown: no rule explains it"]];
    const { observed } = this.model;
    const keys = [["j k", "next, previous"], ...(observed ? [["Enter", "packets of the call"]] : []), ["/", "search"], ["n N", "next, previous found"], ["p", "sequence plot"], ["Esc", "show everything"]];
    return [
      el("div", { class: "head" }, el("h2", {}, "Legend")),
      el("p", { class: "muted" }, observed ? "Select a packet or a call to see its details." : "Select a packet to see its details. These are two captures without call logs: what the programs did, and what caused a packet, is not known."),
      observed ? el("h3", {}, "A packet's cause") : null,
      observed ? el("ul", { class: "legend" }, ...kinds.map(([kind, text]) => entry([sign(kind, 17, 8)], text))) : null,
      el("h3", {}, "Direction and fate"),
      el(
        "ul",
        { class: "legend" },
        entry([line("from0")], "from the client"),
        entry([line("from1")], "from the server"),
        entry([line("again from0")], "sent again"),
        entry([svg("g", { class: "arrow missing from0" }, svg("line", { class: "shaft", x1: 2, y1: 8, x2: 20, y2: 8 }), cross(20, 8))], "captured at one end only"),
        entry([svg("text", { class: "sort", x: 17, y: 13 }, "≠")], "altered on the way"),
        observed ? entry([svg("rect", { class: "bar host0", x: 15, y: 1, width: 3, height: 14, rx: 1.5 })], "how long a call took") : null,
      ),
      el("h3", {}, "Keys"),
      el("dl", { class: "keys" }, ...keys.flatMap(([key, text]) => [el("dt", {}, ...key.split(" ").map((one) => el("kbd", {}, one))), el("dd", {}, text)])),
    ].filter(Boolean);
  }
}

function bytes(data) {
  const shown = el("pre", { class: "bytes", tabindex: "0" });
  shown.textContent = hexDump(data, 8);
  return shown;
}

function pairs(rows) {
  return el("dl", { class: "pairs small" }, ...rows.flatMap(([name, value]) => [el("dt", {}, visible(name)), el("dd", {}, visible(value))]));
}

function fieldText(column, value) {
  if (column === "flags") return flagLetters(value);
  if (column === "checksum") return `0x${value.toString(16).padStart(4, "0")}`;
  if (column === "dont_fragment") return value ? "yes" : "no";
  return String(value);
}
