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
  --unknown: var(--quiet);
}
* { box-sizing: border-box; }
body {
  margin: 0;
  background: var(--ground);
  color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif;
}
header, main, footer { max-width: 42rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 3rem; }
h1 { margin: 0; font-size: 1rem; font-weight: 600; }
h2 { margin: 2.25rem 0 .75rem; font-size: 1rem; font-weight: 600; }
p { margin: .25rem 0; }
.quiet { color: var(--quiet); font-size: .875rem; }
.headline {
  margin-top: 1.25rem;
  padding: 1.25rem 1.5rem;
  border: 1px solid var(--line);
  border-left: .375rem solid var(--state);
  border-radius: .5rem;
  background: var(--card);
}
.headline p:last-child { margin-bottom: 0; }
.headline strong { display: block; font-size: 1.5rem; line-height: 1.25; font-weight: 650; }
ul { margin: 0; padding: 0; list-style: none; border: 1px solid var(--line); border-radius: .5rem; background: var(--card); }
li { display: flex; flex-wrap: wrap; gap: 0 1rem; padding: .875rem 1.5rem; }
li + li { border-top: 1px solid var(--line); }
li .name { flex: 1; font-weight: 500; }
li .quiet { flex-basis: 100%; font-variant-numeric: tabular-nums; }
.state { color: var(--state); font-weight: 600; }
.state svg { width: .875rem; height: .875rem; margin-right: .375rem; vertical-align: -.0625rem; }
.ok { --state: var(--ok); }
.degraded { --state: var(--degraded); }
.down { --state: var(--down); }
.unknown { --state: var(--unknown); }
a { color: var(--link); text-underline-offset: .15em; }
a:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; border-radius: 2px; }
footer { margin-top: 2.25rem; padding-bottom: 3rem; }
`;
