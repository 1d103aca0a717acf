/* Runs static/verifier/verify.js over vectors from standard input; one JSON line of verdicts on standard output.
   `--fallback`: with the vendored Ed25519 instead of WebCrypto's. */
"use strict";
const fs = require("fs");
const path = require("path");
const vm = require("vm");

const shelf = path.join(__dirname, "../../static");
globalThis.self = globalThis;
globalThis.crypto ??= require("crypto").webcrypto;
const files = ["vendor/sha256.min.js", "vendor/nacl-fast.min.js"];
files.push(...["forms", "verify", "transcripts"].map((name) => `verifier/${name}.js`));
for (const file of files) {
  vm.runInThisContext(fs.readFileSync(path.join(shelf, file), "utf8"), { filename: file });
}
const verifier = globalThis.dtvnVerify;
verifier.fallback = process.argv.includes("--fallback");
const bytes = (text) => Uint8Array.from(Buffer.from(text, "base64"));

/* As JSON, with numbers above 2^53 exact. */
const json = (value) =>
  JSON.stringify(value, (_, each) => (typeof each === "bigint" ? `bigint:${each}` : each)).replace(/"bigint:(\d+)"/g, "$1");

const hex = (data) => Buffer.from(data).toString("hex");

/* As tests/proof/verdicts.py tells a certificate. */
function facts(proved) {
  const { event, ticket, kind, code, epoch, sequence, index, members } = proved;
  const state = proved.ticketState;
  return {
    ...{ event, ticket, kind, code, epoch, sequence, index, members, offline: proved.continued },
    liars: verifier.liars(proved.chain, members),
    time: proved.time,
    checkpoint: proved.checkpoint && [proved.checkpoint.epoch, proved.checkpoint.sequence],
    signers: proved.signers.map((member) => member.name),
    state: state && [state[2], state[11], state[12]],
    continues: proved.continues ? hex(proved.continues[0]) : null,
  };
}

async function verdict(vector) {
  try {
    const chain = await verifier.readChain(verifier.unwrap("chain", bytes(vector.chain)));
    if (vector.transcript) {
      const data = verifier.unwrap("transcript", bytes(vector.transcript));
      return { sentences: await verifier.transcript(data, chain) };
    }
    const proved = await verifier.prove(verifier.unwrap("certificate", bytes(vector.certificate)), chain);
    const told = facts(proved);
    if (vector.against) {
      const other = await verifier.prove(bytes(vector.against), chain);
      const found = verifier.contradiction(proved, other);
      told.against = found && { code: found.code, place: found.place, convicted: found.convicted };
    }
    return told;
  } catch (error) {
    if (!(error instanceof verifier.Refused)) throw error; // it fell, which is no verdict
    return { refused: error.code, place: error.place };
  }
}

(async () => {
  const given = JSON.parse(fs.readFileSync(0, "utf8"));
  const told = [];
  for (const vector of given.vectors) told.push(await verdict(vector));
  process.stdout.write(json(told));
})();
