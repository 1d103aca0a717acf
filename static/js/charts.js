/* Two small drawings: values over time with axes, and named counts as bars. */
dtvn.charts = (function () {
  "use strict";

  const { shape } = dtvn.ui;
  const HEIGHT = 150;
  const TOP = 10;
  const FOOT = 22; // below the axis of time
  const EDGE = 8; // right of the newest point
  const LETTER = 6.6; // pixels of a label's letter
  const BAR = 18;
  const GAP = 10;
  const STEPS = [1, 2, 5, 10];

  /*
   * `lines`: [{kind, points: [[seconds before now, value or null], ...]}, ...], oldest first.
   * `axis`: {span: seconds, apart: seconds that two points of one line lie apart at most, text: value -> label
   * with its unit, scale: what one unit of the axis is, low: whether the axis begins at the lowest value
   * instead of 0, whole: only whole numbers}.
   */
  function line(element, lines, axis) {
    const width = Math.max(200, element.clientWidth);
    const values = lines.flatMap((one) => one.points.map(([, value]) => value)).filter((value) => value !== null);
    const ticks = levels(values, axis);
    const labels = ticks.map(axis.text);
    const left = 10 + LETTER * Math.max(...labels.map((label) => label.length));
    const x = (ago) => left + ((width - left - EDGE) * (axis.span - ago)) / axis.span;
    const [low, high] = [ticks[0], ticks[ticks.length - 1]];
    const y = (value) => HEIGHT - FOOT - ((HEIGHT - FOOT - TOP) * (value - low)) / (high - low);
    element.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    element.replaceChildren(
      ...ticks.map((tick) => shape("line", { class: "rule", x1: left, x2: width - EDGE, y1: y(tick), y2: y(tick) })),
      ...ticks.map((tick, index) => words(labels[index], left - 6, y(tick) + 4, "end")),
      ...times(axis.span).map(([ago, text, anchor]) => words(text, x(ago), HEIGHT - 5, anchor)),
      ...lines.flatMap((one) => drawn(one, axis, x, y)),
    );
    return values.length ? { low: Math.min(...values), high: Math.max(...values) } : null;
  }

  /* A line through points that follow one another; a point without neighbours is a dot. */
  function drawn({ kind, points }, axis, x, y) {
    const parts = [];
    let before = null;
    for (const [ago, value] of points) {
      if (value === null) {
        before = null;
        continue;
      }
      if (before === null || before - ago > axis.apart) {
        parts.push([]);
      }
      parts[parts.length - 1].push([x(ago).toFixed(1), y(value).toFixed(1)]);
      before = ago;
    }
    return parts.map(function (part) {
      if (part.length === 1) {
        return shape("circle", { class: `point ${kind}`, cx: part[0][0], cy: part[0][1], r: 2.5 });
      }
      return shape("polyline", { class: `line ${kind}`, points: part.map((one) => one.join(",")).join(" ") });
    });
  }

  /* Three to six round values that cover `values`. */
  function levels(values, axis) {
    const low = axis.low && values.length ? Math.min(...values) / axis.scale : 0;
    const high = values.length ? Math.max(...values) / axis.scale : 0;
    const least = axis.whole ? 1 : 0.1;
    const rough = Math.max(least, (high - low) / 4);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = power * STEPS.find((one) => power * one >= rough * 0.999);
    const first = Math.floor(low / step);
    const last = Math.max(first + 2, Math.ceil(high / step));
    return Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step * axis.scale);
  }

  function times(span) {
    return [
      [span, `${span / 60} min ago`, "start"],
      [span / 2, `${span / 120} min`, "middle"],
      [0, "now", "end"],
    ];
  }

  function words(text, x, y, anchor) {
    const element = shape("text", { class: "tick", x, y, "text-anchor": anchor });
    element.append(text);
    return element;
  }

  /* `counts`: [[name, count, class of its colour], ...]. */
  function bars(element, counts) {
    const most = Math.max(1, ...counts.map(([, count]) => count));
    const drawn = counts.flatMap(function ([name, count, kind], index) {
      const y = index * (BAR + GAP);
      const words = shape("text", { x: 0, y: y + BAR - 5 });
      words.append(name);
      const number = shape("text", { x: 300, y: y + BAR - 5, "text-anchor": "end" });
      number.append(new Intl.NumberFormat("en").format(count));
      return [
        words,
        shape("rect", { class: "rail", x: 124, y, width: 126, height: BAR, rx: 4 }),
        shape("rect", { class: kind, x: 124, y, width: (126 * count) / most, height: BAR, rx: 4 }),
        number,
      ];
    });
    element.setAttribute("viewBox", `0 0 300 ${counts.length * (BAR + GAP)}`);
    element.replaceChildren(...drawn);
  }

  return { line, bars };
})();
