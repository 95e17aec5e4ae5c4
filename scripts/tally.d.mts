/** The types of tally.mjs, which is plain JavaScript because it runs before the build. */
export interface Tally {
  readonly passed: number;
  readonly skipped: number;
  readonly failures: string[];
  readonly skippedSuites: string[];
}

export declare function tally(report: unknown, endedWell: boolean): Tally;
