// Foreign text, numbers and times as plain words; the twin of report/text/terminal_text.py.

const SHORT = { "\n": "\\n", "\r": "\\r", "\t": "\\t" };
const HIDDEN = /[\p{C}\p{Zl}\p{Zp}]|(?! )\p{Zs}/gu;

// One line in which every character can be seen.
function visible(text) {
  return String(text).replace(HIDDEN, (character) => {
    const code = character.codePointAt(0);
    const hex = code.toString(16);
    if (SHORT[character]) return SHORT[character];
    if (code < 0x100) return `\\x${hex.padStart(2, "0")}`;
    return code < 0x10000 ? `\\u${hex.padStart(4, "0")}` : `\\U${hex.padStart(8, "0")}`;
  });
}

function byteText(byte) {
  const character = String.fromCharCode(byte);
  if (SHORT[character]) return SHORT[character];
  if (character === '"' || character === "\\") return `\\${character}`;
  return byte >= 0x20 && byte < 0x7f ? character : `\\x${byte.toString(16).padStart(2, "0")}`;
}

// Payload in double quotes, `room` characters at most; `length` is how many bytes there really are.
function quote(data, room, length) {
  const ending = `... ${counted(length, "byte")}`;
  let shown = "";
  let taken = 0;
  while (taken < data.length && shown.length <= room) shown += byteText(data[taken++]);
  if (taken === length && shown.length + 2 <= room) return `"${shown}"`;
  const left = room - 2 - ending.length;
  let kept = "";
  for (const byte of data.subarray(0, Math.max(left, 0))) {
    const text = byteText(byte);
    if (kept.length + text.length > left) break;
    kept += text;
  }
  return kept ? `"${kept}"${ending}` : counted(length, "byte");
}

function grouped(number) {
  return number.toLocaleString("en-US", { maximumFractionDigits: 0 });
}

function counted(number, noun) {
  return `${grouped(number)} ${noun}${number === 1 ? "" : "s"}`;
}

// A time span (ns) in the unit that suits it.
function duration(ns) {
  for (const [unit, size] of [["s", 1e9], ["ms", 1e6], ["µs", 1e3]]) {
    if (Math.abs(ns) >= size) {
      const value = ns / size;
      const size_ = Math.abs(value);
      return `${value.toFixed(size_ < 10 ? 2 : size_ < 100 ? 1 : 0)} ${unit}`;
    }
  }
  return `${Math.round(ns)} ns`;
}

function milliseconds(ns) {
  const ms = ns / 1e6;
  return Math.abs(ms) < 99999 ? ms.toFixed(3) : (ms / 1000).toFixed(3) + " s";
}

// ns since the epoch (as BigInt) as UTC time of day with nanoseconds, or with the date.
function timeOfDay(epoch, withDate) {
  const iso = new Date(Number(epoch / 1000000n)).toISOString();
  const fraction = (epoch % 1000000000n).toString().padStart(9, "0");
  return `${withDate ? iso.slice(0, 19).replace("T", " ") : iso.slice(11, 19)}.${fraction}`;
}

function hexDump(data, perLine) {
  const lines = [];
  for (let at = 0; at < data.length; at += perLine) {
    const part = [...data.subarray(at, at + perLine)];
    const hex = part.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const text = part.map((byte) => (byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : ".")).join("");
    lines.push(`${at.toString(16).padStart(4, "0")}  ${hex.padEnd(perLine * 3 - 1)}  ${text}`);
  }
  return lines.join("\n");
}

// tcpdump's letters for the nine TCP flag bits.
function flagLetters(bits) {
  const letters = [..."FSRP.UEWe"].filter((_, bit) => (bits >> bit) & 1).join("");
  return letters || "none";
}
