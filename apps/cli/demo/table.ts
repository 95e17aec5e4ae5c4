/**
 * A finished demonstration in words, for a terminal of 80 columns.
 */
import { findingText } from 'chimney';
import type { DemoOptions } from './options.ts';
import type { Demo } from './result.ts';

const WIDTH = 80;
const LABEL = 42;
const NUMBER = 9;
const FINDINGS_SHOWN = 10;

/** The whole report, without a newline at its end. */
export function reportOf(demo: Demo, options: DemoOptions): string {
  const { result } = demo;
  return [
    ...movesPart(demo),
    '',
    ...streamsPart(demo),
    '',
    ...operationsPart(demo),
    '',
    ...findingsPart(demo),
    `capture    ${result.pcapng}`,
    `           ${count(demo.packets)} packets (headers only); each tells which engine handled it,`,
    '           and every chimney operation is a comment. To look at it:',
    `             wireshark ${quoted(result.pcapng)}`,
    `             tshark -r ${quoted(result.pcapng)} -Y frame.comment`,
    `again      ${again(options)}`,
    '',
    ...verdict(demo),
  ].join('\n');
}

function movesPart(demo: Demo): string[] {
  const { result } = demo;
  const line = (text: string, numbers: readonly (number | string)[]): string =>
    text.padEnd(LABEL) + numbers.map((n) => (typeof n === 'number' ? count(n) : n).padStart(NUMBER)).join('');
  return [
    line('moves of live connections', ['count', 'freeze', 'in', 'µs']),
    line('', ['', 'p50', 'p99', 'max']),
    ...demo.moveLines.map(({ text, count: moves, p50, p99, max }) =>
      line(`  ${text}`, moves === 0 ? [0, '-', '-', '-'] : [moves, p50, p99, max]),
    ),
    line('  all', [result.moves.total, result.freezeUs.p50, result.freezeUs.p99, result.freezeUs.max]),
    line('  of these through an intermediate driver', [result.moves.viaIntermediate]),
    ...(demo.serverConnections === 0
      ? []
      : [`  ${demo.serverConnections} connections; the one that moved least moved ${times(demo.leastMoves)}`]),
    ...[...demo.refusals].flatMap(([why, n]) => wrapped(`refused ${times(n)}, then tried again: ${why}`, '  ')),
  ];
}

function streamsPart(demo: Demo): string[] {
  const { result } = demo;
  const seconds = result.elapsedMs / 1000;
  const rate = `${(result.bytes / seconds / 1e6).toFixed(1)} MB/s`;
  const line = (label: string, text: string): string => `  ${label.padEnd(LABEL - 2)}${text}`;
  return [
    'streams',
    line('bytes', `${count(result.bytes)} in ${seconds.toFixed(1)} s, ${rate}`),
    line('same SHA-256 at both ends', `${demo.streamsEqual} of ${result.streams}`),
    line('bytes lost, bytes repeated', `${count(result.bytesLost)}, ${count(result.bytesRepeated)}`),
    line('segments with RST', count(result.resets)),
    line('verifier findings', count(result.findings.length)),
    line('held at the end', heldText(demo)),
  ];
}

function heldText({ result: { held } }: Demo): string {
  return `buffers ${held.buffers}, objects ${held.stateObjects}, connections ${held.connections}`;
}

/** Ten counts in two columns. */
function operationsPart({ result: { operations } }: Demo): string[] {
  const cells = Object.entries(operations).map(
    ([name, calls]) => `  ${name.padEnd(14)}${count(calls).padStart(NUMBER)}`,
  );
  const half = Math.ceil(cells.length / 2);
  return ['calls of the chimney', ...cells.slice(0, half).map((cell, i) => `${cell}      ${cells[half + i] ?? ''}`)];
}

function findingsPart({ result: { findings } }: Demo): string[] {
  if (findings.length === 0) return [];
  const more = findings.length - FINDINGS_SHOWN;
  return [
    'verifier',
    ...findings.slice(0, FINDINGS_SHOWN).flatMap((finding) => wrapped(findingText(finding), '  ')),
    ...(more > 0 ? [`  and ${more} more: --json shows them all`] : []),
    '',
  ];
}

function verdict({ result, faults }: Demo): string[] {
  if (result.ok) return ['OK: every connection moved while it was in use, and nobody noticed.'];
  return ['FAILED:', ...faults.flatMap((fault) => wrapped(fault, '  '))];
}

/** The command that does the same again. */
function again(options: DemoOptions): string {
  const parts = ['chimney demo', `--seed ${options.seed}`, `--connections ${options.connections}`];
  if (options.tun) parts.push('--tun');
  else parts.push(`--loss ${options.loss}`, `--rtt ${options.rttMs}`);
  if (options.ipv6) parts.push('--ipv6');
  return parts.join(' ');
}

function times(n: number): string {
  return n === 1 ? 'once' : `${count(n)} times`;
}

/** Lines of at most WIDTH, those after the first indented further. */
function wrapped(text: string, indent: string): string[] {
  const lines: string[] = [];
  let line = indent;
  for (const word of text.split(' ')) {
    if (line.trim() !== '' && line.length + 1 + word.length > WIDTH) {
      lines.push(line);
      line = `${indent}  `;
    }
    line += line.trim() === '' ? word : ` ${word}`;
  }
  return [...lines, line];
}

/** 1234567 as '1,234,567'. */
function count(n: number): string {
  return Math.round(n).toLocaleString('en-US');
}

/** A path as a shell takes it. */
function quoted(path: string): string {
  return /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`;
}
