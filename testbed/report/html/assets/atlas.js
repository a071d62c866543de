// The Atlas is whole without this script: it only hides what does not hold the words that are looked for.
"use strict";

const cards = [...document.querySelectorAll(".card")];
const rows = [...document.querySelectorAll("tr[data-entry]")];

function show() {
  const words = document.getElementById("find").value.toLowerCase().split(/\s+/).filter(Boolean);
  const kept = new Set();
  for (const card of cards) {
    const text = card.textContent.toLowerCase();
    card.hidden = !words.every((word) => text.includes(word));
    if (!card.hidden) kept.add(card.id);
  }
  for (const row of rows) row.hidden = !kept.has(row.dataset.entry);
  for (const section of document.querySelectorAll("section")) {
    const own = [...section.querySelectorAll(".card")];
    section.hidden = own.length > 0 && own.every((card) => card.hidden);
  }
  document.getElementById("found").textContent = words.length ? `${kept.size} of ${cards.length}` : "";
}

document.getElementById("find").addEventListener("input", show);
show();
document.documentElement.dataset.ready = cards.length;
