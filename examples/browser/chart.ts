/** The picture: what was delivered over time, and where each end of the connection was meanwhile. */
import type { Report } from './side.ts';

interface Sample {
  readonly atMs: number;
  readonly mbitPerS: number;
  readonly sender: Report['location'];
  readonly receiver: Report['location'];
}

const STRIP = 14;
const LEFT = 48;
const TOP = 12;
const SPAN_MS_MIN = 4000;
/** Samples kept: some minutes; the oldest go. */
const SAMPLES_MAX = 4096;

export class Chart {
  readonly #canvas: HTMLCanvasElement;
  readonly #samples: Sample[] = [];
  #lastBytes = 0;
  #lastMs = 0;

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
  }

  clear(nowMs: number): void {
    this.#samples.length = 0;
    this.#lastBytes = 0;
    this.#lastMs = nowMs;
  }

  /** What both ends have told. Answers the rate since the last time. */
  add(nowMs: number, sender: Report, receiver: Report): number {
    const mbitPerS = Math.max(0, receiver.bytes - this.#lastBytes) / 125 / Math.max(1, nowMs - this.#lastMs);
    this.#lastBytes = receiver.bytes;
    this.#lastMs = nowMs;
    // Nothing to show until there is a connection.
    if (this.#samples.length === 0 && sender.location === 'none') return mbitPerS;
    if (this.#samples.length === SAMPLES_MAX) this.#samples.shift();
    this.#samples.push({ atMs: nowMs, mbitPerS, sender: sender.location, receiver: receiver.location });
    return mbitPerS;
  }

  draw(): void {
    const canvas = this.#canvas;
    const ratio = devicePixelRatio || 1;
    const [width, height] = [canvas.clientWidth, (canvas.clientWidth * 250) / 1000];
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const context = canvas.getContext('2d');
    const first = this.#samples[0];
    if (context === null || first === undefined) return;
    context.scale(ratio, ratio);
    const style = getComputedStyle(canvas);
    const color = (name: string): string => style.getPropertyValue(name);
    const spanMs = Math.max(SPAN_MS_MIN, this.#samples.at(-1)!.atMs - first.atMs);
    const x = (ms: number): number => LEFT + ((ms - first.atMs) / spanMs) * (width - LEFT - 10);
    const bottom = height - 2 * STRIP - 34;
    const most = niceAbove(Math.max(1, ...this.#samples.map((one) => one.mbitPerS)));
    const y = (mbitPerS: number): number => bottom - (mbitPerS / most) * (bottom - TOP);

    context.font = '11px system-ui, sans-serif';
    context.fillStyle = color('color');
    context.textAlign = 'right';
    for (const part of [0, 0.5, 1]) {
      context.globalAlpha = 0.7;
      context.fillText(String(most * part), LEFT - 6, y(most * part) + 4);
      context.globalAlpha = 0.15;
      context.fillRect(LEFT, y(most * part), width - LEFT - 10, 1);
    }
    context.globalAlpha = 1;
    this.#drawRate(context, x, y, bottom);
    for (const [line, which] of [
      [0, 'sender'],
      [1, 'receiver'],
    ] as const) {
      const top = bottom + 10 + line * (STRIP + 4);
      context.fillStyle = color('color');
      context.globalAlpha = 0.7;
      context.fillText(which === 'sender' ? 'page' : 'worker', LEFT - 6, top + 11);
      context.globalAlpha = 1;
      this.#drawStrip(context, x, top, which, { host: '#3b82f6', target: '#f59e0b' });
    }
    context.globalAlpha = 0.7;
    context.fillStyle = color('color');
    context.fillText(`${(spanMs / 1000).toFixed(1)} s`, width - 10, height - 4);
    context.globalAlpha = 1;
  }

  #drawRate(
    context: CanvasRenderingContext2D,
    x: (ms: number) => number,
    y: (mbit: number) => number,
    bottom: number,
  ): void {
    context.beginPath();
    for (const { atMs, mbitPerS } of this.#samples) context.lineTo(x(atMs), y(mbitPerS));
    context.strokeStyle = context.fillStyle;
    context.lineWidth = 1.5;
    context.stroke();
    context.lineTo(x(this.#samples.at(-1)!.atMs), bottom);
    context.lineTo(x(this.#samples[0]!.atMs), bottom);
    context.globalAlpha = 0.1;
    context.fill();
    context.globalAlpha = 1;
  }

  #drawStrip(
    context: CanvasRenderingContext2D,
    x: (ms: number) => number,
    top: number,
    which: 'sender' | 'receiver',
    colors: { readonly host: string; readonly target: string },
  ): void {
    for (let i = 1; i < this.#samples.length; i++) {
      const place = this.#samples[i]![which];
      if (place !== 'host' && place !== 'target') continue;
      context.fillStyle = colors[place];
      const from = x(this.#samples[i - 1]!.atMs);
      context.fillRect(from, top, x(this.#samples[i]!.atMs) - from + 0.5, STRIP);
    }
  }
}

/** 1, 2 or 5 times a power of ten, not below `value`. */
function niceAbove(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  for (const factor of [1, 2, 5]) if (value <= factor * power) return factor * power;
  return 10 * power;
}
