// Which variants are shown, kept in the address so that a link shows the same; keys go from one to the next.

const cells = [...document.querySelectorAll("td[data-variant]")];
const articles = [...document.querySelectorAll("article[data-variant]")];
const search = document.getElementById("search");
const selects = [...document.querySelectorAll("select[data-setting]")];
const toggles = [...document.querySelectorAll("[data-outcome].toggle")];
const only = document.getElementById("only");
const all = document.getElementById("all");
const copy = document.getElementById("copy");

const cellOf = new Map(cells.map((cell) => [cell.dataset.variant, cell]));
const variants = articles.map((article) => ({
  article,
  cell: cellOf.get(article.dataset.variant),
  name: article.dataset.variant,
  outcome: article.dataset.outcome,
  kinds: Number(article.dataset.kinds),
  settings: Object.fromEntries(JSON.parse(article.dataset.settings)),
}));

// What is told of a variant stands in a `noscript`, as text, until somebody sees it: 2,000 variants are 200,000 nodes.
const AT_ONCE = 100;
const unseen = new Map([...cells, ...articles].map((place) => [place, place.querySelector("noscript").textContent]));
const coming = new IntersectionObserver((entries) => entries.filter((one) => one.isIntersecting).forEach((one) => tell(one.target)), { rootMargin: "800px" });

function tell(place) {
  if (!unseen.has(place)) return;
  place.innerHTML = unseen.get(place);
  unseen.delete(place);
  coming.unobserve(place);
}

// All words of a variant, in lower case; made when it is first searched.
function wordsOf(variant) {
  if (variant.words === undefined) {
    const { article } = variant;
    const told = unseen.has(article) ? unmarked(unseen.get(article)) : article.textContent;
    variant.words = `${article.closest(".scenario").querySelector("h2").textContent} ${told}`.toLowerCase();
  }
  return variant.words;
}

function unmarked(markup) {
  const named = { "&lt;": "<", "&gt;": ">", "&#34;": '"', "&#39;": "'", "&amp;": "&" };
  return markup.replace(/<[^>]*>/g, " ").replace(/&(?:lt|gt|amp|#34|#39);/g, (name) => named[name]);
}

// `q`: words, all of which must occur; `sel`: a variant's number; `set`: setting -> value.
let state = fromAddress();

function fromAddress() {
  const read = new URLSearchParams(isPlace() ? "" : location.hash.slice(1));
  const known = Object.fromEntries(selects.map((one) => [one.dataset.setting, [...one.options].map((option) => option.value)]));
  const set = {};
  for (const pair of read.getAll("set")) {
    const at = pair.indexOf("=");
    const [path, value] = [pair.slice(0, at), pair.slice(at + 1)];
    if (Object.hasOwn(known, path) && known[path].includes(value)) set[path] = value;
  }
  const outcomes = (read.get("outcome") || "").split(",").filter((one) => toggles.some((toggle) => toggle.dataset.outcome === one));
  const sel = variants.some((one) => one.name === read.get("sel")) ? read.get("sel") : "";
  return { q: read.get("q") || "", outcomes, only: read.get("only") === "1", set, sel };
}

// A fragment that names a place of the page (`#matrix`) is no state.
function isPlace() {
  return /^#[a-z]+$/.test(location.hash);
}

function toAddress() {
  const parts = new URLSearchParams();
  if (state.q) parts.set("q", state.q);
  if (state.outcomes.length) parts.set("outcome", state.outcomes.join(","));
  if (state.only) parts.set("only", "1");
  for (const [path, value] of Object.entries(state.set)) parts.append("set", `${path}=${value}`);
  if (state.sel) parts.set("sel", state.sel);
  const text = parts.toString();
  history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
}

function fits(variant) {
  const words = state.q.toLowerCase().split(/\s+/).filter(Boolean);
  return (
    words.every((word) => wordsOf(variant).includes(word)) &&
    (!state.outcomes.length || state.outcomes.includes(variant.outcome)) &&
    (!state.only || variant.kinds > 1) &&
    Object.entries(state.set).every(([path, value]) => variant.settings[path] === value)
  );
}

function shown() {
  return variants.filter(fits);
}

function draw() {
  const wanted = new Set(shown());
  for (const variant of variants) {
    const isIn = wanted.has(variant);
    const chosen = variant.name === state.sel;
    if (chosen) for (const place of [variant.cell, variant.article]) tell(place);
    variant.cell.classList.toggle("out", !isIn);
    variant.cell.classList.toggle("chosen", chosen);
    variant.cell.querySelector(".pick")?.setAttribute("aria-current", String(chosen));
    variant.article.classList.toggle("chosen", chosen);
    variant.article.hidden = state.sel ? !chosen : !isIn;
  }
  const isOut = (cell) => cell.classList.contains("out");
  const seen = (place, part) => [...place.querySelectorAll(part)].some((one) => !one.hidden);
  for (const row of document.querySelectorAll(".matrix tbody tr")) row.hidden = [...row.querySelectorAll("td")].every(isOut);
  for (const table of document.querySelectorAll("#matrix > .scroll")) {
    table.hidden = !seen(table, "tbody tr");
    const rows = [...table.querySelectorAll("tbody tr")];
    table.querySelectorAll("thead th").forEach((heading, column) => {
      if (!column) return;
      const below = rows.map((row) => row.cells[column]);
      const out = below.every(isOut);
      for (const cell of [heading, ...below]) cell.hidden = out;
    });
  }
  for (const scenario of document.querySelectorAll(".scenario")) scenario.hidden = !seen(scenario, "article");
  // Below a matrix that is longer than the window nobody would see what was chosen.
  const docked = Boolean(state.sel) && document.getElementById("matrix").offsetHeight > window.innerHeight / 2;
  document.querySelector("main").classList.toggle("docked", docked);
  if (docked) document.getElementById("details").setAttribute("tabindex", "0");
  else document.getElementById("details").removeAttribute("tabindex");
  document.getElementById("nothing").hidden = wanted.size > 0;
  document.querySelector(".hits").textContent = wanted.size < variants.length ? `${wanted.size.toLocaleString("en-US")} of ${variants.length.toLocaleString("en-US")} variants` : "";
  if (search.value !== state.q) search.value = state.q;
  for (const toggle of toggles) toggle.setAttribute("aria-pressed", String(state.outcomes.includes(toggle.dataset.outcome)));
  for (const select of selects) select.value = state.set[select.dataset.setting] || "";
  only.setAttribute("aria-pressed", String(state.only));
  all.hidden = !state.sel;
}

function set(changes) {
  state = { ...state, ...changes };
  if (state.sel && !("sel" in changes) && !shown().some((one) => one.name === state.sel)) state.sel = "";
  draw();
  toAddress();
}

function choose(variant) {
  set({ sel: variant.name });
  variant.cell.querySelector(".pick").focus({ preventScroll: true });
  variant.cell.scrollIntoView({ block: "nearest", inline: "nearest" });
}

function step(by) {
  const wanted = shown();
  if (!wanted.length) return;
  const at = wanted.findIndex((one) => one.name === state.sel);
  const next = at < 0 ? (by > 0 ? 0 : wanted.length - 1) : Math.min(Math.max(at + by, 0), wanted.length - 1);
  choose(wanted[next]);
}

// From one cell to its neighbour in the table, as in a sheet.
function neighbour(key) {
  const here = variants.find((one) => one.name === state.sel);
  if (!here) return step(1);
  const rows = [...document.querySelectorAll(".matrix tbody tr")].filter((row) => !row.hidden);
  const column = [...here.cell.parentElement.cells].indexOf(here.cell);
  const [right, down] = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[key];
  const free = (cell) => cell && cell.dataset.variant && !cell.hidden && !cell.classList.contains("out");
  for (let row = rows.indexOf(here.cell.parentElement) + down, at = column + right; rows[row]; row += down, at += right) {
    const cell = rows[row].cells[at];
    if (free(cell)) return choose(variants.find((one) => one.cell === cell));
    if (right && !cell) return undefined;
  }
  return undefined;
}

function key(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const typing = event.target.closest("input, select");
  if (event.key === "Escape") {
    if (typing) typing.blur();
    set({ q: "", outcomes: [], only: false, set: {}, sel: "" });
    return;
  }
  if (typing) return;
  const onCell = event.target.closest("td[data-variant]");
  const keys = { j: () => step(1), k: () => step(-1), "/": () => search.focus() };
  if (onCell) for (const arrow of ["ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]) keys[arrow] = () => neighbour(arrow);
  if (!keys[event.key]) return;
  event.preventDefault();
  keys[event.key]();
}

search.addEventListener("input", () => set({ q: search.value }));
only.addEventListener("click", () => set({ only: !state.only }));
all.addEventListener("click", () => set({ sel: "" }));
for (const toggle of toggles) {
  toggle.addEventListener("click", () => {
    const name = toggle.dataset.outcome;
    set({ outcomes: state.outcomes.includes(name) ? state.outcomes.filter((one) => one !== name) : [...state.outcomes, name] });
  });
}
for (const select of selects) {
  select.addEventListener("change", () => {
    const { [select.dataset.setting]: _, ...others } = state.set;
    set({ set: select.value ? { ...others, [select.dataset.setting]: select.value } : others });
  });
}
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
document.addEventListener("keydown", key);
document.addEventListener("click", (event) => {
  const link = event.target.closest("a.pick");
  if (!link) return;
  event.preventDefault();
  const variant = variants.find((one) => one.cell === link.closest("td"));
  if (variant.name === state.sel) set({ sel: "" });
  else choose(variant);
});
window.addEventListener("hashchange", () => {
  if (isPlace()) return;
  state = fromAddress();
  draw();
});

window.addEventListener("beforeprint", () => [...unseen.keys()].filter((place) => place.checkVisibility()).forEach(tell));

document.getElementById("bar").hidden = false;
for (const place of unseen.keys()) {
  if (articles.length <= AT_ONCE) tell(place);
  else coming.observe(place);
}
draw();
if (state.sel) cellOf.get(state.sel).scrollIntoView({ block: "nearest", inline: "nearest" });
document.documentElement.dataset.ready = String(variants.length);
