"use strict";
(() => {
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const number = (text) => (text === "" ? NaN : Number(text));

  // Unmeasured cells stay last in both directions.
  const compare = (a, b, way) => {
    if (a === "" || b === "") return (a === "") - (b === "");
    const x = number(a), y = number(b);
    return way * (Number.isNaN(x) || Number.isNaN(y) ? a.localeCompare(b, "en", { numeric: true }) : x - y);
  };

  for (const table of all("table.sortable")) {
    all("thead th", table).forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent;
      head.replaceChildren(button);
      button.addEventListener("click", () => {
        const first = head.classList.contains("num") ? "descending" : "ascending";
        const other = first === "ascending" ? "descending" : "ascending";
        const now = head.getAttribute("aria-sort") === first ? other : first;
        all("thead th", table).forEach((th) => th.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", now);
        const way = now === "ascending" ? 1 : -1;
        const rows = [...table.tBodies[0].rows];
        rows.sort((a, b) => compare(a.cells[column].dataset.v, b.cells[column].dataset.v, way));
        table.tBodies[0].append(...rows);
      });
    });
  }

  const chart = document.getElementById("chart-layers");
  for (const group of all(".sorts")) {
    group.hidden = false;
    const buttons = all("button", group);
    for (const button of buttons) {
      button.addEventListener("click", () => {
        const key = button.dataset.sort, way = key === "index" ? 1 : -1;
        buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
        const rows = [...chart.children];
        rows.sort((a, b) => way * (a.dataset[key] - b.dataset[key]) || a.dataset.index - b.dataset.index);
        chart.append(...rows);
      });
    }
  }

  const detail = document.getElementById("detail"), cards = all(".card");
  const select = (card) => {
    cards.forEach((other) => other.setAttribute("aria-pressed", String(other === card)));
    detail.replaceChildren(...[...card.children].map((child) => child.cloneNode(true)));
    detail.hidden = false;
  };
  cards.forEach((card, place) => {
    card.addEventListener("click", () => {
      select(card);
      detail.scrollIntoView({ block: "nearest" });
    });
    card.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
      const next = step && cards[place + step];
      if (!next) return;
      event.preventDefault();
      next.focus();
      select(next);
    });
  });
  if (cards.length) select(cards.find((card) => card.getAttribute("aria-pressed") === "true") || cards[0]);

  // A plot's points are [x, y, share from the left, share from the top].
  const svg = (name, attributes) => {
    const element = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    return element;
  };
  for (const plot of all(".plot")) {
    const points = JSON.parse(plot.dataset.points), height = Number(plot.dataset.height);
    const canvas = plot.querySelector(".canvas"), readout = plot.parentElement.querySelector(".readout");
    const line = svg("line", { y1: 0, y2: height }), dot = svg("circle", { r: 5 });
    const cursor = svg("g", { class: "cursor", visibility: "hidden" });
    cursor.append(line, dot);
    canvas.querySelector(".area").append(cursor);
    let at = points.length - 1;
    const show = (index) => {
      at = Math.min(Math.max(index, 0), points.length - 1);
      const [x, y, across, down] = points[at];
      line.setAttribute("x1", across * 100 + "%");
      line.setAttribute("x2", across * 100 + "%");
      dot.setAttribute("cx", across * 100 + "%");
      dot.setAttribute("cy", down * height);
      cursor.setAttribute("visibility", "visible");
      readout.textContent = `${plot.dataset.x} ${x}: ${y}${plot.dataset.y ? " " + plot.dataset.y : ""}`;
    };
    const hide = () => {
      cursor.setAttribute("visibility", "hidden");
      readout.textContent = "\u00a0";
    };
    plot.addEventListener("pointermove", (event) => {
      const box = canvas.getBoundingClientRect(), share = (event.clientX - box.left) / box.width;
      let best = 0;
      points.forEach((point, i) => {
        if (Math.abs(point[2] - share) < Math.abs(points[best][2] - share)) best = i;
      });
      show(best);
    });
    plot.addEventListener("pointerleave", hide);
    plot.addEventListener("blur", hide);
    plot.addEventListener("focus", () => show(at));
    plot.addEventListener("keydown", (event) => {
      const target = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: points.length - 1 }[event.key];
      if (target === undefined) return;
      event.preventDefault();
      show(target);
    });
  }

  const theme = document.getElementById("theme"), root = document.documentElement;
  const isDark = () => (root.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  const label = () => { theme.textContent = isDark() ? "Light theme" : "Dark theme"; };
  theme.hidden = false;
  label();
  theme.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    label();
  });
})();
