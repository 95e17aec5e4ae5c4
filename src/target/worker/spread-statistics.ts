/**
 * Statistics of several NIC threads as one: numbers are added up, everything else is the first one's.
 */

/** Adds counters of structures of one kind; answers that are no counters stay the first. */
export function addAnswers(answers: readonly unknown[]): unknown {
  const first = answers[0];
  if (typeof first !== 'object' || first === null || !('inReceives' in first || 'inSegments' in first)) return first;
  const total: Record<string, unknown> = { ...first };
  for (const other of answers.slice(1)) {
    for (const [name, value] of Object.entries(other as Record<string, number | bigint>)) {
      const before = total[name];
      total[name] = typeof value === 'bigint' ? (before as bigint) + value : (before as number) + value;
    }
  }
  return total;
}
