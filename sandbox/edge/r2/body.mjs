/** The body of an upload: its size and the hashes that its headers announce, also when it is sent in chunks with a trailer. */

import { crc32 } from "node:zlib";
import { errors, R2Error } from "./errors.mjs";

const CHUNKED = "STREAMING-UNSIGNED-PAYLOAD-TRAILER";

/** Header to the algorithm of the base64 hash in it. */
const HASHES = { "content-md5": "md5", "x-amz-checksum-sha256": "sha256", "x-amz-checksum-crc32": "crc32" };

/**
 * Returns what a request uploads.
 *
 * @param {import("node:http").IncomingMessage} request
 * @returns {{ body: AsyncIterable<Buffer>, size: number, expected: Record<string, Buffer>, kept: string[] }} as `Objects.put` takes it
 */
export function uploadOf(request) {
  const { headers } = request;
  const announced = headers["x-amz-content-sha256"] ?? "";
  const unknown = Object.keys(headers).find(
    (name) => name.startsWith("x-amz-checksum-") && !(name in HASHES) && !/-(type|algorithm)$/.test(name),
  );
  if (unknown !== undefined) throw errors.unsupported(`the header ${unknown}`);
  const given = Object.entries(HASHES).filter(([name]) => headers[name] !== undefined);
  const expected = Object.fromEntries(
    given.map(([name, algorithm]) => [algorithm, Buffer.from(headers[name], "base64")]),
  );
  const kept = headers["x-amz-checksum-sha256"] === undefined ? [] : ["sha256"];
  if (announced === CHUNKED) {
    if (!["", "x-amz-checksum-crc32"].includes(headers["x-amz-trailer"] ?? ""))
      throw errors.unsupported(`the trailer ${headers["x-amz-trailer"]}`);
    const size = Number(headers["x-amz-decoded-content-length"]);
    return { body: withoutChunks(request), size, expected, kept };
  }
  if (announced.startsWith("STREAMING-")) throw errors.unsupported(`x-amz-content-sha256: ${announced}`);
  if (/^[0-9a-f]{64}$/.test(announced)) expected.sha256 ??= Buffer.from(announced, "hex");
  if (headers["content-length"] === undefined)
    throw new R2Error(411, "MissingContentLength", 10029, "Content-Length is missing.");
  return { body: request, size: Number(headers["content-length"]), expected, kept };
}

const CHUNK = /^(?:\r\n)?([0-9a-f]+)(?:;[^\r\n]*)?\r\n/i;
const LONGEST_LINE = 1_024;

/**
 * Decodes aws-chunked: each chunk is its length in hexadecimal, a line end, the bytes and a line end; the trailer follows a
 * chunk of length 0. Throws if the trailer has a CRC-32 that is not that of the bytes.
 *
 * @param {AsyncIterable<Buffer>} source
 */
async function* withoutChunks(source) {
  let data = Buffer.alloc(0);
  let left = 0; // bytes of the chunk that have not arrived
  let sum = 0;
  let ended = false;
  for await (const received of source) {
    data = data.length === 0 ? received : Buffer.concat([data, received]);
    while (!ended) {
      const bytes = data.subarray(0, left);
      left -= bytes.length;
      data = data.subarray(bytes.length);
      sum = crc32(bytes, sum);
      if (bytes.length > 0) yield bytes;
      const line = left > 0 ? null : CHUNK.exec(data.subarray(0, LONGEST_LINE).toString("latin1"));
      if (line === null) break;
      left = Number.parseInt(line[1], 16);
      ended = left === 0;
      data = data.subarray(line[0].length);
    }
    if (data.length > LONGEST_LINE) throw errors.invalid("The body is not aws-chunked.");
  }
  if (!ended) throw errors.incomplete();
  const trailer = /x-amz-checksum-crc32:([\w+/=]+)/.exec(data.toString("latin1"));
  if (trailer !== null && Buffer.from(trailer[1], "base64").readUInt32BE() !== sum) throw errors.badDigest("crc32");
}
