"use strict";
(() => {
  const data = JSON.parse(document.getElementById("token-data").textContent);
  const LEVELS = 12;
  const scenes = [...document.querySelectorAll("article.scene")];
  for (const part of document.querySelectorAll(".needs-script")) part.hidden = false;

  // Which picture is shown.
  const buttons = [...document.querySelectorAll("[data-choose]")];
  const choose = (chosen) => {
    scenes.forEach((scene, index) => { scene.hidden = chosen !== "all" && chosen !== String(index); });
    for (const button of buttons) button.setAttribute("aria-pressed", String(button.dataset.choose === chosen));
  };
  for (const button of buttons) button.addEventListener("click", () => choose(button.dataset.choose));
  if (scenes.length > 1) choose("0");

  const detailsOf = (svg) => data.examples[svg.dataset.scene][svg.dataset.run];
  const area = ([x0, y0, x1, y1]) => (x1 - x0) * (y1 - y0);
  const outline = ([x0, y0, x1, y1]) => `M${x0} ${y0}h${x1 - x0}v${y1 - y0}h${x0 - x1}z`;
  const make = (name) => document.createElementNS("http://www.w3.org/2000/svg", name);

  // Attention of one layer, all maps of a picture on one scale: the tokens of every level are one path.
  const drawLayers = (svgs, layer) => {
    const ends = svgs.map((svg) => atLayer(svg, layer).ends);
    const low = Math.min(...ends.map((e) => e[0])), span = Math.max(...ends.map((e) => e[1])) - low;
    for (const svg of svgs) drawLayer(svg, layer, (value) => span > 0 ? (value - low) / span : 0);
  };
  const atLayer = (svg, layer) => {
    const map = detailsOf(svg).attention[svg.dataset.map], at = Math.min(layer, map.layers.length) - 1;
    return { levels: map.layers[at], ends: map.ends[at], written: map.written[at] };
  };
  const drawLayer = (svg, layer, shareOf) => {
    const details = detailsOf(svg), { levels, ends: [low, high], written } = atLayer(svg, layer);
    const paths = Array(LEVELS).fill("");
    levels.forEach((level, token) => {
      paths[Math.round(shareOf(low + level / 255 * (high - low)) * (LEVELS - 1))] += outline(details.boxes[token]);
    });
    svg.parentElement.querySelector(".ends").textContent = written;
    svg.querySelector(".heat").replaceChildren(...paths.flatMap((path, level) => {
      if (!path) return [];
      const drawn = make("path");
      drawn.setAttribute("class", `heat-${level}`);
      drawn.setAttribute("d", path);
      return [drawn];
    }));
    svg.setAttribute("aria-label", svg.getAttribute("aria-label").replace(/layer \d+$/, `layer ${layer}`));
  };

  // Sub-tokens of one step: text, size by its part, colour where it is a word.
  const drawStep = (svg, step) => {
    const details = detailsOf(svg), shown = details.pursuit[Math.min(step, details.pursuit.length) - 1];
    const texts = [...svg.querySelectorAll("text")];
    const parts = texts.map((text) => shown.parts[text.dataset.token]);
    const low = Math.min(...parts), high = Math.max(...parts);
    texts.forEach((text, index) => {
      const token = text.dataset.token, [x0, y0, x1, y1] = details.boxes[token];
      const word = shown.texts[token].trim();
      const share = high > low ? data.smallest + (1 - data.smallest) * (parts[index] - low) / (high - low) : 1;
      const room = Math.min(0.9 * (x1 - x0) / (0.72 * Math.max([...word].length, 5)), 0.3 * (y1 - y0));
      text.textContent = word;
      text.setAttribute("font-size", (share * room).toFixed(2));
      text.classList.toggle("named", shown.words[token]);
    });
  };

  const drawSteps = (svgs, step) => { for (const svg of svgs) drawStep(svg, step); };
  const draw = { layer: [drawLayers, "svg[data-map]"], step: [drawSteps, "svg[data-steps]"] };
  for (const input of document.querySelectorAll("[data-slider]")) {
    const [drawAll, selector] = draw[input.dataset.slider];
    input.addEventListener("input", () => {
      input.closest("label").querySelector("output").textContent = input.value;
      drawAll([...input.closest("article").querySelectorAll(selector)], Number(input.value));
    });
  }

  // What the token under the pointer is near to.
  const tip = document.createElement("div"), mark = make("rect");
  tip.id = "tip";
  tip.hidden = true;
  tip.setAttribute("role", "status");
  mark.setAttribute("class", "pointed");
  document.body.append(tip);
  const hide = () => { tip.hidden = true; mark.remove(); };
  const line = (text, strong) => {
    const p = document.createElement("p"), inner = document.createElement(strong ? "strong" : "span");
    inner.textContent = text;
    p.append(inner);
    return p;
  };
  const listed = (near) => near.map(([text, cosine]) => `${text.trim() || "␠"} ${cosine.toFixed(2)}`).join(", ");
  const show = (svg, token, x, y) => {
    const details = detailsOf(svg), box = details.boxes[token];
    const lines = [line(`${data.runs[svg.dataset.run]}, token ${token + 1}`, true)];
    if (details.words[token].length) lines.push(line(`words: ${listed(details.words[token])}`));
    lines.push(line(`sub-tokens: ${listed(details.subtokens[token])}`));
    if (details.pursuit.length) {
      const step = details.pursuit.length, left = details.pursuit[step - 1].left[token];
      lines.push(line(`pursuit: ${details.pursuit.map((s) => s.texts[token].trim()).join(" + ")}; ${(100 * left).toFixed(0)}% left`));
    }
    tip.replaceChildren(...lines);
    tip.hidden = false;
    svg.dataset.token = token;
    for (const [name, value] of [["x", box[0]], ["y", box[1]], ["width", box[2] - box[0]], ["height", box[3] - box[1]]]) mark.setAttribute(name, value);
    svg.append(mark);
    const { width, height } = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - width - 8))}px`;
    tip.style.top = `${y + 18 + height > innerHeight ? Math.max(8, y - height - 14) : y + 18}px`;
  };
  const tokenAt = (svg, x, y) => {
    const at = new DOMPoint(x, y).matrixTransform(svg.getScreenCTM().inverse());
    let found = -1;
    detailsOf(svg).boxes.forEach((box, token, boxes) => {
      const inside = box[0] <= at.x && at.x < box[2] && box[1] <= at.y && at.y < box[3];
      // of views that lie over each other the finest counts
      if (inside && (found < 0 || area(box) < area(boxes[found]))) found = token;
    });
    return found;
  };
  const point = (event) => {
    const svg = event.target instanceof Element && event.target.closest("svg.tokens");
    const known = svg && data.examples[svg.dataset.scene][svg.dataset.run];
    const token = known ? tokenAt(svg, event.clientX, event.clientY) : -1;
    if (token < 0) hide(); else show(svg, token, event.clientX, event.clientY);
  };
  document.addEventListener("pointermove", point);
  document.addEventListener("pointerdown", point);
  document.addEventListener("scroll", hide, { passive: true });
  document.addEventListener("keydown", (event) => {
    const svg = event.target instanceof Element && event.target.closest("svg.tokens");
    if (event.key === "Escape") hide();
    if (!svg || !detailsOf(svg) || !["ArrowLeft", "ArrowRight"].includes(event.key)) return;
    event.preventDefault();
    const boxes = detailsOf(svg).boxes, last = boxes.length - 1;
    const from = Number(svg.dataset.token ?? -1), token = Math.max(0, Math.min(last, from + (event.key === "ArrowRight" ? 1 : -1)));
    const at = new DOMPoint(boxes[token][0], boxes[token][1]).matrixTransform(svg.getScreenCTM());
    show(svg, token, at.x, at.y);
  });
})();
