"use strict";
(() => {
  const data = document.getElementById("threshold-data");
  const form = document.getElementById("threshold-form");
  const table = document.getElementById("threshold-table");
  if (!data || !form || !table) return;
  const d = JSON.parse(data.textContent);
  const slider = document.getElementById("threshold-slider");
  const output = document.getElementById("threshold-output");
  const whole = (n) => Math.round(n).toLocaleString("en-GB");
  const percent = (part, all) => all > 0 ? `${(100 * part / all).toPrecision(3).replace(/\.?0+$/, "")} %` : "n/a";
  const show = () => {
    const p = d.points[Number(slider.value)];
    const cells = {
      "raw score": p.raw.toFixed(4),
      "frauds stopped": whole(p.tp),
      "frauds let through": whole(d.n_fraud - p.tp),
      "honest orders stopped": whole(p.fp),
      "honest orders let through": whole(d.n_honest - p.fp),
      "precision": percent(p.tp, p.tp + p.fp),
      "recall": percent(p.tp, d.n_fraud),
      "false-alarm rate": percent(p.fp, d.n_honest),
      "alerts per day": d.n_days > 0 ? ((p.tp + p.fp) / d.n_days).toFixed(1) : "n/a",
    };
    if (p.fraud_value !== undefined) cells["fraud value stopped"] = whole(p.fraud_value);
    if (p.honest_value !== undefined) cells["honest value stopped"] = whole(p.honest_value);
    if (p.savings !== undefined) cells["savings against doing nothing"] = whole(p.savings);
    for (const row of table.tBodies[0].rows) {
      const value = cells[row.cells[0].textContent];
      if (value !== undefined) row.cells[2].textContent = value;
    }
    output.textContent = `Stopped from raw score ${cells["raw score"]}: recall ${cells.recall}, precision ${cells.precision}`;
  };
  form.hidden = false;
  table.tHead.rows[0].cells[2].textContent = "at the slider";
  slider.addEventListener("input", show);
  show();
})();
