/** What the bench says of its figures: medians, promises, and the page of plots. */
import { describe, expect, test } from 'vitest';
import { type Document, pageOf } from '../../bench/page.ts';
import { bars, brief, lines } from '../../bench/plots.ts';
import { verdicts } from '../../bench/promises.ts';
import { resultsOf } from '../../bench/results.ts';

const figure = (name: string, value: number, unit = 'Gbit/s') => ({ name, value, unit });

describe('results', () => {
  test('runs of one name become one row with median and spread, in the order in which names came', () => {
    const rows = resultsOf('peers', [figure('b in', 3), figure('a in', 1), figure('b in', 9), figure('b in', 4)]);
    expect(rows.map(({ name, median, min, max }) => [name, median, min, max])).toEqual([
      ['b in', 4, 3, 9],
      ['a in', 1, 1, 1],
    ]);
  });
});

describe('promises', () => {
  const judged = (...figures: ReturnType<typeof figure>[]) => verdicts(resultsOf('peers', figures));

  test('a ratio that is high enough is kept, one that is too low is not', () => {
    expect(judged(figure('chimney in', 4.1), figure('node net in', 10))).toMatchObject([{ isKept: true }]);
    expect(judged(figure('chimney in', 3.9), figure('node net in', 10))).toMatchObject([{ isKept: false }]);
  });

  test('a latency that is low enough is kept, one that is too high is not', () => {
    const peer = figure('node net echo p50', 10, 'us');
    expect(judged(figure('chimney echo p50', 11.9, 'us'), peer)).toMatchObject([{ isKept: true }]);
    expect(judged(figure('chimney echo p50', 12.1, 'us'), peer)).toMatchObject([{ isKept: false }]);
  });

  test('of several peers the best counts', () => {
    const peers = [figure('lwIP large plain in', 2), figure('gVisor plain in', 6), figure('slirp4netns in', 1)];
    expect(judged(figure('chimney plain in', 5), ...peers)).toMatchObject([{ isKept: false }]);
  });

  test('the ratio is of those measured in the same round, though rounds differ', () => {
    // In the second round the machine was three times as slow: medians of three would compare one machine with the other.
    const own = [40, 15, 14].map((value) => figure('chimney thread in', value));
    const other = [38, 36, 12].map((value) => figure('lwIP large in', value));
    expect(judged(...own, ...other)[0]?.ratio).toBeCloseTo(40 / 38, 5);
  });

  test('where a round is missing the medians are compared', () => {
    const own = [40, 20].map((value) => figure('chimney thread in', value));
    expect(judged(...own, figure('lwIP large in', 60))[0]?.ratio).toBe(0.5);
  });

  test('without figures of both nothing is said', () => {
    expect(judged(figure('chimney in', 4))).toEqual([]);
  });

  test('of a scaling the worst against the best counts', () => {
    const rows = [1, 10, 100].map((n, i) => figure(`chimney in x${n}`, [10, 9, 6][i]!));
    rows.push(figure('chimney in x1: CPU', 0.3, 's/GB'));
    expect(verdicts(resultsOf('scaling', rows))).toMatchObject([{ ratio: 0.6, isKept: false }]);
  });
});

describe('plots', () => {
  test('a bar is as long as its value, the longest spread fills the width', () => {
    const svg = bars('t', 'u', [
      { label: 'half', value: 5, min: 5, max: 5, series: 's0' },
      { label: 'full', value: 10, min: 8, max: 10, series: 's1' },
    ]);
    const widths = [...svg.matchAll(/<rect [^>]*width="([\d.]+)"/g)].map((match) => Number(match[1]));
    expect(widths[1]).toBeCloseTo(2 * widths[0]!, 5);
  });

  test('on a logarithmic axis equal ratios are equal distances', () => {
    const points = [1, 10, 100].map((x): [number, number] => [x, 1]);
    const svg = lines({ title: 't', x: 'x', y: 'y', logX: true }, [{ label: 'l', series: 's0', points }]);
    const [a, b, c] = [...svg.matchAll(/cx="([\d.]+)"/g)].map((match) => Number(match[1]));
    expect(b! - a!).toBeCloseTo(c! - b!, 0);
  });

  test('figures are shortened to the digits that count', () => {
    expect([0.012345, 12.345, 1234.5].map(brief)).toEqual(['0.0123', '12.3', '1,235']);
  });
});

describe('the page', () => {
  const document: Document = {
    machine: 'a <machine> & more',
    results: resultsOf('peers', [figure('chimney in', 4), figure('node net in', 5)]),
    curves: {
      'chimney echo': [
        [
          [0.5, 10],
          [0.99, 20],
        ],
      ],
      'node net echo': [
        [
          [0.5, 11],
          [0.99, 15],
        ],
      ],
    },
    notes: ['passt: left out: not installed'],
    verdicts: [],
  };

  test('needs nothing from outside, and runs nothing', () => {
    const page = pageOf(document);
    expect(page).not.toMatch(/<script|src=|href=|url\(|https?:/);
  });

  test('shows figures, curves, and names the peers that are missing', () => {
    const page = pageOf(document);
    expect(page).toContain('a &lt;machine&gt; &amp; more');
    expect(page).toContain('passt: left out: not installed');
    expect(page.match(/<polyline/g)).toHaveLength(2);
    expect(page).toContain('4 Gbit/s');
  });
});
