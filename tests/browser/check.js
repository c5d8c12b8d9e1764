// What a person would see of a report, as JSON in window.checked.
(async () => {
  const channels = (colour) => {
    const found = colour.match(/rgba?\(([^)]+)\)/);
    return found ? found[1].split(/[,/ ]+/).map(Number) : null;
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.slice(0, 3).map((c) => c / 255).map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => {
    const [light, dark] = [luminance(a), luminance(b)].sort((x, y) => y - x);
    return (light + 0.05) / (dark + 0.05);
  };
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const found = channels(getComputedStyle(each).backgroundColor);
      if (found && (found.length < 4 || found[3] > 0.99)) return found;
    }
    return [255, 255, 255];
  };
  // the fill of the last shape under a text
  const under = (svg, text) => {
    const box = text.getBoundingClientRect();
    const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
    let found = ground(svg);
    for (const each of svg.querySelectorAll("rect, text")) {
      if (each === text) break;
      if (each.tagName !== "rect") continue;
      const own = each.getBoundingClientRect();
      const fill = channels(getComputedStyle(each).fill);
      if (fill && own.left <= x && x <= own.right && own.top <= y && y <= own.bottom) found = fill;
    }
    return found;
  };
  const svgs = [...document.querySelectorAll(".drawing svg")].filter((each) => each.getClientRects().length);
  let lowest = [99, ""];
  const cut = [];
  for (const svg of svgs) {
    const whole = svg.getBoundingClientRect();
    for (const text of svg.querySelectorAll("text")) {
      const found = contrast(channels(getComputedStyle(text).fill), under(svg, text));
      if (found < lowest[0]) lowest = [found, text.textContent];
      const box = text.getBoundingClientRect();
      if (box.left < whole.left - 2 || box.right > whole.right + 2) cut.push(text.textContent);
    }
  }
  const words = [...document.querySelectorAll("h1, h2, h3, p, td, th, dt, dd, li, a, button, summary, pre")];
  const faint = words.map((each) => [contrast(channels(getComputedStyle(each).color), ground(each)), each.textContent.slice(0, 40)]);
  const kept = svgs.map((svg) => mergegraph.alone(svg));
  const broken = kept.filter(({ text }) => {
    const read = new DOMParser().parseFromString(text, "image/svg+xml");
    return read.querySelector("parsererror") || text.includes("var(");
  });
  const png = svgs.length ? (await mergegraph.painted(kept[0])).size : 0;
  const tables = [...document.querySelectorAll("table")].map(mergegraph.lines);
  window.checked = JSON.stringify({
    overflow: document.documentElement.scrollWidth - document.documentElement.clientWidth,
    svgs: svgs.length,
    silent: svgs.filter((svg) => !svg.querySelector("text")).length,
    unnamed: svgs.filter((svg) => !svg.getAttribute("aria-label") || !svg.querySelector("title")).length,
    contrast: lowest,
    faint: faint.sort((a, b) => a[0] - b[0])[0] ?? [99, ""],
    cut,
    broken: broken.length,
    png,
    csv: tables.join("\n"),
    loaded: performance.getEntriesByType("resource").map((each) => each.name).filter((name) => !name.startsWith("blob:")),
    executed: window.executed ?? null,
    ground: ground(document.body),
    title: document.title,
  });
})().catch((error) => { window.checked = JSON.stringify({ failed: String(error.stack ?? error) }); });
