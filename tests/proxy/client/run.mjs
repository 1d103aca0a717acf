// The official AG-UI client before the agents named on standard input, a JSON list of {url, tools, turns};
// prints what it made of each: its error, messages, state, and the types of the events it took.
import { HttpAgent } from "@ag-ui/client";
import { readFileSync } from "node:fs";

const OURS = "dtvn.verdict";
const quiet = () => {};
console.error = console.warn = quiet;

async function outcome({ url, tools = [], turns = [{}] }) {
  const agent = new HttpAgent({ url, threadId: "thread", initialState: {} });
  const events = [];
  const marks = [];
  const listener = {
    onEvent({ event }) {
      if (event.type === "CUSTOM" && event.name === OURS) marks.push(event.value);
      else events.push(event.type);
    },
  };
  let error = null;
  try {
    for (const [number, turn] of turns.entries()) {
      if (turn.say !== undefined) agent.messages.push({ id: `u${number}`, role: "user", content: turn.say });
      for (const content of turn.results ?? []) {
        const calls = agent.messages.flatMap((message) => message.toolCalls ?? []);
        const toolCallId = calls.at(-1).id;
        agent.messages.push({ id: `r${number}`, role: "tool", toolCallId, content });
      }
      const resume = turn.approve
        ? agent.pendingInterrupts.map(({ id }) => ({ interruptId: id, status: "resolved", payload: turn.approve }))
        : undefined;
      await agent.runAgent({ runId: `run-${number}`, tools, resume }, listener);
    }
  } catch (thrown) {
    error = String(thrown.message ?? thrown);
  }
  return { error, messages: agent.messages, state: agent.state, interrupts: agent.pendingInterrupts, events, marks };
}

const asked = JSON.parse(readFileSync(0, "utf8"));
const found = [];
for (const each of asked) found.push(await outcome(each));
process.stdout.write(JSON.stringify(found), () => process.exit(0));
