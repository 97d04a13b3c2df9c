// The service's HTTP interface. Addresses are relative, so the page also works behind a path prefix.
import { askForKey, currentKey } from "./key.js";

/** An RFC 9457 problem document, or a failure to reach the service told in the same words. */
export class Problem extends Error {
  constructor({ title, subject, detail = "", remedy }) {
    super(`${title}. ${detail}`);
    Object.assign(this, { title, subject, detail, remedy });
  }
}

/** Fetch with the key there is; where the service wants another, ask for it and try again. */
async function send(method, path, body, ask) {
  for (;;) {
    const key = currentKey();
    const headers = { ...(body && { "Content-Type": "application/json" }), ...(key && { Authorization: `Bearer ${key}` }) };
    let response;
    try {
      response = await fetch(path, { method, headers, body: body ? JSON.stringify(body) : undefined });
    } catch {
      throw new Problem({ title: "The service did not answer", remedy: "Check that it is running, then try again." });
    }
    const again = response.status === 401 && (currentKey() !== key || (ask && await askForKey()));
    if (!again) return response;
  }
}

async function call(method, path, body, { ask = true } = {}) {
  const response = await send(method, path, body, ask);
  const answer = await response.json().catch(() => null);
  if (response.ok) return answer;
  throw new Problem({ title: `The service answered ${response.status}`, ...answer });
}

const item = (id) => `items/${encodeURIComponent(id)}`;

export const status = () => call("GET", "status", undefined, { ask: false }); // every few seconds, of its own accord
export const getItem = (id) => call("GET", item(id));
export const putItem = (id, body) => call("PUT", item(id), body);
export const listItems = (limit, offset) => call("GET", `items?limit=${limit}&offset=${offset}`);
export const similar = (id, limit) => call("GET", `${item(id)}/similar?limit=${limit}`);
export const recommend = (query) => call("POST", "recommendations", query);
export const pictureOf = (id, version) => `${item(id)}/image?v=${version}`;
export const pictureBytes = async (address) => (await send("GET", address, undefined, false)).blob();

/** Join rows of a list with what the catalogue says about their items. */
export const describe = (rows) => Promise.all(rows.map(async (row) => {
  const record = await getItem(row.item_id).catch(() => ({}));
  return { ...record, ...row };
}));
