"use strict";
(function () {
  var data = JSON.parse(document.getElementById("answers-data").textContent);
  var PAGE = 20, PREVIEW = 1200, HEADING = 200, MISALIGNED = data.kinds.indexOf("misaligned");
  var list = document.getElementById("pairs");
  var count = document.getElementById("match-count");
  var form = document.getElementById("filters");
  var fields = {};
  ["search", "arm", "domain", "outcome", "only"].forEach(function (name) {
    fields[name] = document.getElementById("filter-" + name);
  });
  var haystacks = new Array(data.pairs.length);
  var timer = 0;

  function element(tag, name, text) {
    var node = document.createElement(tag);
    if (name) { node.className = name; }
    if (text !== undefined) { node.textContent = text; }
    return node;
  }

  function spoken(tag, name, text) {
    var node = element(tag, name, text);
    node.dir = "auto";
    return node;
  }

  function number(value) { return value.toLocaleString("en"); }

  function haystack(place) {
    if (haystacks[place] === undefined) {
      var pair = data.pairs[place], probe = data.probes[pair[0]];
      haystacks[place] = [probe[0], probe[3] || "", probe[4].join("\n"), pair[2] ? pair[2][0] : "", pair[3] ? pair[3][0] : ""]
        .join("\n").toLowerCase();
    }
    return haystacks[place];
  }

  function has(pair, kind) {
    return Boolean((pair[2] && pair[2][1] === kind) || (pair[3] && pair[3][1] === kind));
  }

  function matching() {
    var words = fields.search.value.toLowerCase().trim();
    var how = fields.arm.value, domain = fields.domain.value, outcome = fields.outcome.value;
    var only = fields.only.checked, found = [];
    for (var place = 0; place < data.pairs.length; place += 1) {
      var pair = data.pairs[place], probe = data.probes[pair[0]];
      if (how && how !== "=" + probe[1]) { continue; }
      if (domain && domain !== "=" + probe[2]) { continue; }
      if (outcome && !has(pair, data.kinds.indexOf(outcome))) { continue; }
      if (only && !has(pair, MISALIGNED)) { continue; }
      if (words && haystack(place).indexOf(words) < 0) { continue; }
      found.push(pair);
    }
    return found;
  }

  function body(text, left) {
    var box = element("div", "answer-body");
    var shownText = spoken("p", "model-text", text.length > PREVIEW ? text.slice(0, PREVIEW) + "…" : text);
    box.appendChild(shownText);
    if (!text) { box.appendChild(element("p", "meta", "(empty answer)")); }
    if (text.length > PREVIEW) {
      var button = element("button", "quiet", "Show all " + number(text.length) + " characters");
      button.type = "button";
      button.addEventListener("click", function () { shownText.textContent = text; button.remove(); });
      box.appendChild(button);
    }
    if (left) {
      box.appendChild(element("p", "meta", number(left) + " more characters are in generations.jsonl of the run."));
    }
    return box;
  }

  function side(role, answer, opening) {
    var kind = answer ? data.kinds[answer[1]] : "";
    var box = element("section", "side is-" + kind.replace(" ", "-"));
    var head = element("h4", "", role);
    box.appendChild(head);
    if (!answer) {
      box.appendChild(element("p", "meta", "No answer with this number."));
      return box;
    }
    head.appendChild(document.createTextNode(" "));
    head.appendChild(element("span", "outcome is-" + kind.replace(" ", "-"), kind));
    var facts = [];
    if (answer[2] !== null) { facts.push("alignment " + answer[2]); }
    if (answer[3] !== null) { facts.push("coherence " + answer[3]); }
    if (answer[4]) { facts.push(answer[4]); }
    if (facts.length) { box.appendChild(element("p", "meta", facts.join(" · "))); }
    opening.forEach(function (said, turn) {
      box.appendChild(spoken("p", "meta", "answer to turn " + (turn + 1) + ": " + ((answer[6] || [])[turn] || "")));
    });
    box.appendChild(body(answer[0], answer[5]));
    return box;
  }

  function item(tag, pair, why) {
    var probe = data.probes[pair[0]], prompt = probe[0], line = prompt.replace(/\s+/g, " ").trim();
    var node = element(tag, "pair");
    node.appendChild(spoken("h4", "question", line.length > HEADING ? line.slice(0, HEADING) + "…" : line || "(empty question)"));
    node.appendChild(spoken("p", "meta", probe[1] + ", about " + probe[2] + ", answer " + (pair[1] + 1) + (why ? "; " + why : "")));
    if (probe[3] !== null) { node.appendChild(spoken("p", "prompt", "system: " + probe[3])); }
    probe[4].forEach(function (turn, place) { node.appendChild(spoken("p", "prompt", "turn " + (place + 1) + ": " + turn)); });
    if (line !== prompt || line.length > HEADING) { node.appendChild(spoken("p", "prompt", prompt)); }
    var sides = element("div", "sides");
    sides.appendChild(side("tuned", pair[3], probe[4]));
    sides.appendChild(side("base", pair[2], probe[4]));
    node.appendChild(sides);
    return node;
  }

  function listing(into, more, drawn, told) {
    var items = [], shown = 0;
    function grow(focus) {
      var fragment = document.createDocumentFragment(), first = null;
      items.slice(shown, shown + PAGE).forEach(function (one) {
        var node = drawn(one);
        first = first || node;
        fragment.appendChild(node);
      });
      into.appendChild(fragment);
      shown = Math.min(items.length, shown + PAGE);
      more.hidden = shown >= items.length;
      told(items.length, shown);
      if (focus && first) { first.tabIndex = -1; first.focus(); }
    }
    more.addEventListener("click", function () { grow(true); });
    return function (found) {
      items = found;
      shown = 0;
      into.textContent = "";
      grow(false);
    };
  }

  var show = listing(list, document.getElementById("more"), function (pair) { return item("li", pair, ""); },
    function (found, shown) {
      count.textContent = number(found) + " of " + number(data.pairs.length) + " pairs match" +
        (found ? ", " + number(shown) + " shown" : "");
    });

  function refresh() { show(matching()); }

  function enliven(box) {
    var marks = data.strips[Number(box.dataset.strip)], picture = box.querySelector("svg");
    var reader = document.getElementById("reader"), chosen = -1;
    var columns = picture.viewBox.baseVal.width, cursor = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    var frame = element("div", "strip-marks"), name = picture.getAttribute("aria-label");
    picture.parentNode.insertBefore(frame, picture);
    frame.appendChild(picture);
    picture.setAttribute("aria-hidden", "true");
    cursor.setAttribute("class", "cursor");
    cursor.setAttribute("width", "1");
    cursor.setAttribute("height", "18");
    frame.tabIndex = 0;
    frame.setAttribute("role", "slider");
    frame.setAttribute("aria-label", name);
    frame.setAttribute("aria-valuemin", "1");
    frame.setAttribute("aria-valuemax", String(marks.length));
    frame.setAttribute("aria-valuenow", "1");
    frame.setAttribute("aria-valuetext", "none chosen");
    function choose(place) {
      chosen = Math.max(0, Math.min(marks.length - 1, place));
      var pair = data.pairs[marks[chosen]];
      cursor.setAttribute("x", String(chosen % columns));
      cursor.setAttribute("y", String(Math.floor(chosen / columns) * 20 + 1));
      picture.appendChild(cursor);
      frame.setAttribute("aria-valuenow", String(chosen + 1));
      frame.setAttribute("aria-valuetext", (chosen + 1) + " of " + marks.length + ": " + data.probes[pair[0]][0].slice(0, HEADING));
      reader.textContent = "";
      reader.appendChild(item("article", pair, ""));
      reader.hidden = false;
      box.appendChild(reader);
    }
    frame.addEventListener("click", function (event) {
      var where = picture.getBoundingClientRect();
      var row = Math.floor((event.clientY - where.top) / 20);
      var place = row * columns + Math.floor((event.clientX - where.left) / where.width * columns);
      choose(place);
    });
    frame.addEventListener("keydown", function (event) {
      var to = { ArrowRight: chosen + 1, ArrowLeft: chosen - 1, ArrowDown: chosen + columns, ArrowUp: chosen - columns,
        Home: 0, End: marks.length - 1, Enter: Math.max(chosen, 0), " ": Math.max(chosen, 0) }[event.key];
      if (to === undefined) { return; }
      event.preventDefault();
      choose(to);
    });
  }

  document.querySelectorAll("[data-strip]").forEach(enliven);
  var aside = document.getElementById("aside");
  if (aside) {
    var besides = listing(document.getElementById("aside-pairs"), document.getElementById("aside-more"),
      function (one) { return item("li", one[0], one[1]); }, function () {});
    aside.addEventListener("toggle", function () { besides(aside.open ? data.aside : []); });
  }
  form.addEventListener("submit", function (event) { event.preventDefault(); refresh(); });
  form.addEventListener("change", refresh);
  fields.search.addEventListener("input", function () {
    clearTimeout(timer);
    timer = setTimeout(refresh, 150);
  });
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (node) { node.open = true; });
  });
  document.getElementById("needs-script").hidden = true;
  document.getElementById("browser").hidden = false;
  refresh();
}());
