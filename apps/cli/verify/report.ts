/**
 * What an examination found, for people, for machines and for build servers.
 */
import { rulesOf } from 'chimney';
import { type ExploreReport, OWN_RULES, ruleText, type Verdict } from 'chimney/conformance';
import type { NamedSubject } from './subject.ts';

/** A finished examination. */
export interface Examination {
  readonly subject: NamedSubject;
  readonly report: ExploreReport;
  readonly elapsedMs: number;
}

/** What a rule says: its text in the rule book, or the suite's own expectation. */
export function sayingOf(rule: string): string {
  return (OWN_RULES as Readonly<Record<string, string>>)[rule] ?? ruleText(rule) ?? '(not in the rule book)';
}

/** For people. */
export function textReport({ subject, report, elapsedMs }: Examination): string {
  const lines = report.findings.flatMap((verdict, i) => [
    ...verdictText(verdict, i + 1, subject.name, report.seed),
    '',
  ]);
  const [total, traces] = [report.interleavings.toLocaleString('en'), report.traces.toLocaleString('en')];
  const count = report.findings.length;
  const exhausted = report.scenarios.filter(({ exhaustedTo }) => exhaustedTo === null).length;
  if (report.hasNoChimney) lines.push(`${subject.name} has no chimney: nothing is offloaded through it.`);
  lines.push(
    `${subject.name}: ${total} interleavings of ${report.scenarios.length} scenarios in ${(elapsedMs / 1000).toFixed(1)} s`,
    `  ${traces} of them differ at the doors or on the wire; ${exhausted} scenarios exhausted, the others to the deviation that --json tells`,
    count === 0 ? '  nothing found' : `  ${count} finding${count === 1 ? '' : 's'}`,
  );
  return lines.join('\n');
}

function verdictText(verdict: Verdict, number: number, name: string, seed: number): string[] {
  return [
    `${number}. ${verdict.rule} (${verdict.level}, ${verdict.actor}): ${sayingOf(verdict.rule)}`,
    ...verdict.also.map((rule) => `   and ${rule}: ${sayingOf(rule)}`),
    `   call      ${verdict.call} on ${verdict.object} (${verdict.adapter})`,
    `   expected  ${verdict.expected}`,
    `   seen      ${verdict.seen}${verdict.times > 1 ? `, ${verdict.times} times` : ''}`,
    `   scenario  ${verdict.scenario}: ${verdict.steps.join(' > ')}`,
    ...(verdict.lastCalls.length === 0 ? [] : [`   calls     ${verdict.lastCalls.join('\n             ')}`]),
    `   replay    chimney verify ${name} --seed ${seed} --replay '${verdict.replay}'`,
  ];
}

/** For machines. */
export function jsonReport({ subject, report, elapsedMs }: Examination): string {
  const { findings, ...rest } = report;
  return JSON.stringify({
    ok: findings.length === 0,
    subject: subject.name,
    kind: subject.kind,
    elapsedMs: Math.round(elapsedMs),
    ...rest,
    findings: findings.map((verdict) => ({ ...verdict, says: sayingOf(verdict.rule) })),
  });
}

/** JUnit XML: a test case a scenario. */
export function junitReport({ subject, report, elapsedMs }: Examination): string {
  const lines = [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuite name="chimney verify ${xml(subject.name)}" tests="${report.scenarios.length}" ` +
      `failures="${report.scenarios.filter(({ findings }) => findings > 0).length}" errors="0" time="${(elapsedMs / 1000).toFixed(3)}">`,
  ];
  for (const scenario of report.scenarios) {
    const verdicts = report.findings.filter((verdict) => verdict.scenario === scenario.name);
    const open = `  <testcase classname="chimney.verify" name="${xml(scenario.name)}"`;
    if (verdicts.length === 0) {
      lines.push(`${open}/>`);
      continue;
    }
    lines.push(`${open}>`);
    const message = verdicts
      .map((verdict) => ({ ...verdict, rules: rulesOf(verdict).join(' ') }))
      .map(({ rules, expected, seen }) => `${rules}: expected ${expected}; seen: ${seen}`)
      .join('\n');
    const text = verdicts
      .map((verdict, i) => verdictText(verdict, i + 1, subject.name, report.seed).join('\n'))
      .join('\n');
    lines.push(
      `    <failure type="${xml(rulesOf(verdicts[0]!).join(' '))}" message="${xml(message)}">${xml(text)}</failure>`,
      '  </testcase>',
    );
  }
  lines.push('</testsuite>', '');
  return lines.join('\n');
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\n': '&#10;',
};

function xml(text: string): string {
  // Control characters cannot stand in XML at all.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
  return text.replace(/[\u0000-\u0008\u000b-\u001f]/g, ' ').replace(/[&<>"\n]/g, (c) => ENTITIES[c]!);
}
