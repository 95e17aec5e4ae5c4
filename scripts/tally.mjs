/**
 * Counts what vitest reported: a pure function of its JSON, so that the last line of `npm test` has tests of its own.
 *
 * Promises never to count a broken run as a good one: a file that did not load, a report that is missing and a vitest that
 * ended badly for no reason in the report are failures.
 */

/**
 * @param {any} report - what vitest's json reporter wrote; `undefined` when it wrote nothing
 * @param {boolean} endedWell - whether vitest ended with exit code 0
 * @returns {{ passed: number, skipped: number, failures: string[], skippedSuites: string[] }}
 */
export function tally(report, endedWell) {
  const failures = [];
  const suites = new Map();
  let passed = 0;
  let skipped = 0;
  for (const file of report?.testResults ?? []) {
    const tests = file.assertionResults ?? [];
    const failedBefore = failures.length;
    for (const one of tests) {
      if (one.status === 'passed') passed++;
      else if (one.status === 'failed') failures.push(one.fullName);
      else {
        skipped++;
        const suite = suiteOf(one);
        suites.set(suite, (suites.get(suite) ?? 0) + 1);
      }
    }
    if (file.status === 'failed' && failures.length === failedBefore) {
      failures.push(`${file.name}: ${firstLine(file.message) || 'the file did not load'}`);
    }
  }
  if (!report?.testResults) failures.push('vitest wrote no report');
  else if (!endedWell && failures.length === 0) failures.push('vitest ended badly outside of any test; see above');
  return {
    passed,
    skipped,
    failures,
    skippedSuites: [...suites].map(([suite, count]) => `${suite}: ${count} ${count === 1 ? 'test' : 'tests'}`),
  };
}

/** The outermost suite that gives a reason, else the test itself with the remark that it gives none. */
function suiteOf(one) {
  const named = [...(one.ancestorTitles ?? []), one.title].find((title) => title.includes('(skipped: '));
  return named ?? `${one.fullName} (skipped: no reason given)`;
}

function firstLine(text) {
  return (text ?? '').split('\n', 1)[0];
}
