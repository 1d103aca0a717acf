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

  async function check() {
    const mine = (turn += 1);
    let told;
    try {
      const chain = await bytesOf("chain", "chain");
      const certificate = await bytesOf("certificate", "certificate");
      const against = await bytesOf("against", "certificate");
      if (!chain || !certificate) return;
      const trusted = await verifier.readChain(chain);
      const proved = await verifier.prove(certificate, trusted);
      const lines = verifier.sentences(proved);
      told = ["good", "The certificate is valid.", lines];
      if (against) {
        const other = await verifier.prove(against, trusted);
        const found = verifier.contradiction(proved, other);
        const more = [...lines, ...verifier.sentences(other), ...(found ? found.sentences : [])];
        told = found
          ? ["bad", "Both certificates are valid, but they contradict each other.", more]
          : ["good", "Both certificates are valid, and both can be true.", more];
      }
    } catch (error) {
      told = ["bad", "Verification failed.", [error.code ? `${error.message} [${error.code}]` : error.message]];
    }
    if (mine === turn) show(...told);
  }

  document.querySelector("form").addEventListener("change", check);
})();
