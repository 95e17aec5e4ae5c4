/** Plots as inline SVG: bars with their spread, and lines over logarithmic axes. No script, no outside resource. */

export interface Bar {
  readonly label: string;
  readonly value: number;
  readonly min: number;
  readonly max: number;
  /** One of the page's series classes: 's0' to 's13'. */
  readonly series: string;
}

export interface Line {
  readonly label: string;
  readonly series: string;
  readonly points: readonly (readonly [number, number])[];
}

export interface Axes {
  readonly title: string;
  readonly x: string;
  readonly y: string;
  readonly logX?: boolean;
  readonly logY?: boolean;
  /** Marks of the x axis; default: nice ones. */
  readonly xMarks?: readonly { readonly at: number; readonly label: string }[];
}

const LABEL_WIDTH = 190;
const BAR_WIDTH = 460;
const BAR_HEIGHT = 20;
const VALUE_WIDTH = 130;

export function escapeText(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

/** '12.3', '0.457', '1,234': three digits that count. */
export function brief(value: number): string {
  if (value >= 1000) return Math.round(value).toLocaleString('en-US');
  return String(Number(value.toPrecision(3)));
}

/** Horizontal bars from zero; a thin line shows the least and the greatest of the runs. */
export function bars(title: string, unit: string, rows: readonly Bar[]): string {
  const most = Math.max(...rows.map(({ max }) => max), Number.MIN_VALUE);
  const x = (value: number): number => LABEL_WIDTH + (value / most) * BAR_WIDTH;
  const height = rows.length * (BAR_HEIGHT + 6) + 8;
  const drawn = rows.map((row, index) => {
    const y = index * (BAR_HEIGHT + 6) + 4;
    const middle = y + BAR_HEIGHT / 2;
    return [
      `<text class="label" x="${LABEL_WIDTH - 8}" y="${middle}">${escapeText(row.label)}</text>`,
      `<rect class="${row.series}" x="${LABEL_WIDTH}" y="${y}" width="${(x(row.value) - LABEL_WIDTH).toFixed(1)}" height="${BAR_HEIGHT}" rx="2"/>`,
      `<line class="spread" x1="${x(row.min).toFixed(1)}" x2="${x(row.max).toFixed(1)}" y1="${middle}" y2="${middle}"/>`,
      `<text class="value" x="${(x(row.max) + 6).toFixed(1)}" y="${middle}">${brief(row.value)} ${escapeText(unit)}</text>`,
    ].join('');
  });
  const width = LABEL_WIDTH + BAR_WIDTH + VALUE_WIDTH;
  return figure(title, width, height, drawn.join('\n'));
}

const PLOT = { left: 70, top: 10, width: 560, height: 280, right: 170, bottom: 46 };

/** Lines with their points; labels stand at the right. */
export function lines(axes: Axes, series: readonly Line[]): string {
  const all = series.flatMap(({ points }) => points);
  if (all.length === 0) return '';
  const x = scale(
    all.map(([at]) => at),
    axes.logX === true,
    PLOT.left,
    PLOT.left + PLOT.width,
  );
  const ys = all.map(([, value]) => value);
  const y = scale(axes.logY === true ? ys : [0, ...ys], axes.logY === true, PLOT.top + PLOT.height, PLOT.top);
  const parts = [grid(axes, x, y), ...series.map((line, index) => drawLine(line, index, x, y))];
  const width = PLOT.left + PLOT.width + PLOT.right;
  return figure(axes.title, width, PLOT.top + PLOT.height + PLOT.bottom, parts.join('\n'));
}

interface Scale {
  (value: number): number;
  readonly marks: readonly number[];
}

function scale(values: readonly number[], isLog: boolean, from: number, to: number): Scale {
  const f = isLog ? Math.log10 : (value: number): number => value;
  const least = Math.min(...values);
  const most = Math.max(...values, least + 1e-9);
  const low = f(least);
  const span = f(most) - low;
  const place = (value: number): number => from + ((f(value) - low) / span) * (to - from);
  return Object.assign(place, { marks: isLog ? logMarks(least, most) : linearMarks(most) });
}

function logMarks(least: number, most: number): number[] {
  const marks: number[] = [];
  for (let power = Math.floor(Math.log10(least)); power <= Math.log10(most); power++) {
    for (const step of [1, 2, 5]) {
      const mark = step * 10 ** power;
      if (mark >= least && mark <= most) marks.push(mark);
    }
  }
  return marks;
}

function linearMarks(most: number): number[] {
  const rough = most / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= rough) ?? power;
  return Array.from({ length: Math.floor(most / step) + 1 }, (_, index) => index * step);
}

function grid(axes: Axes, x: Scale, y: Scale): string {
  const bottom = PLOT.top + PLOT.height;
  const right = PLOT.left + PLOT.width;
  const xMarks = axes.xMarks ?? x.marks.map((at) => ({ at, label: brief(at) }));
  return [
    ...y.marks.map((mark) => {
      const at = y(mark).toFixed(1);
      return `<line class="grid" x1="${PLOT.left}" x2="${right}" y1="${at}" y2="${at}"/><text class="label" x="${PLOT.left - 8}" y="${at}">${brief(mark)}</text>`;
    }),
    ...xMarks.map(({ at, label }) => {
      const place = x(at).toFixed(1);
      return `<line class="grid" x1="${place}" x2="${place}" y1="${PLOT.top}" y2="${bottom}"/><text class="below" x="${place}" y="${bottom + 14}">${escapeText(label)}</text>`;
    }),
    `<text class="below" x="${PLOT.left + PLOT.width / 2}" y="${bottom + 36}">${escapeText(axes.x)}</text>`,
    `<text class="below" transform="translate(14 ${PLOT.top + PLOT.height / 2}) rotate(-90)">${escapeText(axes.y)}</text>`,
  ].join('\n');
}

function drawLine(line: Line, index: number, x: Scale, y: Scale): string {
  const points = line.points.map(([at, value]) => `${x(at).toFixed(1)},${y(value).toFixed(1)}`);
  const legend = PLOT.top + 12 + index * 20;
  const left = PLOT.left + PLOT.width + 14;
  return [
    `<polyline class="line ${line.series}" points="${points.join(' ')}"/>`,
    ...points.map((point) => {
      const [cx, cy] = point.split(',');
      return `<circle class="${line.series}" cx="${cx}" cy="${cy}" r="2.6"/>`;
    }),
    `<rect class="${line.series}" x="${left}" y="${legend - 5}" width="10" height="10" rx="2"/>`,
    `<text class="legend" x="${left + 16}" y="${legend}">${escapeText(line.label)}</text>`,
  ].join('');
}

function figure(title: string, width: number, height: number, content: string): string {
  const name = escapeText(title);
  return `<figure><figcaption>${name}</figcaption><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${name}">\n${content}\n</svg></figure>`;
}
