"use strict";
// Loads the page again every two seconds and puts the parts that changed in their places. Everything works without this
// file, by loading the page again by hand. No markup is ever made from text.
(() => {
  const EVERY = 2000;
  const shown = new Map();  // id of a part -> its markup as it was loaded
  const live = document.getElementById("live");
  const announce = document.getElementById("announce");
  let heard = "";

  const parts = (page) => [...page.querySelectorAll("[data-live]")];
  for (const part of parts(document)) shown.set(part.id, part.outerHTML);
  if (location.search) history.replaceState(null, "", "/");

  // Somebody who writes a reason is not interrupted.
  const busy = (part) => {
    const typed = [...part.querySelectorAll("details[open] input:not([type=hidden])")].some((field) => field.value !== field.defaultValue);
    return typed || (part.contains(document.activeElement) && document.activeElement.matches("input, button"));
  };

  const put = (part, fresh) => {
    const focused = part.contains(document.activeElement) ? document.activeElement.closest("details[id]") : null;
    for (const fold of part.querySelectorAll("details[id][open]")) {
      const same = fresh.querySelector("#" + CSS.escape(fold.id));
      if (same) same.open = true;
    }
    const scrolled = [...part.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
    part.replaceWith(document.adoptNode(fresh));
    fresh.querySelectorAll(".scroll").forEach((box, i) => { box.scrollLeft = scrolled[i] || 0; });
    if (focused) {
      const same = document.getElementById(focused.id);
      if (same) same.querySelector("summary").focus({ preventScroll: true });
    }
  };

  const take = (page) => {
    const fresh = new Map(parts(page).map((part) => [part.id, part]));
    const here = parts(document);
    if (here.length !== fresh.size || here.some((part) => !fresh.has(part.id))) {
      if (!here.some(busy)) location.assign("/");
      return;
    }
    for (const part of here) {
      const next = fresh.get(part.id), markup = next.outerHTML;
      if (markup === shown.get(part.id) || busy(part)) continue;
      shown.set(part.id, markup);
      put(part, next);
    }
    document.title = page.title;
    live.textContent = page.getElementById("live").textContent;
    live.classList.remove("trouble");
    const said = [...document.querySelectorAll(".standing .status, .reason")].map((e) => e.textContent.replace(/\([^)]*\)/g, "")).join(" ");
    if (heard && said !== heard) announce.textContent = said;
    heard = said;
  };

  const lost = (why) => {
    live.textContent = why;
    live.classList.add("trouble");
  };

  const look = () => {
    const request = new XMLHttpRequest();
    request.open("GET", "/");
    request.responseType = "document";
    request.timeout = 15000;
    request.onload = () => {
      if (request.status === 200 && request.response) take(request.response);
      else lost(request.status === 401 ? "Signed out: load the page again." : "The gateway does not answer; this is old.");
    };
    request.onerror = request.ontimeout = () => lost("The gateway does not answer; this is old.");
    request.onloadend = () => setTimeout(look, EVERY);
    request.send();
  };
  setTimeout(look, EVERY);
})();
