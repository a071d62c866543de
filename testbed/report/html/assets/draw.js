// Elements, and how items look in words and shapes. Foreign text enters the page as text nodes only, made visible.

const SVG = "http://www.w3.org/2000/svg";

function el(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  const there = children.filter((child) => child !== null && child !== undefined);
  element.append(...there.map((child) => (typeof child === "string" ? visible(child) : child)));
  return element;
}

// A call as C would show it: `send("c") = 1`, `connect(server:10011) ECONNREFUSED`; the twin of ladder.py's show_call.
function callText(model, c, room) {
  const { tables } = model;
  const name = shownName(model, c);
  const errno = visible(tables.text("call.errno", c));
  const result = tables.numbers("call.result")[c];
  const length = tables.numbers("call.length")[c];
  const direction = model.call.direction[c];
  const data = tables.blob("call.data", c);
  let ending = "";
  if (!model.call.took[c]) ending = ENDLESS.has(name) ? "" : " never returned";
  else if (errno) ending = ` ${errno}`;
  else if (direction || result > 0) ending = ` = ${result}`;
  const left = room - name.length - ending.length;
  if (MESSAGE.test(name)) return `${name}${ending}`;
  if (direction === 2 && data.length) {
    const read = quote(data, left - 3, length);
    return `${name}()${ending}${read.startsWith('"') ? ` ${read}` : ""}`;
  }
  if (direction === 1 && (result === length || data.length)) {
    const argument = quote(data, left - 2, length);
    return `${name}(${argument})${argument.endsWith("bytes") && result === length ? "" : ending}`;
  }
  return `${name}(${argumentText(model, c)})${ending}`;
}

// What a Windows program got as a message, which is no call.
const MESSAGE = /^FD_[A-Z]+$/;

// The function that the program called, where the analysis knows it by another one's name.
function shownName(model, c) {
  return visible(JSON.parse(model.tables.text("call.args", c)).function ?? model.tables.text("call.name", c));
}

function argumentText(model, c) {
  const args = JSON.parse(model.tables.text("call.args", c));
  const name = model.tables.text("call.name", c);
  if (name.endsWith("sockopt") && args.name) return visible(args.value === undefined ? args.name : `${args.name}, ${args.value}`);
  if (args.address) return visible(namedAddress(model, args.address));
  return visible(args.how ?? args.events ?? args.request ?? "");
}

function namedAddress(model, text) {
  const [, address, port] = /^\[?(.*?)\]?:(\d+)$/.exec(text) || [];
  const name = model.head.names[address];
  return name ? `${name}:${port}` : text;
}

// `P. 1:9 "ccstring"`; what does not fit is cut.
function packetText(model, p, room) {
  const { tables } = model;
  const flags = tables.text("packet.flags", p);
  const protocol = tables.text("packet.protocol", p);
  const length = model.length[p];
  const words = [];
  if (model.head.flows.length > 1 && model.flow[p] >= 0) words.push(`(${model.flow[p] + 1})`);
  words.push(flags || protocol.toUpperCase());
  if (flags === ".") words.push(length ? "" : `ack ${grouped(model.ack[p])}`);
  if (length || protocol === "udp") {
    const used = words.join(" ").length + 1;
    words.push(quote(tables.blob("packet.payload", p), room - used, length));
  }
  const text = words.filter(Boolean).join(" ");
  return visible(text.length > room ? text.replace(/ bytes?$/, "") : text);
}

// One sentence about an item, for screen readers and for the tip.
function sentence(model, item) {
  const { tables, head } = model;
  if (!model.isPacket(item)) {
    const c = item - model.packets;
    const reason = tables.text("call.no_packet", c);
    const host = head.hosts[model.call.host[c]];
    const none = reason && !model.packetsOf(c).caused.length ? "no packet: " : "";
    return `${host} call ${model.call.n[c]}: ${callText(model, c, 80)}${reason ? `; ${none}${visible(reason)}` : ""}`;
  }
  const sender = head.hosts[model.sender[item]];
  const seen = model.fate[item] === CROSSED ? "" : `, captured only at the ${model.fate[item] === LOST ? "sender" : "receiver"}`;
  const what = tables.text("packet.what", item);
  const fate = what === "crossed" ? "" : `; ${what}${seen}`;
  const rule = model.said("rule", item);
  const cause = rule ? `; cause ${visible(rule)}: ${visible(tables.text("packet.evidence", item))}` : "";
  const changed = model.marks[item] & 4 ? "; altered on the way" : "";
  const link = model.byLink(item);
  const crossed = model.fate[item] === CROSSED ? `, ${duration(model.delay[item])} one way` : "";
  return (
    `packet ${model.n[item]} from the ${sender}: ${packetText(model, item, 60)}${crossed}` +
    `${fate}${changed}${link ? `; the link: ${visible(link)}` : ""}${cause}`
  );
}

// The sign of a kind of cause: shape as well as colour.
function sign(kind, x, y) {
  const shapes = {
    call: () => svg("circle", { cx: x, cy: y, r: 3.6 }),
    answer: () => svg("circle", { cx: x, cy: y, r: 3, class: "hollow" }),
    timer: () => svg("path", { d: `M${x - 4} ${y + 3.2}h8l-4-7.2z` }),
    exit: () => svg("rect", { x: x - 3.2, y: y - 3.2, width: 6.4, height: 6.4 }),
    link: () => svg("rect", { x: x - 4.5, y: y - 2, width: 9, height: 4, class: "hollow" }),
    unknown: () => svg("path", { d: `M${x} ${y - 5}l5 5-5 5-5-5z`, class: "hollow" }),
  };
  const shape = (shapes[kind] || shapes.unknown)();
  shape.classList.add("sign", `cause-${kind}`);
  return shape;
}

// What the times of the page say: on the aligned line or on one host's clock; relative, to the row before, or absolute.
// The server's clock shows `time + offset + drift * time since the piece began`; it has a piece for each step.
class Times {
  constructor(model, state) {
    this.model = model;
    this.state = state;
  }

  piece(time) {
    const { pieces } = this.model.head.clock;
    let k = pieces.length - 1;
    while (k > 0 && pieces[k].start > time) k--;
    return pieces[k];
  }

  // Whole ns since the page's time 0 (BigInt: clocks may be decades apart).
  on(time) {
    const piece = this.state.clock === "server" ? this.piece(time) : undefined;
    if (!piece) return BigInt(Math.round(time));
    return BigInt(piece.offset) + BigInt(Math.round(time + ((time - piece.start) * piece.drift) / 1e6));
  }

  show(time, before) {
    if (this.state.time === "absolute") return timeOfDay(this.model.base + this.on(time), false);
    if (this.state.time === "delta") return before === null ? milliseconds(0) : `+${milliseconds(time - before)}`;
    return milliseconds(Number(this.on(time) - this.on(0)));
  }

  exact(time) {
    return timeOfDay(this.model.base + this.on(time), true);
  }

  // One-way time with what is known of its error: `5.00 ms ± 50.0 µs (4.95 ms to 5.05 ms)`.
  oneWay(p) {
    const delay = this.model.delay[p];
    const piece = this.model.head.clock.one ? undefined : this.piece(this.model.time[p]);
    if (!piece) return duration(delay);
    if (piece.error === null) return `${duration(delay)} more than the fastest packet; only one direction was captured`;
    return `${duration(delay)} ± ${duration(piece.error)} (${duration(delay - piece.error)} to ${duration(delay + piece.error)})`;
  }
}
