/*
 * What the page knows of the log, and how a frame of the feed changes it. No DOM, no network, no clock:
 * the tests run this very file, and hold it to "old snapshot + frames == fresh snapshot".
 *
 * A state is what /dashboard/snapshot calls "log": {sequence, second, counts, rates, latest, limits}; its
 * limits, {latest, rate_seconds}, say how much of rates and latest it keeps.
 */
var dtvn = globalThis.dtvn || {};
globalThis.dtvn = dtvn;

dtvn.model = (function () {
  "use strict";

  const OVERTAKEN_MAX = 60; // seconds; what seems older by more than this comes from a clock that was set back

  /* "old": nothing new in it; "gap": something before it is missing; "next": it continues the state. */
  function relation(state, frame) {
    if (frame.to <= state.sequence) {
      return "old";
    }
    return frame.after === state.sequence ? "next" : "gap";
  }

  /* The state after a frame that is "next". */
  function apply(state, frame) {
    const { latest, rate_seconds } = state.limits;
    return {
      limits: state.limits,
      sequence: frame.to,
      second: frame.second,
      counts: frame.counts,
      rates: joined(state.rates, frame.rates, frame.second - rate_seconds),
      latest: frame.events.slice(-latest).reverse().concat(state.latest).slice(0, latest),
    };
  }

  /* Both lists ascend by second; the second at the seam is in both when its operations were split. */
  function joined(known, added, since) {
    const rates = known.map((rate) => rate.slice());
    for (const [at, operations] of added) {
      const last = rates[rates.length - 1];
      if (last && last[0] === at) {
        last[1] += operations;
      } else {
        rates.push([at, operations]);
      }
    }
    return rates.filter((rate) => rate[0] > since);
  }

  /* Are nodes of the moment `asOf` older than those of `known`? Unix seconds of the server's clock. */
  function overtaken(known, asOf) {
    return asOf < known && known - asOf < OVERTAKEN_MAX;
  }

  /* Operations in each of the `width` seconds before `now`, oldest first. */
  function series(rates, now, width) {
    const values = new Array(width).fill(0);
    for (const [at, operations] of rates) {
      const place = at - (now - width);
      if (place >= 0 && place < width) {
        values[place] = operations;
      }
    }
    return values;
  }

  return { relation, apply, overtaken, series };
})();
