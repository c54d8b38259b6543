/**
 * R2's S3 interface, as large as pgBackRest and the S3 clients here need it: objects, listings of version 2 and multipart uploads,
 * with path-style addresses. Signatures and the policies of API tokens are checked.
 */

import { createServer } from "node:http";
import { pipeline } from "node:stream/promises";
import { uploadOf } from "./body.mjs";
import { holds, partOf, rangeOf } from "./conditions.mjs";
import { errors, R2Error } from "./errors.mjs";
import { signerOf } from "./signature.mjs";

/** The largest XML document of a request: a thousand keys of a thousand bytes, escaped. */
const LARGEST_DOCUMENT = 8 * 1_024 ** 2;

/** HTTP headers that R2 keeps with an object, by their name in R2. */
const FIELDS = {
  contentType: "content-type",
  contentLanguage: "content-language",
  contentDisposition: "content-disposition",
  contentEncoding: "content-encoding",
  cacheControl: "cache-control",
};

const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&apos;" };
const escaped = (value) => String(value).replace(/[&<>"']/g, (character) => ESCAPES[character]);
const element = (name, ...content) => `<${name}>${content.join("")}</${name}>`;
const text = (name, value) => element(name, escaped(value));
const document = (name, ...content) => `<?xml version="1.0" encoding="UTF-8"?>${element(name, ...content)}`;

function unescaped(value) {
  const names = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };
  return value.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (_, hex, decimal, name) =>
    name === undefined ? String.fromCodePoint(Number.parseInt(hex ?? decimal, hex ? 16 : 10)) : names[name],
  );
}

const valuesOf = (xml, name) =>
  [...xml.matchAll(new RegExp(`<${name}>([^<]*)</${name}>`, "g"))].map((found) => unescaped(found[1]));

/** One request for a bucket or an object. */
class Call {
  constructor(objects, bucket, key, query, request, response) {
    Object.assign(this, { objects, bucket, key, query, request, response });
  }

  get #only() {
    const { "if-match": match, "if-none-match": none } = this.request.headers;
    const listed = (header) =>
      header.split(",").map((each) => {
        const value = each.trim().replace(/^W\//, "").replaceAll('"', "");
        return value === "*" ? { type: "wildcard" } : { type: "strong", value };
      });
    if (match === undefined && none === undefined) return undefined;
    return { ...(match && { etagMatches: listed(match) }), ...(none && { etagDoesNotMatch: listed(none) }) };
  }

  get #metadata() {
    const { headers } = this.request;
    const fields = Object.entries(FIELDS).filter(([, header]) => headers[header] !== undefined);
    const custom = Object.entries(headers).filter(([name]) => name.startsWith("x-amz-meta-"));
    return {
      http: Object.fromEntries(fields.map(([field, header]) => [field, headers[header].replace(/^aws-chunked,?/, "")])),
      custom: Object.fromEntries(custom.map(([name, value]) => [name.slice("x-amz-meta-".length), value])),
    };
  }

  async #document() {
    const chunks = [];
    let size = 0;
    for await (const chunk of this.request) {
      size += chunk.length;
      if (size > LARGEST_DOCUMENT) throw errors.invalid("The document is too large.");
      chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString();
  }

  #send(status, body = "", headers = {}) {
    const type = body === "" ? {} : { "content-type": "application/xml" };
    this.response.writeHead(status, { "content-length": Buffer.byteLength(body), ...type, ...headers }).end(body);
  }

  headBucket() {
    this.#send(200);
  }

  list() {
    const { prefix = "", delimiter = "", "start-after": start = "", "continuation-token": token } = this.query;
    const limit = Math.min(Number(this.query["max-keys"] ?? 1_000), 1_000);
    const after = token === undefined ? start : Buffer.from(token, "base64url").toString();
    const { objects, prefixes, next } = this.objects.list(this.bucket.id, { prefix, delimiter, after, limit });
    const shown =
      this.query["encoding-type"] === "url" ? (value) => encodeURIComponent(value).replaceAll("%2F", "/") : String;
    const more = next === undefined ? [] : [text("NextContinuationToken", Buffer.from(next).toString("base64url"))];
    const contents = objects.map(({ key, size, etag, uploaded }) =>
      element(
        "Contents",
        text("Key", shown(key)),
        text("Size", size),
        text("ETag", `"${etag}"`),
        text("LastModified", new Date(uploaded).toISOString()),
        text("StorageClass", "STANDARD"),
      ),
    );
    const common = prefixes.map((each) => element("CommonPrefixes", text("Prefix", shown(each))));
    const counts = [
      text("KeyCount", objects.length + prefixes.length),
      text("MaxKeys", limit),
      text("IsTruncated", next !== undefined),
    ];
    const encoding =
      this.query["encoding-type"] === undefined ? [] : [text("EncodingType", this.query["encoding-type"])];
    const parameters = [
      text("Name", this.bucket.name),
      text("Prefix", shown(prefix)),
      text("Delimiter", shown(delimiter)),
      ...encoding,
    ];
    this.#send(200, document("ListBucketResult", ...parameters, ...counts, ...more, ...contents, ...common));
  }

  async removeAll() {
    const keys = valuesOf(await this.#document(), "Key");
    const results = keys.map((key) => {
      try {
        this.objects.remove(this.bucket.id, [key]);
        return element("Deleted", text("Key", key));
      } catch (error) {
        if (!(error instanceof R2Error)) throw error;
        return element("Error", text("Key", key), text("Code", error.code), text("Message", error.message));
      }
    });
    this.#send(200, document("DeleteResult", ...results));
  }

  /** GET and HEAD. */
  async read() {
    const object = this.objects.head(this.bucket.id, this.key);
    if (object === undefined) throw errors.noKey();
    const only = this.#only;
    if (only !== undefined && !holds({ ...only, etagMatches: undefined }, object)) return this.#send(304);
    if (!holds(only, object)) throw errors.precondition();
    const range = rangeOf(this.request.headers.range);
    const part = partOf(range, object.size);
    const { offset, length } = part;
    const http = JSON.parse(object.http);
    const custom = Object.entries(JSON.parse(object.custom)).map(([name, value]) => [`x-amz-meta-${name}`, value]);
    const { sha256 } = JSON.parse(object.checksums);
    const isWanted =
      sha256 !== undefined && range === undefined && this.request.headers["x-amz-checksum-mode"] === "ENABLED";
    this.response.writeHead(range === undefined ? 200 : 206, {
      "content-type": "application/octet-stream",
      ...Object.fromEntries(
        Object.entries(FIELDS).flatMap(([field, header]) => (http[field] ? [[header, http[field]]] : [])),
      ),
      ...Object.fromEntries(custom),
      ...(isWanted && { "x-amz-checksum-sha256": Buffer.from(sha256, "hex").toString("base64") }),
      ...(range !== undefined && { "content-range": `bytes ${offset}-${offset + length - 1}/${object.size}` }),
      "accept-ranges": "bytes",
      "content-length": length,
      etag: `"${object.etag}"`,
      "last-modified": new Date(object.uploaded).toUTCString(),
    });
    if (this.request.method === "HEAD") return this.response.end();
    await pipeline(this.objects.read(object, part), this.response);
  }

  async put() {
    if (this.request.headers["x-amz-copy-source"] !== undefined) throw errors.unsupported("copies");
    const { body, ...given } = uploadOf(this.request);
    const { etag } = await this.objects.put(this.bucket.id, this.key, body, {
      ...given,
      ...this.#metadata,
      only: this.#only,
    });
    this.#send(200, "", { etag: `"${etag}"` });
  }

  remove() {
    this.objects.remove(this.bucket.id, [this.key]);
    this.#send(204);
  }

  begin() {
    const id = this.objects.begin(this.bucket.id, this.key, this.#metadata);
    const named = [text("Bucket", this.bucket.name), text("Key", this.key), text("UploadId", id)];
    this.#send(200, document("InitiateMultipartUploadResult", ...named));
  }

  async putPart() {
    const { uploadId, partNumber } = this.query;
    if (this.request.headers["x-amz-copy-source"] !== undefined) throw errors.unsupported("copies");
    const { body, ...given } = uploadOf(this.request);
    const etag = await this.objects.putPart(this.bucket.id, this.key, uploadId, Number(partNumber), body, given);
    this.#send(200, "", { etag: `"${etag}"` });
  }

  async complete() {
    const xml = await this.#document();
    const [numbers, etags] = [valuesOf(xml, "PartNumber"), valuesOf(xml, "ETag")];
    const parts = numbers.map((number, index) => ({
      number: Number(number),
      etag: (etags[index] ?? "").replaceAll('"', ""),
    }));
    const { etag } = this.objects.complete(this.bucket.id, this.key, this.query.uploadId, parts);
    const named = [text("Bucket", this.bucket.name), text("Key", this.key), text("ETag", `"${etag}"`)];
    this.#send(200, document("CompleteMultipartUploadResult", ...named));
  }

  abort() {
    this.objects.abort(this.bucket.id, this.key, this.query.uploadId);
    this.#send(204);
  }
}

/** Returns the operation that a request asks for, and whether it changes anything. */
function operationOf(method, key, query) {
  const has = (...names) => names.every((name) => name in query);
  const allowed = (...names) => Object.keys(query).every((name) => names.includes(name) || name === "x-id");
  if (key === "") {
    if (method === "HEAD" && allowed()) return ["headBucket", false];
    if (method === "GET" && query["list-type"] === "2") return ["list", false];
    if (method === "POST" && has("delete") && allowed("delete")) return ["removeAll", true];
  } else {
    if (["GET", "HEAD"].includes(method) && allowed()) return ["read", false];
    if (method === "PUT" && has("uploadId", "partNumber")) return ["putPart", true];
    if (method === "PUT" && allowed()) return ["put", true];
    if (method === "POST" && has("uploads") && allowed("uploads")) return ["begin", true];
    if (method === "POST" && has("uploadId") && allowed("uploadId")) return ["complete", true];
    if (method === "DELETE" && has("uploadId") && allowed("uploadId")) return ["abort", true];
    if (method === "DELETE" && allowed()) return ["remove", true];
  }
  throw errors.unsupported(`${method} ${key === "" ? "of a bucket" : "of an object"} with ${JSON.stringify(query)}`);
}

export class S3 {
  /** The API tokens by id: `secret`, and the ids of the buckets that they may `read` and `write`. */
  tokens = {};
  #objects;

  /** @param {import("./objects.mjs").Objects} objects */
  constructor(objects) {
    this.#objects = objects;
  }

  /** Serves on a port of the loopback interface. */
  listen(port) {
    const server = createServer((request, response) => this.#serve(request, response));
    return new Promise((resolve) => server.listen(port, "127.0.0.1", () => resolve(server.address().port)));
  }

  async #serve(request, response) {
    try {
      const { bucket, key, query } = this.#target(request);
      const signer = signerOf(request, (id) => this.tokens[id]?.secret, Date.now());
      const [operation, changes] = operationOf(request.method, key, query);
      const { read, write } = this.tokens[signer];
      if (!(changes ? write : read).includes(bucket.id)) {
        throw errors.denied(
          `The policies of this API token do not allow to ${changes ? "write to" : "read"} ${bucket.name}.`,
        );
      }
      await new Call(this.#objects, bucket, key, query, request, response)[operation]();
    } catch (error) {
      this.#fail(error, request, response);
    }
  }

  #target({ url, headers }) {
    const [path, search = ""] = url.split("?");
    const [, name, ...rest] = path.split("/");
    const host = (headers.host ?? "").replace(/:\d+$/, "");
    const bucket = [...this.#objects.buckets.values()].find((one) => one.host === host && one.name === name);
    if (bucket === undefined) throw errors.noBucket(`${name} at ${host}`);
    return { bucket, key: decodeURIComponent(rest.join("/")), query: Object.fromEntries(new URLSearchParams(search)) };
  }

  #fail(error, request, response) {
    if (!(error instanceof R2Error)) console.error(`${request.method} ${request.url} failed: ${error.stack}`);
    if (response.headersSent || request.socket.destroyed) return response.destroy();
    const { status, code, message } =
      error instanceof R2Error ? error : { status: 500, code: "InternalError", message: "Try again." };
    const body = request.method === "HEAD" ? "" : document("Error", text("Code", code), text("Message", message));
    response
      .writeHead(status, { "content-type": "application/xml", "content-length": Buffer.byteLength(body) })
      .end(body);
  }
}
