/** A plugin of miniflare: binds buckets that another server of this process has (bindings.mjs), instead of miniflare's own. */

import { BUCKET } from "./bindings.mjs";

export const NAME = "buckets";

/** Returns the option `unsafeBindings` of a Cloudflare Worker: bucket ids by binding. */
export function bindingsOf(buckets, port) {
  const plugin = { name: NAME, package: import.meta.filename };
  return Object.entries(buckets).map(([name, id]) => ({ name, type: "r2_bucket", plugin, options: { id, port } }));
}

const serviceOf = (id) => `${NAME}:${id}`;

export const plugins = {
  [NAME]: {
    options: undefined,
    getBindings: (bound = []) =>
      bound.map(({ name, options: { id } }) => ({ name, r2Bucket: { name: serviceOf(id) } })),
    getNodeBindings: () => ({}),
    getServices: ({ options: bound = [] }) =>
      bound.map(({ options: { id, port } }) => {
        const http = { injectRequestHeaders: [{ name: BUCKET, value: id }] };
        return { name: serviceOf(id), external: { address: `127.0.0.1:${port}`, http } };
      }),
  },
};
