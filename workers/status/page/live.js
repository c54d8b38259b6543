/**
 * Refreshes the open page every minute, changes only what has changed, and shows a notice if the page is out of date. The
 * page contains this function's source, so the function must be short and must not use anything outside of it.
 */
export function live() {
  // Milliseconds.
  const REFRESH = 60_000;
  const RETRY = 15_000;
  const STALE = 150_000;

  const [main, said, age, icon] = /** @type {[HTMLElement, HTMLElement, HTMLElement, HTMLLinkElement]} */ (
    ["main", "#notice b", "#notice i", "link"].map((selector) => document.querySelector(selector))
  );
  let seen = Date.now();
  let due = seen + REFRESH;
  let failed = false;

  /** Adds the reader's own time, with its day and zone: `(Wed, 00:30 GMT+0900)`. */
  const localize = (/** @type {ParentNode} */ page) => {
    for (const element of page.querySelectorAll("time")) {
      const time = new Date(element.dateTime);
      const own = `${time}`;
      if (time.getTimezoneOffset()) {
        element.append(` (${own.slice(0, 3)}, ${own.slice(16, 21)} ${own.slice(25, 33)})`);
      }
    }
  };

  /**
   * Makes a node equal to another one. Equal nodes are kept, and with them focus and selection. Nodes with an id are
   * matched by it, others by their position. (Text nodes have no id and no children.)
   */
  const merge = (/** @type {Element} */ old, /** @type {Element} */ fresh) => {
    if (old.isEqualNode(fresh)) return;
    old.nodeValue = fresh.nodeValue;
    for (const { name } of [...(old.attributes ?? [])]) old.removeAttribute(name);
    for (const { name, value } of fresh.attributes ?? []) old.setAttribute(name, value);
    const rest = /** @type {Element[]} */ ([...old.childNodes]);
    for (const child of /** @type {Element[]} */ ([...fresh.childNodes])) {
      const place = rest.findIndex(
        ({ id, nodeName }, index) => nodeName === child.nodeName && id === child.id && (id || !index),
      );
      if (place < 0) old.insertBefore(child, rest[0] ?? null);
      else {
        for (const gone of rest.splice(0, place)) gone.remove();
        merge(/** @type {Element} */ (rest.shift()), child);
      }
    }
    for (const gone of rest) gone.remove();
  };

  const say = () => {
    const past = Date.now() - seen;
    // If the clock was set back, the age of the page is unknown.
    const late = past < 0 || past > STALE;
    const old = late || failed || !navigator.onLine;
    document.body.classList.toggle("old", old);
    const why = late
      ? "This page is out of date"
      : navigator.onLine
        ? "This page cannot be refreshed"
        : "You are offline";
    const text = old ? `${why}: last checked ${main.dataset.at?.slice(11, 19)} UTC` : "";
    // Screen readers announce each change of this text, so the minutes are in another element.
    if (said.textContent !== text) said.textContent = text;
    const minutes = Math.ceil(past / 60_000);
    age.textContent = old && minutes > 0 ? `(${minutes} min ago)` : "";
    if (old) icon.href = icon.href.replace(/%23\w+/, "%23888");
  };

  const refresh = async () => {
    if (due === Infinity) return;
    due = Infinity;
    let fresher = false;
    try {
      const response = await fetch("", { cache: "no-store", signal: AbortSignal.timeout(RETRY) });
      // The browser would report the new style as a violation, because its nonce is another one.
      const source = (await response.text()).replace(/<style.*<\/style>/, "");
      const page = new DOMParser().parseFromString(source, "text/html");
      const fresh = page.querySelector("main");
      // Ignore errors, pages of captive portals and cached copies.
      if (response.ok && fresh?.dataset.at && fresh.dataset.at > `${main.dataset.at}`) {
        localize(page);
        merge(main, fresh);
        document.title = page.title;
        icon.href = page.querySelector("link")?.href ?? "";
        seen = Date.now();
        fresher = true;
      }
    } catch {
      // Shown below.
    }
    failed = !fresher;
    due = Date.now() + (failed ? RETRY : REFRESH);
    say();
  };

  localize(document);
  setInterval(() => {
    if (Date.now() >= due || Date.now() < seen) refresh();
    say();
  }, 1_000);
  addEventListener("offline", say);
  addEventListener("online", refresh);
  addEventListener("visibilitychange", refresh);
}
