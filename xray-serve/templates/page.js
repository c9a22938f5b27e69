"use strict";
// What the page does without it too, with less comfort: files can be dropped or pasted, and are sent at once.
const form = document.getElementById("upload");
const drop = document.getElementById("drop");
const input = document.getElementById("image");
const button = form.querySelector("button");

function send() {
  button.disabled = true;
  button.textContent = "Looking …";
  form.submit();
}

function take(files) {
  if (files.length > 0) {
    input.files = files;
    send();
  }
}

form.addEventListener("submit", event => { event.preventDefault(); send(); });
for (const name of ["dragenter", "dragover"]) {
  document.addEventListener(name, event => { event.preventDefault(); drop.classList.add("over"); });
}
document.addEventListener("dragleave", () => drop.classList.remove("over"));
document.addEventListener("drop", event => {
  event.preventDefault();
  drop.classList.remove("over");
  take(event.dataTransfer.files);
});
document.addEventListener("paste", event => take(event.clipboardData.files));
// The page may come back from the browser's memory.
window.addEventListener("pageshow", () => { button.disabled = false; button.textContent = "Look at it"; });
