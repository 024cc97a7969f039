"use strict";
// Everything can be read without this: it adds the details of a square, a filter and copying.
(() => {
  const cells = JSON.parse(document.getElementById("cells").textContent);
  const detail = document.getElementById("detail");
  const say = (number) => cells.strings[number];
  let chosen = null;

  const element = (name, text, className) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  };

  const close = () => {
    detail.hidden = true;
    if (chosen) { chosen.classList.remove("on"); chosen.focus(); }
    chosen = null;
  };

  const show = (button) => {
    if (chosen) chosen.classList.remove("on");
    chosen = button;
    button.classList.add("on");
    const [title, ...places] = cells.details[Number(button.dataset.i)];
    const table = element("table");
    const head = table.createTHead().insertRow();
    for (const name of ["place", "verdict", "what the kernel did"]) {
      const cell = element("th", name);
      cell.scope = "col";
      head.append(cell);
    }
    const body = table.createTBody();
    for (const [place, word, observed] of places) {
      const row = body.insertRow();
      const name = element("th", say(place));
      name.scope = "row";
      row.append(name, element("td", say(word)));
      const seen = element("td");
      seen.append(element("code", say(observed)));
      row.append(seen);
    }
    const leave = element("button", "Close", "close");
    leave.type = "button";
    leave.addEventListener("click", close);
    detail.replaceChildren(leave, element("strong", say(title)), table);
    detail.hidden = false;
  };

  for (const table of document.querySelectorAll(".squares")) {
    table.addEventListener("click", (event) => {
      const button = event.target.closest("button[data-i]");
      if (button) show(button);
    });
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && chosen) close();
  });

  for (const button of document.querySelectorAll("button.copy")) {
    if (!navigator.clipboard) break; // not from a file, in some browsers
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(button.parentElement.querySelector("pre").textContent);
      button.textContent = "Copied";
    });
  }

  const filter = document.getElementById("filter");
  if (filter) {
    const rows = [...document.querySelectorAll("tr.case")].map((row) => {
      const group = row.closest("details");
      const text = (group.querySelector("summary").textContent + row.textContent).toLowerCase();
      return { row, group, text };
    });
    filter.closest(".filter").hidden = false;
    filter.addEventListener("input", () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      const found = new Map();
      let count = 0;
      for (const { row, group, text } of rows) {
        const fits = words.every((word) => text.includes(word));
        row.hidden = !fits;
        count += fits;
        found.set(group, (found.get(group) || 0) + fits);
      }
      for (const [group, number] of found) {
        group.hidden = number === 0;
        group.open = words.length > 0 && number > 0 && number <= 200;
      }
      document.getElementById("filtered").textContent =
        words.length ? `${count.toLocaleString("en")} of ${rows.length.toLocaleString("en")}` : "";
    });
  }

  // A link to a requirement opens the chapter that it stands in.
  const reveal = () => {
    const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
    const closed = named && named.closest("details:not([open])");
    if (closed) { closed.open = true; named.scrollIntoView(); }
  };
  addEventListener("hashchange", reveal);
  reveal();
})();
