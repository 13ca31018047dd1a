(() => {
  "use strict";
  const all = (selector) => Array.from(document.querySelectorAll(selector));
  const form = document.querySelector("#filter");
  if (form) {
    const rows = all("#findings-table tbody");
    const shown = document.querySelector("#shown");
    const apply = () => {
      const chosen = new FormData(form);
      const words = String(chosen.get("words") || "").toLowerCase();
      let visible = 0;
      for (const row of rows) {
        const fits = ["severity", "category", "status"].every((key) => {
          const wanted = chosen.get(key);
          return !wanted || row.dataset[key] === wanted;
        });
        row.hidden = !(fits && (!words || row.textContent.toLowerCase().includes(words)));
        visible += row.hidden ? 0 : 1;
      }
      shown.textContent = visible + " of " + rows.length + " shown";
    };
    form.hidden = false;
    form.addEventListener("input", apply);
    form.addEventListener("submit", (event) => event.preventDefault());
    apply();
  }
  for (const button of all("[data-fold]")) {
    button.hidden = false;
    button.addEventListener("click", () => {
      const folds = all(button.dataset.fold);
      const open = folds.some((fold) => !fold.open);
      for (const fold of folds) fold.open = open;
    });
  }
})();
