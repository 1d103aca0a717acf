// The rules of the Go DTVN's client: JSON before the status, `success` before the data, no key.
window.refusals = 0; // how many answers a browser notes as errors

export async function call(method, path, body) {
  const response = await fetch(`${window.location.origin}/api/v1${path}`, {
    method,
    headers: { "Content-Type": "application/json" },
    body: body === undefined ? undefined : JSON.stringify(body),
  });
  const json = await response.json();
  if (!response.ok) {
    window.refusals += 1;
    throw new Error(json.error || `${response.status}`);
  }
  if (typeof json === "object" && json !== null && "success" in json) {
    if (!json.success) {
      throw new Error(json.error);
    }
    return json.data === undefined ? json : json.data;
  }
  return json;
}

export const get = (path) => call("GET", path);
export const post = (path, body) => call("POST", path, body);
export const remove = (path) => call("DELETE", path);
