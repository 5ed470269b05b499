"use strict";
// Every text of a model is set as text, never as markup.
const DATA = JSON.parse(document.getElementById("data").textContent);
const MARKS = { folded: "✓", partly: "◐", left: "●", took: "+" };
const [NAME, OP, MODULE, COLUMN, ROW, INPUTS, OUTPUTS] = [0, 1, 2, 3, 4, 5, 6];
const calm = matchMedia("(prefers-reduced-motion: reduce)");
const byId = (id) => document.getElementById(id);

/** An HTML element with attributes and children; strings become text nodes. */
function el(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** An SVG element likewise. */
function svg(tag, attributes = {}, ...children) {
  return filled(document.createElementNS("http://www.w3.org/2000/svg", tag), attributes, children);
}

function filled(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== null && value !== false) node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== null));
  return node;
}

/** Replace what is in an element; what is null is left out. */
function put(node, ...children) {
  node.replaceChildren(...children.filter((child) => child !== null));
}

/** Four digits, with a real minus. */
function short(value) {
  return typeof value === "number" ? String(Number(value.toPrecision(4))).replace("-", "−") : value;
}

function count(number, noun) {
  return `${number.toLocaleString("en")} ${noun}${number === 1 ? "" : "s"}`;
}

function clipped(name, most) {
  return name.length > most ? `…${name.slice(1 - most)}` : name;
}
