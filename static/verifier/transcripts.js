/* Checks transcripts of runs that a cluster judged: docs/understand/protocol/certificates.md. Whatever was
   changed is refused with the event or the chunk that it is in. Needs forms.js and verify.js. */
(function (root) {
  "use strict";

  // The state of the rules before the first event of a run, and after its end.
  const START = "d10bc796c3143e7158ae057c6658306fce3cc50dcbe91d9709bf8a8742cce25a";
  const ENDS = {
    "34239c7b76db35447534682f805b7accbf13af8c70881b46b8d1f10adead471f": "RUN_FINISHED",
    "09629bdc1f14ab6ad8acca0de2d67f06ed6fcc7395793eb16e0078ee9169fe74": "RUN_ERROR",
  };
  const VOTES = [
    "It shows votes, not the record of the log, which may hold another history of the run: the head",
    "must be one that a platform of the cluster lists in `records` of GET /api/v1/events/runs/{id}.",
  ];
  const SINCE = "It says what was emitted and judged, not when, and nothing of what came later.";
  // As the log has always read it: `$` in Python also matches before a last line feed.
  const CODE = /^[A-Z][A-Z0-9_]{0,63}\n?$/;
  const { Refused, digest, join, need, opened, pack, same, tag } = root.dtvnForms;
  const { climb, isSigned, liars, node, quorum, shown } = root.dtvnVerify;

  const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  const counted = (count, what) => `${count} ${what}${count === 1 ? "" : "s"}`;

  /* RFC 9162, 2.1: pairs from the left, a last single one moves up as it is. */
  function rootOf(level) {
    if (!level.length) return digest(new Uint8Array());
    while (level.length > 1) {
      const above = [];
      for (let at = 0; at < level.length; at += 2) {
        above.push(at + 1 < level.length ? node(level[at], level[at + 1]) : level[at]);
      }
      level = above;
    }
    return level[0];
  }

  /* What the bytes of a transcript prove to somebody who trusts `chain`, in sentences. */
  async function transcript(data, chain) {
    const [, , thread, run, rules, events, certificates] = fields(data, chain);
    const digests = events.map(([named]) => named);
    const chunks = [];
    let position = 0;
    let state = START;
    let head = digest(tag("dtvn/events/v1/run"), pack([thread, run]));
    for (const [number, encoded] of certificates.entries()) {
      const place = `chunk ${number}, from event ${position}`;
      const chunk = await within(place, () => certified(encoded, chain));
      follows(chunk.question, [thread, run, rules, position, state], digests, place);
      position += chunk.question[3];
      state = hex(chunk.after);
      head = digest(tag("dtvn/events/v1/head"), head, chunk.encoded);
      chunks.push(chunk);
    }
    const first = `event ${position}`;
    need(position >= digests.length, "wrong_chunk", first, `no certificate covers ${first} and those after it`);
    const held = events.filter(([, salt]) => !salt.length).length;
    const names = `head ${hex(head)}, root ${hex(rootOf(digests))}, rules ${hex(rules)}`;
    return [...told({ thread, run, count: events.length, held, chunks, end: ENDS[state] }), names, ...VOTES, SINCE];
  }

  /* The fields of a transcript of this cluster, each event that is shown compared with its digest. */
  function fields(data, chain) {
    const form = ["malformed", "transcript", "a transcript has not the form of one"];
    const found = opened(data, "ihTThED", "a transcript");
    const odd = `a transcript of version ${found[0]}; this verifier knows 1`;
    need(found[0] === 1, "unknown_version", "transcript", odd);
    need(found[5].every(([, salt, text]) => salt.length || !text.length), ...form);
    const foreign = "the transcript is of another cluster than this chain";
    need(same(found[1], chain.cluster), "other_cluster", "transcript", foreign);
    for (const [index, [named, salt, text]] of found[5].entries()) {
      const right = !salt.length || same(digest(tag("dtvn/events/v1/event"), salt, text), named);
      const why = `event ${index} is not the one that its digest names`;
      need(right, "wrong_event", `event ${index}`, why);
    }
    return found;
  }

  async function within(place, check) {
    try {
      return await check();
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      throw new Refused(error.code, `${place}, ${error.place}`, `${place}: ${error.message}`);
    }
  }

  /* What the certificate of one chunk proves, after every signature was checked. */
  async function certified(data, chain) {
    const [version, cluster, epoch, encoded, ballots] = opened(data, "ihivB", "a certificate of events");
    const odd = `a certificate of events of version ${version}; this verifier knows 1`;
    need(version === 1, "unknown_version", "certificate of events", odd);
    const unknown = `epoch ${epoch} is not in this chain, which ends with ${chain.epochs.length - 1}`;
    need(epoch < chain.epochs.length, "unknown_epoch", `epoch ${epoch}`, unknown);
    const members = chain.epochs[epoch].members;
    need(same(cluster, chain.cluster), "other_cluster", "certificate", "the certificate is of another cluster");
    const [question, after, errors] = opened(encoded, "VhL", "a vote");
    const ascends = errors.every(([place], at) => place < question[3] && (!at || place > errors[at - 1][0]));
    const shaped = ascends && errors.every(([, code]) => CODE.test(code));
    need(shaped, "malformed", "vote", "a vote has not the form of one");
    const [n, q] = [members.length, quorum(chain, members.length)];
    const few = `it has ${ballots.length} signatures; at least ${q} of ${n} are needed`;
    need(ballots.length >= q, "signature_count", "signatures", few);
    const distinct = ballots.every(([member], at) => !at || member > ballots[at - 1][0]);
    const order = "its signers are not distinct members in ascending order";
    need(distinct, "bad_signers", "signatures", order);
    const leaf = digest(new Uint8Array([0]), encoded);
    for (const ballot of ballots) await checkBallot(ballot, leaf, epoch, members, chain.cluster);
    const names = ballots.map(([member]) => shown(members[member].name));
    return { encoded, question, after, errors, epoch, n, liars: liars(chain, n), names };
  }

  /* Whether a member signed a turn of votes that holds this one. */
  async function checkBallot([member, place, size, path, signature], leaf, epoch, members, cluster) {
    const unknown = `epoch ${epoch} has no member ${member}`;
    need(member < members.length, "unknown_member", `member ${member}`, unknown);
    const name = shown(members[member].name);
    let turn;
    try {
      turn = climb(BigInt(place), BigInt(size), leaf, path);
    } catch {
      throw new Refused("bad_path", name, `the path of ${name} does not lead to its signature`);
    }
    const head = join(tag("dtvn/events/v1/votes"), cluster, pack([epoch, member, size, turn]));
    const good = await isSigned(members[member].key, head, signature);
    need(good, "bad_signature", name, `the signature of ${name} does not fit what it should say`);
  }

  /* Whether a chunk continues the run and is of its events. */
  function follows([thread, run, position, count, before, chunk, rules], due, digests, place) {
    const fits = (good, why) => need(good, "wrong_chunk", place, `${place}: ${why}`);
    fits(thread === due[0], "it is of another thread");
    fits(run === due[1], "it is of another run");
    fits(same(rules, due[2]), "it was judged by other rules");
    fits(position === due[3], `it begins at event ${position}`);
    fits(hex(before) === due[4], "it does not continue the state of the run before it");
    const judged = rootOf(digests.slice(position, position + count));
    fits(same(chunk, judged), "its events are not those that were judged");
  }

  function told({ thread, run, count, held, chunks, end }) {
    const refused = chunks.flatMap(({ question, errors }) =>
      errors.map(([place, code]) => `event ${question[2] + place} was refused: ${code}`),
    );
    const verdict = refused.length ? `${refused.length} refused` : "all valid";
    const events = `${counted(count, "event")}, ${verdict}${held ? `, ${held} withheld` : ""}`;
    return [
      `run ${shown(run)} of thread ${shown(thread)}: ${events}`,
      ...refused.slice(0, 10),
      ...(refused.length > 10 ? [`... and ${refused.length - 10} more`] : []),
      ...[...new Set(chunks.map(({ epoch }) => epoch))].sort((one, other) => one - other).map((epoch) => {
        return signed(epoch, chunks.filter((chunk) => chunk.epoch === epoch));
      }),
      end ? `the run ended with ${end}` : "the run had not ended: there may be more of it",
    ];
  }

  function signed(epoch, chunks) {
    const names = [...new Set(chunks.flatMap((chunk) => chunk.names))].sort().join(", ");
    const least = chunks.reduce((fewest, chunk) => Math.min(fewest, chunk.names.length), Infinity);
    const { n, liars: tolerance } = chunks[0];
    const which = `${counted(chunks.length, "chunk")} of epoch ${epoch} signed by ${names}`;
    return `${which}: each by at least ${least} of ${n} members, ${tolerance}`;
  }

  root.dtvnVerify.transcript = transcript;
})(globalThis);
