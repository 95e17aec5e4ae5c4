/**
 * The page of plots: one HTML file without script or outside resource. What was promised first, then throughput, latency, the host
 * thread's CPU per gigabyte and scaling with connections, then every figure.
 */
import { median } from './measure.ts';
import type { Curve } from './peers/compare.ts';
import { subjects } from './peers/index.ts';
import { type Bar, bars, brief, escapeText, type Line, lines } from './plots.ts';
import type { Verdict } from './promises.ts';
import type { Result } from './results.ts';

/** All that one run found; the JSON file is this. */
export interface Document {
  readonly machine: string;
  readonly results: Result[];
  /** Latency by row: one curve a round. */
  readonly curves: Record<string, readonly Curve[]>;
  /** Peers that are missing or did not finish, and why. */
  readonly notes: string[];
  readonly verdicts: Verdict[];
}

const STYLE = `
:root { color-scheme: light dark; --text: #1d2733; --soft: #5c6b7a; --line: #d9e0e6; --back: #ffffff; --card: #f6f8fa; --good: #1a7f37; --bad: #b35900; }
@media (prefers-color-scheme: dark) { :root { --text: #e3e9ef; --soft: #93a1b0; --line: #36424e; --back: #12181e; --card: #1a222a; --good: #56c271; --bad: #f0a050; } }
body { margin: 0 auto; max-width: 60rem; padding: 2rem 1.2rem; font: 16px/1.5 system-ui, sans-serif; color: var(--text); background: var(--back); }
h1 { font-size: 1.6rem; margin: 0; } h2 { font-size: 1.15rem; margin: 2.4rem 0 .6rem; } p, .machine { color: var(--soft); margin: .3rem 0 1rem; }
figure { margin: 0 0 1.2rem; padding: 1rem; background: var(--card); border-radius: 8px; } figcaption { font-weight: 600; margin-bottom: .6rem; }
svg { width: 100%; height: auto; } svg text { font-size: 12px; fill: var(--text); dominant-baseline: middle; }
svg .label { text-anchor: end; } svg .below { text-anchor: middle; fill: var(--soft); } svg .value { fill: var(--soft); }
svg .grid { stroke: var(--line); stroke-width: 1; } svg .spread { stroke: var(--text); stroke-width: 1.5; opacity: .65; }
svg .line { fill: none !important; stroke-width: 2; }
table { border-collapse: collapse; width: 100%; font-size: .88rem; } th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid var(--line); }
td.number { text-align: right; font-variant-numeric: tabular-nums; } .kept { color: var(--good); } .broken { color: var(--bad); font-weight: 600; }
${[
  // Ours, the kernel, Node, the others.
  ...['#2f6fde', '#5aa9e6', '#93b7e8', '#1d3f8f'],
  ...['#8a8f98', '#b9bec6'],
  ...['#e08a3c'],
  ...['#3fa34d', '#b05cc5', '#c94f4f', '#9a7b4f', '#3aa6a0', '#d4a72c', '#7d8f2e'],
]
  .map((color, index) => `.s${index} { fill: ${color}; stroke: ${color}; } rect.s${index} { stroke: none; }`)
  .join('\n')}`;

/** Ours are blue, Node orange, the kernel grey, the others each their own. */
function seriesOf(name: string): string {
  const subject = subjects.filter((one) => name.startsWith(one.name)).sort((a, b) => b.name.length - a.name.length)[0];
  if (subject === undefined) return name === 'node' ? 's6' : name === 'target' ? 's1' : 's0';
  const same = subjects.filter(({ kind }) => kind === subject.kind).indexOf(subject);
  if (subject.kind === 'ours') return `s${same % 4}`;
  if (subject.kind === 'kernel') return `s${4 + (same % 2)}`;
  return subject.kind === 'node' ? 's6' : `s${7 + (same % 7)}`;
}

/** Rows 'NAME SUFFIX' of a group as bars, the label without the suffix. */
function rows(results: readonly Result[], group: string, suffix: string): Bar[] {
  return results
    .filter((result) => result.group === group && result.name.endsWith(suffix))
    .map((result) => {
      const label = result.name.slice(0, -suffix.length);
      return { label, value: result.median, min: result.min, max: result.max, series: seriesOf(label) };
    });
}

function barsOf(results: readonly Result[], group: string, suffix: string, title: string, unit: string): string {
  const found = rows(results, group, suffix);
  return found.length === 0 ? '' : bars(title, unit, found);
}

/** One line a subject: at each quantile the median of the rounds, against the share of answers that took longer. */
function latency(document: Document): string {
  const series = Object.entries(document.curves).map(([name, curves]): Line => {
    const first = curves[0] ?? [];
    const points = first
      .map(([q], index): [number, number] => [1 - q, median(curves.map((curve) => curve[index]?.[1] ?? Number.NaN))])
      .filter(([, value]) => value > 0)
      .reverse();
    const label = name.replace(/ echo$/, '');
    return { label, series: seriesOf(label), points: points.map(([share, value]) => [1 / share, value]) };
  });
  const xMarks = [
    { at: 2, label: 'p50' },
    { at: 10, label: 'p90' },
    { at: 100, label: 'p99' },
    { at: 1000, label: 'p99.9' },
    { at: 10_000, label: 'p99.99' },
  ];
  const axes = {
    title: 'One byte there and back again',
    x: 'quantile',
    y: 'microseconds',
    logX: true,
    logY: true,
    xMarks,
  };
  return lines(axes, series);
}

function scalingPlot(document: Document, direction: 'in' | 'out'): string {
  const found = new Map<string, [number, number][]>();
  for (const { group, name, median: value } of document.results) {
    const match = / x(\d+)$/.exec(name);
    const label = name.slice(0, match?.index).replace(new RegExp(` ${direction}$`), '');
    if (group !== 'scaling' || match === null || !name.includes(` ${direction} x`)) continue;
    found.set(label, [...(found.get(label) ?? []), [Number(match[1]), value]]);
  }
  const series = [...found].map(([label, points]): Line => ({ label, series: seriesOf(label), points }));
  const title = `Aggregate of many connections, ${direction === 'in' ? 'kernel to application' : 'application to kernel'}`;
  return lines({ title, x: 'connections', y: 'Gbit/s', logX: true }, series);
}

function verdictTable(document: Document): string {
  if (document.verdicts.length === 0) return '';
  const body = document.verdicts.map(({ what, ratio, wanted, isKept }) => {
    const state = isKept ? '<td class="kept">kept</td>' : '<td class="broken">not kept</td>';
    return `<tr><td>${escapeText(what)}</td><td class="number">${brief(ratio)}</td><td>${wanted}</td>${state}</tr>`;
  });
  return `<h2>What is promised</h2><p>Ratios within a round, the median of all rounds; against Node's net where nothing else is said.</p>
<table><tr><th>what</th><th>seen</th><th>promised</th><th></th></tr>${body.join('\n')}</table>`;
}

function figureTable(document: Document): string {
  const body = document.results.map(({ group, name, unit, median: value, min, max }) => {
    const spread = min === max ? '' : `${brief(min)} … ${brief(max)}`;
    return `<tr><td>${escapeText(group)}</td><td>${escapeText(name)}</td><td class="number">${brief(value)}</td><td>${escapeText(unit)}</td><td class="number">${spread}</td></tr>`;
  });
  return `<h2>Every figure</h2><table><tr><th>group</th><th>what</th><th>median</th><th></th><th>spread</th></tr>${body.join('\n')}</table>`;
}

function section(title: string, text: string, ...figures: readonly string[]): string {
  const drawn = figures.filter((one) => one !== '');
  return drawn.length === 0 ? '' : `<h2>${title}</h2><p>${text}</p>${drawn.join('\n')}`;
}

/** The whole page. */
export function pageOf(document: Document): string {
  const { results } = document;
  const notes = document.notes.map((note) => `<li>${escapeText(note)}</li>`).join('');
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Chimney: figures</title><style>${STYLE}</style></head>
<body><h1>Chimney: figures</h1><div class="machine">${escapeText(document.machine)}</div>
${verdictTable(document)}
${section(
  'Throughput',
  'One connection, the kernel on the other side, MTU 1500 over TUN. Bars are medians, thin lines the spread of the rounds.',
  barsOf(results, 'peers', ' in', 'Kernel to application', 'Gbit/s'),
  barsOf(results, 'peers', ' back', 'Kernel to application, without a copy (Node: into its own buffer)', 'Gbit/s'),
  barsOf(results, 'peers', ' out', 'Application to kernel', 'Gbit/s'),
)}
${section('Latency', 'A kernel client waits for each byte before it sends the next.', latency(document))}
${section(
  'CPU of the host thread',
  'Seconds of the thread that runs the application and its event loop, for each gigabyte.',
  barsOf(results, 'peers', ' in: host thread', 'Kernel to application', 's/GB'),
  barsOf(results, 'peers', ' out: host thread', 'Application to kernel', 's/GB'),
  barsOf(results, 'peers', ' in: CPU', 'Kernel to application, the whole process', 's/GB'),
  barsOf(results, 'peers', ' out: CPU', 'Application to kernel, the whole process', 's/GB'),
)}
${section('Scaling', 'The same work over 1 to 10,000 connections.', scalingPlot(document, 'in'), scalingPlot(document, 'out'))}
${section(
  'HTTP',
  'Short answers of node:http to wrk, 64 connections.',
  barsOf(results, 'http', ' kept', 'Requests a second, connections kept', '/s'),
  barsOf(results, 'http', ' fresh', 'Requests a second, a connection each', '/s'),
)}
${notes === '' ? '' : `<h2>Left out, and what went wrong</h2><ul>${notes}</ul>`}
${figureTable(document)}
</body></html>
`;
}
