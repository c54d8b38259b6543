/** Where notifications may go. Pure. */

/** @import { Checked } from "./checks.js" */

const LIMITS = { email: 254, webhook: 2_000 };

/** RFC 5322's plain form: no quotes, no comments, nothing that a header would read as something else. */
const EMAIL =
  /^(?=.{1,64}@)[\w!#$%&'*+/=?^`{|}~-]+(\.[\w!#$%&'*+/=?^`{|}~-]+)*@((?!-)[a-z\d-]{1,63}(?<!-)\.)+(?!-|\d+$)[a-z\d-]{2,63}(?<!-)$/i;

/** Names that mean something else inside somebody's network than outside. */
const INSIDE = ["localhost", "internal", "local", "lan", "home", "arpa", "test", "invalid", "onion"];

/**
 * @param {"email" | "webhook"} channel
 * @param {string} address
 * @param {string} page address of the status page, which is told nothing of itself
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
 * @returns {Checked<string>} as URLs are written
 */
function webhookOf(address, page) {
  const url = URL.parse(address);
  if (url?.protocol !== "https:" || /\s/.test(address)) return { problem: "must be an https:// address" };
  if (url.username !== "" || url.password !== "") return { problem: "must not hold credentials" };
  if (url.hash !== "") return { problem: "must not hold a fragment" };
  if (url.port !== "") return { problem: "must not name a port; 443 it is" };
  const host = url.hostname.replace(/\.$/, "");
  if (host === new URL(page).hostname) return { problem: "must not be the status page's own" };
  const labels = host.split(".");
  // The URL standard writes every spelling of an IPv4 address as digits and dots.
  if (url.hostname.startsWith("[") || /^\d+$/.test(labels.at(-1) ?? ""))
    return { problem: "must name its host, not an IP address" };
  if (labels.length < 2 || INSIDE.includes(labels.at(-1) ?? "")) return { problem: "must name a public host" };
  return { value: url.href };
}

/**
 * @param {"email" | "webhook"} channel
 * @param {string} address
 * @returns {string} where it leads, without what may be personal or secret
 */
export function hostOf(channel, address) {
  return channel === "email" ? address.slice(address.lastIndexOf("@") + 1) : new URL(address).host;
}
