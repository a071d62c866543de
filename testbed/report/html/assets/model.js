// A run, or two captures, as items and events. Items are numbered: packets first (0 .. packets-1), then calls.
// Events are what stands in the ladder: a call, a packet sent, a packet arrived, a place where packets are cut out.

const CALL = 0;
const SENT = 1;
const ARRIVED = 2;
const CUT = 3;
const CROSSED = 0;
const LOST = 1;
const APPEARED = 2;
const WAITING = new Set(
  "accept accept4 poll ppoll select pselect epoll_wait epoll_pwait epoll_pwait2".split(" "),
);
const ENDLESS = new Set(["exit", "_exit", "_Exit"]);

class Model {
  constructor(tables) {
    this.tables = tables;
    this.head = tables.head;
    this.packets = tables.count("packet.n");
    this.observed = tables.has("call.n"); // else nothing is known of calls, nor of causes
    this.calls = this.observed ? tables.count("call.n") : 0;
    this.items = this.packets + this.calls;
    this.base = BigInt(this.head.base);
    for (const name of ["n", "time", "delay", "left", "came", "fate", "sender", "flow", "length", "marks", "way", "seq", "ack", "start"]) {
      this[name] = tables.numbers(`packet.${name}`);
    }
    this.call = {};
    for (const name of ["host", "n", "start", "took", "begun", "returned", "direction", "flow", "from", "to", "tid"]) {
      this.call[name] = this.observed ? tables.numbers(`call.${name}`) : new Float64Array(0);
    }
    this.clientCalls = this.call.host.indexOf(1) < 0 ? this.calls : this.call.host.indexOf(1);
    this.makeEvents();
  }

  makeEvents() {
    const { packets, calls, fate, time, delay, left, came } = this;
    const kinds = [];
    const items = [];
    const times = [];
    const places = []; // of events of equal times; 0 where a time is of one event only
    const add = (kind, item, at, place) => {
      kinds.push(kind);
      items.push(item);
      times.push(at);
      places.push(place);
    };
    for (let p = 0; p < packets; p++) {
      if (p && this.n[p] !== this.n[p - 1] + 1) add(CUT, p, time[p] - 0.5, 0);
      if (fate[p] !== APPEARED) add(SENT, p, time[p], left[p]);
      if (fate[p] !== LOST) add(ARRIVED, p, time[p] + delay[p], came[p]);
    }
    for (let c = 0; c < calls; c++) add(CALL, packets + c, this.anchor(c), this.place(c));
    const order = Uint32Array.from(kinds.keys());
    order.sort(
      (a, b) => times[a] - times[b] || places[a] - places[b] || kinds[a] - kinds[b] || items[a] - items[b],
    );
    this.eventKind = Uint8Array.from(order, (e) => kinds[e]);
    this.eventItem = Uint32Array.from(order, (e) => items[e]);
    this.eventTime = Float64Array.from(order, (e) => times[e]);
    this.events = order.length;
  }

  // A call that waits stands where it returned, any other where it began.
  anchor(c) {
    const { start, took } = this.call;
    return this.waits(c) && took[c] ? start[c] + took[c] - 1 : start[c];
  }

  place(c) {
    const { begun, returned, took } = this.call;
    return this.waits(c) && took[c] ? returned[c] : begun[c];
  }

  waits(c) {
    return this.call.direction[c] === 2 || WAITING.has(this.tables.text("call.name", c));
  }

  isPacket(item) {
    return item < this.packets;
  }

  itemTime(item) {
    return this.isPacket(item) ? this.time[item] : this.anchor(item - this.packets);
  }

  hostOf(item) {
    return this.isPacket(item) ? this.sender[item] : this.call.host[item - this.packets];
  }

  callItem(host, n) {
    const from = host ? this.clientCalls : 0;
    const to = host ? this.calls : this.clientCalls;
    return from + n < to ? this.packets + from + n : -1;
  }

  // The place of a packet by its number, -1 where it is cut out.
  packetItem(n) {
    let low = 0;
    let high = this.packets - 1;
    while (low <= high) {
      const middle = (low + high) >> 1;
      if (this.n[middle] === n) return middle;
      if (this.n[middle] < n) low = middle + 1;
      else high = middle - 1;
    }
    return -1;
  }

  // `p9` or `client:4` as people and links name an item; -1 if there is none.
  find(name) {
    const packet = /^p(\d+)$/.exec(name);
    if (packet) return this.packetItem(Number(packet[1]));
    const call = /^(client|server):(\d+)$/.exec(name);
    return call ? this.callItem(this.head.hosts.indexOf(call[1]), Number(call[2])) : -1;
  }

  nameOf(item) {
    if (this.isPacket(item)) return `p${this.n[item]}`;
    const c = item - this.packets;
    return `${this.head.hosts[this.call.host[c]]}:${this.call.n[c]}`;
  }

  // What is said of a packet: by its column, empty where nothing is known of it.
  said(name, p) {
    return this.tables.has(`packet.${name}`) ? this.tables.text(`packet.${name}`, p) : "";
  }

  // What the link did to a packet; of those that it made itself the cause tells it.
  byLink(p) {
    return this.tables.text("packet.made", p) ? "" : this.tables.text("packet.link", p);
  }

  // Wireshark's labels of a packet, by host.
  labels(p) {
    const { tables, head } = this;
    const named = head.hosts.filter((host) => tables.has(`packet.label.${host}`));
    return named.map((host) => [host, tables.text(`packet.label.${host}`, p)]).filter(([, names]) => names);
  }

  callsOf(p) {
    if (!this.observed) return [];
    return [...this.tables.list("packet.calls", p)].map((n) => this.callItem(this.sender[p], n)).filter((i) => i >= 0);
  }

  // Packets that a call caused (by cause), and packets whose bytes it read (by byte range).
  packetsOf(c) {
    if (!this.caused) {
      this.caused = new Map();
      for (let p = 0; p < this.packets; p++) {
        if (this.tables.text("packet.kind", p) === "answer") continue;
        for (const item of this.callsOf(p)) {
          if (!this.caused.has(item)) this.caused.set(item, []);
          this.caused.get(item).push(p);
        }
      }
    }
    const caused = this.caused.get(this.packets + c) || [];
    return { caused, carried: this.carriers(c) };
  }

  carriers(c) {
    const { direction, flow, from, to, host } = this.call;
    const found = [];
    if (direction[c] !== 2 || flow[c] < 0 || to[c] <= from[c]) return found;
    for (let p = 0; p < this.packets; p++) {
      if (this.flow[p] !== flow[c] || this.sender[p] === host[c] || this.fate[p] === LOST) continue;
      if (this.start[p] < to[c] && this.start[p] + this.length[p] > from[c]) found.push(p);
    }
    return found;
  }
}
