// The page of an image: two pictures under one divider, with one zoom and place. Without this script HR alone is shown.
"use strict";
(() => {
  const viewer = document.getElementById("viewer");
  if (!viewer) return;
  const form = viewer.querySelector("form");
  const pane = viewer.querySelector(".pane");
  const stack = viewer.querySelector(".stack");
  const [below, above, truth] = stack.querySelectorAll("img");
  const { left, right, zoom, error, split } = form.elements;
  const { folder } = viewer.dataset;
  const size = { x: +viewer.dataset.width, y: +viewer.dataset.height };
  let at = { x: size.x / 2, y: size.y / 2 }; // the middle of the pane in HR pixels
  let scale = 1;
  let drag = null;
  let later = 0;

  form.hidden = above.hidden = false;
  stack.classList.add("sized");
  form.addEventListener("submit", (event) => event.preventDefault());
  for (const kind of ["input", "change"]) form.addEventListener(kind, () => { show(); write(); });
  window.addEventListener("hashchange", () => (location.hash === "#main" ? write() : read())); // "Skip to content"
  window.addEventListener("resize", show);
  pane.addEventListener("scroll", () => { moved(); write(); });
  pane.addEventListener("keydown", (event) => {
    const step = { "+": 1, "=": 1, "-": -1 }[event.key];
    if (!step || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    zoom.selectedIndex = Math.min(Math.max(zoom.selectedIndex + step, 0), zoom.length - 1);
    show();
    write();
  });
  pane.addEventListener("pointerdown", (event) => {
    if (event.pointerType !== "mouse" || event.button) return; // fingers scroll by themselves
    drag = { x: event.clientX + pane.scrollLeft, y: event.clientY + pane.scrollTop };
    pane.setPointerCapture(event.pointerId);
  });
  pane.addEventListener("pointermove", (event) => drag && pane.scrollTo(drag.x - event.clientX, drag.y - event.clientY));
  pane.addEventListener("lostpointercapture", () => { drag = null; });
  stack.addEventListener("dragstart", (event) => event.preventDefault());
  read();

  function show() {
    picture(above, left);
    picture(below, right);
    truth.hidden = !error.checked;
    stack.classList.toggle("error", error.checked);
    const room = { x: viewer.clientWidth - 2, y: window.innerHeight * 0.75 - 2 };
    const fit = Math.min(room.x / size.x, room.y / size.y);
    scale = +zoom.value || (fit > 1 ? Math.floor(fit) : fit); // an enlarged pixel is as large as any other
    stack.classList.toggle("large", scale > 1);
    const middle = { ...at }; // scrolling changes `at`
    stack.style.width = `${size.x * scale}px`;
    stack.style.height = `${size.y * scale}px`;
    pane.scrollTo(middle.x * scale - pane.clientWidth / 2, middle.y * scale - pane.clientHeight / 2);
    cut();
  }

  function picture(image, select) {
    const source = `${folder}${select.value}.png`;
    if (image.getAttribute("src") !== source) image.src = source;
    image.alt = select.selectedOptions[0].textContent;
  }

  function cut() {
    stack.style.setProperty("--cut", `${pane.scrollLeft + (pane.clientWidth * split.value) / 100}px`);
  }

  function moved() {
    const x = pane.scrollWidth > pane.clientWidth ? (pane.scrollLeft + pane.clientWidth / 2) / scale : size.x / 2;
    const y = pane.scrollHeight > pane.clientHeight ? (pane.scrollTop + pane.clientHeight / 2) / scale : size.y / 2;
    at = { x, y };
    cut();
  }

  // The address: #viewer&left=picture&right=picture&zoom=4&x=100&y=80&split=50&error=1

  function write() {
    clearTimeout(later);
    later = setTimeout(() => {
      const parts = { left: left.value, right: right.value, zoom: zoom.value, split: split.value };
      Object.assign(parts, { x: Math.round(at.x), y: Math.round(at.y) }, error.checked ? { error: 1 } : {});
      history.replaceState(null, "", `#viewer&${new URLSearchParams(parts)}`);
    }, 200);
  }

  function read() {
    const told = new URLSearchParams(location.hash.slice(1));
    choose(left, told.get("left"), left.length > 2 ? 2 : 0);
    choose(right, told.get("right"), 0);
    choose(zoom, told.get("zoom"), 0);
    split.value = told.has("split") ? told.get("split") : 50;
    error.checked = told.get("error") === "1";
    for (const axis of ["x", "y"]) {
      const value = parseFloat(told.get(axis));
      at[axis] = Number.isFinite(value) ? value : size[axis] / 2;
    }
    show();
    if (told.has("viewer")) viewer.scrollIntoView();
  }

  function choose(select, value, otherwise) {
    const index = [...select.options].findIndex((option) => option.value === value);
    select.selectedIndex = index < 0 ? otherwise : index;
  }
})();
