// The official AG-UI client over the bodies on standard input, a JSON list of texts in base64: of each a letter,
// E if it ends the run, W if it warns, Q if it is quiet. With --words also what it said.
import { HttpAgent } from "@ag-ui/client";
import { readFileSync } from "node:fs";

const words = process.argv.includes("--words");
let said = [];
console.error = () => {};
console.warn = (...parts) => said.push(parts.join(" "));

async function played(body) {
  said = [];
  const fetch = async () => new Response(Buffer.from(body, "base64"), { headers: { "content-type": "text/event-stream" } });
  const agent = new HttpAgent({ url: "http://agent.test/", threadId: "t", initialState: {}, fetch });
  let error = null;
  try {
    await agent.runAgent({ runId: "r" });
  } catch (thrown) {
    error = String(thrown.message ?? thrown);
  }
  const letter = error !== null ? "E" : said.length ? "W" : "Q";
  return words ? { letter, error, said, messages: agent.messages, state: agent.state } : letter;
}

const found = [];
for (const body of JSON.parse(readFileSync(0, "utf8"))) found.push(await played(body));
process.stdout.write(JSON.stringify(found), () => process.exit(0));
