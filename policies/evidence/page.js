"use strict";
const details = [...document.querySelectorAll("details")];
for (const button of document.querySelectorAll("[data-open]")) {
  button.addEventListener("click", () => {
    for (const one of details) one.open = button.dataset.open === "true";
  });
}
const only = document.querySelector("[data-only]");
only.addEventListener("click", () => {
  const pressed = only.getAttribute("aria-pressed") !== "true";
  only.setAttribute("aria-pressed", String(pressed));
  document.body.classList.toggle("only", pressed);
});
document.querySelector(".tools").hidden = false;
// Details cannot be opened on paper: open all of them before printing, and restore them afterwards.
let before = [];
addEventListener("beforeprint", () => {
  before = details.map((one) => one.open);
  for (const one of details) one.open = true;
});
addEventListener("afterprint", () => {
  for (const [index, open] of before.entries()) details[index].open = open;
});
