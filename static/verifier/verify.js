/* Checks DTVN certificates in a browser or in node, without any server: docs/understand/protocol/certificates.md.

   A third implementation beside DTVN's own and verifier/dtvn_verify.py; tests hold all three to the same
   vectors. Needs forms.js, and `sha256` and `nacl` (static/vendor) as globals. */
(function (root) {
  "use strict";

  const STATES = ["", "ISSUED", "VALIDATED", "CONSUMED", "DISPUTED", "UPHELD"];
  const CONSUMED = 3;
  const UPHELD = 5;
  const CHECKPOINT = 19;
  const RECEIPT = 24;
  const CONTINUATION = 26;
  const ANSWERED = 3; // version of a certificate whose state names its ticket
  const LISTED = 4; // and of one whose state tells of a list besides
  const REPEATS = 5; // and of one whose leaf says whether it is a repeat
  const LIFE = 15; // first fields of a ticket's state, which stay once they are final
  const UNSHOWN = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
  const YEAR_10000 = 253402300800000000n;
  // Order of the group: a second spelling of a signature has an S that is not below it.
  const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
  const FOUNDED = 0x94; // how a genesis begins that its parties made together
  const PLAIN = 0x97; // a bare one
  const INVALID = ["invalid_genesis", "genesis"];
  const CONTINUED = 0x98; // a bare one that continues another cluster
  const CHOSEN = 0x99; // and one that names how its members agree
  const { Refused, digest, join, need, needRoom, opened, pack, same, tag, unwrap } = root.dtvnForms;

  // --- trees and signatures ----------------------------------------------------------------------

  const node = (left, right) => digest(new Uint8Array([1]), left, right);

  const hashes = (path) =>
    Array.from({ length: path.length / 32 }, (_, at) => path.slice(32 * at, 32 * at + 32));

  /* RFC 9162, 2.1.3.2: the root over `size` leaves to which `path` leads from the leaf at `index`. */
  function climb(index, size, leaf, path) {
    const wrong = ["bad_path", "entry", "its path does not lead to its checkpoint"];
    let last = size - 1n;
    let found = leaf;
    need(index >= 0n && index <= last, ...wrong);
    for (const sibling of path) {
      need(last > 0n, ...wrong);
      if (index & 1n || index === last) {
        found = node(sibling, found);
        while (index && !(index & 1n)) {
          index >>= 1n;
          last >>= 1n;
        }
      } else {
        found = node(found, sibling);
      }
      index >>= 1n;
      last >>= 1n;
    }
    need(last === 0n, ...wrong);
    return found;
  }

  let native; // whether WebCrypto knows Ed25519; undefined: not tried yet

  async function isSigned(key, data, signature) {
    if (signature.length !== 64) return false;
    const s = signature.slice(32).reduceRight((sum, byte) => sum * 256n + BigInt(byte), 0n);
    if (s >= ORDER) return false;
    if (native !== false && !api.fallback) {
      try {
        const imported = await root.crypto.subtle.importKey("raw", key, { name: "Ed25519" }, false, ["verify"]);
        const good = await root.crypto.subtle.verify({ name: "Ed25519" }, imported, signature, data);
        native = true;
        return good;
      } catch {
        if (native) return false;
        native = false;
      }
    }
    return root.nacl.sign.detached.verify(data, signature, key);
  }

  /* How many of so many members may lie, how many decide, and the first in words: by how they agree. */
  const faults = (chain, count) => (chain.raft ? 0 : Math.floor((count - 1) / 3));
  const quorum = (chain, count) => Math.floor((count + faults(chain, count) + 2) / 2);

  function liars(chain, count) {
    if (faults(chain, count)) return `of whom ${faults(chain, count)} may lie`;
    return chain.raft ? "crash-only: a lying member is not tolerated" : "crash-only, no liar tolerated";
  }

  // --- the chain of epochs -----------------------------------------------------------------------

  function membersOf(rows) {
    const members = rows.map(([name, key]) => ({ name, key }));
    const names = new Set(members.map((member) => member.name));
    const keys = new Set(members.map((member) => member.key.join()));
    need(
      members.length >= 1 && members.length <= 31 && names.size === members.length && keys.size === members.length,
      "bad_members",
      "members",
      "members are too many or share a name or a key",
    );
    return members;
  }

  /* The genesis in the file that parties made, if all of them sealed it. */
  async function founded(data) {
    const form = { 0x32: 2, 0x33: 3 }[data[15]] || 1; // as a bare genesis has three
    const [format, terms, records, seals] = opened(data, ["stRS", "suRS", "sxRS"][form - 1], "the genesis");
    need(format === `dtvn-genesis-${form}`, "malformed", "genesis", "the genesis has not the form of one");
    const [name, created, count, parameters, ...rest] = terms;
    const joined = `records: ${records.length} of ${count} parties have joined`;
    need(records.length === count, ...INVALID, `the genesis is invalid: ${joined}`);
    const parties = records.map((record) => record[0]);
    const principals = parties.flatMap((party) => party[2]).sort((one, other) => (one[0] < other[0] ? -1 : 1));
    const rows = parties.map((party) => party[1]);
    const genesis = pack([name, created, rows, principals, parameters, false, ...rest]);
    await checkSeals(membersOf(rows), genesis, seals);
    return genesis;
  }

  async function checkSeals(members, genesis, seals) {
    const said = join(tag("dtvn/v1/genesis-seal"), digest(tag("dtvn/v1/genesis"), genesis));
    for (const [name, signature] of seals) {
      const member = members.find((each) => each.name === name);
      const good = member && (await isSigned(member.key, said, signature));
      need(good, ...INVALID, `the genesis is invalid: seals: the seal of '${shown(name)}' is not of this genesis`);
    }
    const sealed = new Set(seals.map(([name]) => name));
    const absent = members.filter((member) => !sealed.has(member.name)).map((member) => shown(member.name));
    const why = `the genesis is invalid: it is not sealed yet: ${absent.join(", ")} must still sign it`;
    need(!absent.length, ...INVALID, why);
  }

  /* Verify every link of an epoch chain (or a bare or sealed genesis). */
  async function readChain(data) {
    const alone = [FOUNDED, PLAIN, CONTINUED, CHOSEN].includes(data[0]);
    const [version, given, proofs] = alone ? [1, data, []] : opened(data, "ibF", "the epoch chain");
    const odd = `an epoch chain of version ${version}; this verifier knows 1`;
    need(version === 1, "unknown_version", "chain", odd);
    const genesis = data[0] === FOUNDED ? await founded(data) : given;
    const shape = "siXJKfi" + ({ [CONTINUED]: "G", [CHOSEN]: "Mr" }[genesis[0]] || "");
    const [name, , members, , , , , more] = opened(genesis, shape, "the genesis");
    const raft = genesis[0] === CHOSEN;
    const continues = raft ? more[0] : more;
    const chain = {
      name,
      continues,
      raft,
      cluster: digest(tag("dtvn/v1/genesis"), genesis),
      epochs: [{ members: membersOf(members), after: continues ? continues[2] : 0 }],
    };
    for (const [epoch, proof] of proofs.entries()) {
      const end = await prove(proof, chain);
      const why = `epoch ${epoch} does not end with this epoch change proof`;
      const wrong = ["wrong_epoch_change", `epoch ${epoch}`, why];
      const at = end.checkpoint;
      const kind = end.continued ? "recover" : "reconfigure";
      const ends = end.kind === kind && end.code === "ok" && end.epoch === epoch;
      need(ends && (end.continued || (at && at.epoch === epoch && at.sequence === end.sequence)), ...wrong);
      const [begun, rows] = opened(end.state, "iX", "the epoch change proof");
      need(begun === epoch + 1, ...wrong);
      chain.epochs.push({ members: membersOf(rows), after: end.sequence });
    }
    return chain;
  }

  function membersIn(chain, epoch, sequence) {
    const count = chain.epochs.length;
    const why = `epoch ${epoch} is not in this chain, which ends with ${count - 1}`;
    need(epoch < count, "unknown_epoch", `epoch ${epoch}`, why);
    const next = chain.epochs[Number(epoch) + 1];
    const inside = sequence > chain.epochs[Number(epoch)].after && (!next || sequence <= next.after);
    need(inside, "outside_epoch", `sequence ${sequence}`, `sequence ${sequence} is not in epoch ${epoch}`);
    return chain.epochs[Number(epoch)].members;
  }

  // --- certificates ------------------------------------------------------------------------------

  /* What the bytes of a certificate prove to somebody who trusts `chain`. */
  async function prove(data, chain) {
    const [version, cluster, leaf, sides, path, epoch, sequence, batch, previous, proof] = opened(
      data,
      "iqbipiihhC",
      "the certificate",
    );
    const continued = proof[0] === "continuation";
    const known = continued ? [2] : [1, ANSWERED, LISTED, REPEATS];
    const odd = `a certificate of version ${version}; this verifier knows ${known.join(" and ")}`;
    need(known.includes(version), "unknown_version", "certificate", odd);
    const foreign = "the certificate is of another cluster than this chain";
    need(same(cluster, chain.cluster.slice(0, 8)), "other_cluster", "certificate", foreign);
    const shape = leaf[0] === 0x96 ? "iowiby" : "iowib";
    const [index, [kind, event, asked], code, time, state, first] = opened(leaf, shape, "the leaf");
    const [ticket, held] = ticketState(state, event, asked);
    const fits = continued || (first ? REPEATS : formOf(state) || 1) === version;
    need(fits, "malformed", "certificate", "the certificate has not the form of one");
    const siblings = hashes(path);
    const more = "its path names more sides than it has hashes";
    need(BigInt(sides) >> BigInt(siblings.length) === 0n, "bad_path", "leaf", more);
    let results = digest(new Uint8Array([0]), leaf);
    siblings.forEach((sibling, bit) => {
      const left = (BigInt(sides) >> BigInt(bit)) & 1n;
      results = left ? node(sibling, results) : node(results, sibling);
    });
    const entry = digest(tag("dtvn/v1/entry"), pack([epoch, sequence, batch, results, time, previous]));
    let members = membersIn(chain, epoch, sequence);
    let checkpoint = null;
    let said = RECEIPT;
    let body = (sender) => [epoch, sender, sequence, entry];
    if (proof[0] === "checkpoint") {
      const [, inEpoch, size, stateRoot, then, logPath] = proof;
      const early = "its checkpoint is of an earlier epoch than its entry";
      need(inEpoch >= epoch, "early_checkpoint", `epoch ${inEpoch}`, early);
      members = membersIn(chain, inEpoch, size);
      checkpoint = { epoch: inEpoch, sequence: size };
      const logRoot = climb(BigInt(sequence) - 1n, BigInt(size), entry, hashes(logPath));
      said = CHECKPOINT;
      body = (sender) => [inEpoch, sender, size, stateRoot, logRoot, then];
    }
    if (continued) {
      const logRoot = climb(BigInt(sequence) - 1n, BigInt(sequence), entry, hashes(proof[2]));
      const [, rows] = opened(state, "iX", "the epoch change proof");
      said = CONTINUATION;
      const keys = rows.map((row) => row[1]);
      body = (sender) => [epoch, sender, sequence, proof[1], logRoot, time, keys];
    }
    const needed = continued ? members.length : quorum(chain, members.length);
    const signers = await signersOf(proof.at(-1), said, body, members, chain, needed);
    const proved = { event, ticket, kind, code, epoch, sequence, index, time, state, first, entry, checkpoint };
    const whose = { members: members.length, signers, continued, chain, continues: chain.continues };
    return { ...proved, ...whose, ticketState: held };
  }

  async function signersOf(signatures, said, body, members, chain, needed) {
    const count = members.length;
    need(
      signatures.length === needed,
      "signature_count",
      "signatures",
      `it has ${signatures.length} signatures; exactly ${needed} of ${count} are needed`,
    );
    let before = -1;
    const signers = [];
    for (const [sender] of signatures) {
      const order = "its signers are not distinct members in ascending order";
      need(sender > before && sender < count, "bad_signers", "signatures", order);
      before = sender;
    }
    for (const [sender, signature] of signatures) {
      const data = join(tag("dtvn/v1/signed"), chain.cluster, new Uint8Array([said]), pack(body(sender)));
      const member = members[sender];
      const good = await isSigned(member.key, data, signature);
      const name = shown(member.name);
      need(good, "bad_signature", name, `the signature of ${name} does not fit what it should say`);
      signers.push(member);
    }
    return signers;
  }

  const formOf = (state) =>
    (state[0] === 0xdc && state[1] === 0 && { 23: ANSWERED, 24: LISTED }[state[2]]) || 0;

  /* The ticket's name and its state: an answer of 23 fields names its ticket, which an admission by code does
     not, and has its terms behind the 15 fields of its state; one of 24 tells of a list besides. */
  function ticketState(state, event, asked) {
    const answered = formOf(state);
    if (!answered && state[0] !== 0x9f) return [asked, null];
    const found = opened(state, "sszsiiisssbsssN" + { 0: "", 3: "ssddfsdf", 4: "ssddfsdfW" }[answered], "the state");
    const ticket = answered ? found[1] : asked;
    return [ticket, found[0] === event && found[1] === ticket ? found : null];
  }

  // --- words -------------------------------------------------------------------------------------

  function shown(text) {
    return Array.from(text).slice(0, 128).join("").replace(UNSHOWN, "?");
  }

  function moment(microseconds) {
    const time = BigInt(microseconds);
    if (time >= YEAR_10000) return `${time} microseconds after 1970`;
    const seconds = new Date(Number(time / 1000n)).toISOString().slice(0, 19).replace("T", " ");
    return `${seconds}.${String(time % 1000000n).padStart(6, "0")} UTC`;
  }

  function sentences(proved) {
    const where = `sequence ${proved.sequence}, index ${proved.index}, epoch ${proved.epoch}`;
    const names = proved.signers.map((member) => shown(member.name)).join(", ");
    const tolerance = liars(proved.chain, proved.members);
    const lines = [
      `ticket ${shown(proved.ticket)} of event ${shown(proved.event)}: ${shown(proved.kind)} -> ` +
        `${shown(proved.code)} at ${where}, log time ${moment(proved.time)}`,
      ...(proved.first && proved.first.length ? [`a repeat of ${placed(...proved.first)}: no admission`] : []),
      `signed by ${names}: ${proved.signers.length} of ${proved.members} members, ${tolerance}`,
      proved.continued
        ? "proved by all members, who ended their epoch with it offline"
        : proved.checkpoint
        ? `proved by the log under their checkpoint at sequence ${proved.checkpoint.sequence}, ` +
          `epoch ${proved.checkpoint.epoch}`
        : "proved by their receipts for this sequence",
    ];
    if (proved.ticketState) {
      const [gate, device] = proved.ticketState.slice(11, 13);
      const place = (gate && `, gate ${shown(gate)}`) + (device && `, device ${shown(device)}`);
      lines.push(`right after it the ticket was ${STATES[proved.ticketState[2]]}${place}${terms(proved.ticketState)}`);
    }
    if (proved.continues) lines.push(continued(...proved.continues));
    if (!proved.first && !proved.continued) lines.push("this form cannot tell a repeat from the first");
    return [...lines, "It is an outcome at one point of the log and says nothing about what came later."];
  }

  const placed = (sequence, index) =>
    sequence ? `sequence ${sequence}, index ${index}` : "an earlier one, whose place is not known";

  function terms(state) {
    const [product, seat, , , blocked, reason] = state.slice(LIFE);
    const words = (product ? `, product ${shown(product)}` : "") + (seat ? `, seat ${shown(seat)}` : "");
    return words + (blocked ? ", blocked" : "") + (blocked && reason ? `: ${shown(reason)}` : "");
  }

  function continued(cluster, epoch, sequence, state, log, time, signers) {
    const names = signers.map(([name]) => shown(name)).join(", ");
    const id = Array.from(cluster, (byte) => byte.toString(16).padStart(2, "0")).join("");
    return (
      `continued, not proved by all: its cluster begins with what ${names} signed of cluster ${id} ` +
      `at sequence ${sequence}, epoch ${epoch}; what that one acknowledged later may be lost`
    );
  }

  /* Why both cannot be true and who signed both: code, place, names and sentences; null when they can. */
  function contradiction(one, other) {
    const [first, second] = one.sequence <= other.sequence ? [one, other] : [other, one];
    let code = "two_entries";
    let why = "";
    if (first.sequence === second.sequence) {
      if (!same(first.entry, second.entry)) why = `two entries at sequence ${first.sequence}`;
    } else if (first.event === second.event && first.ticket === second.ticket && first.ticketState) {
      // Consumed is final for a ticket that did nothing else: others have no answers of 23 fields.
      const stays = { [CONSUMED]: formOf(second.state) === ANSWERED, [UPHELD]: true };
      const final = stays[first.ticketState[2]] && second.state.length;
      const life = (proved) => pack((proved.ticketState ?? []).slice(0, LIFE));
      if (final && !same(life(first), life(second))) {
        code = "changed_final";
        why =
          `ticket ${shown(first.ticket)} of event ${shown(first.event)} was final at sequence ` +
          `${first.sequence} and another one at sequence ${second.sequence}`;
      }
    }
    if (!why) return null;
    const both = one.signers.filter((member) => other.signers.some((known) => same(known.key, member.key)));
    const convicted = both.map((member) => shown(member.name));
    const names = convicted.join(", ") || "nobody";
    const weak = faults(one.chain, Math.min(one.members, other.members)) + 1;
    const said = [`contradiction: ${why}`, `convicted, having signed both: ${names} (f + 1 = ${weak})`];
    return { code, place: `sequence ${first.sequence}`, convicted, sentences: said };
  }

  const shared = { climb, isSigned, liars, node, quorum, shown }; // with transcripts.js
  const api = { ...shared, Refused, contradiction, fallback: false, needRoom, prove, readChain, sentences, unwrap };
  root.dtvnVerify = api;
})(globalThis);
