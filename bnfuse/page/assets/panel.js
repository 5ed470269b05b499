/** What is known of the box chosen. */
function tell(graph, place) {
  const box = graph.boxes[place];
  const number = graph.site[place];
  const panel = byId("panel");
  const took = graph.took[place];
  const ends = { input: "An input of the net.", output: "An output of the net." };
  put(
    panel,
    el("p", { class: "dim" }, `${graph.side} the fold`),
    el("h3", {}, box[OP]),
    el("p", { class: "path" }, box[MODULE] || box[NAME]),
    ends[box[OP]] ? el("p", {}, ends[box[OP]]) : null,
    ...(number >= 0 ? ofNorm(graph, place, number) : []),
    ...(took.length ? [el("h4", {}, `It took ${count(took.length, "norm")}`), ...took.map((site) => ofTaken(site))] : []),
    number < 0 && graph.side === "before" ? stands(graph, place) : null,
    ...facts(graph, place),
  );
  return `${graph.label(place)}, ${number >= 0 ? `norm, ${DATA.sites[number].state}` : took.length ? `took ${count(took.length, "norm")}` : "no norm"}`;
}

function ofNorm(graph, place, number) {
  const site = DATA.sites[number];
  const other = graph.side === "before" ? "after" : "before";
  const route = [
    ["into", site.into],
    ["through", site.through.join(", ")],
    ["corrected in", site.corrected.join(", ")],
  ].filter(([, text]) => text);
  return [
    el("p", {}, el("span", { class: `fate ${site.state}` }, `${MARKS[site.state]} ${site.state}`), ` ${site.kind} `, el("b", {}, site.label)),
    el("p", { class: "equation" }, site.equation),
    el("dl", { class: "facts" }, ...route.flatMap(([name, text]) => [el("dt", {}, name), el("dd", {}, text)]), ...ranges(site)),
    site.reason ? el("p", { class: "reason" }, el("b", {}, "Stays because "), site.reason) : null,
    ...site.rules.map((rule) => el("p", { class: "rule" }, DATA.rules[rule]?.[0] ?? rule, DATA.rules[rule]?.[1] ? el("code", {}, DATA.rules[rule][1]) : null)),
    site.channels ? el("button", { type: "button", onclick: () => (channels(number), byId("channels").focus()) }, "See its channels") : null,
    el("h4", {}, "Came from"),
    el("ul", { class: "links" }, ...(site.nodes.length ? site.nodes.map((node) => goTo(graphs.before, node)) : site.made.map((name) => el("li", {}, name)))),
    ...(site.takers.length ? [el("h4", {}, site.state === "left" ? "Is now" : "Went into"), el("ul", { class: "links" }, ...site.takers.map((node) => goTo(graphs.after, node)))] : []),
  ];
}

function ofTaken(number) {
  const site = DATA.sites[number];
  return el("div", { class: "taken" },
    el("p", {}, el("span", { class: `fate ${site.state}` }, `${MARKS[site.state]} ${site.state}`), " ", el("b", {}, site.label)),
    el("p", { class: "dim" }, [site.spelling, site.through.length ? `through ${site.through.join(", ")}` : ""].filter(Boolean).join("; ")),
    site.nodes.length ? el("ul", { class: "links" }, goTo(graphs.before, site.nodes[0])) : null);
}

function stands(graph, place) {
  if (graph.boxes[place][OP] === "input" || graph.boxes[place][OP] === "output") return null;
  const after = graph.same[place];
  if (after < 0) return el("p", {}, "No node of this name is left: it was merged, or nothing needs it.");
  return el("div", {}, el("h4", {}, "After the fold"), el("ul", { class: "links" }, goTo(graphs.after, after)));
}

function ranges(site) {
  if (!site.channels) return [];
  const range = (values) => {
    const numbers = values.filter((value) => typeof value === "number").sort((a, b) => a - b);
    if (!numbers.length) return "no finite number";
    const text = numbers[0] === numbers.at(-1) ? short(numbers[0]) : `${short(numbers[0])} … ${short(numbers.at(-1))}, median ${short(numbers[numbers.length >> 1])}`;
    return text;
  };
  return [el("dt", {}, "scale"), el("dd", {}, range(site.channels.scale)), el("dt", {}, "shift"), el("dd", {}, range(site.channels.shift))];
}

function facts(graph, place) {
  const box = graph.boxes[place];
  const list = (values) => values.join(", ") || "none";
  return [el("details", {}, el("summary", {}, "Names"), el("dl", { class: "facts" },
    el("dt", {}, "node"), el("dd", {}, box[NAME]), el("dt", {}, "reads"), el("dd", {}, list(box[INPUTS])), el("dt", {}, "computes"), el("dd", {}, list(box[OUTPUTS]))))];
}

function goTo(graph, place) {
  return el("li", {}, el("button", { type: "button", class: "link", onclick: () => choose(graph.side, place, { go: true }) }, graph.label(place)));
}
