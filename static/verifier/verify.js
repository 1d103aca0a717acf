/* Checks DTVN certificates in a browser or in node, without any server: docs/protocol/certificates.md.

   A third implementation beside DTVN's own and verifier/dtvn_verify.py; tests hold all three to the same
   vectors. Needs `sha256` and `nacl` (static/vendor) as globals. Numbers above 2^53 are BigInt. */
(function (root) {
  "use strict";

  const STATES = ["", "ISSUED", "VALIDATED", "CONSUMED", "DISPUTED", "DISPUTED"];
  const FINAL = [3, 5];
  const CHECKPOINT = 19;
  const RECEIPT = 24;
  const UNSHOWN = /[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;
  const YEAR_10000 = 253402300800000000n;
  // Order of the group: a second spelling of a signature has an S that is not below it.
  const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
  const COUNT_MAX = 2n ** 62n;
  const BYTES_MAX = { certificate: 2 ** 18, chain: 2 ** 24 };
  const utf8 = new TextEncoder();

  class Refused extends Error {}

  function need(condition, why) {
    if (!condition) throw new Refused(why);
  }

  // --- bytes -------------------------------------------------------------------------------------

  const join = (...parts) => joined(parts);

  function joined(parts) {
    const whole = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
    let at = 0;
    for (const part of parts) {
      whole.set(part, at);
      at += part.length;
    }
    return whole;
  }

  function same(one, other) {
    return one.length === other.length && one.every((byte, at) => byte === other[at]);
  }

  function digest(...parts) {
    return root.sha256(join(...parts));
  }

  const tag = (text) => utf8.encode(text + "\0");
  const isNumber = (value) => typeof value === "number" || typeof value === "bigint";

  /* The one MessagePack value in `data`: arrays, bytes, texts, whole numbers, true and false. */
  function unpack(data) {
    need(data instanceof Uint8Array, "bytes are missing where they should be");
    let at = 0;
    const take = (size) => {
      at += size;
      need(at <= data.length, "these bytes end too early");
      return data.slice(at - size, at);
    };
    const number = (width) => {
      const found = take(width).reduce((sum, byte) => sum * 256n + BigInt(byte), 0n);
      return found <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(found) : found;
    };
    const value = (depth) => {
      const head = number(1);
      if (head < 0x80) return head;
      if (head === 0xc2 || head === 0xc3) return head === 0xc3;
      if (head >= 0xcc && head <= 0xcf) return number(1 << (head - 0xcc));
      if (head >= 0xc4 && head <= 0xc6) return take(number(1 << (head - 0xc4)));
      if ((head >= 0xa0 && head < 0xc0) || (head >= 0xd9 && head <= 0xdb)) {
        const size = head < 0xc0 ? head & 31 : number(1 << (head - 0xd9));
        return text(take(size));
      }
      need((head >= 0x90 && head < 0xa0) || head === 0xdc || head === 0xdd, "these bytes hold what no message holds");
      need(depth < 16, "these bytes are nested too deep");
      const size = head < 0xa0 ? head & 15 : number(2 << (head - 0xdc));
      const items = [];
      while (items.length < size) items.push(value(depth + 1));
      return items;
    };
    const found = value(0);
    need(same(pack(found), data), "these bytes are not in canonical form");
    return found;
  }

  function text(bytes) {
    try {
      return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
    } catch {
      throw new Refused("these bytes hold a text that is no UTF-8");
    }
  }

  /* Canonical MessagePack: every number and length in its shortest form. */
  function pack(value) {
    if (typeof value === "boolean") return new Uint8Array([value ? 0xc3 : 0xc2]);
    if (isNumber(value)) return sized(BigInt(value), 0, 128n, 0xcc, 1);
    if (typeof value === "string") {
      const body = utf8.encode(value);
      return join(sized(BigInt(body.length), 0xa0, 32n, 0xd9, 1), body);
    }
    if (Array.isArray(value)) {
      return joined([sized(BigInt(value.length), 0x90, 16n, 0xdb, 2), ...value.map(pack)]);
    }
    return join(sized(BigInt(value.length), 0, 0n, 0xc4, 1), value);
  }

  function sized(size, small, limit, head, least) {
    if (size < limit) return new Uint8Array([small | Number(size)]);
    const width = [1, 2, 4, 8].find((each) => each >= least && size < 1n << BigInt(8 * each));
    const bytes = [head + Math.log2(width)];
    for (let at = width - 1; at >= 0; at -= 1) bytes.push(Number((size >> BigInt(8 * at)) & 255n));
    return new Uint8Array(bytes);
  }

  /* The fields of `what`, types checked, one letter each: int, str, word, bytes, hash, path, list, flag. */
  function fields(value, shape, what) {
    const fits = {
      i: (field) => isNumber(field) && field <= COUNT_MAX,
      s: (field) => typeof field === "string",
      w: (field) => typeof field === "string" && Array.from(field).length <= 256,
      b: (field) => field instanceof Uint8Array,
      h: (field) => field instanceof Uint8Array && field.length === 32,
      p: (field) => field instanceof Uint8Array && field.length <= 2048 && field.length % 32 === 0,
      l: Array.isArray,
      f: (field) => typeof field === "boolean",
    };
    need(Array.isArray(value) && value.length === shape.length, `${what} has not the form of one`);
    value.forEach((field, at) => need(fits[shape[at]](field), `${what} has a bad field`));
    return value;
  }

  /* The one form of a file in JSON, names in either order; its base64 is the only group that takes part. What
     readers of JSON disagree about (names said twice, escapes, numbers, depth) is no part of it. */
  function formOf(kind) {
    const space = "[ \\t\\r\\n]*";
    const pair = (name, value) => `"${name}"${space}:${space}${value}`;
    const both = (one, other) =>
      `\\{${space}(?:${one}${space},${space}${other}|${other}${space},${space}${one})${space}\\}`;
    const inner = both(pair("format", `"dtvn-${kind}/1"`), pair(kind, '"([A-Za-z0-9+/]+={0,2})"'));
    const answer = both(pair("success", "true"), pair("data", inner));
    return new RegExp(`^(?:${inner}|${answer})${space}$`);
  }

  /* The bytes inside a file (Uint8Array): bare, in JSON, or in an answer of the REST API. */
  function unwrap(kind, file) {
    let data = file;
    if (file[0] === 0x7b) {
      // Bytes that are no UTF-8 become a letter that the form has nowhere.
      const groups = formOf(kind).exec(new TextDecoder("utf-8").decode(file));
      const form = `{"format": "dtvn-${kind}/1", "${kind}": "<base64>"}`;
      need(groups, `this file is no ${kind}: not ${form}, alone or the "data" of a good answer`);
      const coded = groups.slice(1).find((group) => group !== undefined);
      const letters = root.atob(coded.slice(0, coded.length - (coded.length % 4)));
      need(root.btoa(letters) === coded, `the ${kind} in this file is not the one spelling of its base64`);
      data = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
    } else {
      const begins = file[0] >= 0x90 && file[0] < 0xa0;
      need(begins, `this file is no ${kind}: it begins neither with { nor as its bytes do`);
    }
    need(data.length <= BYTES_MAX[kind], `this file is no ${kind}: ${data.length} bytes are too many`);
    return data;
  }

  // --- trees and signatures ----------------------------------------------------------------------

  const node = (left, right) => digest(new Uint8Array([1]), left, right);

  function hashes(path) {
    need(path.length % 32 === 0, "a path holds something that is no hash");
    return Array.from({ length: path.length / 32 }, (_, at) => path.slice(32 * at, 32 * at + 32));
  }

  /* RFC 9162, 2.1.3.2: the root over `size` leaves to which `path` leads from the leaf at `index`. */
  function climb(index, size, leaf, path) {
    const wrong = "its path does not lead to its checkpoint";
    let last = size - 1n;
    let found = leaf;
    need(index >= 0n && index <= last, wrong);
    for (const sibling of path) {
      need(last > 0n, wrong);
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
    need(last === 0n, wrong);
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

  const quorum = (count) => Math.floor((count + Math.floor((count - 1) / 3) + 2) / 2);

  // --- the chain of epochs -----------------------------------------------------------------------

  function membersOf(rows) {
    const members = rows.map((row) => {
      const [name, key] = fields(row, "shsi", "a member");
      return { name, key };
    });
    const names = new Set(members.map((member) => member.name));
    const keys = new Set(members.map((member) => member.key.join()));
    need(
      members.length >= 1 && members.length <= 31 && names.size === members.length && keys.size === members.length,
      "members are too many or share a name or a key",
    );
    return members;
  }

  /* The genesis in the file that parties sealed; who takes it from somebody he trusts needs no seals. */
  function founded(terms, records) {
    const [name, created, , parameters, version] = fields(terms, "siili", "the terms");
    need(Array.isArray(records), "the genesis has a bad field");
    const parties = records.map((record) => fields(fields(record, "ll", "a record")[0], "hll", "a party"));
    const principals = parties.flatMap((party) => party[2]).map((row) => fields(row, "shl", "a principal"));
    principals.sort((one, other) => (one[0] < other[0] ? -1 : 1));
    return pack([name, created, parties.map((party) => party[1]), principals, parameters, false, version]);
  }

  /* Verify every link of an epoch chain (or a bare or sealed genesis). */
  async function readChain(data) {
    const found = unpack(data);
    const sealed = Array.isArray(found) && found.length === 4;
    if (sealed) data = founded(found[1], found[2]);
    const bare = sealed || (Array.isArray(found) && found.length === 7);
    const [version, genesis, handovers] = bare ? [1, data, []] : fields(found, "ibl", "the epoch chain");
    need(version === 1, "the epoch chain is of a newer version");
    const [name, , members] = fields(unpack(genesis), "silllfi", "the genesis");
    const chain = {
      name,
      cluster: digest(tag("dtvn/v1/genesis"), genesis),
      epochs: [{ members: membersOf(members), after: 0 }],
    };
    for (const [epoch, handover] of handovers.entries()) {
      const end = await prove(handover, chain);
      const at = end.checkpoint;
      const ends = end.kind === "reconfigure" && end.code === "ok" && end.epoch === epoch;
      need(ends && at && at.epoch === epoch && at.sequence === end.sequence, `epoch ${epoch} does not end so`);
      const [begun, rows] = fields(unpack(end.state), "il", "a hand-over");
      need(begun === epoch + 1, `epoch ${epoch} does not end with this hand-over`);
      chain.epochs.push({ members: membersOf(rows), after: end.sequence });
    }
    return chain;
  }

  function membersIn(chain, epoch, sequence) {
    const count = chain.epochs.length;
    need(epoch < count, `epoch ${epoch} is not in this chain, which ends with ${count - 1}`);
    const next = chain.epochs[Number(epoch) + 1];
    const inside = sequence > chain.epochs[Number(epoch)].after && (!next || sequence <= next.after);
    need(inside, `sequence ${sequence} is not in epoch ${epoch}`);
    return chain.epochs[Number(epoch)].members;
  }

  // --- certificates ------------------------------------------------------------------------------

  /* What the bytes of a certificate prove to somebody who trusts `chain`. */
  async function prove(data, chain) {
    const [version, cluster, leaf, sides, path, epoch, sequence, batch, previous, proof] = fields(
      unpack(data),
      "ibbipiihhl",
      "the certificate",
    );
    need(version === 1, `a certificate of version ${version}; this verifier knows 1`);
    need(same(cluster, chain.cluster.slice(0, 8)), "the certificate is of another cluster than this chain");
    const [index, operation, code, time, state] = fields(unpack(leaf), "ilwib", "the leaf");
    const [kind, event, ticket] = fields(operation, "sssssibb", "the operation");
    const siblings = hashes(path);
    need(BigInt(sides) >> BigInt(siblings.length) === 0n, "its path names more sides than it has hashes");
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
    let signatures;
    if (proof[0] === "receipts") {
      signatures = fields(proof, "sl", "the proof")[1];
    } else {
      const [word, inEpoch, size, stateRoot, then, logPath, signed] = fields(proof, "siihipl", "the proof");
      need(word === "checkpoint" && inEpoch >= epoch, "its proof is none");
      members = membersIn(chain, inEpoch, size);
      checkpoint = { epoch: inEpoch, sequence: size };
      const logRoot = climb(BigInt(sequence) - 1n, BigInt(size), entry, hashes(logPath));
      said = CHECKPOINT;
      body = (sender) => [inEpoch, sender, size, stateRoot, logRoot, then];
      signatures = signed;
    }
    const signers = await signersOf(signatures, said, body, members, chain);
    const proved = { event, ticket, kind, code, epoch, sequence, index, time, state, entry, checkpoint };
    return { ...proved, members: members.length, signers, ticketState: ticketState(state, event, ticket) };
  }

  async function signersOf(signatures, said, body, members, chain) {
    const needed = quorum(members.length);
    const count = members.length;
    need(
      signatures.length === needed,
      `it has ${signatures.length} signatures; exactly ${needed} of ${count} are needed`,
    );
    let before = -1;
    const signers = [];
    for (const pair of signatures) {
      const [sender, signature] = fields(pair, "ib", "a signature");
      need(sender > before && sender < count, "its signers are not distinct members in ascending order");
      before = sender;
      const data = join(tag("dtvn/v1/signed"), chain.cluster, new Uint8Array([said]), pack(body(sender)));
      const member = members[sender];
      const good = await isSigned(member.key, data, signature);
      need(good, `the signature of ${shown(member.name)} does not fit what the certificate says`);
      signers.push(member);
    }
    return signers;
  }

  function ticketState(state, event, ticket) {
    if (state[0] !== 0x9f) return null;
    const found = fields(unpack(state), "ssisiiisssbsssl", "the state");
    const clock = found[14];
    fields(clock, "i".repeat(clock.length), "the state");
    need(found[2] >= 1 && found[2] <= 5, "the state has not the form of one");
    return found[0] === event && found[1] === ticket ? found : null;
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
    const liars = Math.floor((proved.members - 1) / 3);
    const where = `sequence ${proved.sequence}, index ${proved.index}, epoch ${proved.epoch}`;
    const names = proved.signers.map((member) => shown(member.name)).join(", ");
    const tolerance = liars ? `of whom ${liars} may lie` : "crash-only, no liar tolerated";
    const lines = [
      `ticket ${shown(proved.ticket)} of event ${shown(proved.event)}: ${shown(proved.kind)} -> ` +
        `${shown(proved.code)} at ${where}, log time ${moment(proved.time)}`,
      `signed by ${names}: ${proved.signers.length} of ${proved.members} members, ${tolerance}`,
      proved.checkpoint
        ? `proved by the log under their checkpoint at sequence ${proved.checkpoint.sequence}, ` +
          `epoch ${proved.checkpoint.epoch}`
        : "proved by their receipts for this sequence",
    ];
    if (proved.ticketState) {
      const [gate, device] = proved.ticketState.slice(11, 13);
      const place = (gate && `, gate ${shown(gate)}`) + (device && `, device ${shown(device)}`);
      lines.push(`right after it the ticket was ${STATES[proved.ticketState[2]]}${place}`);
    }
    return [...lines, "It is an outcome at one point of the log and says nothing about what came later."];
  }

  /* Why both cannot be true and who signed both, as sentences; none when they can. */
  function contradiction(one, other) {
    const [first, second] = one.sequence <= other.sequence ? [one, other] : [other, one];
    let why = "";
    if (first.sequence === second.sequence) {
      if (!same(first.entry, second.entry)) why = `two entries at sequence ${first.sequence}`;
    } else if (first.event === second.event && first.ticket === second.ticket && first.ticketState) {
      const final = FINAL.includes(first.ticketState[2]) && second.state.length;
      if (final && !same(first.state, second.state)) {
        why =
          `ticket ${shown(first.ticket)} of event ${shown(first.event)} was final at sequence ` +
          `${first.sequence} and another one at sequence ${second.sequence}`;
      }
    }
    if (!why) return [];
    const both = one.signers.filter((member) => other.signers.some((known) => same(known.key, member.key)));
    const names = both.map((member) => shown(member.name)).join(", ") || "nobody";
    const weak = Math.floor((Math.min(one.members, other.members) - 1) / 3) + 1;
    return [`contradiction: ${why}`, `convicted, having signed both: ${names} (f + 1 = ${weak})`];
  }

  const api = { Refused, contradiction, fallback: false, prove, readChain, sentences, unwrap };
  root.dtvnVerify = api;
})(globalThis);
