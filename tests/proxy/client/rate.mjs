// The official pipeline over a file of server-sent events: parsing, enforcement, chunks, verification. Prints
// {events, seconds}: the processor time of this alone.
import { enforceEvents, parseSSEStream, transformChunks, verifyEvents } from "@ag-ui/client";
import { Subject } from "rxjs";
import { readFileSync } from "node:fs";

const PIECE = 64 * 1024;
const body = readFileSync(process.argv[2]);
const http = new Subject();
let events = 0;
const counted = { next: () => (events += 1), error: (error) => { throw error; } };
parseSSEStream(http).pipe(enforceEvents(), transformChunks(), verifyEvents()).subscribe(counted);
const begin = process.cpuUsage();
for (let at = 0; at < body.length; at += PIECE) http.next({ type: "data", data: body.subarray(at, at + PIECE) });
http.complete();
const { user, system } = process.cpuUsage(begin);
console.log(JSON.stringify({ events, seconds: (user + system) / 1e6 }));
