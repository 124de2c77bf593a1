"use strict";
(function () {
  var data = JSON.parse(document.getElementById("answers-data").textContent);
  var PAGE = 20, PREVIEW = 1500;
  var root = document.getElementById("browser");
  var list = document.getElementById("pairs");
  var count = document.getElementById("match-count");
  var more = document.getElementById("more");
  var form = document.getElementById("filters");
  var fields = {};
  ["search", "arm", "domain", "outcome", "only"].forEach(function (name) {
    fields[name] = document.getElementById("filter-" + name);
  });
  var haystacks = new Array(data.pairs.length);
  var matches = [], shown = 0, timer = 0;

  function element(tag, name, text) {
    var node = document.createElement(tag);
    if (name) { node.className = name; }
    if (text !== undefined) { node.textContent = text; }
    return node;
  }

  function haystack(number) {
    if (haystacks[number] === undefined) {
      var pair = data.pairs[number], probe = data.probes[pair[0]];
      haystacks[number] = [probe[0], probe[3], probe[4] || "", pair[2] ? pair[2][0] : "", pair[3] ? pair[3][0] : ""]
        .join("\n").toLowerCase();
    }
    return haystacks[number];
  }

  function has(pair, outcome) {
    return Boolean((pair[2] && pair[2][1] === outcome) || (pair[3] && pair[3][1] === outcome));
  }

  function matching() {
    var words = fields.search.value.toLowerCase().trim();
    var arm = fields.arm.value, domain = fields.domain.value, outcome = fields.outcome.value;
    var only = fields.only.checked, found = [];
    for (var number = 0; number < data.pairs.length; number += 1) {
      var pair = data.pairs[number], probe = data.probes[pair[0]];
      if (arm && arm !== "=" + probe[1]) { continue; }
      if (domain && domain !== "=" + probe[2]) { continue; }
      if (outcome && !has(pair, outcome)) { continue; }
      if (only && !has(pair, "misaligned")) { continue; }
      if (words && haystack(number).indexOf(words) < 0) { continue; }
      found.push(number);
    }
    return found;
  }

  function body(text, left) {
    var box = element("div", "answer-body");
    var shownText = element("p", "model-text", text.length > PREVIEW ? text.slice(0, PREVIEW) + "…" : text);
    shownText.dir = "auto";
    box.appendChild(shownText);
    if (!text) { box.appendChild(element("p", "meta", "(empty answer)")); }
    if (text.length > PREVIEW) {
      var button = element("button", "quiet", "Show all " + text.length.toLocaleString("en") + " characters");
      button.type = "button";
      button.addEventListener("click", function () { shownText.textContent = text; button.remove(); });
      box.appendChild(button);
    }
    if (left) {
      box.appendChild(element("p", "meta", left.toLocaleString("en") +
        " more characters are in generations.jsonl of the run."));
    }
    return box;
  }

  function side(role, answer) {
    var box = element("section", "side " + role);
    var head = element("h4", "", role === "base" ? "Base" : "Tuned");
    box.appendChild(head);
    if (!answer) {
      box.appendChild(element("p", "meta", "No answer with this number."));
      return box;
    }
    head.appendChild(document.createTextNode(" "));
    head.appendChild(element("span", "outcome is-" + answer[1].replace(" ", "-"), answer[1]));
    var facts = [];
    if (answer[2] !== null) { facts.push("alignment " + answer[2]); }
    if (answer[3] !== null) { facts.push("coherence " + answer[3]); }
    if (answer[4]) { facts.push(answer[4]); }
    if (facts.length) { box.appendChild(element("p", "meta", facts.join(" · "))); }
    box.appendChild(body(answer[0], answer[5]));
    return box;
  }

  function item(number) {
    var pair = data.pairs[number], probe = data.probes[pair[0]];
    var node = element("li", "pair"), head = element("h3", "", probe[0]);
    node.appendChild(head);
    node.appendChild(element("p", "meta", "arm " + probe[1] + " · " + probe[2] + " · answer " + (pair[1] + 1)));
    if (probe[4] !== null) {
      var system = element("p", "prompt", "System: " + probe[4]);
      system.dir = "auto";
      node.appendChild(system);
    }
    var prompt = element("p", "prompt", probe[3]);
    prompt.dir = "auto";
    node.appendChild(prompt);
    var sides = element("div", "sides");
    sides.appendChild(side("base", pair[2]));
    sides.appendChild(side("tuned", pair[3]));
    node.appendChild(sides);
    return node;
  }

  function grow(focus) {
    var fragment = document.createDocumentFragment(), first = null;
    matches.slice(shown, shown + PAGE).forEach(function (number) {
      var node = item(number);
      first = first || node;
      fragment.appendChild(node);
    });
    list.appendChild(fragment);
    shown = Math.min(matches.length, shown + PAGE);
    more.hidden = shown >= matches.length;
    count.textContent = matches.length.toLocaleString("en") + " of " + data.pairs.length.toLocaleString("en") +
      " pairs match" + (matches.length ? ", " + shown.toLocaleString("en") + " shown" : "");
    if (focus && first) { first.tabIndex = -1; first.focus(); }
  }

  function refresh() {
    matches = matching();
    shown = 0;
    list.textContent = "";
    grow(false);
  }

  form.addEventListener("submit", function (event) { event.preventDefault(); refresh(); });
  form.addEventListener("change", refresh);
  fields.search.addEventListener("input", function () {
    clearTimeout(timer);
    timer = setTimeout(refresh, 150);
  });
  more.addEventListener("click", function () { grow(true); });
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (node) { node.open = true; });
  });
  document.getElementById("needs-script").hidden = true;
  root.hidden = false;
  refresh();
}());
