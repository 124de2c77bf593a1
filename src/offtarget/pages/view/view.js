"use strict";
// Loads the page again and puts in what changed; everything works without this file, by loading the page by hand.
// No markup is ever made from text. What somebody looks at, types or has chosen stays where it is.
(() => {
  const EVERY = 2000, TYPING = 250;
  const live = document.getElementById("live");
  const announce = document.getElementById("announce");
  const filters = document.getElementById("filters");
  const OWN = new Set(["open", "value", "checked", "selected", "disabled"]);  // of whoever sits before the page
  let timer = 0, typing = 0, underway = null, heard = null;

  const attributes = (here, fresh) => {
    for (const { name } of [...here.attributes]) if (!fresh.hasAttribute(name) && !OWN.has(name)) here.removeAttribute(name);
    for (const { name, value } of fresh.attributes) if (here.getAttribute(name) !== value && !OWN.has(name)) here.setAttribute(name, value);
  };

  const named = (node) => node.nodeType === Node.ELEMENT_NODE ? node.id : "";
  const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && named(a) === named(b);

  // Makes the children of `here` those of `fresh`: nodes that stay are the same nodes, so that focus and scrolling stay.
  const morph = (here, fresh) => {
    if (here.isEqualNode(fresh)) return;
    if (here.nodeType !== Node.ELEMENT_NODE) { here.data = fresh.data; return; }
    attributes(here, fresh);
    const wanted = new Set([...fresh.childNodes].map(named).filter(Boolean));
    let at = here.firstChild;
    for (const next of [...fresh.childNodes]) {
      if (at && alike(at, next)) { const same = at; at = at.nextSibling; morph(same, next); continue; }
      const known = named(next) && [...here.children].find((child) => child.id === next.id && child.nodeName === next.nodeName);
      if (known) {
        const gone = [];
        let between = at;
        while (between && between !== known && !(named(between) && wanted.has(named(between)))) { gone.push(between); between = between.nextSibling; }
        if (between === known) { for (const node of gone) node.remove(); at = known.nextSibling; }
        else here.insertBefore(known, at);  // what is moved loses the focus: only where the order changed
        morph(known, next);
        continue;
      }
      here.insertBefore(document.adoptNode(next), at);
    }
    while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
  };

  const told = () => [...document.querySelectorAll("#found, .verdict .status, .verdict .reason")].map((e) => e.textContent.trim()).join(" ");

  const take = (page, asked) => {
    morph(document.getElementById("main"), page.getElementById("main"));
    document.title = page.title;
    document.body.toggleAttribute("data-poll", page.body.hasAttribute("data-poll"));
    live.textContent = page.getElementById("live").textContent;
    live.classList.remove("trouble");
    const now = told();
    if (heard !== null && now !== heard && (asked || document.querySelector(".verdict"))) announce.textContent = now;
    heard = now;
    picked();
  };

  const lost = (why) => { live.textContent = why; live.classList.add("trouble"); };

  const load = (asked) => {
    clearTimeout(timer);
    if (underway) underway.abort();
    const request = underway = new XMLHttpRequest();
    request.open("GET", location.pathname + location.search);
    request.responseType = "document";
    request.timeout = 30000;
    request.onload = () => {
      if (request.status === 200 && request.response) take(request.response, asked);
      else lost(request.status === 403 ? "offtarget view was started again: open the address that it printed." : "This is old: the page cannot be made anew. Load it again to see why.");
    };
    request.onerror = request.ontimeout = () => lost("offtarget view has ended; this is old.");
    request.onloadend = () => { if (underway === request) { underway = null; again(); } };
    request.send();
  };

  const again = () => {
    clearTimeout(timer);
    if (!document.body.hasAttribute("data-poll")) return;
    timer = setTimeout(() => document.hidden ? again() : load(false), EVERY);
  };

  const sought = () => {
    const said = [...new FormData(filters)].filter(([, value]) => value !== "");
    const query = new URLSearchParams(said).toString();
    return location.pathname + (query ? "?" + query : "");
  };

  const filter = () => {
    clearTimeout(typing);
    const address = sought();
    if (address !== location.pathname + location.search) history.replaceState(null, "", address);
    load(true);
  };

  const picked = () => {
    const button = document.getElementById("compare"), said = document.getElementById("picked");
    if (!button) return;
    const count = document.querySelectorAll(".pick input:checked").length;
    button.disabled = count !== 2;
    said.textContent = count < 2 ? "Choose two of one kind in the first column." : count > 2 ? `${count} are chosen: two can be compared.` : "";
  };

  if (filters) {
    filters.addEventListener("submit", (event) => { event.preventDefault(); filter(); });
    filters.addEventListener("input", (event) => {
      clearTimeout(typing);
      typing = setTimeout(filter, event.target.matches("select") ? 0 : TYPING);
    });
  }
  document.addEventListener("change", (event) => { if (event.target.matches(".pick input")) picked(); });
  document.addEventListener("click", (event) => {
    if (!event.target.matches("#clear")) return;
    event.preventDefault();
    for (const field of filters.querySelectorAll("input, select")) field.value = "";
    filter();
    document.getElementById("text").focus();
  });
  document.addEventListener("keydown", (event) => {
    const field = document.getElementById("text");
    if (event.key !== "/" || !field || event.ctrlKey || event.metaKey || event.altKey) return;
    if (document.activeElement && document.activeElement.matches("input, select, textarea")) return;
    event.preventDefault();
    field.focus();
  });
  document.addEventListener("visibilitychange", () => { if (!document.hidden && document.body.hasAttribute("data-poll")) load(false); });
  heard = told();
  picked();
  again();
})();
