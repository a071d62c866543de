// What a kernel trace says: of packets and calls in the panel, of the congestion window in the plot.

const AGREEMENT = {
  confirmed: ["✓ confirmed", "the kernel's call stack shows the cause"],
  consistent: ["consistent", "a kernel event fits the cause"],
  "not covered": ["not covered", "no tracepoint covers this kind of cause"],
  contradicted: ["✕ contradicted", "the kernel shows another cause than was inferred"],
};

Object.assign(WITNESS, {
  packet(panel, p) {
    const { model } = panel;
    const { tables } = model;
    const agreement = model.said("kernel.agreement", p);
    const [text, meaning] = AGREEMENT[agreement] || [agreement, ""];
    const state = sendState(tables, p);
    return el(
      "section",
      { class: "kernel" },
      el("h3", {}, "Kernel trace: ", el("span", { class: `word-${agreement}` }, text), el("span", { class: "muted" }, ` (${meaning})`)),
      model.said("kernel.evidence", p) ? el("p", {}, ...panel.linked("packet.kernel.evidence", p)) : null,
      stack(model.said("kernel.stack", p)),
      events(model.said("kernel.events", p)),
      state ? pairs(state) : null,
    );
  },

  call(panel, c) {
    const told = events(panel.model.tables.text("call.kernel.events", c));
    return told && el("section", { class: "kernel" }, el("h3", {}, "TCP states in the kernel trace"), told);
  },

  // How far its congestion window let a sender go: [time, edge], the highest ACK that had come and cwnd segments more.
  // Without both SYNs nobody knows how large a segment is.
  allowed(model, { flow, sender }, { acks }) {
    const size = segmentSize(model, flow);
    if (!size) return [];
    const { tables } = model;
    const cwnd = tables.numbers("packet.kernel.cwnd");
    const came = [...acks].sort((a, b) => a[0] - b[0]);
    const found = [];
    let at = 0;
    let acknowledged = 0;
    for (let p = 0; p < model.packets; p++) {
      if (model.flow[p] !== flow || model.way[p] !== sender || cwnd[p] < 0) continue;
      while (at < came.length && came[at][0] <= model.time[p]) acknowledged = Math.max(acknowledged, came[at++][1]);
      if (at) found.push([model.time[p], acknowledged + cwnd[p] * size]);
    }
    return found;
  },
});

// Congestion control as a packet left, as the kernel has it; null where it is not known.
function sendState(tables, p) {
  const [cwnd, ssthresh, srtt, wnd] = ["cwnd", "ssthresh", "srtt", "wnd"].map((name) => tables.numbers(`packet.kernel.${name}`)[p]);
  if (cwnd < 0) return null;
  return [
    ["cwnd", counted(cwnd, "packet")],
    ["ssthresh", ssthresh < 0 ? "none yet" : counted(ssthresh, "packet")],
    ["srtt", srtt ? duration(srtt * 1000) : "none yet"],
    ["send window", counted(wnd, "byte")],
  ];
}

// The kernel's call stack as it sent a packet, the innermost function first.
function stack(text) {
  if (!text) return null;
  const functions = text.split("\n");
  return el("details", {}, el("summary", {}, `call stack: ${counted(functions.length, "function")}`), el("ol", { class: "plain mono" }, ...functions.map((name) => el("li", {}, visible(name)))));
}

function events(text) {
  return text ? el("ul", { class: "plain" }, ...text.split("\n").map((line) => el("li", {}, line))) : null;
}

// Bytes that a full segment of a connection carries, 0 where its SYNs do not tell (RFC 9293 section 3.7.1, RFC 7323).
function segmentSize(model, flow) {
  const { tables } = model;
  const sizes = [];
  let stamped = true;
  for (let p = 0; p < model.packets && sizes.length < 2; p++) {
    if (model.flow[p] !== flow || !tables.text("packet.flags", p).includes("S") || model.way[p] !== sizes.length) continue;
    const [, mss] = /\bmss (\d+)/.exec(tables.text("packet.options", p)) || [];
    if (!mss) return 0;
    sizes.push(Number(mss));
    stamped &&= tables.numbers("packet.tsval")[p] >= 0;
  }
  return sizes.length < 2 ? 0 : Math.min(...sizes) - (stamped ? 12 : 0);
}

// A row of a table selects what it leads to.
document.addEventListener("click", (event) => {
  const link = event.target.closest(".heard tbody tr")?.querySelector("a");
  if (link && !event.target.closest("a") && getSelection().isCollapsed) link.click();
});
