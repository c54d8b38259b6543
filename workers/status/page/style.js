/**
 * The page's looks: system fonts, one column, colours that keep 4.5:1 contrast in light and dark, and a shape for each
 * state. Nothing moves. On a wide screen, a strip is 630 pixels: seven a day, so that its bars are alike.
 */
export const STYLE = `
:root {
  color-scheme: light dark;
  --card: light-dark(#fff, #181c22);
  --line: light-dark(#dfe3e8, #2e353e);
  --quiet: light-dark(#566070, #a5aebb);
  background: light-dark(#f5f6f8, #0f1216);
  color: light-dark(#1a1f26, #e8ebef);
  font: 1rem/1.5 system-ui, sans-serif;
  overflow-wrap: anywhere;
}
.ok {
  --state: light-dark(#14713c, #5fd08c);
  --shape: polygon(14% 44%, 0 62%, 42% 96%, 100% 20%, 84% 6%, 39% 66%);
}
.degraded {
  --state: light-dark(#8a5300, #f0b35a);
  --shape: polygon(50% 0, 100% 100%, 0 100%);
}
.down, .partial {
  --state: light-dark(#b3261e, #ff8f86);
  --shape: polygon(20% 0, 50% 30%, 80% 0, 100% 20%, 70% 50%, 100% 80%, 80% 100%, 50% 70%, 20% 100%, 0 80%, 30% 50%, 0 20%);
}
.maintenance {
  --state: light-dark(#1a56b0, #8ab8ff);
  --shape: polygon(50% 0, 100% 50%, 50% 100%, 0 50%);
}
.unknown, .none {
  --state: var(--quiet);
  --shape: inset(35% 0);
}
body { max-width: 43rem; margin: auto; padding: 2rem 3vw; }
h3, p, ul { margin: 0; }
h1 { margin: .5rem 0; font-size: 1.75rem; line-height: 1.2; }
h2 { margin: 2.5rem 0 .75rem; font-size: 1.125rem; }
h3 { font-size: 1rem; }
header { font-weight: 600; }
footer { margin-top: 2.5rem; }
footer a { margin-right: 1rem; }
a { color: light-dark(#1a56b0, #8ab8ff); }
small { color: var(--quiet); }
section, article, details, main > ul, .old #notice {
  margin: .75rem 0;
  padding: 1rem min(28px, 5%);
  border: 1px solid var(--line);
  border-radius: .75rem;
  background: var(--card);
}
section {
  border-color: var(--state);
  background: color-mix(in srgb, var(--state) 9%, var(--card));
}
article details { padding: 0; border: 0; }
article[class] { border-left: .375rem solid var(--state); }
ul { padding: 0; list-style: none; }
li { padding: .875rem 0; }
li + li { border-top: 1px solid var(--line); }
li p { white-space: pre-line; }
li h3, .row { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem; }
b[class] { color: var(--state); }
b[class]::before, section h1::before {
  content: "";
  display: inline-block;
  width: .75em;
  height: .75em;
  margin-right: .4em;
  background: var(--state);
  clip-path: var(--shape);
  print-color-adjust: exact;
}
svg { display: block; width: 100%; height: 2rem; mask: linear-gradient(90deg, #0000 1px, #000 0) 0/calc(100%/90); }
path { stroke: var(--state); stroke-width: 8; }
path.degraded { stroke-width: 10; }
path.down { stroke-width: 12; }
path.none { stroke-width: 2; }
.figure { font-size: 2rem; font-weight: 600; }
.old #notice { background: light-dark(#1a1f26, #e8ebef); color: var(--card); }
.old main { filter: grayscale(1); }
.old h1 { color: var(--quiet); }
`;
