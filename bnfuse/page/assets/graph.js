/** One graph: what its boxes are, and who feeds whom. */
class Graph {
  constructor(side) {
    const { boxes, edges, width, same } = DATA[side];
    Object.assign(this, { side, boxes, edges, width, same });
    this.readers = boxes.map(() => []);
    this.writers = boxes.map(() => []);
    for (const [from, to] of edges) {
      this.readers[from].push(to);
      this.writers[to].push(from);
    }
    this.rows = 1 + boxes.reduce((most, box) => Math.max(most, box[ROW]), 0);
    this.byRow = Array.from({ length: this.rows }, () => []);
    boxes.forEach((box, place) => this.byRow[box[ROW]].push(place));
    this.byRow.forEach((row) => row.sort((a, b) => boxes[a][COLUMN] - boxes[b][COLUMN]));
    // The order of the arrow keys, of the search and of the ends.
    this.order = this.byRow.flat();
    this.site = boxes.map(() => -1);
    this.took = boxes.map(() => []);
    DATA.sites.forEach((site, number) => {
      if (side === "before") site.nodes.forEach((place) => (this.site[place] = number));
      else if (site.state === "left") site.takers.forEach((place) => (this.site[place] = number));
      else site.takers.forEach((place) => this.took[place].push(number));
    });
  }

  /** What became of a box, or the empty string where it is no norm. */
  state(place) {
    if (this.site[place] >= 0) return DATA.sites[this.site[place]].state;
    return this.took[place].length ? "took" : "";
  }

  label(place) {
    const box = this.boxes[place];
    return `${box[OP]} ${box[MODULE] || box[NAME]}`;
  }

  /** The boxes that belong to the one chosen: the other ops of its norm. */
  kin(place) {
    const number = this.side === "before" ? this.site[place] : -1;
    return number < 0 ? [place] : DATA.sites[number].nodes;
  }
}

/** The boxes of the other graph that a box corresponds to. */
function counterparts(graph, place) {
  if (graph.side === "after") {
    const numbers = graph.site[place] >= 0 ? [graph.site[place]] : graph.took[place];
    const own = graphs.before.same.indexOf(place);
    return [...(own >= 0 ? [own] : []), ...numbers.flatMap((number) => DATA.sites[number].nodes)];
  }
  const number = graph.site[place];
  if (number >= 0 && DATA.sites[number].takers.length) return DATA.sites[number].takers;
  return graph.same[place] >= 0 ? [graph.same[place]] : [];
}
