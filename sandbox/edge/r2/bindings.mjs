/**
 * R2 for Cloudflare Workers: workerd's bindings send each operation as one HTTP request. JSON describes it, in a header or before the
 * object's bytes: https://github.com/cloudflare/workerd/blob/main/src/workerd/api/r2-api.capnp
 */

import { createServer } from "node:http";
import { pipeline } from "node:stream/promises";
import { partOf, rangeOf } from "./conditions.mjs";
import { errors, R2Error } from "./errors.mjs";

/** The header that names the bucket (plugin.mjs). */
export const BUCKET = "x-sandbox-bucket";

const HASHES = { md5: "base64", sha1: "hex", sha256: "hex", sha384: "hex", sha512: "hex" };
const MAX_PAGE = 1_000;

/** A page with metadata is shorter, as R2 documents it. */
const MAX_PAGE_WITH_METADATA = 100;

function described(object, range) {
  const { md5, sha1, sha256, sha384, sha512 } = JSON.parse(object.checksums);
  return {
    name: object.key,
    version: object.version,
    size: object.size,
    etag: object.etag,
    uploaded: object.uploaded,
    httpFields: JSON.parse(object.http),
    customFields: Object.entries(JSON.parse(object.custom)).map(([k, v]) => ({ k, v })),
    checksums: { 0: md5, 1: sha1, 2: sha256, 3: sha384, 4: sha512 },
    ...(range && { range }),
  };
}

const metadataOf = ({ customFields = [], httpFields = {} }) => {
  return { http: httpFields, custom: Object.fromEntries(customFields.map(({ k, v }) => [k, v])) };
};

/** Each operation returns its result as JSON; `get` also returns a stream. */
const OPERATIONS = {
  head: (objects, bucket, { object }) => ({ result: described(objects.find(bucket, object)) }),

  get(objects, bucket, { object: key, onlyIf, range, rangeHeader }) {
    const object = objects.find(bucket, key, onlyIf);
    const part = partOf(rangeHeader === undefined ? range : rangeOf(rangeHeader), object.size);
    return { result: described(object, part), stream: objects.read(object, part), size: part.length };
  },

  list(objects, bucket, { prefix, delimiter, startAfter = "", cursor, limit = MAX_PAGE, include = [] }) {
    const from = cursor === undefined ? startAfter : Buffer.from(cursor, "base64url").toString();
    const most = include.length > 0 ? MAX_PAGE_WITH_METADATA : MAX_PAGE;
    const page = objects.list(bucket, { prefix, delimiter, after: from, limit: Math.min(limit, most) });
    const shown = page.objects.map((object) => {
      const { httpFields, customFields, ...known } = described(object);
      return {
        ...known,
        httpFields: include.includes(0) ? httpFields : {},
        customFields: include.includes(1) ? customFields : [],
      };
    });
    const next = page.next === undefined ? {} : { cursor: Buffer.from(page.next).toString("base64url") };
    return {
      result: { objects: shown, truncated: page.next !== undefined, delimitedPrefixes: page.prefixes, ...next },
    };
  },

  async put(objects, bucket, { object: key, onlyIf, ...given }, body, size) {
    const named = Object.keys(HASHES).filter((name) => given[name] !== undefined);
    const expected = Object.fromEntries(named.map((name) => [name, Buffer.from(given[name], HASHES[name])]));
    const options = { size, only: onlyIf, expected, kept: named, ...metadataOf(given) };
    return { result: described(await objects.put(bucket, key, body, options)) };
  },

  delete(objects, bucket, { object, objects: keys = [object] }) {
    objects.remove(bucket, keys);
    return {};
  },

  createMultipartUpload: (objects, bucket, { object, ...given }) => {
    return { result: { uploadId: objects.begin(bucket, object, metadataOf(given)) } };
  },

  async uploadPart(objects, bucket, { object, uploadId, partNumber }, body, size) {
    return { result: { etag: await objects.putPart(bucket, object, uploadId, partNumber, body, { size }) } };
  },

  completeMultipartUpload(objects, bucket, { object, uploadId, parts }) {
    const chosen = parts.map(({ part, etag }) => ({ number: part, etag }));
    return { result: described(objects.complete(bucket, object, uploadId, chosen)) };
  },

  abortMultipartUpload(objects, bucket, { object, uploadId }) {
    objects.abort(bucket, object, uploadId);
    return {};
  },
};

/** Splits a body: JSON of the given size, and the rest as a stream. */
async function split(request, size) {
  const chunks = request[Symbol.asyncIterator]();
  let begin = Buffer.alloc(0);
  while (begin.length < size) {
    const { value, done } = await chunks.next();
    if (done) throw errors.incomplete();
    begin = Buffer.concat([begin, value]);
  }
  const rest = async function* () {
    if (begin.length > size) yield begin.subarray(size);
    yield* { [Symbol.asyncIterator]: () => chunks };
  };
  return [JSON.parse(begin.subarray(0, size).toString()), rest()];
}

async function answer(objects, request, response) {
  const { headers } = request;
  const size = Number(headers["cf-r2-metadata-size"] ?? 0);
  const [call, body] = size === 0 ? [JSON.parse(headers["cf-r2-request"]), null] : await split(request, size);
  const operation = OPERATIONS[call.method];
  if (operation === undefined) throw errors.unsupported(call.method);
  const found = await operation(objects, headers[BUCKET], call, body, Number(headers["content-length"]) - size);
  const { result, stream, size: streamed = 0 } = found;
  const json = Buffer.from(result === undefined ? "" : JSON.stringify(result));
  response.writeHead(200, { "cf-r2-metadata-size": json.length, "content-length": json.length + streamed });
  response.write(json);
  await (stream === undefined ? response.end() : pipeline(stream, response));
}

function fail(error, response) {
  if (!(error instanceof R2Error)) console.error(`an operation of R2 failed: ${error.stack}`);
  if (response.headersSent) return response.destroy();
  const { status, number, message, object } =
    error instanceof R2Error ? error : { status: 500, number: 10001, message: "internal error" };
  const json = object === undefined ? "" : JSON.stringify(described(object));
  response.writeHead(status, {
    "cf-r2-error": JSON.stringify({ version: 1, v4code: number, message }),
    "cf-r2-metadata-size": Buffer.byteLength(json),
    "content-length": Buffer.byteLength(json),
  });
  response.end(json);
}

/**
 * Serves the buckets to workerd on the loopback interface, and returns the port.
 *
 * @param {import("./objects.mjs").Objects} objects
 */
export function serveBindings(objects) {
  const server = createServer((request, response) =>
    answer(objects, request, response).catch((error) => fail(error, response)),
  );
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server.address().port)));
}
