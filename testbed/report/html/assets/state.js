// What the page shows, kept in the address so that a link shows the same.

const DEFAULTS = {
  sel: "", // `p9` or `client:4`
  q: "",
  mode: "filter", // or `find`
  preset: [],
  only: false,
  call: "",
  of: "", // some items by name: `p3,p4,client:2`
  flow: "",
  ctx: 2,
  time: "relative", // `delta`, `absolute`
  clock: "aligned", // `client`, `server`
  scale: false,
  zoom: 0, // powers of two
  plot: false,
};
const CHOICES = {
  mode: ["filter", "find"],
  time: ["relative", "delta", "absolute"],
  clock: ["aligned", "client", "server"],
};

function readState(hash) {
  const state = { ...DEFAULTS, preset: [] };
  for (const [name, value] of new URLSearchParams(hash.replace(/^#/, ""))) {
    if (!(name in DEFAULTS)) continue;
    const kind = typeof DEFAULTS[name];
    if (name === "preset") state.preset = value.split(",").filter((one) => PRESETS.some(([known]) => known === one));
    else if (kind === "boolean") state[name] = value === "1";
    else if (kind === "number") state[name] = Number.isFinite(Number(value)) ? Math.max(Math.min(Math.round(Number(value)), 50), -20) : DEFAULTS[name];
    else if (!CHOICES[name] || CHOICES[name].includes(value)) state[name] = value;
  }
  state.ctx = Math.max(state.ctx, 0);
  return state;
}

function writeState(state) {
  const parts = new URLSearchParams();
  for (const [name, usual] of Object.entries(DEFAULTS)) {
    const value = state[name];
    if (name === "preset") {
      if (value.length) parts.set(name, value.join(","));
    } else if (value !== usual) parts.set(name, typeof value === "boolean" ? Number(value) : value);
  }
  return parts.toString().replaceAll("%3A", ":").replaceAll("%2C", ",");
}

// A fragment that names a place of the page (`#ledger`) is no state.
function isPlace(hash) {
  return /^#[a-z]+$/.test(hash);
}
