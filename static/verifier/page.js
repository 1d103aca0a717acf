/* The page around verify.js: three files in, sentences out. */
(function () {
  "use strict";

  const verifier = globalThis.dtvnVerify;
  const headline = document.getElementById("headline");
  const verdict = document.getElementById("verdict");
  const list = document.getElementById("sentences");
  let turn = 0;

  function show(tone, title, lines) {
    verdict.dataset.tone = tone;
    headline.textContent = title;
    list.replaceChildren(
      ...lines.map((line) => {
        const item = document.createElement("li");
        item.textContent = line;
        return item;
      }),
    );
  }

  async function bytesOf(id, kind) {
    const file = document.getElementById(id).files[0];
    if (!file) return null;
    verifier.needRoom(kind, file.size); // before it is read
    let content;
    try {
      content = await file.arrayBuffer();
    } catch {
      throw new verifier.Refused("unreadable", file.name, `${file.name} cannot be read`);
    }
    return verifier.unwrap(kind, new Uint8Array(content));
  }

  async function ofCertificates(certificate, against, chain) {
    const proved = await verifier.prove(certificate, chain);
    const lines = verifier.sentences(proved);
    const repeats = proved.first && proved.first.length;
    const title = repeats ? "The certificate is valid: a repeat, no admission." : "The certificate is valid.";
    if (!against) return [repeats ? "warn" : "good", title, lines];
    const other = await verifier.prove(against, chain);
    const found = verifier.contradiction(proved, other);
    const more = [...lines, ...verifier.sentences(other), ...(found ? found.sentences : [])];
    return found
      ? ["bad", "Both certificates are valid, but they contradict each other.", more]
      : ["good", "Both certificates are valid, and both can be true.", more];
  }

  async function check() {
    const mine = (turn += 1);
    let told;
    try {
      const chain = await bytesOf("chain", "chain");
      const certificate = await bytesOf("certificate", "certificate");
      const against = await bytesOf("against", "certificate");
      const transcript = await bytesOf("transcript", "transcript");
      if (!chain || !(certificate || transcript)) return;
      const trusted = await verifier.readChain(chain);
      told = certificate ? await ofCertificates(certificate, against, trusted) : ["good", "", []];
      if (transcript) {
        const more = await verifier.transcript(transcript, trusted);
        told = [told[0], `${told[1]} The transcript is valid.`.trim(), [...told[2], ...more]];
      }
    } catch (error) {
      told = ["bad", "Verification failed.", [error.code ? `${error.message} [${error.code}]` : error.message]];
    }
    if (mine === turn) show(...told);
  }

  document.querySelector("form").addEventListener("change", check);
})();
