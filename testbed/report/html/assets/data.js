// Unpacks what report/html/pack.py packed. A column is decoded when it is first asked for.

async function unpack(base64) {
  const packed = Uint8Array.fromBase64 ? Uint8Array.fromBase64(base64) : bytesOf(atob(base64));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer());
  const length = new DataView(bytes.buffer).getUint32(0, true);
  const head = JSON.parse(new TextDecoder().decode(bytes.subarray(4, 4 + length)));
  if (head.format !== "bothends-report/1") throw new Error(`unknown format ${head.format}`);
  return new Tables(head, bytes.subarray(4 + length));
}

function bytesOf(binary) {
  const bytes = new Uint8Array(binary.length);
  for (let i = 0; i < binary.length; i++) bytes[i] = binary.charCodeAt(i);
  return bytes;
}

class Tables {
  constructor(head, bytes) {
    this.head = head;
    this.bytes = bytes;
    this.decoded = new Map();
  }

  // Integers, exact up to 2^53; beyond that multiples of the column's unit.
  numbers(name) {
    const known = this.decoded.get(name);
    if (known) return known;
    const { count, width, delta, unit, at } = this.head.columns[name];
    const values = new Float64Array(count);
    for (let plane = width - 1; plane >= 0; plane--) {
      const from = at + plane * count;
      for (let i = 0; i < count; i++) values[i] = values[i] * 256 + this.bytes[from + i];
    }
    let before = 0;
    for (let i = 0; i < count; i++) {
      const coded = values[i];
      const value = coded % 2 ? -(coded + 1) / 2 : coded / 2;
      before = delta ? before + value : value;
      values[i] = before * unit;
    }
    this.decoded.set(name, values);
    return values;
  }

  has(name) {
    return name in this.head.columns;
  }

  count(name) {
    return this.head.columns[name].count;
  }

  text(name, i) {
    return this.head.texts[this.numbers(name)[i]];
  }

  list(name, i) {
    const starts = this.starts(name);
    return this.numbers(`${name}.value`).subarray(starts[i], starts[i + 1]);
  }

  blob(name, i) {
    const starts = this.starts(name);
    const { at } = this.head.columns[`${name}.bytes`];
    return this.bytes.subarray(at + starts[i], at + starts[i + 1]);
  }

  starts(name) {
    const key = `${name} starts`;
    let starts = this.decoded.get(key);
    if (!starts) {
      const counts = this.numbers(`${name}.count`);
      starts = new Float64Array(counts.length + 1);
      for (let i = 0; i < counts.length; i++) starts[i + 1] = starts[i] + counts[i];
      this.decoded.set(key, starts);
    }
    return starts;
  }
}
