// The service's HTTP interface. Addresses are relative, so the page also works behind a path prefix.

/** An RFC 9457 problem document, or a failure to reach the service told in the same words. */
export class Problem extends Error {
  constructor({ title, subject, detail = "", remedy }) {
    super(`${title}. ${detail}`);
    Object.assign(this, { title, subject, detail, remedy });
  }
}

async function call(method, path, body) {
  let response;
  try {
    response = await fetch(path, {
      method,
      headers: body ? { "Content-Type": "application/json" } : {},
      body: body ? JSON.stringify(body) : undefined,
    });
  } catch {
    throw new Problem({ title: "The service did not answer", remedy: "Check that it is running, then try again." });
  }
  const answer = await response.json().catch(() => null);
  if (response.ok) return answer;
  throw new Problem({ title: `The service answered ${response.status}`, ...answer });
}

const item = (id) => `items/${encodeURIComponent(id)}`;

export const status = () => call("GET", "status");
export const getItem = (id) => call("GET", item(id));
export const putItem = (id, body) => call("PUT", item(id), body);
export const listItems = (limit, offset) => call("GET", `items?limit=${limit}&offset=${offset}`);
export const similar = (id, limit) => call("GET", `${item(id)}/similar?limit=${limit}`);
export const recommend = (query) => call("POST", "recommendations", query);
export const pictureOf = (id, version) => `${item(id)}/image?v=${version}`;

/** Join rows of a list with what the catalogue says about their items. */
export const describe = (rows) => Promise.all(rows.map(async (row) => {
  const record = await getItem(row.item_id).catch(() => ({}));
  return { ...record, ...row };
}));
