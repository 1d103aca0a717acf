/* Two small drawings: values over time, and named counts as bars. */
dtvn.charts = (function () {
  "use strict";

  const { shape } = dtvn.ui;
  const WIDTH = 300;
  const HEIGHT = 90;
  const EDGE = 4;
  const BAR = 18;
  const GAP = 10;

  /* `values`: oldest first, null where nothing is known; `points`: how many the width holds. */
  function line(element, values, points) {
    const known = values.filter((value) => value !== null);
    const [low, high] = [Math.min(...known), Math.max(...known)];
    const level = (value) => (high === low ? HEIGHT / 2 : HEIGHT - EDGE - ((HEIGHT - 2 * EDGE) * (value - low)) / (high - low));
    const left = points - values.length;
    const parts = [];
    let part = [];
    values.forEach(function (value, index) {
      if (value === null) {
        part = [];
        return;
      }
      if (part.length === 0) {
        parts.push(part);
      }
      part.push(`${((WIDTH * (left + index)) / (points - 1)).toFixed(1)},${level(value).toFixed(1)}`);
    });
    element.replaceChildren(...parts.map((one) => shape("polyline", { class: "line", points: one.join(" ") })));
    return known.length ? { low, high } : null;
  }

  /* `counts`: [[name, count, class of its colour], ...]. */
  function bars(element, counts) {
    const most = Math.max(1, ...counts.map(([, count]) => count));
    const drawn = counts.flatMap(function ([name, count, kind], index) {
      const y = index * (BAR + GAP);
      const words = shape("text", { x: 0, y: y + BAR - 5 });
      words.append(name);
      const number = shape("text", { x: WIDTH, y: y + BAR - 5, "text-anchor": "end" });
      number.append(new Intl.NumberFormat("en").format(count));
      return [
        words,
        shape("rect", { class: "rail", x: 90, y, width: 150, height: BAR, rx: 4 }),
        shape("rect", { class: kind, x: 90, y, width: (150 * count) / most, height: BAR, rx: 4 }),
        number,
      ];
    });
    element.replaceChildren(...drawn);
  }

  return { line, bars };
})();
