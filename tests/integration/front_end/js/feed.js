// The Go DTVN's socket: never sends anything, dispatches each frame by its type.
const frames = [];
const socket = new WebSocket(`ws://${window.location.host}/ws`);
socket.onmessage = (event) => frames.push(JSON.parse(event.data));

export async function frame(matches, seconds = 120) {
  const until = Date.now() + seconds * 1000;
  while (Date.now() < until) {
    const found = frames.find(matches);
    if (found) {
      return found;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`no such frame among ${JSON.stringify(frames.map((each) => each.type))}`);
}
