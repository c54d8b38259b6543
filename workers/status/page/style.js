/**
 * The style sheet: system fonts, one column, colours with a contrast of at least 4.5:1 in light and dark, no animation.
 * Each state has a sign, which is text, so that it is visible in every theme. On a wide screen a strip is 630 pixels wide:
 * seven pixels a day, so that all bars have the same width.
 */
export const STYLE = `
:root {
  color-scheme: light dark;
  --quiet: light-dark(#566070, #a5aebb);
  background: Canvas;
  font: 1rem/1.5 system-ui, sans-serif;
  overflow-wrap: anywhere;
}
.ok, svg { --state: light-dark(#14713c, #5fd08c); --sign: "✓"; }
.degraded { --state: light-dark(#8a5300, #f0b35a); --sign: "▲"; }
.down, .partial { --state: light-dark(#b3261e, #ff8f86); --sign: "✕"; }
.maintenance { --state: light-dark(#1a56b0, #8ab8ff); --sign: "◆"; }
.unknown, .none { --state: var(--quiet); --sign: "–"; }
body { max-width: 43rem; margin: auto; padding: 2rem 3vw; }
h3, p, ul { margin: 0; }
h1 { margin: .5rem 0; font-size: 1.75rem; line-height: 1.2; }
h2 { margin: 2.5rem 0 .75rem; font-size: 1.125rem; }
h3 { font-size: 1rem; }
header { font-weight: 600; }
footer { margin-top: 2.5rem; }
footer a { margin-right: 1rem; }
small { color: var(--quiet); }
section, article, main > ul, .old #notice {
  margin: .75rem 0;
  padding: 1rem min(28px, 5%);
  border: 1px solid #8885;
  border-radius: .75rem;
}
section {
  border-color: var(--state);
  background: color-mix(in srgb, var(--state) 9%, Canvas);
}
article[class] { border-left: .375rem solid var(--state); }
ul { padding: 0; list-style: none; }
li { padding: .875rem 0; }
li + li { border-top: 1px solid #8885; }
li p { white-space: pre-line; }
li h3, .row { display: flex; flex-wrap: wrap; justify-content: space-between; gap: 0 1rem; }
b[class] { color: var(--state); }
b[class]::before, section h1::before { content: var(--sign) " " / ""; color: var(--state); }
svg { display: block; width: 100%; height: 2rem; mask: linear-gradient(90deg, #0000 1px, #000 0) 0/calc(100%/90); }
path { stroke: var(--state); stroke-width: 8; }
path.degraded { stroke-width: 10; }
path.down { stroke-width: 12; }
path.gaps { stroke-width: 4; }
path.none { stroke-width: 2; }
.figure { font-size: 2rem; font-weight: 600; }
.old #notice { background: CanvasText; color: Canvas; }
.old main { filter: grayscale(1); }
.old h1 { color: var(--quiet); }
`;
