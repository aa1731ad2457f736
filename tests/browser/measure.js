// Words of the page that is shown that cannot be read where they stand, as [what, where, words]:
// beyond the edge, cut off by what they are in, or upon other words.
const found = [];
const root = document.documentElement;
const shown = {checkOpacity: true, checkVisibilityCSS: true};
// Cut off on purpose: one line, all of which is told on pointing at it and on the pod's own page.
const CUT_ON_PURPOSE = "#result_list .userpods-reason";

// What Django's own list of users shows beside our column, which is scrolled to on a telephone, and
// its boxes to choose from two lists.
const NOT_OURS = ".model-user #result_list :is(td, th):not(:has(.userpods-theirs)), .selector";

function where(element) {
  const name = one => one.localName
    + (one.id ? `#${one.id}` : "") + [...one.classList].map(part => `.${part}`).join("");
  return [element.parentElement, element].filter(Boolean).map(name).join(" > ");
}

// What is there for screen readers alone, or until the keyboard comes to it.
function isHidden(element) {
  for (let one = element; one; one = one.parentElement) {
    const box = one.getBoundingClientRect();
    const {position, clip} = getComputedStyle(one);
    if (position === "absolute" && (clip !== "auto" || box.right <= 0)) {
      return true;
    }
  }
  return false;
}

// The part of a rectangle that is seen, or what cuts it off.
function clipped(rect, element) {
  for (let one = element; one && one !== document.body; one = one.parentElement) {
    const style = getComputedStyle(one);
    if (style.position === "fixed") {
      break;
    }
    if (style.overflowX === "visible" && style.overflowY === "visible") {
      continue;
    }
    const box = one.getBoundingClientRect();
    const scrolls = ["auto", "scroll"].includes(style.overflowX)
      || ["auto", "scroll"].includes(style.overflowY);
    const isBeside = rect.right > box.right + 1 || rect.left < box.left - 1;
    const isBelow = rect.bottom > box.bottom + 2 || rect.top < box.top - 2;
    if (scrolls) {
      // The keyboard scrolls what it can come to.
      return isBeside && one.tabIndex < 0 ? {by: one} : {isScrolled: isBeside || isBelow};
    }
    if (isBeside || isBelow) {
      return {by: one};
    }
  }
  return {};
}

if (root.scrollWidth > root.clientWidth) {
  found.push(["wider than the window", "html", `${root.scrollWidth} pixels`]);
}
const pieces = [];
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (texts.nextNode()) {
  const element = texts.currentNode.parentElement;
  const words = texts.currentNode.data.trim();
  if (!words || element.closest("script, style, noscript, select, textarea, svg")
      || !element.checkVisibility(shown) || isHidden(element)) {
    continue;
  }
  const range = document.createRange();
  range.selectNodeContents(texts.currentNode);
  for (const rect of range.getClientRects()) {
    if (rect.width < 1 || rect.height < 1) {
      continue;
    }
    const {by, isScrolled} = clipped(rect, element);
    if (by) {
      if (!element.closest(CUT_ON_PURPOSE) && !element.closest(NOT_OURS)) {
        found.push([`cut off by ${where(by)}`, where(element), words]);
      }
      break;
    }
    if (isScrolled) {
      continue;
    }
    if (rect.right > root.clientWidth + 1 || rect.left < -1) {
      found.push(["beyond the edge", where(element), words]);
      break;
    }
    pieces.push({rect, element, words});
  }
}
pieces.sort((one, other) => one.rect.top - other.rect.top);
const told = new Set();
pieces.forEach((one, index) => {
  for (const other of pieces.slice(index + 1)) {
    // Lines that touch share a pixel or two.
    if (other.rect.top >= one.rect.bottom - 4) {
      break;
    }
    const wide = Math.min(one.rect.right, other.rect.right) - Math.max(one.rect.left, other.rect.left);
    if (wide > 2 && one.element !== other.element && !told.has(one.element)) {
      told.add(one.element);
      found.push([`upon ${JSON.stringify(other.words)}`, where(one.element), one.words]);
    }
  }
});
for (const field of document.querySelectorAll("input, select, textarea")) {
  if (field.closest(NOT_OURS) || !field.checkVisibility(shown) || isHidden(field) || field.type === "hidden") {
    continue;
  }
  const words = field.localName === "select" ? field.selectedOptions[0]?.text : field.value;
  if (!words) {
    continue;
  }
  if (field.localName === "select" && !field.multiple) {
    const style = getComputedStyle(field);
    const context = document.createElement("canvas").getContext("2d");
    context.font = style.font;
    const room = field.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight);
    if (context.measureText(words).width > room + 1) {
      found.push(["cut off by its field", where(field), words]);
    }
  } else if (field.readOnly && field.scrollHeight > field.clientHeight + 1
      || field.localName === "input" && field.scrollWidth > field.clientWidth + 1) {
    found.push(["cut off by its field", where(field), words]);
  }
}
// The outline of a badge tells it from the words around it (WCAG 2.2, 1.4.11).
const canvas = Object.assign(document.createElement("canvas"), {width: 1, height: 1});
const paint = canvas.getContext("2d", {willReadFrequently: true});

// What is seen of a colour, and of those behind it, as its luminance.
function luminance(element, colour) {
  const layers = [colour];
  for (let one = element; one; one = one.parentElement) {
    layers.push(getComputedStyle(one).backgroundColor);
  }
  for (const layer of ["Canvas", ...layers.reverse()]) {
    paint.fillStyle = layer;
    paint.fillRect(0, 0, 1, 1);
  }
  const [red, green, blue] = [...paint.getImageData(0, 0, 1, 1).data].map(value => {
    const part = value / 255;
    return part <= .04045 ? part / 12.92 : ((part + .055) / 1.055) ** 2.4;
  });
  return .2126 * red + .7152 * green + .0722 * blue;
}

for (const badge of document.querySelectorAll(".userpods-state, .state")) {
  if (!badge.checkVisibility(shown)) {
    continue;
  }
  const around = luminance(badge.parentElement, "transparent");
  // A border lies upon the badge's own background.
  const border = luminance(badge, getComputedStyle(badge).borderTopColor);
  const ratio = (Math.max(around, border) + .05) / (Math.min(around, border) + .05);
  if (ratio < 3) {
    found.push([`hardly seen (${ratio.toFixed(1)})`, where(badge), badge.textContent]);
  }
}
return found;
