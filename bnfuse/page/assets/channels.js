const PLOT = { height: 150, top: 10, bottom: 22, left: 58, right: 10 };
const LABELS = 12;
const BENT = 20;

/** The plots of one norm, the channels that stand out in words, and all of it as a table. */
function channels(number) {
  const home = byId("channels");
  const site = DATA.sites[number];
  if (!home || !site.channels) return;
  document.querySelectorAll("[data-site]").forEach((button) => {
    const own = Number(button.dataset.site) === number;
    own ? button.setAttribute("aria-current", "true") : button.removeAttribute("aria-current");
  });
  const known = [["scale", site.channels.scale], ["shift", site.channels.shift], ["deviation", site.channels.deviation]].filter(([, values]) => values.length);
  const kinds = { scale: ["dead", "scale"], shift: ["shift"], deviation: ["flat"] };
  const words = site.found.map(([, channel, text]) => el("li", {}, el("b", {}, `channel ${channel} `), text));
  put(
    home,
    el("h3", {}, site.label),
    el("p", { class: "dim" }, `${site.equation} · ${count(site.channels.scale.length, "channel")}`),
    el("div", { class: "plots" }, ...known.map(([name, values]) => plot(name, values, site.found.filter(([kind]) => kinds[name].includes(kind))))),
    words.length ? el("ul", { class: "found" }, ...words.slice(0, LABELS)) : el("p", {}, "No channel stands out."),
    words.length > LABELS ? el("details", {}, el("summary", {}, `${words.length - LABELS} more`), el("ul", { class: "found" }, ...words.slice(LABELS))) : null,
    numbers(site),
  );
}

/** Points by channel; those that stand out are larger, of another shape, and named. */
function plot(name, values, found) {
  const finite = values.filter((value) => typeof value === "number");
  let [low, high] = finite.reduce(([a, b], value) => [Math.min(a, value), Math.max(b, value)], [Infinity, -Infinity]);
  if (!finite.length) [low, high] = [0, 1];
  if (low === high) [low, high] = [low - 1, high + 1];
  const width = Math.max(260, Math.min(440, byId("channels").clientWidth - 34));
  const x = (channel) => PLOT.left + ((channel + 0.5) / values.length) * (width - PLOT.left - PLOT.right);
  // Where few channels are far out, the rest would lie on one line: bend the axis beyond the median.
  const sizes = finite.map(Math.abs).sort((a, b) => a - b);
  const typical = sizes[sizes.length >> 1] || 0;
  const bent = typical > 0 && Math.max(Math.abs(low), Math.abs(high)) > BENT * typical;
  const bend = bent ? (value) => Math.asinh((2 * value) / typical) : (value) => value;
  const y = (value) => PLOT.top + ((bend(high) - bend(value)) / (bend(high) - bend(low))) * (PLOT.height - PLOT.top - PLOT.bottom);
  const flagged = new Set(found.map(([, channel]) => channel));
  let dots = "";
  values.forEach((value, channel) => {
    if (typeof value === "number" && !flagged.has(channel)) dots += `M${x(channel).toFixed(1)} ${y(value).toFixed(1)}h0`;
  });
  const marks = found.filter(([, channel]) => typeof values[channel] === "number");
  const middle = bent ? typical : (low + high) / 2;
  const grid = [high, middle, low].concat(low < 0 && high > 0 ? [0] : []);
  return el("figure", {},
    svg("svg", { viewBox: `0 0 ${width} ${PLOT.height}`, role: "img", "aria-label": `${name} of ${count(values.length, "channel")}, from ${short(low)} to ${short(high)}; ${found.length ? `${found.length} ${found.length === 1 ? "stands" : "stand"} out` : "none stands out"}` },
      ...grid.map((value) => svg("path", { class: value === 0 ? "zero" : "grid", d: `M${PLOT.left} ${y(value).toFixed(1)}H${width - PLOT.right}` })),
      ...grid.slice(0, 3).map((value) => svg("text", { class: "tick", x: PLOT.left - 6, y: y(value) + 4, "text-anchor": "end" }, short(Number(value.toPrecision(3))))),
      svg("text", { class: "tick", x: PLOT.left, y: PLOT.height - 4 }, "0"),
      svg("text", { class: "tick", x: width - PLOT.right, y: PLOT.height - 4, "text-anchor": "end" }, `channel ${values.length - 1}`),
      svg("path", { class: values.length > 400 ? "dots fine" : "dots", d: dots }),
      ...marks.map(([kind, channel]) => svg("path", { class: `odd ${kind}`, d: `M${x(channel).toFixed(1)} ${(y(values[channel]) - 6).toFixed(1)}l6 6l-6 6l-6-6z` })),
      ...marks.slice(0, LABELS).map(([, channel]) => {
        const end = x(channel) > width - 60;
        return svg("text", { class: "flag", x: x(channel) + (end ? -9 : 9), y: y(values[channel]) + 4, "text-anchor": end ? "end" : "start" }, String(channel));
      })),
    el("figcaption", {}, bent ? `${name}, on an axis bent towards logarithmic beyond the median` : name));
}

/** Made when it is opened: a net has tens of thousands of channels. */
function numbers(site) {
  const columns = ["scale", "shift", "mean", "deviation"].filter((name) => site.channels[name].length);
  const body = el("tbody");
  return el("details", { ontoggle: () => {
    if (body.childElementCount) return;
    site.channels.scale.forEach((_, channel) => {
      body.append(el("tr", {}, el("th", { scope: "row" }, String(channel)), ...columns.map((name) => el("td", { "data-head": name }, short(site.channels[name][channel])))));
    });
  } }, el("summary", {}, "The same as a table"),
  el("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": `Channels of ${site.label}` },
    el("table", {}, el("caption", { class: "unseen" }, `Channels of ${site.label}`), el("thead", {}, el("tr", {}, ...["channel", ...columns].map((name) => el("th", { scope: "col" }, name)))), body)));
}
