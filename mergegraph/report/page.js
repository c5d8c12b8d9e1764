"use strict";
(() => {
  const root = document.documentElement;
  root.classList.add("js");

  // light and dark: as the system says, unless one is chosen
  const themes = ["auto", "light", "dark"];
  const theme = document.querySelector(".theme");
  const kept = () => { try { return localStorage.getItem("mergegraph-theme"); } catch { return null; } };
  const wear = (name) => {
    if (name === "auto") root.removeAttribute("data-theme"); else root.dataset.theme = name;
    theme.textContent = { auto: "◐ auto", light: "○ light", dark: "● dark" }[name];
    theme.setAttribute("aria-label", `Colours: ${name}. Change`);
    theme.dataset.now = name;
  };
  wear([kept(), root.dataset.theme].find((name) => themes.includes(name)) ?? "auto");
  theme.addEventListener("click", () => {
    const next = themes[(themes.indexOf(theme.dataset.now) + 1) % themes.length];
    try { localStorage.setItem("mergegraph-theme", next); } catch { /* of a page without storage */ }
    wear(next);
  });

  // what is under the pointer
  const tip = document.getElementById("tip");
  const point = (event) => {
    const told = event.target.closest && event.target.closest("[data-tip]");
    tip.hidden = !told;
    if (!told) return;
    tip.textContent = told.dataset.tip;
    const box = tip.getBoundingClientRect();
    const x = Math.min(event.clientX + 14, innerWidth - box.width - 8);
    const y = event.clientY + 18 + box.height > innerHeight ? event.clientY - box.height - 10 : event.clientY + 18;
    tip.style.left = `${Math.max(8, x)}px`;
    tip.style.top = `${Math.max(8, y)}px`;
  };
  addEventListener("pointermove", point);
  addEventListener("pointerdown", point);
  addEventListener("scroll", () => { tip.hidden = true; }, true);

  // pictures to keep: with the colours that they have now, and nothing of the page
  const styles = ["fill", "fill-opacity", "stroke", "stroke-width", "stroke-opacity", "stroke-dasharray",
    "stroke-linejoin", "stroke-linecap", "paint-order", "font-family", "font-size", "font-weight", "text-anchor"];
  const alone = (svg) => {
    const copy = svg.cloneNode(true);
    const from = [svg, ...svg.querySelectorAll("*")], to = [copy, ...copy.querySelectorAll("*")];
    from.forEach((each, i) => {
      const worn = getComputedStyle(each);
      if (each.tagName !== "title") styles.forEach((name) => to[i].setAttribute(name, worn.getPropertyValue(name)));
      to[i].removeAttribute("class");
      to[i].removeAttribute("data-tip");
    });
    const [width, height] = [svg.width.baseVal.value, svg.height.baseVal.value];
    const back = document.createElementNS("http://www.w3.org/2000/svg", "rect");
    back.setAttribute("width", width);
    back.setAttribute("height", height);
    back.setAttribute("fill", getComputedStyle(root).getPropertyValue("--card").trim());
    copy.prepend(back);
    copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
    return { text: new XMLSerializer().serializeToString(copy), width, height };
  };
  const keep = (blob, name) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };
  const painted = ({ text, width, height }) => new Promise((done, fail) => {
    const image = new Image(), address = URL.createObjectURL(new Blob([text], { type: "image/svg+xml" }));
    image.onload = () => {
      const canvas = document.createElement("canvas");
      canvas.width = 2 * width;
      canvas.height = 2 * height;
      canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
      URL.revokeObjectURL(address);
      canvas.toBlob(done, "image/png");
    };
    image.onerror = fail;
    image.src = address;
  });
  const cell = (each) => {
    const text = each.textContent.trim();
    const number = each.dataset.value ?? text;
    // a spreadsheet would take these for formulas
    const safe = /^[=+@\t\r-]/.test(number) && Number.isNaN(Number(number)) ? `'${number}` : number;
    return /[",\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
  };
  const lines = (table) => [...table.rows].map((row) => [...row.cells].map(cell).join(",")).join("\n") + "\n";
  const kinds = {
    svg: (figure, svg, name) => keep(new Blob([alone(svg).text], { type: "image/svg+xml" }), `${name}.svg`),
    png: async (figure, svg, name) => keep(await painted(alone(svg)), `${name}.png`),
    csv: (figure, svg, name, button) => keep(
      new Blob([lines(button.closest("details, .tablebox").querySelector("table"))], { type: "text/csv" }), `${name}.csv`),
  };
  addEventListener("click", (event) => {
    const button = event.target.closest("button[data-keep]");
    if (!button) return;
    const figure = button.closest("figure, .panel, .tablebox");
    const svgs = figure.querySelectorAll(".drawing svg");
    const name = button.dataset.name;
    if (button.dataset.keep === "csv" || svgs.length < 2) kinds[button.dataset.keep](figure, svgs[0], name, button);
    else svgs.forEach((svg, i) => kinds[button.dataset.keep](figure, svg, `${name}-${i + 1}`, button));
  });

  // paper shows all there is
  let shut = [];
  addEventListener("beforeprint", () => {
    shut = [...document.querySelectorAll("details:not([open])")];
    shut.forEach((each) => { each.open = true; });
  });
  addEventListener("afterprint", () => shut.forEach((each) => { each.open = false; }));
  window.mergegraph = { alone, painted, lines };
})();
