// Filters, sorting and addresses of the leaderboard. Without this script the page is a plain table.
"use strict";
(async () => {
  watchForChanges();
  const table = document.getElementById("board");
  if (!table) return;
  table.hidden = true; // a thousand rows need not be laid out twice
  await unpack(window.packedDataTable).finally(() => { table.hidden = false; });

  const heads = [...table.tHead.rows[0].cells];
  const form = document.getElementById("filters");
  const found = document.getElementById("found");
  const texts = [...table.tBodies[0].rows].map((row) => [...row.cells].map((cell) => cell.textContent.trim()));
  const filters = heads
    .map((head, column) => ({ name: head.dataset.filter, label: head.textContent.trim(), column }))
    .filter((filter) => filter.name && filter.name !== "method");
  const numbers = heads.flatMap((head, column) => (head.classList.contains("n") ? [column] : []));
  const LENGTHS = [50, 200, -1]; // rows of a page; -1 is all
  const chosen = new Map(); // filter name -> value; "method" is a part of the name
  let target = "";
  let silent = false;

  for (const row of table.tBodies[0].rows) prepare(row);
  DataTable.ext.search.push((_settings, _data, index) => fits(texts[index]));
  const grid = new DataTable(table, {
    order: [],
    pageLength: LENGTHS[0],
    autoWidth: false,
    layout: { topStart: null, topEnd: null, bottomStart: "pageLength", bottomEnd: "paging" },
    lengthMenu: [...LENGTHS.slice(0, -1), { label: "all", value: -1 }],
    language: { lengthMenu: "_MENU_ rows a page", emptyTable: "No rows", zeroRecords: "No row fits the filters" },
    columnDefs: [{ targets: numbers, type: "num" }],
  });

  makeForm();
  grid.on("draw", () => { count(); if (!silent) write(); });
  grid.on("page", () => silent || table.scrollIntoView({ block: "start" })); // its buttons stand below the rows
  window.addEventListener("hashchange", () => (location.hash === "#main" ? write() : read())); // "Skip to content"
  table.addEventListener("click", (event) => {
    const link = event.target.closest("a.here");
    if (!link) return;
    event.preventDefault();
    target = link.closest("tr").id;
    write();
    mark();
  });
  read();

  // DataTables is kept compressed; the page's policy allows this script by its hash.
  async function unpack(packed) {
    const bytes = Uint8Array.from(atob(packed), (character) => character.charCodeAt(0));
    const code = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const script = document.createElement("script");
    script.textContent = await new Response(code).text();
    document.head.append(script);
  }

  // Numbers are sorted by the first one of a cell; what is not known stands below all of them.
  function prepare(row) {
    const link = document.createElement("a");
    link.className = "here";
    link.href = `#${row.id}`;
    link.textContent = "#";
    link.setAttribute("aria-label", "Link to this row");
    row.cells[0].append(" ", link);
    for (const column of numbers) {
      const value = row.cells[column].textContent.replaceAll(",", "").replace("inf", "1e9");
      row.cells[column].dataset.order = value === "–" ? -1e10 : parseFloat(value);
    }
  }

  function fits(row) {
    const part = (chosen.get("method") || "").toLowerCase();
    if (part && !row[0].toLowerCase().includes(part)) return false;
    return filters.every(({ name, column }) => !chosen.get(name) || row[column] === chosen.get(name));
  }

  function makeForm() {
    const input = field("Method", document.createElement("input"), "method");
    input.type = "search";
    input.placeholder = "part of a name";
    input.addEventListener("input", () => change("method", input.value));
    for (const { name, label, column } of filters) {
      const select = field(label, document.createElement("select"), name);
      const values = [...new Set(texts.map((row) => row[column]))].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
      select.append(new Option("any", ""), ...values.map((value) => new Option(value, value)));
      select.addEventListener("change", () => change(name, select.value));
    }
    const reset = document.createElement("button");
    reset.type = "button";
    reset.textContent = "Show all";
    reset.addEventListener("click", () => { location.hash = ""; read(); });
    form.append(reset);
    form.addEventListener("submit", (event) => event.preventDefault());
    const around = document.getElementById("choice");
    around.hidden = false;
    around.open = window.innerWidth > 640;
  }

  function field(label, element, name) {
    const around = document.createElement("label");
    around.append(label, element);
    element.name = name;
    form.append(around);
    return element;
  }

  function change(name, value) {
    chosen.set(name, value);
    target = "";
    grid.draw();
  }

  function count() {
    const shown = grid.rows({ search: "applied" }).count();
    found.textContent = `${shown} of ${texts.length} rows`;
  }

  // The address: #row&filter=value&sort=column-direction,...&rows=a page&page=number

  function write() {
    const parts = target ? [target] : [];
    for (const [name, value] of chosen) if (value) parts.push(`${name}=${encodeURIComponent(value)}`);
    const order = grid.order().filter(([, direction]) => direction);
    if (order.length) parts.push(`sort=${order.map(([column, direction]) => `${column}-${direction}`).join()}`);
    if (grid.page.len() !== LENGTHS[0]) parts.push(`rows=${grid.page.len()}`);
    if (grid.page() && !target) parts.push(`page=${grid.page() + 1}`);
    history.replaceState(null, "", parts.length ? `#${parts.join("&")}` : location.pathname + location.search);
  }

  function read() {
    chosen.clear();
    target = "";
    let order = [], rows = LENGTHS[0], page = 1;
    for (const part of location.hash.slice(1).split("&")) {
      const [name, value] = part.split("=", 2);
      if (value === undefined) target = name;
      else if (name === "sort") order = value.split(",").flatMap(sorting);
      else if (name === "rows") rows = LENGTHS.includes(+value) ? +value : rows;
      else if (name === "page") page = Math.max(1, Math.floor(value)) || 1;
      else chosen.set(name, decoded(value));
    }
    for (const element of form.elements) if (element.name) element.value = chosen.get(element.name) || "";
    silent = true;
    grid.page.len(rows).order(order).draw().page(page - 1).draw("page");
    mark();
    silent = false;
  }

  function decoded(value) {
    try { return decodeURIComponent(value); } catch { return value; }
  }

  function sorting(value) {
    const [column, direction] = value.split("-");
    const known = Number.isInteger(+column) && column !== "" && heads[+column] && ["asc", "desc"].includes(direction);
    return known ? [[+column, direction]] : [];
  }

  function mark() {
    for (const row of grid.rows().nodes().toArray()) row.classList.toggle("target", row.id === target);
    const order = grid.rows({ order: "applied", search: "applied" }).nodes().toArray();
    const place = order.findIndex((row) => row.id === target);
    if (target && place < 0) found.textContent += "; the row of this address is not among them";
    if (!target || place < 0) return;
    if (grid.page.len() > 0) grid.page(Math.floor(place / grid.page.len())).draw("page");
    order[place].tabIndex = -1;
    order[place].focus({ preventScroll: true });
    order[place].scrollIntoView({ block: "center", inline: "nearest" });
  }

  // With `srq report --serve`: load the page again when the site has changed.
  function watchForChanges() {
    const live = document.querySelector('meta[name="live"]');
    if (!live) return;
    setInterval(async () => {
      try {
        const answer = await fetch(live.content, { cache: "no-store" });
        if (answer.ok && (await answer.text()) !== live.dataset.version) location.reload();
      } catch { /* the server has stopped */ }
    }, 2000);
  }
})();
