// Which items are shown: presets, words and `key:value` terms, a call's packets, one flow.

const PRESETS = [
  ["lost", 1, "sent, not captured at the receiver"],
  ["appeared", 2, "captured only at the receiver"],
  ["duplicated", 128, "one more copy at the receiver"],
  ["ambiguous", 256, "one of several identical packets of which some are missing"],
  ["altered", 4, "a field differs between the ends"],
  ["retransmitted", 8, "bytes sent again"],
  ["reordered", 16, "overtaken on the way"],
  ["unknown", 32, "no rule explains it"],
  ["mislabelled", 64, "label differs from cause"],
  ["labels", 2048, "the captures' labels differ"],
  ["resized", 512, "the same bytes in segments of another size"],
  ["kernel", 4096, "the kernel contradicts the cause"],
  ["uncaptured", 1024, "a capture had not begun, had ended, or missed it"],
];
const DIFFERENCES = 1 | 2 | 4 | 16 | 128 | 256 | 1024;
const PRESET_NAMES = { mislabelled: "label ≠ cause", labels: "labels differ", kernel: "kernel ≠ cause", resized: "split or merged", uncaptured: "not captured" };

class Filter {
  constructor(model) {
    this.model = model;
    this.texts = new Array(model.items);
  }

  // Returns null when nothing is filtered, else 1 for every item that is wanted.
  select(state) {
    const { model } = this;
    const tests = [];
    if (state.preset.length) {
      const bits = PRESETS.filter(([name]) => state.preset.includes(name)).reduce((sum, [, bit]) => sum | bit, 0);
      tests.push((item) => model.isPacket(item) && model.marks[item] & bits);
    }
    if (state.only) tests.push((item) => model.isPacket(item) && model.marks[item] & DIFFERENCES);
    if (state.flow !== "") {
      const flow = Number(state.flow);
      tests.push((item) => this.flowOf(item) === flow);
    }
    if (state.call) {
      const wanted = this.ofCall(model.find(state.call));
      tests.push((item) => wanted.has(item));
    }
    if (state.of) {
      const wanted = new Set(state.of.split(",").map((name) => model.find(name)));
      tests.push((item) => wanted.has(item));
    }
    if (state.mode === "filter") tests.push(...this.terms(state.q));
    return tests.length ? this.mark(tests) : null;
  }

  // Items that the words find, for going from one to the next; null without words.
  found(state) {
    const tests = this.terms(state.q);
    return tests.length ? this.mark(tests) : null;
  }

  mark(tests) {
    const wanted = new Uint8Array(this.model.items);
    for (let item = 0; item < wanted.length; item++) wanted[item] = tests.every((test) => test(item)) ? 1 : 0;
    return wanted;
  }

  ofCall(item) {
    const wanted = new Set();
    if (item < this.model.packets) return wanted;
    const { caused, carried } = this.model.packetsOf(item - this.model.packets);
    wanted.add(item);
    for (const p of [...caused, ...carried]) wanted.add(p);
    return wanted;
  }

  flowOf(item) {
    return this.model.isPacket(item) ? this.model.flow[item] : this.model.call.flow[item - this.model.packets];
  }

  terms(query) {
    const words = query.toLowerCase().match(/"[^"]*"|\S+/g) || [];
    return words.map((word) => this.term(word.replaceAll('"', "")));
  }

  term(word) {
    const { model } = this;
    const { tables } = model;
    const [, key, value] = /^(from|flags|rule|cause|kernel|call|fate|flow|len|n|bytes):(.+)$/.exec(word) || [];
    const packet = (test) => (item) => model.isPacket(item) && test(item);
    if (key === "from") return (item) => model.head.hosts[model.hostOf(item)] === value;
    if (key === "flags") return packet((p) => tables.text("packet.flags", p).toLowerCase() === value);
    if (key === "rule") return packet((p) => model.said("rule", p) === value);
    if (key === "cause") return packet((p) => model.said("kind", p) === value);
    if (key === "kernel") return packet((p) => model.said("kernel.agreement", p) === value);
    if (key === "fate") return packet((p) => tables.text("packet.what", p) === value);
    if (key === "call") return (item) => !model.isPacket(item) && tables.text("call.name", item - model.packets) === value;
    if (key === "flow") return (item) => this.flowOf(item) === Number(value) - 1;
    if (key === "n") return packet((p) => model.n[p] === Number(value));
    if (key === "len") return packet(compare(value, (p) => model.length[p]));
    if (key === "bytes") {
      const [from, to] = value.split("-").map(Number);
      const end = to === undefined ? from : to;
      return packet((p) => model.length[p] && model.start[p] <= end && model.start[p] + model.length[p] > from);
    }
    return (item) => this.textOf(item).includes(word);
  }

  // All words of an item, in lower case; made when it is first searched.
  textOf(item) {
    return (this.texts[item] ??= this.makeText(item).toLowerCase());
  }

  makeText(item) {
    const { model } = this;
    const { tables } = model;
    if (model.isPacket(item)) {
      const payload = String.fromCharCode(...tables.blob("packet.payload", item).subarray(0, 4096));
      const words = ["protocol", "flags", "what", "rule", "kind", "evidence", "note", "link", "made", "options", "kernel.evidence", "kernel.events"].map((name) =>
        model.said(name, item),
      );
      return [`#${model.n[item]}`, ...words, ...labelsOf(model, item), payload].join(" ");
    }
    const c = item - model.packets;
    const data = String.fromCharCode(...tables.blob("call.data", c));
    const words = ["name", "errno", "program", "source", "caller", "args", "no_packet"].map((name) =>
      tables.text(`call.${name}`, c),
    );
    return [`#${model.call.n[c]}`, ...words, data].join(" ");
  }
}

function labelsOf(model, p) {
  return [...new Set(model.labels(p).flatMap(([, names]) => names.split(", ")))];
}

// `5`, `>5`, `<=1460`.
function compare(text, value) {
  const [, sign, number] = /^([<>]?=?)(\d+)$/.exec(text) || [];
  const limit = Number(number);
  const tests = { "<": (x) => x < limit, ">": (x) => x > limit, "<=": (x) => x <= limit, ">=": (x) => x >= limit };
  const test = tests[sign] || ((x) => x === limit);
  return (p) => test(value(p));
}
