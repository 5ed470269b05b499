const SHOWN = 60;
const graphs = {};
const panes = {};

/** Choose a box: its story, its counterparts, its channels. */
function choose(side, place, { go = false, quiet = false } = {}) {
  const graph = graphs[side];
  const other = side === "before" ? "after" : "before";
  const linked = counterparts(graph, place);
  Object.assign(panes[side], { chosen: place, linked: new Set() });
  Object.assign(panes[other], { chosen: -1, linked: new Set(linked) });
  if (go) {
    front(side);
    panes[side].view.focus({ preventScroll: true });
  }
  panes[side].show(place);
  if (linked.length) panes[other].show(linked[0]);
  panes[other].later();
  const words = tell(graph, place);
  if (!quiet) byId("said").textContent = words;
  const number = graph.site[place] >= 0 ? graph.site[place] : graph.took[place][0];
  if (number !== undefined) channels(number);
}

/** On a narrow page one graph is shown at a time. */
function front(side) {
  document.querySelector(".board").dataset.front = side;
  document.querySelectorAll("[data-show]").forEach((button) => button.setAttribute("aria-pressed", String(button.dataset.show === side)));
  Object.values(panes).forEach((pane) => pane.later(true));
}

function search(words) {
  const wanted = words.trim().toLowerCase();
  const found = [];
  for (const side of ["before", "after"]) {
    const graph = graphs[side];
    const hits = !wanted ? [] : graph.order.filter((place) => {
      const box = graph.boxes[place];
      return [box[NAME], box[OP], box[MODULE], ...box[OUTPUTS]].some((text) => text.toLowerCase().includes(wanted));
    });
    panes[side].hits = new Set(hits);
    panes[side].later(true);
    found.push(...hits.map((place) => [graph, place]));
  }
  const list = byId("results");
  list.replaceChildren(...found.slice(0, SHOWN).map(([graph, place]) => {
    const item = goTo(graph, place);
    item.prepend(el("span", { class: "side" }, graph.side));
    return item;
  }));
  list.hidden = !found.length;
  const more = found.length > SHOWN ? `, the first ${SHOWN} listed` : "";
  byId("hits").textContent = wanted ? `${found.length ? count(found.length, "node") : "nothing"} found${more}` : "";
}

function start() {
  document.querySelectorAll(".tools, .board").forEach((part) => (part.hidden = false));
  for (const side of ["before", "after"]) {
    graphs[side] = new Graph(side);
    panes[side] = new Pane(graphs[side], byId(side));
  }
  front("before");
  for (const pane of Object.values(panes)) {
    // Legible first: the width of the net if that can be read, else its top.
    pane.scale = Math.min(1, Math.max(0.6, pane.view.clientWidth / pane.size.width || 1));
    pane.draw();
  }
  document.querySelectorAll("[data-show]").forEach((button) => button.addEventListener("click", () => front(button.dataset.show)));
  const box = byId("search");
  box.addEventListener("input", () => search(box.value));
  box.addEventListener("keydown", (event) => {
    if (event.key === "Enter") document.querySelector("#results button")?.click();
    if (event.key === "Escape") search((box.value = ""));
    if (event.key === "ArrowDown") document.querySelector("#results button")?.focus();
  });
  addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.target.closest("input, textarea")) return;
    event.preventDefault();
    box.focus();
  });
  byId("panel").addEventListener("keydown", (event) => {
    if (event.key === "Escape") Object.values(panes).find((pane) => pane.chosen >= 0)?.view.focus();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => Object.values(panes).forEach((pane) => pane.later(true)));
  const first = graphs.before.order.find((place) => graphs.before.state(place));
  if (first !== undefined) choose("before", first, { quiet: true });
}

document.querySelectorAll("[data-site]").forEach((button) => button.addEventListener("click", () => {
  const number = Number(button.dataset.site);
  channels(number);
  if (DATA.before && DATA.sites[number].nodes.length) choose("before", DATA.sites[number].nodes[0]);
  byId("channels")?.scrollIntoView({ block: "nearest", behavior: calm.matches ? "auto" : "smooth" });
}));
if (DATA.before) start();
const worst = DATA.sites.findIndex((site) => site.found.length);
const any = worst >= 0 ? worst : DATA.sites.findIndex((site) => site.channels);
if (any >= 0) channels(any);
