// Lists what is wrong with the page it runs in. Rectangles are in CSS pixels.
(() => {
  const problems = [];
  const printed = matchMedia("print").matches;
  for (const details of document.querySelectorAll("details")) {
    if (!printed) details.open = true;
    for (const part of details.querySelectorAll(":scope > :not(summary)"))
      if (!part.checkVisibility()) problems.push(`is not printed: "${part.textContent.trim().slice(0, 50)}"`);
  }
  const width = document.documentElement.clientWidth;

  const shown = (element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const short = (text) => { const line = text.trim().replace(/\s+/g, " "); return line.length > 50 ? line.slice(0, 50) + "…" : line; };
  const scrolls = (element) => {
    for (let at = element; at && at !== document.documentElement; at = at.parentElement) {
      const flow = getComputedStyle(at).overflowX;
      if ((flow === "auto" || flow === "scroll") && at !== document.body) return at;
    }
    return null;
  };

  // Every piece of text with the boxes of its lines.
  const pieces = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || /^(STYLE|SCRIPT|TITLE)$/i.test(element.tagName) || !shown(element)) continue;
    const range = document.createRange();
    range.selectNodeContents(node);
    const boxes = [...range.getClientRects()].filter((box) => box.width > 0 && box.height > 0);
    // A line box is taller than its letters; what counts is where ink may be.
    const size = parseFloat(getComputedStyle(element).fontSize);
    const ink = boxes.map((box) => {
      const scale = element.ownerSVGElement ? element.ownerSVGElement.getBoundingClientRect().width / element.ownerSVGElement.viewBox.baseVal.width || 1 : 1;
      const height = Math.min(box.height, size * scale);
      const middle = (box.top + box.bottom) / 2;
      return { left: box.left, right: box.right, top: middle - height / 2, bottom: middle + height / 2 };
    });
    pieces.push({ text: short(node.data), element, boxes: ink, scroller: scrolls(element) });
  }
  if (pieces.length === 0) problems.push("there is no text");

  if (!printed && document.scrollingElement.scrollWidth > width)
    problems.push(`the page scrolls sideways: ${document.scrollingElement.scrollWidth} of ${width} pixels`);

  for (const { text, element, boxes, scroller } of pieces) {
    for (const box of boxes) {
      if (!scroller && (box.right > width + 0.5 || box.left < -0.5)) problems.push(`leaves the page: "${text}" ends at ${box.right.toFixed(0)} of ${width}`);
      const svg = element.ownerSVGElement;
      const outer = svg && (svg.ownerSVGElement ?? svg).getBoundingClientRect();
      if (outer && (box.left < outer.left - 0.5 || box.right > outer.right + 0.5 || box.top < outer.top - 0.5 || box.bottom > outer.bottom + 0.5))
        problems.push(`is cut by its chart: "${text}"`);
    }
  }

  for (const element of document.body.querySelectorAll("*")) {
    if (element instanceof SVGElement || !shown(element)) continue;
    const style = getComputedStyle(element);
    // Nothing scrolls on paper.
    const hides = (flow) => flow === "hidden" || flow === "clip" || (printed && flow !== "visible");
    if ((hides(style.overflowX) && element.scrollWidth > element.clientWidth + 1) || (hides(style.overflowY) && element.scrollHeight > element.clientHeight + 1))
      problems.push(`is cut: "${short(element.textContent)}"`);
  }

  // Neighbours in the order of their tops are enough to find every pair.
  const boxes = pieces.flatMap((piece) => piece.boxes.map((box) => ({ ...box, piece }))).sort((a, b) => a.top - b.top);
  for (let i = 0; i < boxes.length; i++) {
    for (let j = i + 1; j < boxes.length && boxes[j].top < boxes[i].bottom - 1.5; j++) {
      const [a, b] = [boxes[i], boxes[j]];
      // What has scrolled out of a box is not there.
      if (a.piece === b.piece || a.piece.scroller !== b.piece.scroller) continue;
      const across = Math.min(a.right, b.right) - Math.max(a.left, b.left);
      const down = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
      if (across > 1.5 && down > 1.5) problems.push(`overlap: "${a.piece.text}" and "${b.piece.text}"`);
    }
  }

  for (const { text, element } of pieces) {
    const svg = element.ownerSVGElement;
    const scale = svg ? svg.getBoundingClientRect().width / (svg.viewBox.baseVal.width || 1) : 1;
    const size = parseFloat(getComputedStyle(element).fontSize) * (scale || 1);
    if (size < 8) problems.push(`is tiny: "${text}" in ${size.toFixed(1)} pixels`);
  }

  // Contrast as WCAG 2 defines it: text against the nearest background that is not transparent.
  const channels = (colour) => (colour.match(/[\d.]+/g) ?? []).map(Number);
  const luminance = ([r, g, b]) => {
    const linear = [r, g, b].map((value) => (value / 255 <= 0.04045 ? value / 255 / 12.92 : ((value / 255 + 0.055) / 1.055) ** 2.4));
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const background = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour.length >= 3 && (colour.length === 3 || colour[3] > 0.99)) return colour;
    }
    return [255, 255, 255];
  };
  for (const { text, element } of pieces) {
    const style = getComputedStyle(element);
    const colour = channels(element.ownerSVGElement ? style.fill : style.color);
    if (colour.length < 3) continue;
    const [dark, light] = [luminance(colour), luminance(background(element))].sort((a, b) => a - b);
    const contrast = (light + 0.05) / (dark + 0.05);
    const large = parseFloat(style.fontSize) >= 24;
    if (contrast < (large ? 3 : 4.5)) problems.push(`is faint: "${text}", contrast ${contrast.toFixed(1)}`);
  }

  if (!document.documentElement.lang) problems.push("the page names no language");
  if (!document.title) problems.push("the page has no title");
  for (const picture of document.querySelectorAll("img, svg")) {
    if (picture.parentElement.closest("svg")) continue;
    // An empty name says that the picture adds nothing to the words beside it.
    if (picture.getAttribute("alt") === "") continue;
    if (!picture.hasAttribute("alt") && !picture.getAttribute("aria-label") && !picture.hasAttribute("aria-hidden")) problems.push("a picture has no name");
  }
  for (const head of document.querySelectorAll("th")) if (!head.scope) problems.push(`a table's head has no scope: "${short(head.textContent)}"`);
  let level = 0;
  for (const heading of document.querySelectorAll("h1, h2, h3, h4, h5, h6")) {
    const own = Number(heading.tagName[1]);
    if (own > level + 1) problems.push(`a heading skips a level: "${short(heading.textContent)}"`);
    level = own;
  }
  return [...new Set(problems)];
})()
