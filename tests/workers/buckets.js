/**
 * Stands before R2 in tests: uploads bear the time that the test says it is, locks hold, calls fail when they are told to,
 * and what is written to the primary is remembered as the bucket's events.
 */

export const events = [];

const DAY = 86_400_000;

function dated(object) {
  if (object === null) return null;
  const { key, size, etag, checksums, customMetadata, httpMetadata, uploaded } = object;
  const { at, ...metadata } = customMetadata ?? {};
  const known = { key, size, etag, checksums, customMetadata: metadata, httpMetadata };
  const body = object.body === undefined ? {} : { body: object.body, arrayBuffer: () => object.arrayBuffer() };
  return { ...known, ...body, uploaded: at === undefined ? uploaded : new Date(at) };
}

function random(seed) {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

export function bucketOf(name, real, steps, { clock, flaky, locks = [], sizes = {} }) {
  const next = random(flaky?.seed ?? 0);
  const call = async (work) => {
    const fails = flaky !== undefined && next() < flaky.share;
    const early = fails && next() < 0.5;
    if (early) throw new Error("the store failed");
    const result = await steps.take(work);
    if (fails) throw new Error("the store failed");
    return result;
  };
  const refuseLocked = async (keys) => {
    for (const key of keys) {
      const lock = locks.find(({ prefix }) => key.startsWith(prefix));
      const object = lock === undefined ? null : dated(await real.head(key));
      if (object !== null && Date.parse(clock) < object.uploaded.getTime() + lock.days * DAY) throw new Error("locked");
    }
  };
  return {
    head: (key) =>
      call(async () => {
        const object = dated(await real.head(key));
        return object !== null && key in sizes ? { ...object, size: sizes[key] } : object;
      }),
    get: (key, options) => call(async () => dated(await real.get(key, options))),
    put: (key, body, { customMetadata, ...options } = {}) =>
      call(async () => {
        await refuseLocked([key]);
        const object = await real.put(key, body, { ...options, customMetadata: { ...customMetadata, at: clock } });
        if (name === "PRIMARY") events.push(key);
        return dated(object);
      }),
    delete: (keys) =>
      call(async () => {
        await refuseLocked([keys].flat());
        await real.delete(keys);
      }),
    list: (options) =>
      call(async () => {
        const page = await real.list({ ...options, include: ["customMetadata"] });
        return { ...page, objects: page.objects.map(dated) };
      }),
  };
}

/** Writes an object of so many bytes, of which no two MiB are alike; answers its SHA-256. For benchmarks. */
export async function fill(env, { bucket, key, mib }) {
  const { readable, writable } = new FixedLengthStream(mib * 2 ** 20);
  const [stored, hashed] = readable.tee();
  const digest = new crypto.DigestStream("SHA-256");
  const write = async () => {
    const writer = writable.getWriter();
    for (let number = 0; number < mib; number++) {
      const chunk = new Uint8Array(2 ** 20);
      for (let at = 0; at < chunk.length; at += 65_536) crypto.getRandomValues(chunk.subarray(at, at + 65_536));
      await writer.write(chunk);
    }
    await writer.close();
  };
  await Promise.all([env[bucket].put(key, stored), hashed.pipeTo(digest), write()]);
  return Array.from(new Uint8Array(await digest.digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Copies an object as plainly as can be: what there is to compare with. For benchmarks. */
export async function copy(env, { from, to, key }) {
  const object = await env[from].get(key);
  await env[to].put(`copied/${key}`, object.body);
  return object.size;
}
