/**
 * Keeps the page true while it is open: asks again every minute, changes only what has changed, and says so when it is
 * out of date. The page holds this function's source, so nothing outside of it can be named here.
 */
export function live() {
  const REFRESH = 60_000;
  const RETRY = 15_000;
  const STALE = 150_000;
  const root = document.documentElement;
  const main = /** @type {HTMLElement} */ (document.querySelector("main"));
  const notice = /** @type {HTMLElement} */ (document.querySelector("#notice"));
  const icon = /** @type {HTMLLinkElement} */ (document.querySelector("link[rel=icon]"));
  const zoned = new Intl.DateTimeFormat("en-GB", {
    dateStyle: undefined,
    hour: "2-digit",
    minute: "2-digit",
    timeZoneName: "short",
  });
  const dated = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
  let seen = Date.now();
  let asked = seen;
  let failed = false;
  let asking = false;

  /** @param {ParentNode} page */
  const localize = (page) => {
    for (const element of page.querySelectorAll("time")) {
      const time = new Date(element.dateTime);
      if (!time.getTimezoneOffset()) continue;
      const day = time.getDate() === time.getUTCDate() ? "" : `${dated.format(time)}, `;
      element.title = day + zoned.format(time);
    }
  };

  /**
   * @param {Node} old
   * @param {Node} fresh
   */
  const merge = (old, fresh) => {
    if (old.isEqualNode(fresh)) return;
    if (!(old instanceof Element && fresh instanceof Element)) {
      old.nodeValue = fresh.nodeValue;
      return;
    }
    for (const { name } of [...old.attributes]) {
      if (name !== "open" && !fresh.hasAttribute(name)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    const ids = new Set(Array.from(fresh.children, ({ id }) => id));
    for (const child of [...old.children]) if (child.id && !ids.has(child.id)) child.remove();
    let next = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      const id = child instanceof Element && child.id;
      const match = id
        ? [...old.children].find((element) => element.id === id)
        : next?.nodeName === child.nodeName && !(next instanceof Element && next.id) && next;
      if (match && match === next) {
        next = next.nextSibling;
        merge(match, child);
      } else {
        if (match) merge(match, child);
        old.insertBefore(match || child, next);
      }
    }
    while (next) {
      const gone = next;
      next = next.nextSibling;
      gone.remove();
    }
  };

  const say = () => {
    const age = Date.now() - seen;
    const stale = age > STALE;
    const offline = !navigator.onLine;
    const old = stale || offline || failed;
    const minutes = Math.floor(age / 60_000);
    const why = stale ? "This page is out of date" : offline ? "You are offline" : "This page could not be refreshed";
    const ago = minutes < 1 ? "less than a minute ago" : `${minutes} minute${minutes > 1 ? "s" : ""} ago`;
    const text = old ? `${why}: last checked ${main.dataset.at?.slice(11, 19)} UTC (${ago})` : "";
    if (notice.textContent !== text) notice.textContent = text;
    root.classList.toggle("old", old);
  };

  const refresh = async () => {
    if (asking) return;
    asking = true;
    asked = Date.now();
    try {
      const response = await fetch(location.pathname, { cache: "no-store", signal: AbortSignal.timeout(RETRY) });
      const page = new DOMParser().parseFromString(await response.text(), "text/html");
      const fresh = page.querySelector("main");
      // An error, a captive portal or a copy kept by someone is not this page, newer.
      if (!response.ok || !((fresh?.dataset.at ?? "") > (main.dataset.at ?? ""))) throw 0;
      localize(page);
      merge(main, /** @type {HTMLElement} */ (fresh));
      document.title = page.title;
      icon.href = page.querySelector("link")?.href ?? "";
      seen = Date.now();
      failed = false;
    } catch {
      failed = true;
    }
    asking = false;
    say();
  };

  const tick = () => {
    if (Date.now() - asked >= (failed ? RETRY : REFRESH)) refresh();
    say();
  };
  localize(document);
  setInterval(tick, 1_000);
  addEventListener("online", refresh);
  addEventListener("offline", say);
  addEventListener("pageshow", tick);
  document.addEventListener("visibilitychange", tick);
}
