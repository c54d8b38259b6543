/** The page's looks: system fonts, one column, and colours that keep 4.5:1 contrast in light and dark. */

export const STYLE = `
:root {
  color-scheme: light dark;
  --ground: light-dark(#f6f7f9, #101317);
  --card: light-dark(#ffffff, #191d23);
  --line: light-dark(#e1e4e9, #2b3139);
  --text: light-dark(#1a1f26, #e8ebef);
  --quiet: light-dark(#596270, #a2abb8);
  --link: light-dark(#1a56b0, #8ab8ff);
  --ok: light-dark(#14713c, #5fd08c);
  --degraded: light-dark(#8a5300, #f0b35a);
  --down: light-dark(#b3261e, #ff8f86);
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 46rem; padding: 0 1rem; background: var(--ground); color: var(--text); font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
small { color: var(--quiet); }
.ok { --state: var(--ok); }
.degraded { --state: var(--degraded); }
.down { --state: var(--down); }
.maintenance { --state: var(--link); }
.unknown, .none { --state: var(--quiet); }
.state { color: var(--state); }
path { stroke: var(--state); stroke-width: 8; }
path.down { stroke-width: 12; }
path.none { stroke-width: 2; }
ul { list-style: none; padding: 0; }
a { color: var(--link); }
svg { display: block; width: 100%; height: 2rem; }
li p { white-space: pre-line; }
`;
