"use strict";
// Keys, and the next cards held ready. Every form works without this file. No markup is ever made from text.
(() => {
  const find = (selector, root = document) => root.querySelector(selector);
  const seen = new Map();  // key of a decided card -> its address
  const ready = [];
  let shownAt = performance.now();
  const unsaved = [];  // sent one after the other, so that the order on disk is the order of the keys
  let fetching = false;
  let evidence = 0;
  let afterwards = null;

  const load = (method, url, body, done, failed) => {
    const request = new XMLHttpRequest();
    request.open(method, url);
    request.responseType = "document";
    request.timeout = 20000;
    request.setRequestHeader("X-Review-Script", "1");
    if (body) request.setRequestHeader("Content-Type", "application/x-www-form-urlencoded");
    request.onload = () => (request.status === 200 && request.response ? done(request.response) : failed(request));
    request.onerror = request.ontimeout = () => failed(request);
    request.send(body);
  };

  const say = (text, trouble = false) => {
    const line = find("#said");
    if (!line) return;
    line.textContent = text;
    line.classList.toggle("trouble", trouble);
  };

  const card = () => find("#card");
  const open = () => card() && card().hasAttribute("data-open");

  const prefetch = () => {
    if (fetching || !open()) return;
    fetching = true;
    load("GET", "/cards", null, (page) => {
      fetching = false;
      const held = new Set([card().dataset.key, ...ready.map((next) => next.dataset.key)]);
      for (const next of page.querySelectorAll("article")) {
        if (!seen.has(next.dataset.key) && !held.has(next.dataset.key)) ready.push(document.adoptNode(next));
      }
    }, () => { fetching = false; });
  };

  const show = (next) => {
    const [here, there] = [find("h1 .number-of-card"), find(".number-of-card", next)];
    if (here && there) there.textContent = Number(here.textContent) + 1;  // the order may have changed since it was sent
    card().replaceWith(next);
    history.replaceState(null, "", next.dataset.at);
    const back = find("a[rel=prev]") || document.createElement("a");
    back.rel = "prev";
    back.href = [...seen.values()].pop();
    if (!back.isConnected) {
      back.append(find(".steps").dataset.before + " ", document.createElement("kbd"));
      back.lastChild.textContent = "k";
    }
    find(".steps").prepend(back);
    window.scrollTo({ top: 0, behavior: "instant" });
    find("h1").focus({ preventScroll: true });
    shownAt = performance.now();
  };

  const reason = (request) => {
    const lead = request.response && find(".lead", request.response);
    return lead ? " " + lead.textContent.trim() : "";
  };

  const save = (wait = 500) => {
    const { body, said } = unsaved[0];
    load("POST", "/label", body, (page) => {
      unsaved.shift();
      const panel = document.adoptNode(find("#panel", page));
      find("#panel").replaceWith(panel);
      say("Saved: " + said);
      const wish = afterwards;
      if (unsaved.length > 0) save();
      else if (wish) {
        afterwards = null;
        wish();
      } else if (panel.dataset.stop === "yes") location.assign(panel.dataset.stopAt || "/decided");
      else if (!open()) location.assign("/next");
      else if (ready.length < 3) prefetch();
    }, (request) => {
      if (request.status === 400 || request.status === 403 || request.status === 404) {
        unsaved.length = 0;
        afterwards = null;
        say("Not saved. Reload the page." + reason(request), true);
        return;
      }
      say("Not saved yet, trying again. Leave this page open." + reason(request), true);
      setTimeout(() => save(Math.min(2 * wait, 15000)), wait);
    });
  };

  const decide = (form, button) => {
    const fields = new URLSearchParams(new FormData(form));
    fields.set("choice", button.value);
    fields.set("seconds", ((performance.now() - shownAt) / 1000).toFixed(2));
    seen.set(card().dataset.key, card().dataset.at);
    unsaved.push({ body: fields.toString(), said: button.dataset.say });
    say("Saving …");
    const next = ready.shift();
    if (next) show(next);
    else card().removeAttribute("data-open");
    if (unsaved.length === 1) save();
  };

  document.addEventListener("submit", (event) => {
    if (event.target.matches(".decide") && open()) {
      event.preventDefault();
      if (event.submitter) decide(event.target, event.submitter);
    } else if (event.target.matches(".decide") && !find(".steps a[rel=next]")) {
      event.preventDefault();
    } else if (unsaved.length > 0) {
      event.preventDefault();
      say("One moment: still saving.");
    }
  });

  const nextEvidence = () => {
    if (!find("#card[data-evidence]")) return;
    if (open()) return say("Decide first; then the marked passages are shown.");
    const marks = [...document.querySelectorAll("mark[data-number]")];
    if (!marks.length) return say("No passage is marked in this row.");
    const mark = marks[evidence % marks.length];
    evidence += 1;
    for (let fold = mark.closest("details"); fold; fold = fold.parentElement.closest("details")) fold.open = true;
    mark.focus();
    mark.scrollIntoView({ block: "center", behavior: "instant" });
  };

  const toggle = (details) => {
    details.open = !details.open;
    find("summary", details).focus();
  };

  const go = (rel) => {
    const link = find("a[rel=" + rel + "]");
    if (link && unsaved.length > 0) afterwards = () => go(rel);
    else if (link) location.assign(link.href);
    else say(rel === "next" ? "Decide first, or skip with d." : "This is the first card.");
  };

  const keys = {
    j: () => go("next"),
    k: () => go("prev"),
    e: nextEvidence,
    x: () => card() && toggle(find(".reasons")),
    n: () => find(".note textarea") && find(".note textarea").focus(),
    "?": () => find("#help") && toggle(find("#help")),
  };

  const shortcuts = () => localStorage.getItem("offtarget-shortcuts") !== "off";
  const writing = (element) => element.matches("input:not([type=checkbox]), textarea, select, [contenteditable]");

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      const reasons = find(".reasons");
      if (reasons) reasons.open = false;
      if (writing(event.target)) find("h1").focus();
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || writing(event.target) || !shortcuts()) return;
    const reasons = find(".reasons");
    const key = event.key.toLowerCase();
    const reason = reasons && reasons.open && find('[data-reason="' + CSS.escape(key) + '"]');
    const button = reason || find('[data-press="' + CSS.escape(key) + '"]');
    const undoLater = key === "u" && !reason && unsaved.length > 0;
    if (!button && !undoLater && !Object.hasOwn(keys, key)) return;
    event.preventDefault();
    if (undoLater) afterwards = () => find("[data-press=u]").click();
    else if (button) button.click();
    else keys[key]();
  });

  // Pages of a review that goes on by itself ask now and then where it stands.
  const poll = (wait) => setTimeout(() => {
    const panel = find("#panel[data-poll]");
    if (!panel) return;
    if (unsaved.length > 0) return poll(wait);
    load("GET", panel.dataset.poll, null, (page) => {
      const now = find("#panel", page);
      const here = find("#panel");
      const reading = here.contains(document.activeElement) || unsaved.length > 0;
      if (now && now.dataset.go && !writing(document.activeElement) && unsaved.length === 0) {
        return location.assign(now.dataset.go);
      }
      if (now && !reading) here.replaceWith(document.adoptNode(now));
      poll(wait);
    }, (request) => {
      if (request.status === 403) return say("This page is of an earlier start. Open the new address.", true);
      say("The command does not answer. What was saved is kept; start it again if it has ended.", true);
      poll(Math.min(2 * wait, 15000));
    });
  }, wait);

  window.addEventListener("beforeunload", (event) => { if (unsaved.length > 0) event.preventDefault(); });
  document.addEventListener("DOMContentLoaded", () => {
    const box = find("#shortcuts");
    if (box) {
      find(".script-only").hidden = false;
      box.checked = shortcuts();
      const apply = () => document.body.classList.toggle("no-keys", !shortcuts());
      apply();
      box.addEventListener("change", () => {
        localStorage.setItem("offtarget-shortcuts", box.checked ? "on" : "off");
        apply();
      });
    }
    const heading = find("h1");
    if (heading && !find("#name")) heading.focus({ preventScroll: true });
    prefetch();
    poll(1500);
  });
})();
