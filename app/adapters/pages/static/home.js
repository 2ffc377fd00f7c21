"use strict";
const line = document.getElementById("status");
const root = new URL("..", document.currentScript.src); // also where a proxy shows us under a path
const here = root.href.replace(/\/$/, "");
document.querySelectorAll("pre").forEach((pre) => {
  pre.textContent = pre.textContent.replaceAll("http://127.0.0.1:8000", here);
});
async function look() {
  const began = performance.now();
  try {
    const answer = await fetch(new URL("readyz", root), { cache: "no-store" });
    const { status } = await answer.json();
    line.dataset.good = answer.ok ? "1" : "0";
    line.textContent = `${answer.ok ? "●" : "○"} ${status}, answered in ${Math.round(performance.now() - began)} ms`;
  } catch {
    line.dataset.good = "0";
    line.textContent = "○ doesn't answer";
  }
}
look();
setInterval(look, 2000);
