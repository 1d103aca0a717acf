/*
 * A file that is too large for an upload is not sent. The progress of one import: asked for while a worker has the
 * file; the page is drawn anew when it ends. Without progress it says what the import waits for. The button that
 * confirms says how much is ticked.
 */
(function () {
  "use strict";

  const { ask: question, at, counted, fetchJson, grouped, put, root, say: tell } = dtvn.ui;
  const ASK_AFTER = 700; // milliseconds
  const SAID_AFTER = 2000; // milliseconds without progress, as in the commands
  const SAY_AFTER = 500;
  const WORKING = ["reading", "issuing"];
  const begun = root.dataset.importState;
  let text = at("import-text")?.textContent;
  let waitsFor = "";
  let done = null; // tickets with a final answer, as of the newest answer of the platform
  let progressAt = Date.now();
  let answeredAt = Date.now();

  async function ask() {
    try {
      const found = await fetchJson(root.dataset.importUrl);
      answeredAt = Date.now();
      if (found.state !== begun) {
        location.reload();
        return;
      }
      if (done !== null && found.done !== done) {
        progressAt = answeredAt;
      }
      done = found.done;
      waitsFor = found.waits_for;
      if (found.total) {
        at("import-progress").max = found.total;
        at("import-progress").value = found.done;
      }
      text = found.total ? `${grouped.format(found.done)} of ${counted(found.total, "ticket")}` : "Reading the file";
    } catch (error) {
      text = `${error.message}; asking again`;
    }
    say();
    setTimeout(ask, ASK_AFTER);
  }

  function say() {
    const now = Date.now();
    const what = now - answeredAt >= SAID_AFTER ? "the platform to answer" : waitsFor;
    put("import-text", now - progressAt >= SAID_AFTER ? `${text}; waiting for ${what}` : text);
  }

  function refuseLarge(event) {
    const [file] = this.elements.file.files;
    const most = Number(root.dataset.fileMax);
    if (file.size > most) {
      event.preventDefault();
      const size = `${grouped.format(most / 1e6)} MB`;
      tell(`${file.name} is larger than ${size}: divide it, and import the parts one after the other.`, "bad");
    }
  }

  /* What is ticked: what the platform keeps, and what differs from it on this page. */
  function nameConfirm(list, button) {
    const name = () => {
      const ticked = { new: Number(button.dataset.new), changes: Number(button.dataset.changes) };
      for (const group of list.querySelectorAll("details")) {
        const boxes = [...group.querySelectorAll("input[type=checkbox]")];
        const more = boxes.reduce((sum, box) => sum + box.checked - box.defaultChecked, 0);
        group.querySelector(".ticked").textContent = grouped.format(Number(group.dataset.chosen) + more);
        ticked[group.dataset.new ? "new" : "changes"] += more;
      }
      const said = [
        ticked.new && `Import ${counted(ticked.new, "new ticket")}`,
        ticked.changes && `${ticked.new ? "make" : "Make"} ${counted(ticked.changes, "change")}`,
      ];
      button.textContent = said.filter(Boolean).join(" and ") || "Import without changes";
    };
    list.addEventListener("change", name);
    list.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && event.target.type === "checkbox") {
        event.preventDefault(); // it would confirm
      }
    });
    window.addEventListener("pageshow", name); // a browser may bring ticks back
    name();
  }

  if (at("changes")) {
    nameConfirm(at("changes"), at("confirm-import"));
  }
  at("import-form")?.addEventListener("submit", refuseLarge);
  at("discard")?.addEventListener("submit", async function (event) {
    event.preventDefault();
    const text = "The file, its answers that no import used, and this report are deleted. Tickets that are saved here stay.";
    const button = this.querySelector("button").textContent;
    if (await question(`${button}: ${this.dataset.file}?`, () => text, "Delete")) {
      this.submit();
    }
  });
  dtvn.page = dtvn.ui.follow({});
  if (WORKING.includes(begun)) {
    setTimeout(ask, ASK_AFTER);
    setInterval(say, SAY_AFTER);
  }
})();
