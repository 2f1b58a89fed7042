// Live values: the server sends the live part again when it changed; only differing text and
// attributes are touched, so that nothing jumps and a selection stays.
"use strict";

function sameKind(a, b) {
  return a.nodeType === b.nodeType && a.nodeName === b.nodeName;
}

function copyAttributes(from, to) {
  for (const { name, value } of from.attributes) {
    if (to.getAttribute(name) !== value) to.setAttribute(name, value);
  }
  for (const { name } of Array.from(to.attributes)) {
    if (!from.hasAttribute(name)) to.removeAttribute(name);
  }
}

function update(from, to) {
  const next = Array.from(from.childNodes);
  const held = Array.from(to.childNodes);
  next.forEach((node, index) => {
    const old = held[index];
    if (old === undefined) to.appendChild(node);
    else if (!sameKind(node, old)) to.replaceChild(node, old);
    else if (node.nodeType === Node.TEXT_NODE) {
      if (old.data !== node.data) old.data = node.data;
    } else if (node.nodeType === Node.ELEMENT_NODE) {
      copyAttributes(node, old);
      update(node, old);
    }
  });
  held.slice(next.length).forEach((old) => old.remove());
}

function put(id, html) {
  const target = document.getElementById(id);
  const draft = document.createElement(target.nodeName);
  draft.innerHTML = html;
  update(draft, target);
}

const page = document.getElementById("page");
const events = new EventSource(page.dataset.events);
events.addEventListener("live", (event) => put("live", JSON.parse(event.data)));
events.addEventListener("charts", (event) => put("charts", JSON.parse(event.data)));
events.addEventListener("open", () => document.body.classList.remove("cut"));
events.addEventListener("error", () => document.body.classList.add("cut"));
