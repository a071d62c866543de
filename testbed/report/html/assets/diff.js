// Which rows are shown and which is chosen, kept in the address so that a link shows the same.

const rows = [...document.querySelectorAll("tbody tr")];
const search = document.getElementById("search");
const only = document.getElementById("all");
const copy = document.getElementById("copy");
let state = fromAddress();

// `all`: also what is the same; `q`: words, all of which must occur; `sel`: a row.
function fromAddress() {
  const read = new URLSearchParams(isPlace() ? "" : location.hash.slice(1));
  const sel = rows.some((row) => row.dataset.row === read.get("sel")) ? read.get("sel") : "";
  return { q: read.get("q") || "", all: read.get("all") === "1", sel };
}

// A fragment that names a section is no state.
function isPlace() {
  return /^#[a-z]+$/.test(location.hash);
}

function toAddress() {
  const parts = new URLSearchParams();
  if (state.q) parts.set("q", state.q);
  if (state.all) parts.set("all", "1");
  if (state.sel) parts.set("sel", state.sel);
  const text = parts.toString();
  history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
}

function show() {
  const words = state.q.toLowerCase().split(/\s+/);
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = (row.classList.contains("same") && !state.all) || !words.every((word) => text.includes(word));
    row.classList.toggle("selected", Boolean(state.sel) && row.dataset.row === state.sel);
  }
  for (const part of document.querySelectorAll(".part")) {
    const table = part.querySelector("table");
    if (table) table.hidden = !table.querySelector("tbody tr:not([hidden])");
  }
  search.value = state.q;
  only.setAttribute("aria-pressed", String(!state.all));
}

function set(changes) {
  Object.assign(state, changes);
  show();
  toAddress();
}

function choose(row) {
  set({ sel: row.dataset.row });
  row.scrollIntoView({ block: "center" });
  const [, one, other] = [...row.cells].map((cell) => cell.textContent);
  document.getElementById("live").textContent = `A: ${one}. B: ${other}`;
}

function step(by) {
  const shown = rows.filter((row) => row.dataset.row && !row.hidden);
  const at = shown.findIndex((row) => row.dataset.row === state.sel);
  const next = at < 0 ? (by > 0 ? 0 : shown.length - 1) : at + by;
  if (shown[next]) choose(shown[next]);
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") {
    if (document.activeElement === search) search.blur();
    set({ q: "", all: true, sel: "" });
    return;
  }
  if (event.target.closest("input")) return;
  const keys = { j: () => step(1), k: () => step(-1), "/": () => search.focus() };
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
});
document.addEventListener("click", (event) => {
  const row = event.target.closest("tr[data-row]");
  if (row) choose(row);
});
search.addEventListener("input", () => set({ q: search.value }));
only.addEventListener("click", () => set({ all: !state.all }));
copy.addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(location.href);
    copy.textContent = "copied";
  } catch {
    // Pages from the file system may be refused the clipboard: show the link to be copied by hand.
    window.prompt("Copy this link:", location.href);
  }
  setTimeout(() => (copy.textContent = "copy link"), 1500);
});
window.addEventListener("hashchange", () => {
  if (isPlace()) return;
  state = fromAddress();
  show();
});
document.querySelector(".toolbar").hidden = false;
show();
if (state.sel) rows.find((row) => row.dataset.row === state.sel).scrollIntoView({ block: "center" });
document.documentElement.dataset.ready = String(rows.length);
