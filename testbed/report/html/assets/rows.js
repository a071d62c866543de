// Lays events out in rows: a call shares its row with the packet it sent, an arrival with the call it woke.

const ROW = 22;

class Rows {
  // `wanted` as Filter.select returns it; `opened` holds indexes of events whose fold was opened.
  constructor(model, wanted, context, opened) {
    this.model = model;
    this.first = []; // the row's first event, or the first that a fold hides
    this.size = []; // 1 or 2 events; minus how many a fold hides
    this.rowOf = new Int32Array(model.events);
    this.sentRow = new Int32Array(model.packets).fill(-1);
    this.arrivedRow = new Int32Array(model.packets).fill(-1);
    this.callRow = new Int32Array(model.calls).fill(-1);
    this.shown = 0;
    const show = this.visible(wanted, context, opened);
    for (let e = 0; e < model.events; e++) this.place(e, show === null || show[e] === 1);
    this.count = this.first.length;
    this.top = null;
    this.height = this.count * ROW;
  }

  visible(wanted, context, opened) {
    if (wanted === null) return null;
    const { model } = this;
    const show = new Uint8Array(model.events);
    let until = -1;
    for (let e = 0; e < model.events; e++) {
      if (model.eventKind[e] !== CUT && wanted[model.eventItem[e]]) {
        for (let k = Math.max(e - context, 0); k < e; k++) show[k] = 1;
        until = e + context;
      }
      if (e <= until) show[e] = 1;
    }
    for (const [from, to] of opened) show.fill(1, from, to);
    return show;
  }

  place(e, shown) {
    const { model, first, size } = this;
    const last = first.length - 1;
    if (!shown) {
      if (last >= 0 && size[last] < 0) size[last]--;
      else first.push(e), size.push(-1);
    } else if (last >= 0 && size[last] === 1 && this.joins(first[last], e)) {
      size[last] = 2;
      this.shown++;
    } else {
      first.push(e);
      size.push(1);
      this.shown++;
    }
    const row = first.length - 1;
    this.rowOf[e] = row;
    const item = model.eventItem[e];
    const kind = model.eventKind[e];
    if (kind === SENT) this.sentRow[item] = row;
    else if (kind === ARRIVED) this.arrivedRow[item] = row;
    else if (kind === CALL) this.callRow[item - model.packets] = row;
  }

  joins(a, b) {
    const { model } = this;
    const { eventKind, eventItem } = model;
    const [one, two] = [eventItem[a], eventItem[b]];
    if (eventKind[a] === CALL && eventKind[b] === SENT) return model.hostOf(one) === model.sender[two];
    if (eventKind[a] === ARRIVED && eventKind[b] === CALL) {
      const c = two - model.packets;
      return model.call.host[c] !== model.sender[one] && model.waits(c);
    }
    return false;
  }

  // True scale: `pixels` for each ns. Otherwise every row is as high as the others.
  scale(pixels) {
    if (!pixels) {
      this.top = null;
      this.height = this.count * ROW;
      return;
    }
    const start = this.count ? this.time(0) : 0;
    this.top = Float64Array.from(this.first, (e) => (this.model.eventTime[e] - start) * pixels);
    this.height = (this.count ? this.top[this.count - 1] : 0) + ROW;
  }

  y(row) {
    return this.top ? this.top[row] : row * ROW;
  }

  time(row) {
    return this.model.eventTime[this.first[row]];
  }

  // The row at or before a height.
  at(height) {
    if (!this.top) return Math.min(Math.max(Math.floor(height / ROW), 0), this.count - 1);
    return this.search(this.top, height);
  }

  // The height of a time, between rows in proportion.
  yOfTime(time) {
    let low = 0;
    let high = this.count - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.time(middle) <= time) low = middle;
      else high = middle - 1;
    }
    if (low + 1 >= this.count || time <= this.time(low)) return this.y(low);
    const share = (time - this.time(low)) / (this.time(low + 1) - this.time(low) || 1);
    return this.y(low) + (this.y(low + 1) - this.y(low)) * share;
  }

  timeOfY(height) {
    const row = this.at(height);
    if (row < 0) return 0;
    if (row + 1 >= this.count) return this.time(row);
    const share = (height - this.y(row)) / (this.y(row + 1) - this.y(row) || 1);
    return this.time(row) + (this.time(row + 1) - this.time(row)) * Math.min(Math.max(share, 0), 1);
  }

  search(values, wanted) {
    let low = 0;
    let high = values.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (values[middle] <= wanted) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  rowOfItem(item) {
    const { model } = this;
    if (!model.isPacket(item)) return this.callRow[item - model.packets];
    return this.sentRow[item] >= 0 ? this.sentRow[item] : this.arrivedRow[item];
  }

  isFold(row) {
    return this.size[row] < 0;
  }

  // The items that begin in a row, in order: what j and k walk over.
  itemsOf(row) {
    const { model } = this;
    if (row < 0 || row >= this.count || this.isFold(row)) return [];
    const found = [];
    for (let e = this.first[row]; e < this.first[row] + this.size[row]; e++) {
      const kind = model.eventKind[e];
      const item = model.eventItem[e];
      if (kind === CUT || (kind === ARRIVED && model.fate[item] === CROSSED)) continue;
      found.push(item);
    }
    return found;
  }
}
