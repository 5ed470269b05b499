const BOX = { width: 188, height: 40, pitch: 62, column: 208, lane: 22 };
const LEAST = 0.2;
const MOST = 2;
const BLOCK = 32;

/** A graph on the screen. Only what is in sight is drawn, so its size costs nothing. */
class Pane {
  constructor(graph, home) {
    this.graph = graph;
    this.scale = 1;
    this.chosen = -1;
    this.linked = new Set();
    this.hits = new Set();
    this.measure();
    const nodes = graph.boxes.filter((box) => box[OP] !== "input" && box[OP] !== "output").length;
    this.picture = svg("svg", { "aria-hidden": "true" });
    this.view = el(
      "div",
      {
        class: "view", tabindex: "0", role: "application",
        "aria-label": `The net ${graph.side} the fold, ${count(nodes, "node")}. Arrow keys follow the data, Enter reads about a node.`,
        onscroll: () => this.later(), onkeydown: (event) => this.key(event),
        onclick: (event) => this.click(event), onpointerdown: (event) => this.drag(event),
        onwheel: (event) => this.wheel(event),
        onfocus: () => this.enter(),
      },
      this.picture,
    );
    this.map = el("canvas", { class: "map", "aria-hidden": "true", onpointerdown: (event) => this.jump(event), onpointermove: (event) => event.buttons && this.jump(event) });
    const tool = (name, sign, act) => el("button", { type: "button", "aria-label": `${name} (${graph.side})`, title: name, onclick: act }, sign);
    home.append(
      el("div", { class: "pane-head" },
        el("h3", {}, graph.side === "before" ? "Before" : "After", el("small", {}, ` ${count(nodes, "node")} drawn`)),
        tool("Zoom out", "−", () => this.zoom(this.scale / 1.3)), tool("Zoom in", "+", () => this.zoom(this.scale * 1.3)),
        tool("Fit to the pane", "⤢", () => this.fit())),
      el("div", { class: "pane-body" }, this.view, this.map),
    );
    new ResizeObserver(() => this.later(true)).observe(this.view);
  }

  /** Columns in which only values pass are narrow. */
  measure() {
    const { graph } = this;
    const wide = new Set(graph.boxes.map((box) => box[COLUMN]));
    this.left = [];
    let x = 16;
    for (let column = 0; column < graph.width; column += 1) {
      this.left.push(x);
      x += wide.has(column) ? BOX.column : BOX.lane;
    }
    this.size = { width: x + 8, height: graph.rows * BOX.pitch + 24 };
    this.wide = wide;
    // Edges by the blocks of rows that they touch.
    this.blocks = Array.from({ length: Math.ceil(graph.rows / BLOCK) }, () => []);
    graph.edges.forEach(([from, to], number) => {
      const last = Math.floor(graph.boxes[to][ROW] / BLOCK);
      for (let b = Math.floor(graph.boxes[from][ROW] / BLOCK); b <= last; b += 1) this.blocks[b].push(number);
    });
  }

  middle(column) {
    return this.left[column] + (this.wide.has(column) ? BOX.width / 2 : BOX.lane / 2 - 4);
  }

  place(number) {
    const box = this.graph.boxes[number];
    return { x: this.left[box[COLUMN]], y: 16 + box[ROW] * BOX.pitch };
  }

  later(resized = false) {
    this.remap = this.remap || resized;
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      this.draw();
    });
  }

  draw() {
    const { graph, view, scale, size } = this;
    if (!view.clientHeight) return;
    this.picture.setAttribute("width", size.width * scale);
    this.picture.setAttribute("height", size.height * scale);
    this.picture.setAttribute("viewBox", `0 0 ${size.width} ${size.height}`);
    const row = (y) => Math.floor((y / scale - 16) / BOX.pitch);
    const first = Math.max(0, row(view.scrollTop) - 2);
    const last = Math.min(graph.rows - 1, row(view.scrollTop + view.clientHeight) + 2);
    const shown = [];
    for (let at = first; at <= last; at += 1) shown.push(...graph.byRow[at]);
    const edges = new Set();
    for (let b = Math.floor(first / BLOCK); b <= Math.floor(last / BLOCK); b += 1) this.blocks[b].forEach((number) => edges.add(number));
    const active = new Set([...(this.chosen < 0 ? [] : graph.kin(this.chosen)), ...this.linked]);
    this.picture.replaceChildren(
      ...shown.map((number) => this.band(number)).filter(Boolean),
      ...[...edges].filter((number) => this.crosses(number, first, last)).map((number) => this.edge(number, active)),
      ...shown.map((number) => this.box(number)),
    );
    this.drawMap(first, last);
  }

  crosses(number, first, last) {
    const [from, to] = this.graph.edges[number];
    return this.graph.boxes[from][ROW] <= last && this.graph.boxes[to][ROW] >= first;
  }

  /** What ties the ops of one norm together. */
  band(number) {
    const { graph } = this;
    if (graph.side !== "before" || graph.site[number] < 0) return null;
    const next = graph.readers[number].find((to) => graph.site[to] === graph.site[number] && graph.boxes[to][COLUMN] === graph.boxes[number][COLUMN] && graph.boxes[to][ROW] === graph.boxes[number][ROW] + 1);
    if (next === undefined) return null;
    const { x, y } = this.place(number);
    return svg("rect", { class: `band ${graph.state(number)}`, x: x - 6, y: y - 6, width: BOX.width + 12, height: BOX.pitch + BOX.height + 12, rx: 8 });
  }

  edge(number, active) {
    const [from, to, lane] = this.graph.edges[number];
    const a = this.place(from);
    const b = this.place(to);
    const [x1, y1, x2, y2] = [a.x + BOX.width / 2, a.y + BOX.height, b.x + BOX.width / 2, b.y];
    const bend = (xa, ya, xb, yb) => `C${xa} ${(ya + yb) / 2} ${xb} ${(ya + yb) / 2} ${xb} ${yb}`;
    let path = `M${x1} ${y1}`;
    if (lane < 0) path += bend(x1, y1, x2, y2);
    else {
      const x = this.middle(lane);
      const top = a.y + BOX.pitch;
      const bottom = b.y - BOX.pitch + BOX.height;
      path += `${bend(x1, y1, x, top)}V${bottom}${bend(x, bottom, x2, y2)}`;
    }
    return svg("path", { class: active.has(from) || active.has(to) ? "edge near" : "edge", d: path });
  }

  box(number) {
    const { graph } = this;
    const box = graph.boxes[number];
    const { x, y } = this.place(number);
    const state = graph.state(number);
    const ends = box[OP] === "input" || box[OP] === "output";
    const classes = ["box", state, ends ? "end" : "", this.linked.has(number) ? "linked" : "", this.hits.has(number) ? "hit" : ""];
    if (this.chosen >= 0 && graph.kin(this.chosen).includes(number)) classes.push("kin");
    if (number === this.chosen) classes.push("chosen");
    const took = graph.took[number].length;
    return svg("g", { class: classes.filter(Boolean).join(" "), "data-box": number, transform: `translate(${x} ${y})` },
      svg("title", {}, graph.label(number)),
      svg("rect", { width: BOX.width, height: BOX.height, rx: ends ? 20 : 6 }),
      state ? svg("path", { class: "stripe", d: `M6 0h-0a6 6 0 0 0-6 6v${BOX.height - 12}a6 6 0 0 0 6 6z` }) : null,
      svg("text", { class: "op", x: 14, y: 17 }, clipped(box[OP], 22)),
      svg("text", { class: "name", x: 14, y: 32 }, clipped(box[MODULE] || box[NAME], 25)),
      state ? svg("text", { class: "mark", x: BOX.width - 10, y: 17, "text-anchor": "end" }, MARKS[state] + (took > 1 ? took : "")) : null);
  }

  /** The whole net beside its view: where the norms are, what was found, what is in sight. */
  drawMap(first, last) {
    const { graph, map } = this;
    const [width, height] = [map.clientWidth, map.clientHeight];
    if (!width) return;
    const ratio = devicePixelRatio || 1;
    if (this.remap || !this.still) {
      const style = getComputedStyle(map);
      const colour = (name) => style.getPropertyValue(`--${name}`);
      const colours = { "": colour("line"), folded: colour("good"), partly: colour("part"), left: colour("warn"), took: colour("took") };
      this.frame = colour("accent");
      [map.width, map.height] = [width * ratio, height * ratio];
      const still = new OffscreenCanvas(map.width, map.height);
      const context = still.getContext("2d");
      context.scale(ratio, ratio);
      const step = height / graph.rows;
      const across = (width - 8) / graph.width;
      // Norms last: a net of thousands of nodes has several on each line of the map.
      for (const pass of ["", "took", "folded", "partly", "left", "hit"]) {
        graph.boxes.forEach((box, number) => {
          const hit = pass === "hit" && this.hits.has(number);
          if (!hit && graph.state(number) !== pass) return;
          context.fillStyle = hit ? this.frame : colours[pass];
          const x = hit ? width - 5 : 1 + box[COLUMN] * across;
          context.fillRect(x, box[ROW] * step, hit ? 5 : Math.max(3, across - 1), Math.max(1.5, Math.min(step - 0.5, 8)));
        });
      }
      this.still = still;
      this.remap = false;
    }
    const context = map.getContext("2d");
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, map.width, map.height);
    context.drawImage(this.still, 0, 0);
    context.scale(ratio, ratio);
    context.strokeStyle = this.frame;
    context.lineWidth = 1.5;
    context.strokeRect(0.75, (first / graph.rows) * height + 0.75, width - 1.5, Math.max(6, ((last - first + 1) / graph.rows) * height - 1.5));
  }

  jump(event) {
    const { top, height } = this.map.getBoundingClientRect();
    const { view } = this;
    view.scrollTop = ((event.clientY - top) / height) * view.scrollHeight - view.clientHeight / 2;
  }

  zoom(wanted, x = this.view.clientWidth / 2, y = this.view.clientHeight / 2) {
    const { view } = this;
    const scale = Math.min(MOST, Math.max(LEAST, wanted));
    const [fixedX, fixedY] = [(view.scrollLeft + x) / this.scale, (view.scrollTop + y) / this.scale];
    this.scale = scale;
    this.draw();
    view.scrollLeft = fixedX * scale - x;
    view.scrollTop = fixedY * scale - y;
    this.later();
  }

  /** As much of the net as can be seen at once. */
  fit() {
    const { view, size } = this;
    this.zoom(Math.min(1, view.clientWidth / size.width, view.clientHeight / size.height));
  }

  show(number) {
    const { view, scale } = this;
    const { x, y } = this.place(number);
    const [top, left] = [y * scale - view.clientHeight / 2.5, (x + BOX.width / 2) * scale - view.clientWidth / 2];
    const seen = y * scale > view.scrollTop && (y + BOX.height) * scale < view.scrollTop + view.clientHeight;
    const inside = x * scale >= view.scrollLeft && (x + BOX.width) * scale <= view.scrollLeft + view.clientWidth;
    // Far away, a glide shows nothing but a blur.
    const glides = !calm.matches && Math.abs(top - view.scrollTop) < 3 * view.clientHeight;
    if (!seen || !inside) view.scrollTo({ top: seen ? view.scrollTop : top, left: inside ? view.scrollLeft : left, behavior: glides ? "smooth" : "instant" });
    this.later();
  }

  wheel(event) {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const { left, top } = this.view.getBoundingClientRect();
    this.zoom(this.scale * Math.exp(-event.deltaY / 300), event.clientX - left, event.clientY - top);
  }

  drag(event) {
    if (event.pointerType !== "mouse" || event.button !== 0) return;
    const { view } = this;
    const from = { x: event.clientX + view.scrollLeft, y: event.clientY + view.scrollTop };
    this.dragged = false;
    const move = (next) => {
      if (Math.hypot(from.x - view.scrollLeft - next.clientX, from.y - view.scrollTop - next.clientY) > 3) this.dragged = true;
      if (this.dragged) view.scrollTo({ left: from.x - next.clientX, top: from.y - next.clientY, behavior: "instant" });
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", () => removeEventListener("pointermove", move), { once: true });
  }

  /** By the keyboard: where the other graph's choice leads, else at the top. */
  enter() {
    if (this.chosen < 0 && this.graph.order.length && this.view.matches(":focus-visible")) choose(this.graph.side, [...this.linked][0] ?? this.graph.order[0]);
  }

  click(event) {
    // What was pressed may have been drawn anew since.
    const box = document.elementFromPoint(event.clientX, event.clientY)?.closest("[data-box]");
    if (box && !this.dragged) choose(this.graph.side, Number(box.dataset.box));
  }

  key(event) {
    const { graph, chosen } = this;
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const beside = (step) => {
      const row = graph.byRow[graph.boxes[chosen][ROW]];
      return row[row.indexOf(chosen) + step];
    };
    const nearest = (found) => [...found].sort((a, b) => Math.abs(graph.boxes[a][COLUMN] - graph.boxes[chosen][COLUMN]) - Math.abs(graph.boxes[b][COLUMN] - graph.boxes[chosen][COLUMN]))[0];
    const norm = (step) => {
      const { order } = graph;
      for (let at = order.indexOf(chosen) + step; at >= 0 && at < order.length; at += step) {
        if (graph.state(order[at]) && !graph.kin(chosen).includes(order[at])) return order[at];
      }
      return undefined;
    };
    const moves = {
      ArrowDown: () => nearest(graph.readers[chosen]), ArrowUp: () => nearest(graph.writers[chosen]),
      ArrowLeft: () => beside(-1), ArrowRight: () => beside(1),
      Home: () => graph.order[0], End: () => graph.order.at(-1), n: () => norm(1), p: () => norm(-1),
    };
    const acts = {
      "+": () => this.zoom(this.scale * 1.3), "-": () => this.zoom(this.scale / 1.3), 0: () => this.fit(),
      Enter: () => byId("panel").focus(),
    };
    if (!(event.key in moves) && !(event.key in acts)) return;
    event.preventDefault();
    if (event.key in acts) acts[event.key]();
    else {
      const next = chosen < 0 ? graph.order[0] : moves[event.key]();
      if (next !== undefined) choose(graph.side, next);
    }
  }
}
