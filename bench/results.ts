/** From figures of single runs to medians with their spread, and how they are printed. */
import { type Figure, median } from './measure.ts';

/** One row: all runs of one figure. */
export interface Result {
  readonly group: string;
  readonly name: string;
  readonly unit: string;
  readonly median: number;
  readonly min: number;
  readonly max: number;
  /** In the order of the runs. */
  readonly values: readonly number[];
}

export function resultsOf(group: string, figures: readonly Figure[]): Result[] {
  const all = new Map<string, { unit: string; values: number[] }>();
  for (const { name, unit, value } of figures) {
    const there = all.get(name);
    if (there === undefined) all.set(name, { unit, values: [value] });
    else there.values.push(value);
  }
  return [...all].map(([name, { unit, values }]) => ({
    group,
    name,
    unit,
    median: median(values),
    min: Math.min(...values),
    max: Math.max(...values),
    values,
  }));
}

export function shown(value: number): string {
  if (Number.isInteger(value) || Math.abs(value) >= 1000) return Math.round(value).toLocaleString('en-US');
  return value.toPrecision(3);
}

export function printResult(result: Result): void {
  const spread = result.min === result.max ? '' : `  [${shown(result.min)} … ${shown(result.max)}]`;
  console.log(`  ${result.name.padEnd(44)} ${shown(result.median).padStart(10)} ${result.unit}${spread}`);
}
