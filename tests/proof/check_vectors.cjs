/* Runs static/verifier/verify.js over vectors from standard input; one JSON line of verdicts on standard output.
   `--fallback`: with the vendored Ed25519 instead of WebCrypto's. */
"use strict";
const fs = require("fs");
const path = require("path");
const vm = require("vm");

const shelf = path.join(__dirname, "../../static");
globalThis.self = globalThis;
globalThis.crypto ??= require("crypto").webcrypto;
for (const file of ["vendor/sha256.min.js", "vendor/nacl-fast.min.js", "verifier/forms.js", "verifier/verify.js"]) {
  vm.runInThisContext(fs.readFileSync(path.join(shelf, file), "utf8"), { filename: file });
}
const verifier = globalThis.dtvnVerify;
verifier.fallback = process.argv.includes("--fallback");
const bytes = (text) => Uint8Array.from(Buffer.from(text, "base64"));

async function verdict(vector) {
  try {
    const chain = await verifier.readChain(verifier.unwrap("chain", bytes(vector.chain)));
    const proved = await verifier.prove(verifier.unwrap("certificate", bytes(vector.certificate)), chain);
    const told = { sentences: verifier.sentences(proved) };
    if (vector.against) {
      const other = await verifier.prove(bytes(vector.against), chain);
      told.against_sentences = verifier.contradiction(proved, other);
    }
    return told;
  } catch (error) {
    if (!(error instanceof verifier.Refused)) throw error; // it fell, which is no verdict
    return { refused: true, why: error.message };
  }
}

(async () => {
  const given = JSON.parse(fs.readFileSync(0, "utf8"));
  const told = [];
  for (const vector of given.vectors) told.push(await verdict(vector));
  process.stdout.write(JSON.stringify(told));
})();
