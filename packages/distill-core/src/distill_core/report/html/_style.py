"""The style sheet of a report: colours of Okabe and Ito, light and dark, no fonts and no scripts."""

STYLE = """
:root { color-scheme: light dark; --paper: #fff; --ink: #1b1b1b; --soft: #595959; --rule: #d4d4d4; --panel: #f5f5f5;
  --link: #0a5c91; --c0: #0072b2; --c1: #d55e00; --c2: #009e73; --c3: #b8528f; --c4: #b47a00; --c5: #3a8fc4; --c6: #1b1b1b; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #16181b; --ink: #ececec; --soft: #b3b3b3; --rule: #3d4147; --panel: #212429; --link: #8cc9f0;
    --c0: #56b4e9; --c1: #e8772e; --c2: #2bbd92; --c3: #cc79a7; --c4: #e69f00; --c5: #f0e442; --c6: #ececec; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
header, main, footer { max-width: 72rem; margin: 0 auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; line-height: 1.2; overflow-wrap: anywhere; }
h2 { font-size: 1.3rem; margin-top: 2.5rem; border-top: 1px solid var(--rule); padding-top: 1rem; overflow-wrap: anywhere; }
h3 { font-size: 1.1rem; margin-top: 1.8rem; }
p, li, figcaption { max-width: 48rem; overflow-wrap: anywhere; }
a { color: var(--link); }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: 1rem; background: var(--paper); padding: .5rem; }
:focus-visible { outline: 3px solid var(--c0); outline-offset: 2px; }
nav ul { list-style: none; padding: 0; display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; }
.grid-of { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 26rem), 1fr)); gap: 1.2rem; }
figure { margin: 0; min-width: 0; }
figure > svg { width: 100%; height: auto; display: block; }
figcaption { font-weight: 600; }
.grid { stroke: var(--rule); fill: none; }
.tick, .axis { fill: var(--soft); font: 12px system-ui, sans-serif; }
.line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.c0 { stroke: var(--c0); } .c1 { stroke: var(--c1); } .c2 { stroke: var(--c2); } .c3 { stroke: var(--c3); }
.c4 { stroke: var(--c4); } .c5 { stroke: var(--c5); } .c6 { stroke: var(--c6); }
.dot, .bar { fill: currentColor; stroke-width: 0; }
.dot.c0, .bar.c0 { color: var(--c0); } .dot.c1, .bar.c1 { color: var(--c1); } .dot.c2 { color: var(--c2); }
.dot.c3 { color: var(--c3); } .dot.c4 { color: var(--c4); } .dot.c5 { color: var(--c5); } .dot.c6 { color: var(--c6); }
.diagonal { stroke: var(--soft); stroke-dasharray: 4 4; fill: none; }
.legend { list-style: none; padding: 0; margin: .3rem 0 0; display: flex; flex-wrap: wrap; gap: .1rem 1rem; font-size: .9rem; }
.legend svg { margin-right: .4rem; }
.scroll { overflow-x: auto; margin: .8rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: .92rem; }
caption { text-align: left; color: var(--soft); padding-bottom: .4rem; max-width: min(48rem, 92vw); }
th, td { padding: .3rem .7rem; border-bottom: 1px solid var(--rule); text-align: right; vertical-align: top; }
td { white-space: nowrap; }
th:first-child, td.text { text-align: left; overflow-wrap: anywhere; white-space: normal; min-width: 8rem; }
thead th { vertical-align: bottom; }
.heat td, .heat th { padding: .25rem .5rem; text-align: center; min-width: 0; }
details { margin: .4rem 0; }
summary { cursor: pointer; color: var(--link); width: fit-content; }
pre { background: var(--panel); padding: .7rem; overflow-x: auto; font-size: .85rem; }
.examples { display: grid; grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)); gap: 1rem; }
.examples img { width: 100%; height: auto; image-rendering: pixelated; background: var(--panel); }
.examples blockquote { margin: 0; padding: .5rem; background: var(--panel); overflow-wrap: anywhere; }
.examples figcaption { font-weight: 400; font-size: .9rem; }
footer { color: var(--soft); margin-top: 3rem; padding-bottom: 2rem; }
@media print { nav, .skip { display: none; } }
""".strip()
