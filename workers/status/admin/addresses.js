/** Validates the addresses of contacts. Pure. */

/** @import { Checked } from "./checks.js" */

const LIMITS = { email: 254, webhook: 2_000 };

/** RFC 5322's plain form, without quotes and comments, so that it is safe in a header. */
const EMAIL =
  /^(?=.{1,64}@)[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*@((?!-)[a-z\d-]{1,63}(?<!-)\.)+(?!-|\d+$)[a-z\d-]{2,63}(?<!-)$/i;

/** Top-level domains of private networks and of special use. */
const PRIVATE_DOMAINS = ["localhost", "internal", "local", "lan", "home", "arpa", "test", "invalid", "onion"];

/**
 * @param {"email" | "webhook"} channel
 * @param {string} address
 * @param {string} page URL of the status page, which must not be a contact itself
 * @returns {Checked<string>}
 */
export function addressOf(channel, address, page) {
  if (address.length > LIMITS[channel]) return { problem: `is longer than ${LIMITS[channel]} characters` };
  if (channel === "webhook") return webhookOf(address, page);
  return EMAIL.test(address)
    ? { value: address }
    : { problem: "must be a plain e-mail address, such as ann@example.com" };
}

/**
 * @param {string} address
 * @param {string} page
 * @returns {Checked<string>} the normalised URL
 */
function webhookOf(address, page) {
  const url = URL.parse(address);
  if (url?.protocol !== "https:" || /\s/.test(address)) return { problem: "must be an https:// address" };
  if (url.username !== "" || url.password !== "") return { problem: "must not contain credentials" };
  if (url.hash !== "") return { problem: "must not contain a fragment" };
  if (url.port !== "") return { problem: "must not contain a port; port 443 is used" };
  const host = url.hostname.replace(/\.$/, "");
  if (host === new URL(page).hostname) return { problem: "must not be an address of the status page itself" };
  const labels = host.split(".");
  // The URL parser normalises every notation of an IPv4 address to digits and dots.
  if (url.hostname.startsWith("[") || /^\d+$/.test(labels.at(-1) ?? ""))
    return { problem: "must contain a hostname, not an IP address" };
  if (labels.length < 2 || PRIVATE_DOMAINS.includes(labels.at(-1) ?? ""))
    return { problem: "must contain a public hostname" };
  return { value: url.href };
}

/**
 * @param {"email" | "webhook"} channel
 * @param {string} address
 * @returns {string} the address's host, without parts that may be personal or secret
 */
export function hostOf(channel, address) {
  return channel === "email" ? address.slice(address.lastIndexOf("@") + 1) : new URL(address).host;
}
