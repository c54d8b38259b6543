/**
 * Wraps R2 buckets in tests: uploads have the simulated time, locks are enforced, calls fail on request,
 * and each key written to the primary is recorded as one of the bucket's events.
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

export function bucketOf(name, real, steps, { clock, flaky, locks = [], sizes = {}, altered = [], page: most = 1_000 }) {
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
    get: (key, options) =>
      call(async () => {
        const object = dated(await real.get(key, options));
        return altered.includes(key) ? { ...object, body: new Blob([new Uint8Array(object.size)]).stream() } : object;
      }),
    put: (key, body, { customMetadata, ...options } = {}) =>
      call(async () => {
        await refuseLocked([key]);
        const object = await real.put(key, body, { ...options, customMetadata: { ...customMetadata, at: clock } });
        if (name === "COPY_PRIMARY") events.push(key);
        return dated(object);
      }),
    createMultipartUpload: (key, { customMetadata, ...options } = {}) =>
      call(async () => {
        await refuseLocked([key]);
        const upload = await real.createMultipartUpload(key, { ...options, customMetadata: { ...customMetadata, at: clock } });
        return { uploadId: upload.uploadId };
      }),
    resumeMultipartUpload: (key, id) => {
      const upload = real.resumeMultipartUpload(key, id);
      return {
        uploadPart: (number, bytes) => call(() => upload.uploadPart(number, bytes)),
        complete: (parts) =>
          call(async () => {
            await refuseLocked([key]);
            const object = await upload.complete(parts);
            if (name === "COPY_PRIMARY") events.push(key);
            return dated(object);
          }),
        abort: () => call(() => upload.abort()),
      };
    },
    delete: (keys) =>
      call(async () => {
        await refuseLocked([keys].flat());
        await real.delete(keys);
      }),
    list: (options) =>
      call(async () => {
        // With metadata included, R2 returns shorter pages than the Worker would get: join them.
        const whole = { objects: [], delimitedPrefixes: [] };
        const limit = options?.limit ?? most;
        for (let more = true, cursor = options?.cursor; more && whole.objects.length < limit; ) {
          const page = await real.list({ ...options, limit, ...(cursor && { cursor }), include: ["customMetadata"] });
          whole.objects.push(...page.objects.map(dated));
          whole.delimitedPrefixes.push(...page.delimitedPrefixes);
          ({ truncated: more, cursor } = page);
          Object.assign(whole, { truncated: more, cursor });
        }
        return whole;
      }),
  };
}

/** Returns the keys of all objects. */
export async function listed(bucket) {
  const keys = [];
  for (let cursor, more = true; more; ) {
    const page = await bucket.list({ ...(cursor && { cursor }) });
    keys.push(...page.objects.map(({ key }) => key));
    ({ cursor, truncated: more } = page);
  }
  return keys;
}

/** The base64 of bytes. */
export function base64Of(bytes) {
  return btoa(Array.from(new Uint8Array(bytes), (byte) => String.fromCharCode(byte)).join(""));
}

/** The bytes of base64. */
export function bytesOf(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

function hex(digest) {
  return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

const OPERATIONS = {
  /** Returns the keys that were written to the primary bucket since the last call. */
  events: () => events.splice(0),

  /** Writes objects. `objects` is base64 by key; `at` is their simulated time of upload. */
  async write(bucket, { objects, at }) {
    for (const [key, base64] of Object.entries(objects)) {
      await bucket.put(key, bytesOf(base64), { customMetadata: { at } });
    }
    return null;
  },

  async read(bucket, { key }) {
    const object = await bucket.get(key);
    return object === null ? null : base64Of(await object.arrayBuffer());
  },

  keys: (bucket) => listed(bucket),

  /** Returns the SHA-256 of every object, by key. */
  async digests(bucket) {
    const found = {};
    for (const key of await listed(bucket)) {
      const bytes = await (await bucket.get(key)).arrayBuffer();
      found[key] = hex(await crypto.subtle.digest("SHA-256", bytes));
    }
    return found;
  },

  /** Writes an object of `mib` random MiB. Returns its SHA-256. For benchmarks. */
  async fill(bucket, { key, mib }) {
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
    await Promise.all([bucket.put(key, stored), hashed.pipeTo(digest), write()]);
    return hex(await digest.digest);
  },

  /** Copies an object without any check, as the baseline of benchmarks. */
  async copy(bucket, { key, to }, env) {
    await env[to].put(`copied/${key}`, (await bucket.get(key)).body);
    return null;
  },
};

/** Runs an operation on a bucket for a test, inside the Worker's process. The request is { operation, bucket, … }. */
export function bulk(env, { operation, bucket, ...rest }) {
  return OPERATIONS[operation](env[bucket], rest, env);
}
